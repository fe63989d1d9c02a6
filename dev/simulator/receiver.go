package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Reply is one answer to a callback.
type Reply struct {
	// HTTPStatus of 0 means 200.
	HTTPStatus int
	// Body is the answer's body, where {operation} stands for the operation's
	// id; empty in a 2xx: what the dialect acknowledges with.
	Body string
	// Header is added to the answer, such as Retry-After or Location.
	Header map[string]string
	// Delay is before the answer; Drop closes the connection instead of it.
	Delay time.Duration
	Drop  bool
}

// Acknowledge is the reply without a script.
var Acknowledge = Reply{HTTPStatus: http.StatusOK}

// Received is one callback as a receiver saw it.
type Received struct {
	// At is when the request had arrived, EndedAt when its answer was written.
	At, EndedAt time.Time
	Path        string
	Header      http.Header
	Body        []byte
	// Operation, Status and CallbackID are read from the message: the id is
	// its webhook-id.
	Operation, Status, CallbackID string
	// Attempt counts the requests with that callback id from 1.
	Attempt int
	// Gap is from the end of the answer to the callback's attempt before to
	// At; 0 for the first.
	Gap time.Duration
	// Overlaps says that an attempt for the same operation was being answered.
	Overlaps bool
	// Answered is what it was answered with.
	Answered Reply
}

// Receiver takes callbacks of one dialect on any path and answers them from
// scripts. It is safe for concurrent use.
type Receiver struct {
	*server
	dialect string

	mu       sync.Mutex
	scripts  scripts[Reply]
	received []*Received
	changed  chan struct{}
}

// StartReceiver serves on addr, host:port with port 0 for a free one. dialect
// is "ukrcard", "paysera", "standard", or a system of docs/systems.
func StartReceiver(addr, dialect string) (*Receiver, error) {
	if readers[dialect] == nil {
		return nil, fmt.Errorf("starting a receiver: no dialect %q", dialect)
	}
	r := &Receiver{dialect: dialect, scripts: newScripts[Reply](nil), changed: make(chan struct{})}
	var err error
	r.server, err = serve(addr, http.HandlerFunc(r.take), nil)
	return r, err
}

// Script sets the replies to an operation's callbacks, from now on, one
// request each; the last one repeats.
func (r *Receiver) Script(operation string, replies ...Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scripts.set(operation, replies)
}

// Default sets the replies to operations without a script; each operation
// begins with the first.
func (r *Receiver) Default(replies ...Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scripts.fallback = replies
}

// Received are the callbacks about an operation so far, oldest first; all of
// them where operation is empty.
func (r *Receiver) Received(operation string) []Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Received
	for _, got := range r.received {
		if operation == "" || got.Operation == operation {
			found = append(found, *got)
		}
	}
	return found
}

// Await waits until n callbacks about an operation have come and been
// answered, and returns what has come by then.
func (r *Receiver) Await(ctx context.Context, operation string, n int) ([]Received, error) {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		found := r.Received(operation)
		answered := slices.DeleteFunc(slices.Clone(found), func(got Received) bool { return got.EndedAt.IsZero() })
		if len(answered) >= n {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return found, fmt.Errorf("waiting for %d callbacks about %q, %d came: %w", n, operation, len(answered), ctx.Err())
		}
	}
}

func (r *Receiver) take(w http.ResponseWriter, request *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(io.LimitReader(request.Body, 1<<20))
	if err != nil {
		return
	}
	got := r.record(at, request, body)
	reply := got.Answered
	// EndedAt is set before the answer's last byte is sent, so that no gap is
	// measured longer than it is.
	defer r.end(got)
	if !hold(request, reply.Delay) || reply.Drop {
		r.end(got)
		drop(w)
		return
	}
	for name, value := range reply.Header {
		w.Header().Set(name, value)
	}
	status := max(reply.HTTPStatus, http.StatusOK)
	text := strings.ReplaceAll(reply.Body, "{operation}", got.Operation)
	if text == "" && status < 300 {
		text = r.acknowledgement(got.Operation)
	}
	if json.Valid([]byte(text)) {
		w.Header().Set("Content-Type", "application/json")
	}
	r.end(got)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (r *Receiver) acknowledgement(operation string) string {
	if r.dialect != "ukrcard" {
		return ""
	}
	text, _ := json.Marshal(map[string]any{"orderNumber": operation, "applicationStatus": http.StatusOK})
	return string(text)
}

// record keeps the request and chooses its reply.
func (r *Receiver) record(at time.Time, request *http.Request, body []byte) *Received {
	got := &Received{
		At: at, Path: request.URL.Path, Header: request.Header.Clone(), Body: body,
		CallbackID: request.Header.Get("webhook-id"), Attempt: 1, Answered: Acknowledge,
	}
	got.Operation, got.Status = readers[r.dialect](body)

	r.mu.Lock()
	defer r.mu.Unlock()
	for _, before := range r.received {
		if before.Operation != got.Operation {
			continue
		}
		got.Overlaps = got.Overlaps || before.EndedAt.IsZero()
		if before.CallbackID == got.CallbackID {
			got.Attempt++
			got.Gap = at.Sub(before.EndedAt)
		}
	}
	if got.Overlaps {
		got.Gap = 0
	}
	if reply, found := r.scripts.next(got.Operation); found {
		got.Answered = reply
	}
	r.received = append(r.received, got)
	r.notify()
	return got
}

func (r *Receiver) end(got *Received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if got.EndedAt.IsZero() {
		got.EndedAt = time.Now()
		r.notify()
	}
}

// notify wakes up Await. The caller holds the lock.
func (r *Receiver) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// readers read the operation's id and status in a message, by dialect.
var readers = map[string]func(body []byte) (operation, status string){
	"ukrcard": func(body []byte) (operation, status string) {
		var message struct {
			OrderNumber string      `json:"orderNumber"`
			OrderStatus json.Number `json:"orderStatus"`
		}
		_ = json.Unmarshal(body, &message)
		return message.OrderNumber, message.OrderStatus.String()
	},
	"paysera": func(body []byte) (operation, status string) {
		form, _ := url.ParseQuery(string(body))
		return form.Get("transfer_id"), form.Get("status")
	},
	"standard": func(body []byte) (operation, status string) {
		var message struct {
			Data struct {
				OperationID string `json:"operation_id"`
				Status      string `json:"status"`
			} `json:"data"`
		}
		_ = json.Unmarshal(body, &message)
		return message.Data.OperationID, message.Data.Status
	},
	"monobank": func(body []byte) (operation, status string) {
		var message struct{ InvoiceID, Status string }
		_ = json.Unmarshal(body, &message)
		return message.InvoiceID, message.Status
	},
	// Mollie's webhook has the id alone.
	"mollie": func(body []byte) (operation, status string) {
		form, _ := url.ParseQuery(string(body))
		return form.Get("id"), ""
	},
	"paypal": func(body []byte) (operation, status string) {
		var message struct {
			Resource struct {
				ID     string `json:"payout_item_id"`
				Status string `json:"transaction_status"`
			}
		}
		_ = json.Unmarshal(body, &message)
		return message.Resource.ID, message.Resource.Status
	},
}
