package actors

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// Receivers are the receivers of all endpoints, at the only address of o.Listen.
// They answer by the plan, and know from their journal what they had answered
// before they were started again. ready is called once they listen; they end
// with ctx, which is no error.
//
// What is done to all of them is told at their own address, not through a link:
// see SetFault. A receiver that is started again knows of none of it.
func Receivers(ctx context.Context, o Options, ready func()) error {
	return play(ctx, o, 1, func(ctx context.Context, r *role) error {
		answered, err := journal.ReadFile(o.Journal)
		if err != nil {
			return err
		}
		receivers := receivers{role: r, run: time.Now().UnixNano(), asked: map[string]int{}}
		for _, e := range answered {
			if e.Request != nil {
				receivers.asked[e.Request.CallbackID]++
			}
		}
		return receivers.serve(ctx, ready)
	})
}

// SetFault begins or ends one of the faults of receivers, plan.SkewedClock and
// plan.SlotsFull, at those that listen on address, host:port.
func SetFault(ctx context.Context, address string, kind plan.FaultKind, on bool) error {
	method := http.MethodDelete
	if on {
		method = http.MethodPut
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+address+faultsPath+url.PathEscape(string(kind)), http.NoBody)
	if err != nil {
		return fmt.Errorf("tell the receivers of the fault %q: %w", kind, err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("tell the receivers of the fault %q: %w", kind, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("tell the receivers of the fault %q: they answer %s", kind, response.Status)
	}
	return nil
}

const faultsPath = "/faults/"

// receivers answer callbacks by the plan.
type receivers struct {
	*role
	// run tells the requests of this process from those of the ones before it.
	run int64

	mu sync.Mutex
	// asked counts the requests by callback id.
	asked    map[string]int
	requests int
	skewed   bool
	// released is closed when answers are held no more; nil: none is.
	released chan struct{}
}

// closing is how long those that are being answered have at the end.
const closing = 2 * time.Second

func (s *receivers) serve(ctx context.Context, ready func()) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Listen[0])
	if err != nil {
		return fmt.Errorf("start the receivers: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+faultsPath+"{kind}", s.setFault(true))
	mux.HandleFunc("DELETE "+faultsPath+"{kind}", s.setFault(false))
	mux.HandleFunc("POST /{dialect}/{endpoint}", s.take)
	mux.HandleFunc("POST /{dialect}/{endpoint}/{operation}", s.take)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		// The end of ctx also ends the answers that are delayed.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	ready()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the receivers: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	err = server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (s *receivers) setFault(on bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch plan.FaultKind(r.PathValue("kind")) {
		case plan.SkewedClock:
			s.skewed = on
		case plan.SlotsFull:
			s.hold(on)
		default:
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// hold holds or releases answers. The caller holds the lock.
func (s *receivers) hold(on bool) {
	if s.released != nil {
		close(s.released)
		s.released = nil
	}
	if on {
		s.released = make(chan struct{})
	}
}

// take takes one request. A body that does not come whole is no request.
func (s *receivers) take(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	request := s.recognise(r, body)
	request.Began = began
	s.number(&request)
	s.record(request)
	operation := s.operations[request.OperationID]
	if !s.patient(r.Context(), operation.Receiver.Delay) {
		request.Ended = time.Now()
		s.record(request)
		panic(http.ErrAbortHandler)
	}
	answer := s.answer(operation, request, r.Header)
	request.Took, request.HTTPStatus, request.Ended = answer.takes, answer.httpStatus, time.Now()
	s.record(request)
	request.Answered = answer.write(w)
	s.record(request)
}

func (s *receivers) record(request journal.Request) { s.write(journal.Entry{Request: &request}) }

// recognise is the request as its documents have it, and what is wrong with it.
func (s *receivers) recognise(r *http.Request, body []byte) journal.Request {
	sum := sha256.Sum256(body)
	request := journal.Request{CallbackID: r.Header.Get("webhook-id"), Body: hex.EncodeToString(sum[:8])}
	request.Endpoint = r.PathValue("endpoint")
	endpoint, known := plan.EndpointByName(request.Endpoint)
	if !known || endpoint.Dialect != r.PathValue("dialect") {
		request.Refused = "there is no such endpoint"
		return request
	}
	message, err := read(endpoint, r.Header.Get("Content-Type"), body)
	request.OperationID, request.Status = message.operation, message.status
	if err == nil {
		err = s.belongs(endpoint, message.operation, r.PathValue("operation"))
	}
	if err == nil {
		err = checkHeaders(endpoint, r.Header, body)
	}
	if err != nil {
		request.Refused = err.Error()
	}
	return request
}

// belongs checks that the operation is there, at that endpoint and URL.
func (s *receivers) belongs(endpoint plan.Endpoint, operation, path string) error {
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

// number gives a request its names.
func (s *receivers) number(request *journal.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.asked[request.CallbackID]++
	request.Name = strconv.FormatInt(s.run, 10) + "-" + strconv.Itoa(s.requests)
	request.Number = s.asked[request.CallbackID]
}

// patient waits while answers are held, and then for delay; false if nobody
// waits for the answer any more.
func (s *receivers) patient(ctx context.Context, delay time.Duration) bool {
	s.mu.Lock()
	released := s.released
	s.mu.Unlock()
	if released != nil {
		select {
		case <-released:
		case <-ctx.Done():
			return false
		}
	}
	return sleep(ctx, delay)
}

// answer is what a receiver does to one request.
type answer struct {
	takes bool
	// httpStatus of 0 hangs up, after the beginning of an answer where partly is set.
	httpStatus int
	partly     bool
	body       string
}

func (s *receivers) answer(o plan.Operation, request journal.Request, header http.Header) answer {
	if request.Refused != "" {
		return answer{httpStatus: http.StatusBadRequest}
	}
	treated := request.Number <= o.Receiver.First
	switch m := o.Receiver.Manner; {
	case m == plan.Fails && treated:
		return answer{httpStatus: http.StatusServiceUnavailable}
	case m == plan.HangsUp && treated:
		return answer{partly: true}
	case m == plan.DropsAnswer && treated:
		return answer{takes: true}
	case m == plan.Gone && treated:
		return answer{httpStatus: http.StatusGone}
	case m == plan.Skewed && treated && s.tooOld(header):
		return answer{httpStatus: http.StatusBadRequest}
	}
	return answer{takes: true, httpStatus: http.StatusOK, body: acknowledgement(request)}
}

// The receivers' clock while it is skewed, and how old a request may be by it
// (Standard Webhooks, "Verifying webhook authenticity").
const (
	skew      = 10 * time.Minute
	tolerance = 5 * time.Minute
)

func (s *receivers) tooOld(header http.Header) bool {
	s.mu.Lock()
	clock := time.Now()
	if s.skewed {
		clock = clock.Add(skew)
	}
	s.mu.Unlock()
	sent, err := sentAt(header)
	return err != nil || clock.Sub(sent) > tolerance
}

// acknowledgement is the body that Ukrcard's callback service asks for; the
// other dialects ask for none.
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

// hangUp closes the connection, before the answer or within its first line:
// later a sender could take what it has for an answer.
func (a answer) hangUp(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if a.partly {
		_, _ = io.WriteString(connection, "HTTP/1.1 2")
	}
	_ = connection.Close()
}
