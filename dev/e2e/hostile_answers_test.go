package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/internal/operation"
)

// gzipBomb is 100 MB of spaces, packed.
func gzipBomb() string {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	megabyte := bytes.Repeat([]byte(" "), 1<<20)
	for range 100 {
		_, _ = w.Write(megabyte)
	}
	_ = w.Close()
	return packed.String()
}

// badAnswer is an answer to an operation's first callback or poll.
type badAnswer struct {
	input, want string
	answer      answer
}

const (
	html     = "<html><body>502 Bad Gateway</body></html>"
	deep     = 100_000
	plain200 = "HTTP/1.1 200 OK\r\n"
)

// callbackAnswers are what receivers answer to a first attempt. Each costs that
// attempt and no more: the second is acknowledged.
func (h *hostileEnvironment) callbackAnswers() []hostile {
	rows := h.answered(gold, toReceiver, "receiver: ", []badAnswer{
		{"nothing", "not a JSON object", respond(200, "")},
		{"HTML", "not a JSON object", respond(200, html, "Content-Type", "text/html")},
		{"half a JSON", "not a JSON object", respond(200, `{"orderNumber":"{id}","applicationSta`)},
		{"two objects", "not a JSON object", respond(200, `{"orderNumber":"{id}","applicationStatus":200}{}`)},
		{"a list", "not a JSON object", respond(200, `[{"orderNumber":"{id}","applicationStatus":200}]`)},
		{"null", "not a JSON object", respond(200, `null`)},
		{"a number", "not a JSON object", respond(200, `200`)},
		{"100,000 brackets", "longer than is read", respond(200, strings.Repeat("[", deep))},
		{"invalid UTF-8", "not a JSON object", respond(200, "\xff\xfe{}")},
		{"another order's number", "orderNumber is not this operation's", respond(200, `{"orderNumber":"OTHER","applicationStatus":200}`)},
		{"no order number", "orderNumber is not this operation's", respond(200, `{"applicationStatus":200}`)},
		{"an order number of null", "orderNumber is not this operation's", respond(200, `{"orderNumber":null,"applicationStatus":200}`)},
		{"an order number in a list", "orderNumber is not this operation's", respond(200, `{"orderNumber":["{id}"],"applicationStatus":200}`)},
		{"no applicationStatus", "no applicationStatus", respond(200, `{"orderNumber":"{id}"}`)},
		{"an applicationStatus of true", "applicationStatus", respond(200, `{"orderNumber":"{id}","applicationStatus":true}`)},
		{"an applicationStatus of 500", "applicationStatus is 500", respond(200, `{"orderNumber":"{id}","applicationStatus":500}`)},
		{"an applicationStatus of 200.5", "applicationStatus is not 200", respond(200, `{"orderNumber":"{id}","applicationStatus":200.5}`)},
		{"an applicationStatus of 2000 digits", "applicationStatus is not 200", respond(200, `{"orderNumber":"{id}","applicationStatus":`+strings.Repeat("2", 2000)+`}`)},
		{"a card number as applicationStatus", "applicationStatus is not 200", respond(200, `{"orderNumber":"{id}","applicationStatus":"`+card+`"}`)},
		{"a redirect to the cloud's metadata", "a redirect is not followed", respond(302, "", "Location", "http://169.254.169.254/")},
		{"a redirect that keeps the method", "a redirect is not followed", respond(308, "", "Location", h.fakeServers.url+"/callbacks")},
		{"a redirect to nowhere", "a redirect is not followed", respond(301, "")},
		{"HTTP 500 in HTML", "not a JSON object", respond(500, html)},
		{"HTTP 999", "not a JSON object", respond(999, "")},
		{"a body of 10 MB", "longer than is read", respond(200, strings.Repeat(" ", 10<<20))},
		{"a body without end", "longer than is read", respondEndlessly(strings.Repeat("x", 4096))},
		{"a gzip bomb", "longer than is read", respond(200, gzipBomb(), "Content-Encoding", "gzip")},
		{"a body that does not come", "within 1000 ms", respondPartly(`{"orderNumber":`)},
		{"no answer", "within 1000 ms", func(_ http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() }},
		{"a connection closed", "unacknowledged", respondRaw("")},
		{"no HTTP", "unacknowledged", respondRaw("SSH-2.0-OpenSSH_9.6\r\n")},
		{"a status line of a megabyte", "unacknowledged", respondRaw("HTTP/1.1 200 " + strings.Repeat("O", 1<<20) + "\r\n\r\n")},
		{"headers of 20 MB", "unacknowledged", respondRaw(plain200 + strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 20_000) + "\r\n")},
		{"a body shorter than its length", "unacknowledged", respondRaw(plain200 + "Content-Length: 1000\r\n\r\n{\"orderNumber\":\"{id}\",\"applicationStatus\":200}")},
		{"a chunk whose length is none", "unacknowledged", respondRaw(plain200 + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}")},
		{"a length below 0", "unacknowledged", respondRaw(plain200 + "Content-Length: -1\r\n\r\n{}")},
		{"a thousand 100 Continue", "unacknowledged", respondRaw(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000))},
		{"a switch of protocols", "unacknowledged", respondRaw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")},
	})
	return append(rows, h.answered(ledger, toReceiver, "receiver of any 2xx: ", []badAnswer{
		{"HTTP 100, then nothing", "unacknowledged", respondRaw("HTTP/1.1 100 Continue\r\n\r\n")},
		{"HTTP 304", "a redirect is not followed", respond(304, "")},
		{"HTTP 401", "HTTP 401 is not 2xx", respond(401, "", "WWW-Authenticate", "Basic")},
		{"HTTP 429 for a thousand years", "HTTP 429 is not 2xx", respond(429, "", "Retry-After", "31536000000")},
		{"HTTP 503 until a date that is none", "HTTP 503 is not 2xx", respond(503, "", "Retry-After", "Smarch 13")},
		{"a card number in a status line", "HTTP 500 is not 2xx", respondRaw("HTTP/1.1 500 " + card + "\r\n\r\n")},
	})...)
}

