package actors_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/actors"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/dialect"
	"ringback/internal/operation"
)

// receivers runs the receivers.
func receivers(t *testing.T) (actors.Options, plan.Plan, func()) {
	t.Helper()
	o, p := campaign(t)
	o.Listen = []string{address(t)}
	return o, p, start(t, o, actors.Receivers)
}

func behaves(b plan.Behaviour, always bool) func(plan.Operation, plan.Endpoint) bool {
	return func(o plan.Operation, _ plan.Endpoint) bool {
		return o.Receiver.Behaviour == b && (o.Receiver.First == plan.Always) == always && o.Receiver.Delay == 0
	}
}

// callback is a request as Ringback sends it.
type callback struct {
	path   string
	header http.Header
	body   string
}

// newCallback is the callback about status, by Ringback's own dialect.
func newCallback(t *testing.T, o plan.Operation, status string) callback {
	t.Helper()
	e, ok := plan.EndpointByName(o.Endpoint)
	require.True(t, ok)
	d, ok := dialect.ByName(e.Dialect)
	require.True(t, ok)
	now := operation.At(time.Now())
	message, err := d.Write(operation.Callback{
		ID: operation.CallbackID(o.Key(), status), Key: o.Key(), Observation: operation.Observation{Status: status, BegunAt: now, ObservedAt: now},
	}, nil)
	require.NoError(t, err)
	s := callback{path: "/" + e.Dialect + "/" + e.Name, body: string(message.Body)}
	if e.PerOperationURL {
		s.path += "/" + o.ID
	}
	s.header = http.Header{
		"Content-Type": {message.ContentType}, "Webhook-Id": {operation.CallbackID(o.Key(), status)},
		"Webhook-Timestamp": {strconv.FormatInt(time.Now().Unix(), 10)},
	}
	if e.Signed {
		s.header.Set("webhook-signature", signature(s, "not-a-secret-of-a-campaign-3"))
	}
	return s
}

