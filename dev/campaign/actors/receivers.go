package actors

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	apiclient "ringback/api/client"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// Receivers runs the receivers of all endpoints, at the address of o.Listen. They
// answer by the plan, and read from their journal what they answered before a
// restart. ready is called once they listen. The end of ctx ends them and is no
// error.
func Receivers(ctx context.Context, o Options, ready func()) error {
	return run(ctx, o, func(ctx context.Context, a *actor) error {
		before, err := journal.ReadFile(o.Journal)
		if err != nil {
			return err
		}
		s := receivers{actor: a, byCallback: map[string]int{}, faults: map[plan.FaultKind]chan struct{}{}}
		for _, e := range before {
			if e.Request != nil {
				s.byCallback[e.Request.CallbackID]++
			}
		}
		stop, err := serve(ctx, s.Listen[0], s.handler())
		if err != nil {
			return err
		}
		ready()
		<-ctx.Done()
		return stop()
	})
}

const faultsPath = "/faults/"

// SetFault begins or ends a fault of the receivers that listen on address:
// plan.SkewedClock or plan.SlotsFull. A restart ends it, too.
func SetFault(ctx context.Context, address string, kind plan.FaultKind, on bool) error {
	method := http.MethodDelete
	if on {
		method = http.MethodPut
	}
	client := apiclient.Client{Base: "http://" + address}
	if _, err := client.Call(ctx, method, faultsPath+url.PathEscape(string(kind)), nil, nil); err != nil {
		return fmt.Errorf("set the receivers' fault %q: %w", kind, err)
	}
	return nil
}

type receivers struct {
	*actor
	mu sync.Mutex
	// byCallback counts requests by callback id.
	byCallback map[string]int
	// faults are those that last; each channel is closed at the fault's end.
	faults map[plan.FaultKind]chan struct{}
}

func (s *receivers) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+faultsPath+"{kind}", s.setFault)
	mux.HandleFunc("DELETE "+faultsPath+"{kind}", s.setFault)
	mux.HandleFunc("POST /{dialect}/{endpoint}", s.receive)
	mux.HandleFunc("POST /{dialect}/{endpoint}/{operation}", s.receive)
	return mux
}

func (s *receivers) setFault(w http.ResponseWriter, r *http.Request) {
	kind := plan.FaultKind(r.PathValue("kind"))
	if kind != plan.SkewedClock && kind != plan.SlotsFull {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if over, lasts := s.faults[kind]; lasts {
		close(over)
		delete(s.faults, kind)
	}
	if r.Method == http.MethodPut {
		s.faults[kind] = make(chan struct{})
	}
}

// faultOver is closed at the end of a fault; nil if it does not last.
func (s *receivers) faultOver(kind plan.FaultKind) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults[kind]
}

// delay waits while answers are held, and then for d; false if the caller hung up.
func (s *receivers) delay(ctx context.Context, d time.Duration) bool {
	if over := s.faultOver(plan.SlotsFull); over != nil {
		select {
		case <-over:
		case <-ctx.Done():
			return false
		}
	}
	return sleep(ctx, d)
}

// receive handles one callback. A request whose body is not complete is ignored.
func (s *receivers) receive(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	request := s.parse(r, body)
	request.Began = began
	request.Name, request.Number = rand.Text(), s.next(request.CallbackID)
	s.record(request)
	operation := s.operations[request.OperationID]
	if !s.delay(r.Context(), operation.Receiver.Delay) {
		request.Ended = time.Now()
		s.record(request)
		panic(http.ErrAbortHandler)
	}
	answer := s.answer(operation, request)
	request.Accepted, request.HTTPStatus, request.Ended = answer.accepts, answer.httpStatus, time.Now()
	s.record(request)
	request.Answered = answer.write(w)
	s.record(request)
}

func (s *receivers) record(request journal.Request) { s.write(journal.Entry{Request: &request}) }

