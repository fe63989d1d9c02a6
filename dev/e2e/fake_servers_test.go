package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// answer is one answer of a core or of a receiver about an operation.
type answer func(w http.ResponseWriter, r *http.Request, id string)

// fakeServers are both cores and every receiver, as bad as a test wants them. What
// has no script is well-behaved: a final status, an acknowledgement.
type fakeServers struct {
	url string

	mu               sync.Mutex
	scripts          map[string][]answer
	statuses         map[string]string
	asked            map[string]int
	statusesReceived map[string][]string
	all              int
}

func newFakeServers(t *testing.T) *fakeServers {
	t.Helper()
	o := &fakeServers{scripts: map[string][]answer{}, statuses: map[string]string{}, asked: map[string]int{}, statusesReceived: map[string][]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/callbacks", o.receive)
	mux.HandleFunc("/Confirm", func(w http.ResponseWriter, r *http.Request) {
		o.ask(w, r, r.Header.Get("orderNumber"), `{"orderNumber":%q,"respStatus":200,"orderStatus":%s}`, "2")
	})
	mux.HandleFunc("/transfer/rest/v1/transfers/{id}", func(w http.ResponseWriter, r *http.Request) {
		o.ask(w, r, path.Base(r.URL.Path), `{"id":%q,"status":%q}`, "done")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

const (
	toCore     = "core "
	toReceiver = "receiver "
)

// script sets the first answers to an operation's polls or callbacks.
func (o *fakeServers) script(whom, id string, answers ...answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.scripts[whom+id] = answers
}

// status sets what the core answers where there is no script.
func (o *fakeServers) status(id, status string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.statuses[id] = status
}

// next takes the next scripted answer; nil: there is none.
func (o *fakeServers) next(whom, id string) answer {
	script := o.scripts[whom+id]
	if len(script) == 0 {
		return nil
	}
	o.scripts[whom+id] = script[1:]
	return script[0]
}

func (o *fakeServers) ask(w http.ResponseWriter, r *http.Request, id, form, final string) {
	o.mu.Lock()
	o.all++
	o.asked[id]++
	scripted := o.next(toCore, id)
	if status, ok := o.statuses[id]; ok {
		final = status
	}
	o.mu.Unlock()
	if scripted != nil {
		scripted(w, r, id)
		return
	}
	_, _ = fmt.Fprintf(w, form, id, final)
}

var (
	idReceived     = regexp.MustCompile(`"(?:orderNumber|operation_id)":"([^"]*)"|transfer_id=([^&]*)`)
	statusReceived = regexp.MustCompile(`"(?:orderStatus":|status":")(\w+)|[&?]?status=([^&]*)`)
)

func (o *fakeServers) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	id, status := first(idReceived, body), first(statusReceived, body)
	o.mu.Lock()
	o.all++
	o.statusesReceived[id] = append(o.statusesReceived[id], status)
	scripted := o.next(toReceiver, id)
	o.mu.Unlock()
	if scripted != nil {
		scripted(w, r, id)
		return
	}
	_, _ = fmt.Fprintf(w, `{"orderNumber":%q,"applicationStatus":200}`, id)
}

// first is the first group of a match that is not empty.
func first(pattern *regexp.Regexp, text []byte) string {
	match := pattern.FindSubmatch(text)
	if match == nil {
		return ""
	}
	return string(match[1]) + string(match[2])
}

// receivedStatuses are the statuses that the receiver got about an operation, one a request.
func (o *fakeServers) receivedStatuses(id string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.statusesReceived[id]...)
}

func (o *fakeServers) requests() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all
}

// respond answers with a body, where {id} stands for the operation's id; header
// are pairs.
func respond(status int, body string, header ...string) answer {
	return func(w http.ResponseWriter, r *http.Request, id string) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "{id}", id))
	}
}

// respondRaw answers with these bytes and closes the connection.
func respondRaw(text string) answer {
	return func(w http.ResponseWriter, r *http.Request, id string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, strings.ReplaceAll(text, "{id}", id))
		_ = conn.Close()
	}
}

// respondEndlessly writes a chunk again and again until the connection is closed.
func respondEndlessly(chunk string, header ...string) answer {
	return func(w http.ResponseWriter, r *http.Request, id string) {
		respond(http.StatusOK, "", header...)(w, r, id)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}
}

// respondPartly begins an answer and never ends it.
func respondPartly(beginning string) answer {
	return func(w http.ResponseWriter, r *http.Request, id string) {
		_, _ = io.WriteString(w, beginning)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}