func signature(s callback, key string) string {
	h := hmac.New(sha256.New, []byte(key))
	_, _ = h.Write([]byte(s.header.Get("webhook-id") + "." + s.header.Get("webhook-timestamp") + "." + s.body))
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// send sends it and returns the HTTP status, 0 if no answer came.
func send(t *testing.T, o actors.Options, s callback) (int, string) {
	t.Helper()
	status, body, err := do(t, http.MethodPost, "http://"+o.Listen[0]+s.path, s.header, s.body)
	if err != nil {
		return 0, ""
	}
	return status, body
}

func requests(t *testing.T, o actors.Options) []journal.Request {
	t.Helper()
	var found []journal.Request
	for _, e := range read(t, o) {
		found = append(found, *e.Request)
	}
	return found
}

// outcome is that of a request.
type outcome struct {
	HTTPStatus         int
	Accepted, Answered bool
}

func outcomes(found []journal.Request) []outcome {
	var all []outcome
	for _, r := range found {
		all = append(all, outcome{r.HTTPStatus, r.Accepted, r.Answered})
	}
	return all
}

func TestReceiversAnswerByThePlan(t *testing.T) {
	t.Parallel()
	o, p, stop := receivers(t)
	var want []outcome
	for _, tt := range []struct {
		is         func(plan.Operation, plan.Endpoint) bool
		misbehaves outcome
	}{
		{behaves(plan.Acknowledges, false), outcome{200, true, true}},
		{behaves(plan.Fails, false), outcome{503, false, true}},
		{behaves(plan.Fails, true), outcome{503, false, true}},
		{behaves(plan.HangsUp, false), outcome{0, false, false}},
		{behaves(plan.DropsAnswer, false), outcome{0, true, false}},
		{behaves(plan.Gone, true), outcome{410, false, true}},
		{behaves(plan.Skewed, true), outcome{200, true, true}},
	} {
		target := operationWhere(t, p, tt.is)
		for n := 1; n <= 4; n++ {
			expected := outcome{200, true, true}
			if n <= target.Receiver.First {
				expected = tt.misbehaves
			}
			status, _ := send(t, o, newCallback(t, target, final(target)))
			require.Equal(t, expected.HTTPStatus, status, "request %d of %+v", n, target)
			want = append(want, expected)
		}
	}
	stop()
	require.Equal(t, want, outcomes(requests(t, o)))
}

func final(o plan.Operation) string { return o.Steps[len(o.Steps)-1].Status }

func TestReceiversReadAndAcknowledgeEveryDialect(t *testing.T) {
	t.Parallel()
	o, p, stop := receivers(t)
	for _, name := range []string{"ukrcard", "paysera", "standard"} {
		target := operationWhere(t, p, func(o plan.Operation, e plan.Endpoint) bool {
			return e.Dialect == name && o.Receiver.Behaviour == plan.Acknowledges && o.Receiver.Delay == 0
		})
		s := newCallback(t, target, final(target))
		status, body := send(t, o, s)
		d, _ := dialect.ByName(name)
		judged := d.Judge(operation.Callback{Key: target.Key()}, dialect.Answer{HTTPStatus: status, Body: []byte(body)})
		require.Equal(t, operation.Acknowledged, judged.Verdict, "%s: %s", name, judged.Reason)
	}
	stop()
	found := requests(t, o)
	require.Len(t, found, 3)
	for _, r := range found {
		require.Empty(t, r.Refused)
		require.Equal(t, operation.CallbackID(r.Key, r.Status), r.CallbackID)
		require.Equal(t, 1, r.Number)
		require.NotEmpty(t, r.Body)
		require.False(t, r.Ended.Before(r.Began))
	}
}

func TestReceiversRefuseMalformedCallbacks(t *testing.T) {
	t.Parallel()
	o, p, stop := receivers(t)
	of := func(name string) callback {
		target := operationWhere(t, p, func(o plan.Operation, e plan.Endpoint) bool {
			return e.Dialect == name && o.Receiver.Behaviour == plan.Acknowledges && o.Receiver.Delay == 0
		})
		return newCallback(t, target, final(target))
	}
	rows := []struct {
		name, dialect string
		spoil         func(*callback)
		want          string
	}{
		{"a signature by another key", "standard", func(s *callback) { s.header.Set("webhook-signature", signature(*s, "another")) }, "its signature is wrong"},
		{"no signature", "standard", func(s *callback) { s.header.Del("webhook-signature") }, "its signature is wrong"},
		{"a signature where there is no secret", "paysera", func(s *callback) { s.header.Set("webhook-signature", signature(*s, "x")) }, "it is signed"},
		{"no id", "paysera", func(s *callback) { s.header.Del("webhook-id") }, "its webhook-id is"},
		{"a time long ago", "paysera", func(s *callback) { s.header.Set("webhook-timestamp", "1596014146") }, "off"},
		{"no time", "ukrcard", func(s *callback) { s.header.Del("webhook-timestamp") }, "its webhook-timestamp is"},
		{"another content type", "ukrcard", func(s *callback) { s.header.Set("Content-Type", "text/plain") }, "its content type is"},
		{"a member too many", "ukrcard", func(s *callback) { s.body = strings.Replace(s.body, "{", `{"pan":1,`, 1) }, "does not follow its dialect"},
		{"a status without respStatus 200", "ukrcard", func(s *callback) { s.body = strings.Replace(s.body, "200", "504", 1) }, "for no other"},
		{"a parameter too many", "paysera", func(s *callback) { s.body += "&pan=1" }, "its parameters are not"},
		{"a date that is none", "paysera", func(s *callback) { s.body += "x" }, "a date that is not"},
		{"an unknown operation", "paysera", func(s *callback) { s.body = strings.Replace(s.body, "transfer_id=", "transfer_id=x", 1) }, "there is no operation"},
		{"another operation's URL", "paysera", func(s *callback) { s.path += "x" }, "was delivered at the URL of"},
		{"another endpoint", "paysera", func(s *callback) { s.path = "/paysera/SILVER/x" }, "there is no such endpoint"},
		{"another type than its status", "standard", func(s *callback) { s.body = strings.Replace(s.body, "operation.", "operation.x", 1) }, "its type is"},
	}
	for _, row := range rows {
		s := of(row.dialect)
		row.spoil(&s)
		status, _ := send(t, o, s)
		require.Equal(t, http.StatusBadRequest, status, row.name)
	}
	stop()
	found := requests(t, o)
	require.Len(t, found, len(rows))
	for i, row := range rows {
		require.Contains(t, found[i].Refused, row.want, row.name)
		require.False(t, found[i].Accepted)
	}
}

func TestARequestIsRecordedBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	o, p, stop := receivers(t)
	target := operationWhere(t, p, behaves(plan.Acknowledges, false))
	send(t, o, newCallback(t, target, final(target)))
	stop()
	text, err := os.ReadFile(o.Journal)
	require.NoError(t, err)
	var lines []outcome
	for line := range strings.Lines(string(text)) {
		var e journal.Entry
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		lines = append(lines, outcomes([]journal.Request{*e.Request})...)
	}
	require.Equal(t, []outcome{{}, {200, true, false}, {200, true, true}}, lines)
}