// parse reads a request as its documents describe it, and says what is wrong with it.
func (s *receivers) parse(r *http.Request, body []byte) journal.Request {
	sum := sha256.Sum256(body)
	request := journal.Request{CallbackID: r.Header.Get("webhook-id"), Body: hex.EncodeToString(sum[:8])}
	request.Endpoint = r.PathValue("endpoint")
	endpoint, known := plan.EndpointByName(request.Endpoint)
	if !known || endpoint.Dialect != r.PathValue("dialect") {
		request.Refused = "there is no such endpoint"
		return request
	}
	message, err := readMessage(endpoint, r.Header.Get("Content-Type"), body)
	request.OperationID, request.Status = message.operation, message.status
	if err == nil {
		err = s.checkURL(endpoint, message.operation, r.PathValue("operation"))
	}
	if err == nil {
		err = checkHeaders(endpoint, r.Header, body)
	}
	if err != nil {
		request.Refused = err.Error()
	}
	return request
}

// checkURL checks that the operation exists and has that endpoint and URL.
func (s *receivers) checkURL(endpoint plan.Endpoint, operation, path string) error {
	o, known := s.operations[operation]
	switch {
	case !known:
		return fmt.Errorf("there is no operation %q", operation)
	case o.Endpoint != endpoint.Name:
		return fmt.Errorf("the operation %q is not of the endpoint %s but of %s", operation, endpoint.Name, o.Endpoint)
	case endpoint.PerOperationURL && path != operation:
		return fmt.Errorf("the operation %q was delivered at the URL of %q", operation, path)
	}
	return nil
}

// next counts a request about a callback.
func (s *receivers) next(callbackID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byCallback[callbackID]++
	return s.byCallback[callbackID]
}

// answer is a receiver's to one request.
type answer struct {
	accepts bool
	// httpStatus of 0 hangs up, after the first bytes of an answer if partial is set.
	httpStatus int
	partial    bool
	body       string
}

func (s *receivers) answer(o plan.Operation, request journal.Request) answer {
	if request.Refused != "" {
		return answer{httpStatus: http.StatusBadRequest}
	}
	misbehaves := request.Number <= o.Receiver.First
	switch b := o.Receiver.Behaviour; {
	case b == plan.Fails && misbehaves:
		return answer{httpStatus: http.StatusServiceUnavailable}
	case b == plan.HangsUp && misbehaves:
		return answer{partial: true}
	case b == plan.DropsAnswer && misbehaves:
		return answer{accepts: true}
	case b == plan.Gone && misbehaves:
		return answer{httpStatus: http.StatusGone}
	case b == plan.Skewed && s.faultOver(plan.SkewedClock) != nil:
		// By a clock that is ten minutes fast, no request is within the tolerance.
		return answer{httpStatus: http.StatusBadRequest}
	}
	return answer{accepts: true, httpStatus: http.StatusOK, body: acknowledgement(request)}
}

// acknowledgement is the body that Ukrcard's dialect requires; others require none.
func acknowledgement(request journal.Request) string {
	if e, _ := plan.EndpointByName(request.Endpoint); e.Dialect != "ukrcard" {
		return ""
	}
	text, _ := json.Marshal(map[string]any{"orderNumber": request.OperationID, "applicationStatus": http.StatusOK})
	return string(text)
}

// write answers, and reports whether all of the answer was written.
func (a answer) write(w http.ResponseWriter) bool {
	if a.httpStatus == 0 {
		a.hangUp(w)
		return false
	}
	if a.body != "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.httpStatus)
	_, err := io.WriteString(w, a.body)
	return errors.Join(err, http.NewResponseController(w).Flush()) == nil
}

// hangUp closes the connection before the answer or within its first line, so that
// nothing can be taken for an answer.
func (a answer) hangUp(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if a.partial {
		_, _ = io.WriteString(connection, "HTTP/1.1 2")
	}
	_ = connection.Close()
}