// sourceAnswers are what cores answer to a first poll. Each costs that poll and
// no more: nothing is delivered for it, and the second poll finds the status.
func (h *hostileEnvironment) sourceAnswers() []hostile {
	ukrcard := h.answered(gold, toCore, "wsGate: ", []badAnswer{
		{"nothing", "", respond(200, "")},
		{"HTML", "", respond(200, html)},
		{"half a JSON", "", respond(200, `{"orderNumber":"{id}","respSta`)},
		{"a list", "", respond(200, `[]`)},
		{"100,000 brackets", "", respond(200, strings.Repeat(`{"a":`, deep))},
		{"another order's number", "", respond(200, `{"orderNumber":"OTHER","respStatus":200,"orderStatus":2}`)},
		{"no respStatus", "", respond(200, `{"orderNumber":"{id}","orderStatus":2}`)},
		{"an orderStatus of two digits", "", respond(200, `{"orderNumber":"{id}","respStatus":200,"orderStatus":22}`)},
		{"an orderStatus below 0", "", respond(200, `{"orderNumber":"{id}","respStatus":200,"orderStatus":-1}`)},
		{"an orderStatus in an object", "", respond(200, `{"orderNumber":"{id}","respStatus":200,"orderStatus":{"is":2}}`)},
		{"a card number as order id", "", respond(200, `{"orderNumber":"{id}","respStatus":200,"orderStatus":2,"orderId":"4111 1111 1111 1111"}`)},
		{"a redirect", "", respond(302, "", "Location", "http://169.254.169.254/")},
		{"HTTP 500 in HTML", "", respond(500, html)},
		{"a body of 10 MB", "", respond(200, strings.Repeat(" ", 10<<20))},
		{"a body without end", "", respondEndlessly(strings.Repeat(" ", 4096))},
		{"a gzip bomb", "", respond(200, gzipBomb(), "Content-Encoding", "gzip")},
		{"a body that does not come", "", respondPartly(`{"orderNumber":`)},
		{"a connection closed", "", respondRaw("")},
		{"no HTTP", "", respondRaw("SSH-2.0-OpenSSH_9.6\r\n")},
	})
	paysera := h.answered(ledger, toCore, "Paysera: ", []badAnswer{
		{"another transfer's id", "", respond(200, `{"id":"OTHER","status":"done"}`)},
		{"no id", "", respond(200, `{"status":"done"}`)},
		{"no status", "", respond(200, `{"id":"{id}"}`)},
		{"a status of markup", "", respond(200, `{"id":"{id}","status":"<script>"}`)},
		{"a status of 65 letters", "", respond(200, `{"id":"{id}","status":"`+strings.Repeat("s", 65)+`"}`)},
		{"a number as status", "", respond(200, `{"id":"{id}","status":1}`)},
		{"invalid UTF-8", "", respond(200, "{\"id\":\"{id}\",\"status\":\"do\xffne\"}")},
		{"HTTP 404", "", respond(404, html)},
		{"HTTP 204", "", respond(204, "")},
		{"headers of 20 MB", "", respondRaw(plain200 + strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 20_000) + "\r\n")},
		{"a body shorter than its length", "", respondRaw(plain200 + "Content-Length: 1000\r\n\r\n{\"id\":\"{id}\",\"status\":\"done\"}")},
	})
	rows := append(ukrcard, paysera...)
	for i := range rows {
		rows[i].want = "2 polls; " + acknowledgedOnce
		if rows[i].input == "wsGate: a connection closed" {
			// Where it was a kept one, the same poll goes over a fresh connection.
			rows[i].want = " polls; " + acknowledgedOnce
		}
	}
	return rows
}