func TestReceiversCountRequestsAcrossARestart(t *testing.T) {
	t.Parallel()
	o, p, stop := receivers(t)
	target := operationWhere(t, p, func(o plan.Operation, _ plan.Endpoint) bool {
		return o.Receiver.Behaviour == plan.Fails && o.Receiver.First == 2
	})
	s := newCallback(t, target, final(target))
	var statuses []int
	for range 3 {
		status, _ := send(t, o, s)
		statuses = append(statuses, status)
		stop()
		stop = start(t, o, actors.Receivers)
	}
	stop()
	require.Equal(t, []int{503, 503, 200}, statuses)
	found := requests(t, o)
	require.Len(t, found, 3, "no two requests have one name")
	require.Equal(t, 3, found[2].Number)
}

func TestASkewedReceiverRefusesRequestsDuringTheFault(t *testing.T) {
	t.Parallel()
	o, p, _ := receivers(t)
	skewed := newCallback(t, operationWhere(t, p, behaves(plan.Skewed, true)), "2")
	healthy := operationWhere(t, p, behaves(plan.Acknowledges, false))
	status, _ := send(t, o, skewed)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, actors.SetFault(t.Context(), o.Listen[0], plan.SkewedClock, true))
	status, _ = send(t, o, skewed)
	require.Equal(t, http.StatusBadRequest, status)
	status, _ = send(t, o, newCallback(t, healthy, final(healthy)))
	require.Equal(t, http.StatusOK, status, "other receivers ignore the time")
	require.NoError(t, actors.SetFault(t.Context(), o.Listen[0], plan.SkewedClock, false))
	status, _ = send(t, o, skewed)
	require.Equal(t, http.StatusOK, status)
	require.Error(t, actors.SetFault(t.Context(), o.Listen[0], plan.Kill, true), "not a fault of receivers")
}

func TestReceiversHoldTheirAnswersDuringSlotsFull(t *testing.T) {
	t.Parallel()
	o, p, stop := receivers(t)
	target := operationWhere(t, p, behaves(plan.Acknowledges, false))
	s := newCallback(t, target, final(target))
	require.NoError(t, actors.SetFault(t.Context(), o.Listen[0], plan.SlotsFull, true))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+o.Listen[0]+s.path, strings.NewReader(s.body))
	require.NoError(t, err)
	request.Header, request.Close = s.header, true
	held := make(chan int)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			held <- 0
			return
		}
		_ = response.Body.Close()
		held <- response.StatusCode
	}()
	require.Eventually(t, func() bool { return len(read(t, o)) == 1 }, 5*time.Second, 5*time.Millisecond, "it is recorded before it is answered")
	select {
	case <-held:
		t.Fatal("the answer was not held")
	case <-time.After(100 * time.Millisecond):
	}
	require.Equal(t, []outcome{{}}, outcomes(requests(t, o)))
	require.NoError(t, actors.SetFault(t.Context(), o.Listen[0], plan.SlotsFull, false))
	require.Equal(t, http.StatusOK, <-held)
	stop()
	require.Equal(t, []outcome{{200, true, true}}, outcomes(requests(t, o)))
}

func TestARequestWhoseCallerHangsUpIsNotAccepted(t *testing.T) {
	t.Parallel()
	o, p, stop := receivers(t)
	target := operationWhere(t, p, func(o plan.Operation, _ plan.Endpoint) bool {
		return o.Receiver.Behaviour == plan.Acknowledges && o.Receiver.Delay > 500*time.Millisecond
	})
	s := newCallback(t, target, final(target))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+o.Listen[0]+s.path, strings.NewReader(s.body))
	require.NoError(t, err)
	request.Header = s.header
	impatient := http.Client{Timeout: 100 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := impatient.Do(request)
	if err == nil {
		require.NoError(t, response.Body.Close())
	}
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(read(t, o)) == 1 && !requests(t, o)[0].Ended.IsZero() }, 5*time.Second, 5*time.Millisecond)
	stop()
	require.Equal(t, []outcome{{}}, outcomes(requests(t, o)))
}