const acknowledgedOnce = "acknowledged"

// answered are operations of an endpoint whose first attempt or poll is answered
// so.
func (h *hostileEnvironment) answered(endpoint, whom, prefix string, answers []badAnswer) []hostile {
	rows := make([]hostile, len(answers))
	for i, a := range answers {
		rows[i] = hostile{input: prefix + a.input, want: a.want, try: func(t *testing.T) string {
			t.Helper()
			id := fmt.Sprintf("%s-%s%s%d", endpoint[:1], whom[:1], prefix[:1], i)
			request := entry(id)
			if endpoint == gold {
				request = order(id, "payment")
			}
			h.fakeServers.script(whom, id, a.answer)
			key := start(t, h.Client, request)
			state := awaitClosed(t, h.Client, key)
			require.Equal(t, operation.OutcomeAcknowledged, state.Outcome, "nothing is lost")
			require.Len(t, state.Deliveries, 1)
			require.NotContains(t, fmt.Sprint(state), card)
			attempts := state.Deliveries[0].Attempts
			require.Len(t, h.fakeServers.receivedStatuses(id), len(attempts), "each attempt is one request")
			if whom == toCore {
				require.Len(t, attempts, 1)
				return fmt.Sprintf("%d polls; %s", state.Polls, attempts[0].Verdict)
			}
			require.Len(t, attempts, 2, "it costs one attempt")
			require.Equal(t, operation.Acknowledged, attempts[1].Verdict)
			return fmt.Sprintf("%s: %s; then %s", attempts[0].Verdict, attempts[0].Reason, attempts[1].Verdict)
		}}
	}
	return rows
}

// message is something that the Temporal UI or CLI sends to an open operation.
type message struct {
	input, want string
	send        func(t *testing.T, c client.Client, id string) error
}

// garbage is a payload that is not what its metadata says.
func garbage(encoding, data string) converter.RawValue {
	return converter.NewRawValue(&commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte(encoding)}, Data: []byte(data)})
}

// signals are Signals, Updates and Queries that no program of ours sends. The
// operation stays as it is, and still ends as it should.
func (h *hostileEnvironment) signals() []hostile {
	signal := func(name string, argument any) func(*testing.T, client.Client, string) error {
		return func(t *testing.T, c client.Client, id string) error {
			t.Helper()
			return c.SignalWorkflow(t.Context(), id, "", name, argument)
		}
	}
	update := func(name string, arguments ...any) func(*testing.T, client.Client, string) error {
		return func(t *testing.T, c client.Client, id string) error {
			t.Helper()
			handle, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
				WorkflowID: id, UpdateName: name, Args: arguments, WaitForStage: client.WorkflowUpdateStageCompleted,
			})
			if err != nil {
				return err
			}
			return handle.Get(t.Context(), nil)
		}
	}
	query := func(name string, arguments ...any) func(*testing.T, client.Client, string) error {
		return func(t *testing.T, c client.Client, id string) error {
			t.Helper()
			_, err := c.QueryWorkflow(t.Context(), id, "", name, arguments...)
			return err
		}
	}
	by := func(who, reason string) operation.Revocation {
		return operation.Revocation{InitiatedBy: who, Reason: reason}
	}
	status := func(value any) map[string]any { return map[string]any{"status": value} }
	sent := []message{
		{"Signal of an unknown name", "ignored", signal("pay", "now")},
		{"Signal without a name", "SignalName", signal("", nil)},
		{"Signal revoke: nothing", "ignored", signal("revoke", nil)},
		{"Signal revoke: a number", "ignored", signal("revoke", 1)},
		{"Signal revoke: a list", "ignored", signal("revoke", []string{"core"})},
		{"Signal revoke: half a JSON", "ignored", signal("revoke", garbage("json/plain", `{"initiated_by":`))},
		{"Signal revoke: bytes", "ignored", signal("revoke", garbage("binary/plain", "\x00\xff\xfe"))},
		{"Signal revoke: an unknown encoding", "ignored", signal("revoke", garbage("binary/nobody", "x"))},
		{"Signal revoke: 100,000 brackets", "ignored", signal("revoke", garbage("json/plain", strings.Repeat("[", deep)))},
		{"Signal revoke: by an unknown one", "ignored", signal("revoke", by("admin", ""))},
		{"Signal revoke: of what can't be revoked", "ignored", signal("revoke", by("core", ""))},
		{"Signal revoke: a megabyte of name", "ignored", signal("revoke", by(strings.Repeat("x", 1<<20), ""))},
		{"Signal revoke: a card number as name", "ignored", signal("revoke", by(card, ""))},
		{"Signal revoke: 5 MB", "larger than max", signal("revoke", strings.Repeat("x", 5<<20))},
		{"Signal status: a number", "ignored", signal("status", 2)},
		{"Signal status: a number as status", "ignored", signal("status", status(2))},
		{"Signal status: half a JSON", "ignored", signal("status", garbage("json/plain", `{"status`))},
		{"Signal status: an unknown status", "ignored", signal("status", status("paid twice"))},
		{"Signal status: markup", "ignored", signal("status", status("<script>alert(1)</script>"))},
		{"Signal status: a card number", "ignored", signal("status", status(card))},
		{"Signal status: 10,000 characters", "ignored", signal("status", status(strings.Repeat("s", 10_000)))},
		{"Signal of an unknown name", "ignored", signal("pay", 1)},
		{"Update of an unknown name", "unknown update", update("pay")},
		{"Update revoke: nothing", "refused", update("revoke")},
		{"Update revoke: a number", "unable to decode", update("revoke", 1)},
		{"Update revoke: half a JSON", "unable to decode", update("revoke", garbage("json/plain", `{"initiated_by":`))},
		{"Update revoke: an unknown encoding", "unable to decode", update("revoke", garbage("binary/nobody", "x"))},
		{"Update revoke: by an unknown one", "initiated_by: is not one of", update("revoke", by("admin", ""))},
		{"Update revoke: of what can't be revoked", "can't be revoked", update("revoke", by("core", ""))},
		{"Update revoke: a card number as reason", "refused", update("revoke", by("core", "card 4111 1111 1111 1111"))},
		{"Update status: a number", "unable to decode", update("status", 2)},
		{"Update status: an unknown status", "refused", update("status", status("paid twice"))},
		{"Update status: a card number", "refused", update("status", status(card))},
		{"Update revoke: a megabyte of reason", "refused", update("revoke", by("core", strings.Repeat("x", 1<<20)))},
		{"Update status: 10,000 characters", "refused", update("status", status(strings.Repeat("s", 10_000)))},
		{"Query of an unknown name", "unknown queryType", query("secrets")},
		{"Query state: with arguments", "ignored", query("state", "all", 1)},
	}
	rows := make([]hostile, len(sent))
	for i, s := range sent {
		rows[i] = hostile{input: s.input, want: s.want, try: func(t *testing.T) string {
			t.Helper()
			return h.message(t, fmt.Sprintf("S-%d", i), s)
		}}
	}
	return rows
}

// message sends it to an operation of its own that is open, holds that this stays
// as it was, and that it then still ends as it should.
func (h *hostileEnvironment) message(t *testing.T, id string, s message) string {
	t.Helper()
	h.fakeServers.status(id, "waiting")
	if strings.Contains(s.input, "can't be revoked") {
		h.fakeServers.status(id, "processing")
	}
	key := start(t, h.Client, operation.StartRequest{Endpoint: idle, OperationID: id})
	before := awaitState(t, h.Client, key, watchedOn)
	got := "ignored"
	if err := s.send(t, h.temporalClient(t), key.WorkflowID()); err != nil {
		got = "refused: " + err.Error()
	}
	// The run has worked off what it was sent once it answers a Query.
	c := h.temporalClient(t)
	require.Eventually(t, func() bool {
		_, err := c.QueryWorkflow(t.Context(), key.WorkflowID(), "", "state")
		return err == nil
	}, patience, 50*time.Millisecond)
	after, err := h.State(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, written(t, before), written(t, after), "it stays as it was")
	h.completes(t, key)
	return got
}

// watchedOn says that the first poll is over and the next one known.
func watchedOn(s operation.State) bool { return s.Polls == 1 && s.NextPollAt != nil }

func written(t *testing.T, state operation.State) string {
	t.Helper()
	text, err := json.Marshal(state)
	require.NoError(t, err)
	return string(text)
}
