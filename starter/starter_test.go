package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ringback/api/client"
	"ringback/api/rest"
	"ringback/internal/operation"
	"ringback/internal/version"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an Operations that records its calls; the API in front of it is the
// real one.
type fake struct {
	mu       sync.Mutex
	recorded []any
	created  bool
	state    client.State
	// states are what one read after the other returns; the last one stays. A nil
	// one is an unavailable Temporal.
	states  []*client.State
	pages   map[client.Outcome][]client.Page
	counts  map[client.Outcome]client.Count
	details map[string]any
	ping    client.Ping
	dryRun  client.DryRun
	// many are what one read after the other of a bulk redelivery returns.
	many []client.BulkRedelivery
	err  error
}

func (f *fake) record(what ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recorded = append(f.recorded, what...)
	return f.err
}

// calls are those recorded so far; a handler may still be running.
func (f *fake) calls() []any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.recorded)
}

func (f *fake) Start(_ context.Context, r client.StartRequest) (client.State, bool, error) {
	return f.state, f.created, f.record(r)
}
func (f *fake) State(_ context.Context, k client.Key) (client.State, error) {
	err := f.record(k)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.states) == 0 {
		return f.state, err
	}
	state := f.states[0]
	f.states = f.states[min(1, len(f.states)-1):]
	if state == nil {
		return client.State{}, &operation.Error{Problem: client.ProblemUnavailable, Detail: "Temporal does not answer.", RetryAfter: time.Millisecond}
	}
	return *state, err
}

func (f *fake) List(_ context.Context, q client.ListQuery) (client.Page, error) {
	if err := f.record(q); err != nil {
		return client.Page{}, err
	}
	pages := f.pages[asked(q)]
	at := len(q.PageToken) // the fake's token is one x for each page before
	if at >= len(pages) {
		return client.Page{}, nil
	}
	return pages[at], nil
}

// pageOfUI is a list by an API that knows the Temporal UI.
func pageOfUI() map[client.Outcome][]client.Page {
	return map[client.Outcome][]client.Page{"": {{UIURL: "http://127.0.0.1:8233/namespaces/default/workflows"}}}
}

// asked is a query's outcome as the API's parameter says it.
func asked(q client.ListQuery) client.Outcome {
	if q.Undelivered {
		return "undelivered"
	}
	return q.Outcome
}

func (f *fake) Count(_ context.Context, q client.CountQuery) (client.Count, error) {
	return f.counts[asked(q.ListQuery)], f.record(q)
}

func (f *fake) Ping(_ context.Context, endpoint string, r operation.PingRequest) (client.Ping, error) {
	return f.ping, f.record(endpoint, r)
}

func (f *fake) StartBulkRedelivery(_ context.Context, r client.BulkRedeliveryRequest) (client.BulkRedelivery, error) {
	return f.bulk(r)
}

func (f *fake) DryRun(_ context.Context, r client.BulkRedeliveryRequest) (client.DryRun, error) {
	return f.dryRun, f.record(r)
}

func (f *fake) BulkRedelivery(_ context.Context, id string) (client.BulkRedelivery, error) {
	return f.bulk("see " + id)
}

func (f *fake) BulkRedeliveries(_ context.Context, key string) ([]client.BulkRedelivery, error) {
	return f.many, f.record(strings.TrimSpace("recent " + key))
}

func (*fake) Started(context.Context, client.Key) (client.StartRequest, error) {
	return client.StartRequest{}, nil
}

func (f *fake) StopBulkRedelivery(_ context.Context, id string) (client.BulkRedelivery, error) {
	return f.bulk("stop " + id)
}

func (f *fake) ResumeBulkRedelivery(_ context.Context, id string) (client.BulkRedelivery, error) {
	return f.bulk("resume " + id)
}

// bulk is the next state of a bulk redelivery; the last one stays.
func (f *fake) bulk(what any) (client.BulkRedelivery, error) {
	err := f.record(what)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.many) == 0 {
		return client.BulkRedelivery{}, err
	}
	now := f.many[0]
	f.many = f.many[min(1, len(f.many)-1):]
	return now, err
}

func (f *fake) Details(_ context.Context, k client.Key) (map[string]any, error) {
	return f.details, f.record(k)
}

func (f *fake) Push(_ context.Context, k client.Key, status string) error {
	return f.record(k, status)
}

func (f *fake) Revoke(_ context.Context, k client.Key, r client.Revocation) (client.State, error) {
	return f.state, f.record(k, r)
}

func (f *fake) Withdraw(_ context.Context, k client.Key) (client.State, error) {
	return f.state, f.record(k)
}

func (f *fake) Redeliver(_ context.Context, k client.Key, r client.RedeliveryRequest) (client.State, error) {
	return f.state, f.record(k, r)
}

const (
	secret = "a-key-of-the-tests"
	// nobody is the caller where no keys are configured.
	nobody = "(no keys configured)"
)

// outcome is the result of a run.
type outcome struct {
	code     int
	out, err string
}

// starter runs the program against the API in front of o.
func starter(t *testing.T, o rest.Options, args ...string) outcome {
	t.Helper()
	api := rest.New(o)
	server, probes := httptest.NewServer(api), httptest.NewServer(api.Probes())
	defer server.Close()
	defer probes.Close()
	return bare(map[string]string{apiVariable: server.URL, telemetryVariable: probes.URL, keyVariable: secret}, args...)
}

// bare runs the program with that environment alone.
func bare(env map[string]string, args ...string) outcome {
	return place{env: env}.run(context.Background(), args...)
}

// place is the environment of a run.
type place struct {
	env map[string]string
	in  string
	// terminal says that the reader and both writers are of a terminal.
	terminal bool
	// browsed, if set, records the pages that were opened.
	browsed *[]string
}

func (p place) run(ctx context.Context, args ...string) outcome {
	var out, errs bytes.Buffer
	code := run(ctx, args, environment{
		getenv: func(name string) string { return p.env[name] },
		in:     strings.NewReader(p.in), out: &out, err: &errs,
		columns: func(any) int {
			if p.terminal {
				return 100
			}
			return 0
		},
		browse: func(_ context.Context, address string) error {
			*p.browsed = append(*p.browsed, address)
			return nil
		},
	})
	return outcome{code, out.String(), errs.String()}
}

// at is p with the API in front of f.
func (p place) at(t *testing.T, f *fake) place {
	t.Helper()
	api := rest.New(rest.Options{Operations: f})
	server, probes := httptest.NewServer(api), httptest.NewServer(api.Probes())
	t.Cleanup(server.Close)
	t.Cleanup(probes.Close)
	p.env = map[string]string{apiVariable: server.URL, telemetryVariable: probes.URL, keyVariable: secret}
	return p
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	expected, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(expected), got)
}

var shop = client.Key{Endpoint: "SHOP", OperationID: "a/b#c%"}

func at(second int) client.Time {
	return client.At(time.Date(2026, 11, 21, 7, 30, second, 41e6, time.UTC))
}

func pointer[T any](v T) *T { return &v }

func delivering() client.State {
	return client.State{
		Key: shop, Phase: client.PhaseDelivering, Polls: 3, NextPollAt: pointer(at(50)),
		Status: &client.OperationStatus{Value: "2", Final: true, Raw: map[string]string{"respStatus": "200", "orderStatus": "2"}, ObservedAt: at(15)},
		Deliveries: []client.Delivery{
			{CallbackID: "cb_one", Status: "1", Outcome: client.DeliverySuperseded},
			{
				CallbackID: "cb_two", Status: "2", Outcome: client.DeliveryPending, Host: "shop.example", NextAttemptAt: pointer(at(21)),
				Attempts: []client.Attempt{
					{Number: 1, At: at(15), TookMS: 12, HTTPStatus: 500, Verdict: client.Unacknowledged, Reason: "the body is not JSON", RemoteAddress: "93.184.216.34:443", TLSVersion: "TLS 1.3", FirstByteMS: 11},
					{Number: 2, At: at(18), TookMS: 10000, Verdict: client.Unacknowledged, Reason: "\x1b[31mno answer\nwithin 10 s"},
					{Number: 3, At: at(21)},
				},
			},
		},
		Revocation: &client.Revocation{InitiatedBy: "user", Reason: "ordered twice", At: at(19)},
		Redelivery: &client.RedeliveryNote{By: "anna", Reason: "receiver repaired", PreviousRunID: "0193f1d1", BulkRedeliveryID: bulkID, Host: "shop.example"},
		RunID:      "0193f1d2", UIURL: "http://127.0.0.1:8233/x",
	}
}

func watching() client.State {
	return client.State{Key: shop, Phase: client.PhaseWatching, RunID: "0193f1d2"}
}

func TestEachCommandCallsTheAPIAndShowsTheResponse(t *testing.T) {
	t.Parallel()
	closed := client.State{Key: shop, Phase: client.PhaseClosed, Outcome: client.OutcomeWithdrawn, Polls: 1, RunID: "0193f1d2"}
	for name, c := range map[string]struct {
		args  []string
		fake  *fake
		asked []any
	}{
		"start": {
			[]string{"start", "SHOP", "a/b#c%", "--method", "p2p_a2c", "--registered-at", "2026-11-21T09:30:15.041+02:00", "--order-id", "o", "--known-status", "0", "--callback-url", "https://shop.example/", "--status", "1,2", "--status", "3"},
			&fake{created: true, state: watching()},
			[]any{client.StartRequest{
				Endpoint: "SHOP", OperationID: "a/b#c%", Method: "p2p_a2c", KnownStatus: "0",
				Reference: client.Reference{RegisteredAt: pointer(at(15)), OrderID: "o"},
				Callback:  client.CallbackTarget{URL: "https://shop.example/", Statuses: []string{"1", "2", "3"}},
			}},
		},
		"start-again": {
			[]string{"start", "SHOP", "a/b#c%"}, &fake{state: delivering()},
			[]any{client.StartRequest{Endpoint: "SHOP", OperationID: "a/b#c%"}},
		},
		"attempts":            {[]string{"attempts", "SHOP", "a/b#c%"}, &fake{state: delivering()}, []any{shop}},
		"attempts-none":       {[]string{"attempts", "SHOP", "a/b#c%"}, &fake{state: watching()}, []any{shop}},
		"attempts-json":       {[]string{"attempts", "SHOP", "a/b#c%", "-o", "json"}, &fake{state: delivering()}, []any{shop}},
		"open":                {[]string{"open", "SHOP", "a/b#c%"}, &fake{state: delivering()}, []any{shop}},
		"open-failed":         {[]string{"open", "--failed"}, &fake{pages: pageOfUI()}, []any{client.ListQuery{}}},
		"open-retrying-json":  {[]string{"open", "--retrying", "--endpoint", "SHOP", "-o", "json"}, &fake{pages: pageOfUI()}, []any{client.ListQuery{Endpoint: "SHOP"}}},
		"open-json":           {[]string{"open", "SHOP", "a/b#c%", "-o", "json"}, &fake{state: delivering()}, []any{shop}},
		"state":               {[]string{"state", "SHOP", "a/b#c%"}, &fake{state: delivering()}, []any{shop}},
		"state-as-in-the-ui":  {[]string{"state", "SHOP/a/b#c%"}, &fake{state: watching()}, []any{shop}},
		"state-json":          {[]string{"state", "SHOP", "a/b#c%", "-o", "json"}, &fake{state: delivering()}, []any{shop}},
		"details":             {[]string{"details", "SHOP", "a/b#c%"}, &fake{details: map[string]any{"orderStatus": "2", "failure": map[string]any{"code": 5}}}, []any{shop}},
		"push":                {[]string{"push", "SHOP", "a/b#c%", "--status", "reserved"}, &fake{}, []any{shop, "reserved"}},
		"push-poll-now":       {[]string{"push", "SHOP", "a/b#c%"}, &fake{}, []any{shop, ""}},
		"push-json":           {[]string{"push", "SHOP", "a/b#c%", "--output=json"}, &fake{}, []any{shop, ""}},
		"revoke":              {[]string{"revoke", "SHOP", "a/b#c%", "--initiated-by", "user", "--reason", "ordered twice"}, &fake{state: delivering()}, []any{shop, client.Revocation{InitiatedBy: "user", Reason: "ordered twice"}}},
		"withdraw":            {[]string{"withdraw", "SHOP", "a/b#c%"}, &fake{state: closed}, []any{shop}},
		"redeliver":           {[]string{"redeliver", "SHOP", "a/b#c%"}, &fake{state: delivering()}, []any{shop, client.RedeliveryRequest{By: nobody}}},
		"redeliver-elsewhere": {[]string{"redeliver", "SHOP", "a/b#c%", "--repoll", "--force", "--reason", "r", "--callback-url", "https://b.example/"}, &fake{state: watching()}, []any{shop, client.RedeliveryRequest{Repoll: true, Force: true, Reason: "r", Callback: client.CallbackTarget{URL: "https://b.example/"}, By: nobody}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := starter(t, rest.Options{Operations: c.fake}, c.args...)
			require.Equal(t, exitOK, got.code, got.err)
			require.Empty(t, got.err)
			require.Equal(t, c.asked, c.fake.calls())
			golden(t, name, got.out)
		})
	}
}

const reason = "HTTP 500: the answer is empty, not a JSON object; and so it goes on"

func summary(id string, second int, o client.Outcome) client.Summary {
	why := ""
	if o == client.OutcomeExhausted {
		why = reason
	}
	return client.Summary{
		Reason: why,
		Key:    client.Key{Endpoint: "SHOP", OperationID: id}, Status: "2", Phase: client.PhaseClosed, Outcome: o,
		StartedAt: at(second), ClosedAt: pointer(at(second + 1)), RunID: "run",
	}
}

func TestListShowsMatchesNewestFirst(t *testing.T) {
	t.Parallel()
	pages := map[client.Outcome][]client.Page{
		client.OutcomeNone: {
			{Operations: []client.Summary{{Key: shop, Phase: client.PhaseWatching, StartedAt: at(9)}, summary("8", 8, client.OutcomeAcknowledged)}, NextPageToken: "x"},
			{Operations: []client.Summary{summary("7", 7, client.OutcomeGone)}, NextPageToken: "xx"},
			{Operations: []client.Summary{summary("6", 6, client.OutcomeExpired)}},
		},
		client.OutcomeExhausted: {
			{Operations: []client.Summary{summary("5", 5, client.OutcomeExhausted)}, NextPageToken: "x"},
			{Operations: []client.Summary{summary("1", 1, client.OutcomeExhausted)}},
		},
		client.OutcomeGone: {{Operations: []client.Summary{summary("4", 4, client.OutcomeGone)}}},
		"undelivered":      {{Operations: []client.Summary{summary("5", 5, client.OutcomeExhausted), summary("4", 4, client.OutcomeAcknowledged)}}},
		client.OutcomeExpired: {{Operations: []client.Summary{{
			Key: client.Key{Endpoint: strings.Repeat("E", 50), OperationID: strings.Repeat("i", 64)}, Phase: client.PhaseDelivering, StartedAt: at(1), Reason: reason,
		}}}},
	}
	since, until := at(0), at(59)
	for name, c := range map[string]struct {
		args  []string
		asked []any
		more  bool
	}{
		"list-all":               {[]string{"list", "--limit", "0"}, []any{client.ListQuery{Reasons: true}, client.ListQuery{PageToken: "x", Reasons: true}, client.ListQuery{PageToken: "xx", Reasons: true}}, false},
		"list-cut":               {[]string{"list", "--limit", "3"}, []any{client.ListQuery{Reasons: true}, client.ListQuery{PageToken: "x", Reasons: true}}, true},
		"list-cut-within-a-page": {[]string{"list", "--limit", "1"}, []any{client.ListQuery{Reasons: true}}, true},
		"list-failed": {
			[]string{"list", "--failed", "--endpoint", "SHOP", "--since", since.String(), "--until", until.String()},
			[]any{
				client.ListQuery{Endpoint: "SHOP", Outcome: client.OutcomeExhausted, Since: since, Until: until, Reasons: true},
				client.ListQuery{Endpoint: "SHOP", Outcome: client.OutcomeExhausted, Since: since, Until: until, PageToken: "x", Reasons: true},
				client.ListQuery{Endpoint: "SHOP", Outcome: client.OutcomeGone, Since: since, Until: until, Reasons: true},
			}, false,
		},
		"list-failed-json": {
			[]string{"list", "--failed", "-o", "json"},
			[]any{client.ListQuery{Outcome: client.OutcomeExhausted, Reasons: true}, client.ListQuery{Outcome: client.OutcomeExhausted, PageToken: "x", Reasons: true}, client.ListQuery{Outcome: client.OutcomeGone, Reasons: true}}, false,
		},
		"list-undelivered": {
			[]string{"list", "--undelivered", "--time", "closed"},
			[]any{client.ListQuery{Undelivered: true, ByClose: true, Reasons: true}}, false,
		},
		"list-long-ids":  {[]string{"list", "--outcome", "expired"}, []any{client.ListQuery{Outcome: client.OutcomeExpired, Reasons: true}}, false},
		"list-none":      {[]string{"list", "--outcome", "revoked"}, []any{client.ListQuery{Outcome: client.OutcomeRevoked, Reasons: true}}, false},
		"list-none-json": {[]string{"list", "--outcome", "revoked", "-o", "json"}, []any{client.ListQuery{Outcome: client.OutcomeRevoked, Reasons: true}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{pages: pages}
			got := starter(t, rest.Options{Operations: f}, c.args...)
			require.Equal(t, exitOK, got.code, got.err)
			require.Equal(t, c.asked, f.calls())
			require.Equal(t, c.more, strings.Contains(got.err, "more operations match"))
			golden(t, name, got.out)
		})
	}
}

func TestAListFitsTheTerminal(t *testing.T) {
	t.Parallel()
	pages := map[client.Outcome][]client.Page{client.OutcomeExhausted: {{Operations: []client.Summary{summary("5", 5, client.OutcomeExhausted)}}}}
	for width, terminal := range map[int]bool{tableWidth: false, 100: true} {
		got := place{terminal: terminal}.at(t, &fake{pages: pages}).run(context.Background(), "list", "--failed")
		for line := range strings.Lines(got.out) {
			require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), width)
		}
		require.Contains(t, got.out, "…\n")
	}
}

func TestCountSumsOverSeveralQueries(t *testing.T) {
	t.Parallel()
	counts := map[client.Outcome]client.Count{
		client.OutcomeNone: {Count: 120331},
		client.OutcomeExhausted: {Count: 6, Exact: true, Groups: []client.CountGroup{
			{Endpoint: "SHOP", Count: 4}, {Endpoint: "LEDGER", Count: 2}}},
		client.OutcomeGone: {Count: 3, Exact: true, Groups: []client.CountGroup{{Endpoint: "LEDGER", Count: 3}}},
		"undelivered": {Count: 7, Exact: true, Groups: []client.CountGroup{
			{Outcome: client.OutcomeExhausted, Count: 6}, {Count: 1}}},
	}
	for name, c := range map[string]struct {
		args  []string
		asked []any
		notes bool
	}{
		"count":                 {[]string{"--count"}, []any{client.CountQuery{}}, true},
		"count-failed-by":       {[]string{"--failed", "--count-by", "endpoint"}, countOf("endpoint", client.OutcomeExhausted, client.OutcomeGone), false},
		"count-failed-by-json":  {[]string{"--failed", "--count-by", "endpoint", "-o", "json"}, countOf("endpoint", client.OutcomeExhausted, client.OutcomeGone), false},
		"count-undelivered-by":  {[]string{"--undelivered", "--count-by", "outcome"}, []any{client.CountQuery{ListQuery: client.ListQuery{Undelivered: true}, GroupBy: "outcome"}}, false},
		"count-of-one-endpoint": {[]string{"--count", "--endpoint", "SHOP", "--outcome", "gone"}, []any{client.CountQuery{ListQuery: client.ListQuery{Endpoint: "SHOP", Outcome: client.OutcomeGone}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{counts: counts}
			got := starter(t, rest.Options{Operations: f}, append([]string{"list"}, c.args...)...)
			require.Equal(t, exitOK, got.code, got.err)
			require.Equal(t, c.asked, f.calls())
			require.Equal(t, c.notes, strings.Contains(got.err, "runs were counted"))
			golden(t, name, got.out)
		})
	}
}

func countOf(by string, outcomes ...client.Outcome) []any {
	var all []any
	for _, o := range outcomes {
		all = append(all, client.CountQuery{ListQuery: client.ListQuery{Outcome: o}, GroupBy: by})
	}
	return all
}

func TestTimesAreAbsoluteOrAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for text, expected := range map[string]string{
		"24h":                       "2026-11-20T12:00:00.000Z",
		"90m":                       "2026-11-21T10:30:00.000Z",
		"7d":                        "2026-11-14T12:00:00.000Z",
		"2026-11-20T09:30:00+02:00": "2026-11-20T07:30:00.000Z",
		"yesterday":                 "",
		"-24h":                      "",
		"-1d":                       "",
		"99999999999d":              "",
		"2026-11-20":                "",
	} {
		got, err := parseTime("since", text, now)
		if expected == "" {
			require.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, expected, got.String(), text)
	}
}

func TestEachErrorHasItsExitCode(t *testing.T) {
	t.Parallel()
	refuse := func(p client.ProblemKind) error { return operation.Refuse(p, "Because.") }
	for name, c := range map[string]struct {
		err  error
		args []string
		code int
		says string
	}{
		"all is well":                     {nil, []string{"state", "SHOP", "1"}, 0, ""},
		"help is no failure":              {nil, []string{"state", "--help"}, 0, ""},
		"no command shows the help":       {nil, nil, 0, ""},
		"a field at fault":                {operation.Invalid(client.FieldError{Field: "method", Detail: "is required"}), []string{"start", "SHOP", "1"}, 1, "HTTP 422 invalid: The request is not valid; nothing was changed. method: is required."},
		"ringback's own fault":            {errors.New("boom"), []string{"state", "SHOP", "1"}, 1, "HTTP 500 internal"},
		"no such operation":               {refuse(client.ProblemNotFound), []string{"state", "SHOP", "1"}, 3, "HTTP 404 not-found: Because."},
		"other content":                   {refuse(client.ProblemConflict), []string{"start", "SHOP", "1"}, 4, "HTTP 409 conflict"},
		"closed":                          {refuse(client.ProblemClosed), []string{"push", "SHOP", "1"}, 4, "HTTP 409 closed"},
		"not revocable":                   {refuse(client.ProblemNotRevocable), []string{"revoke", "SHOP", "1", "--initiated-by", "core"}, 4, "HTTP 409 not-revocable"},
		"not redeliverable":               {refuse(client.ProblemNotRedeliverable), []string{"redeliver", "SHOP", "1"}, 4, "HTTP 409 not-redeliverable"},
		"unavailable":                     {refuse(client.ProblemUnavailable), []string{"withdraw", "SHOP", "1"}, 5, "HTTP 503 unavailable: Because. Try again in 5 s. (request "},
		"an id that the API refuses":      {nil, []string{"state", "SH OP", "1"}, 1, "endpoint: holds a character outside letters, digits, _ and -"},
		"no operation":                    {nil, []string{"state"}, 2, "ENDPOINT OPERATION_ID"},
		"an operation without an id":      {nil, []string{"state", "SHOP"}, 2, "ENDPOINT OPERATION_ID"},
		"an operation with an empty id":   {nil, []string{"state", "SHOP", ""}, 2, "ENDPOINT OPERATION_ID"},
		"three arguments":                 {nil, []string{"state", "SHOP", "1", "2"}, 2, "ENDPOINT OPERATION_ID"},
		"an unknown command":              {nil, []string{"replay"}, 2, `unknown command "replay" for "starter"`},
		"a mistyped command":              {nil, []string{"redelvier"}, 2, " (did you mean redeliver?)"},
		"a mistyped command of a group":   {nil, []string{"redeliveries", "stop1"}, 2, " (did you mean stop?)"},
		"an unknown flag":                 {nil, []string{"state", "SHOP", "1", "--follow"}, 2, "--follow"},
		"a mistyped flag":                 {nil, []string{"list", "--endpiont", "SHOP"}, 2, " (did you mean --endpoint?)"},
		"a mistyped flag of all commands": {nil, []string{"list", "--keyfile", "k"}, 2, " (did you mean --key-file?)"},
		"a kind of key that is none":      {nil, []string{"keygen", "whsc"}, 2, " (did you mean whsec or whsk?)"},
		"an unknown output":               {nil, []string{"state", "SHOP", "1", "-o", "xml"}, 2, "neither table nor json"},
		"a revocation by nobody":          {nil, []string{"revoke", "SHOP", "1"}, 2, "initiated-by"},
		"an operation and a filter":       {nil, []string{"redeliver", "SHOP", "1", "--since", "24h"}, 2, "--since goes with a filter"},
		"a dry run of one":                {nil, []string{"redeliver", "SHOP", "1", "--dry-run"}, 2, "--dry-run goes with a filter"},
		"neither operation nor filter":    {nil, []string{"redeliver", "--reason", "r"}, 2, "name an operation"},
		"a dry run of everything":         {nil, []string{"redeliver", "--dry-run"}, 2, "name an operation"},
		"many polled again":               {nil, []string{"redeliver", "--endpoint", "SHOP", "--repoll"}, 2, "--repoll goes with one operation"},
		"many of no endpoint":             {nil, []string{"redeliver", "--since", "24h", "--yes"}, 2, "or give --all-endpoints"},
		"everything that ever failed":     {nil, []string{"redeliver", "--all-endpoints", "--yes"}, 2, "bound it by --since"},
		"one endpoint and all":            {nil, []string{"redeliver", "--all-endpoints", "--endpoint", "SHOP", "--since", "1h", "--yes"}, 2, "[endpoint all-endpoints]"},
		"many without a terminal":         {nil, []string{"redeliver", "--endpoint", "SHOP"}, 2, "give --yes, or --dry-run to count"},
		"a rate of nothing":               {nil, []string{"redeliver", "--endpoint", "SHOP", "--rate", "0", "--yes"}, 2, "--rate 0 is not above 0"},
		"a rate that the API refuses":     {nil, []string{"redeliver", "--endpoint", "SHOP", "--rate", "1000", "--yes"}, 1, "rate_per_second: is not above 0"},
		"a bound of another time":         {nil, []string{"list", "--time", "noon"}, 2, "--time"},
		"a redelivery's id that is none":  {nil, []string{"redeliveries", "follow", "12"}, 1, "id: is not the id"},
		"watched too often":               {nil, []string{"watch", "SHOP", "1", "--every", "1ms"}, 2, "--every"},
		"watched for less than no time":   {nil, []string{"watch", "SHOP", "1", "--for", "-1s"}, 2, "--for"},
		"ping without an endpoint":        {nil, []string{"ping"}, 2, "arg"},
		"a link of an API without a UI":   {nil, []string{"open", "SHOP", "1"}, 1, "knows no Temporal UI"},
		"a list of an API without a UI":   {nil, []string{"open", "--watching"}, 1, "knows no Temporal UI"},
		"a link to nothing":               {nil, []string{"open"}, 2, "name an operation"},
		"a link to a list and to one":     {nil, []string{"open", "--failed", "SHOP", "1"}, 2, "unknown command"},
		"a link to two lists":             {nil, []string{"open", "--failed", "--retrying"}, 2, "none of the others can be"},
		"a link to one of an endpoint":    {nil, []string{"open", "SHOP", "1", "--endpoint", "X"}, 2, "--endpoint goes with a list"},
		"verify without a secret":         {nil, []string{"verify", "-H", "a: b"}, 2, secretVariable},
		"a tolerance below nothing":       {nil, []string{"verify", "--tolerance", "-1s"}, 2, "--tolerance"},
		"a time that is none":             {nil, []string{"start", "SHOP", "1", "--registered-at", "noon"}, 2, "--registered-at"},
		"a since that is none":            {nil, []string{"list", "--since", "noon"}, 2, "--since"},
		"a negative limit":                {nil, []string{"list", "--limit", "-1"}, 2, "--limit"},
		"failed and an outcome":           {nil, []string{"list", "--failed", "--outcome", "gone"}, 2, "outcome"},
		"an outcome that the API refuses": {nil, []string{"list", "--outcome", "failed"}, 1, "outcome: is not one of"},
		"failed and undelivered":          {nil, []string{"list", "--failed", "--undelivered"}, 2, "undelivered"},
		"a count with a limit":            {nil, []string{"list", "--count", "--limit", "5"}, 2, "limit"},
		"an empty status":                 {nil, []string{"push", "SHOP", "1", "--status", ""}, 2, "--status is empty"},
		"an address that is none":         {nil, []string{"state", "SHOP", "1", "--api", "localhost:8080"}, 2, "--api"},
		"an address with a password":      {nil, []string{"state", "SHOP", "1", "--api", "http://a:b@localhost:8080"}, 2, "--api"},
		"nobody at the address":           {nil, []string{"state", "SHOP", "1", "--api", "http://127.0.0.1:1"}, 5, "no response from the API at http://127.0.0.1:1: "},
		"no time for an answer":           {nil, []string{"state", "SHOP", "1", "--timeout", "1ns"}, 5, "no response"},
		"a key file that is missing":      {nil, []string{"state", "SHOP", "1", "--key-file", "testdata/none"}, 2, "--key-file"},
		"a configuration that is missing": {nil, []string{"state", "SHOP", "1", "--config", "testdata/none"}, 2, "--config"},
		"an authority that is none":       {nil, []string{"state", "SHOP", "1", "--ca", "main.go"}, 2, "--ca"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := starter(t, rest.Options{Operations: &fake{state: watching(), err: c.err}}, c.args...)
			require.Equal(t, c.code, got.code, got.err)
			require.Contains(t, got.err, c.says)
			require.Equal(t, c.code == exitUsage, strings.Contains(got.err, "--help"), got.err)
			if c.code != 0 {
				require.Empty(t, got.out)
				require.Equal(t, 1, strings.Count(got.err, "starter: "), "one sentence")
			}
		})
	}
}

func TestResponsesOfOtherServersAreErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		code    int
		says    string
	}{
		"a proxy's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<h1>Bad gateway</h1>")
		}, exitUnavailable, "HTTP 502: The response is not Ringback's"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
		}, exitFailed, "HTTP 307: The response is not Ringback's"},
		"a page that is fine": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<h1>It works</h1>")
		}, exitFailed, "the API's response can't be read; is the address right?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.handler)
			defer server.Close()
			got := bare(nil, "state", "SHOP", "1", "--api", server.URL)
			require.Equal(t, c.code, got.code)
			require.Contains(t, got.err, c.says)
		})
	}
}

func TestTheKeyIsSentAndNeverShown(t *testing.T) {
	t.Parallel()
	keys := []rest.Key{{Name: "engineer", SHA256: sha256.Sum256([]byte(secret)), Scopes: []string{operation.ScopeRead}}}
	options := rest.Options{Operations: &fake{state: watching()}, Settings: func() rest.Settings { return rest.Settings{Keys: keys} }}
	directory := t.TempDir()
	private, public, broken := filepath.Join(directory, "private"), filepath.Join(directory, "public"), filepath.Join(directory, "broken")
	require.NoError(t, os.WriteFile(private, []byte(secret+"\n"), 0o600))
	require.NoError(t, os.WriteFile(public, []byte(secret+"\n"), 0o600))
	require.NoError(t, os.Chmod(public, 0o644))
	require.NoError(t, os.WriteFile(broken, []byte(secret+"\n"+secret), 0o600))
	server := httptest.NewServer(rest.New(options))
	t.Cleanup(server.Close)
	for name, c := range map[string]struct {
		env  string
		args []string
		code int
		says string
	}{
		"from the environment":         {secret, nil, 0, ""},
		"from a file":                  {"", []string{"--key-file", private}, 0, ""},
		"the file is preferred":        {"another", []string{"--key-file", private}, 0, ""},
		"from a file that others read": {"", []string{"--key-file", public}, 0, "warning: others may read"},
		"two keys in a file":           {"", []string{"--key-file", broken}, 2, "something else than one API key"},
		"two keys in the environment":  {secret + " " + secret, nil, 2, "something else than one API key"},
		"none":                         {"", nil, 1, "HTTP 401 unauthenticated: Send an API key as Authorization: Bearer <key>. (--key-file or RINGBACK_API_KEY gives the key)"},
		"a wrong one":                  {"wrong", nil, 1, "HTTP 401 unauthenticated: The API key is not one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := bare(map[string]string{apiVariable: server.URL, keyVariable: c.env}, append([]string{"state", "SHOP", "1"}, c.args...)...)
			require.Equal(t, c.code, got.code, got.err)
			require.Contains(t, got.err, c.says)
			require.NotContains(t, got.out+got.err, secret)
		})
	}
	refused := bare(map[string]string{apiVariable: server.URL, keyVariable: secret}, "withdraw", "SHOP", "1")
	require.Equal(t, exitFailed, refused.code)
	require.Contains(t, refused.err, "HTTP 403 forbidden: The key engineer lacks the scope withdraw")
}

func TestTheAddressComesFromFlagThenFileThenEnvironment(t *testing.T) {
	t.Parallel()
	write := func(name, content string) string {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		return file
	}
	listens := write("a.yaml", "api: {listen: '0.0.0.0:9999', keys: []}\nsources: {x: {password: '${env:NOT_SET}'}}\n")
	for name, c := range map[string]struct {
		tool     tool
		env      string
		expected string
	}{
		"the default":                 {tool{}, "", "http://127.0.0.1:8080"},
		"the environment":             {tool{}, "http://a.example/", "http://a.example"},
		"a file, without its secrets": {tool{config: listens}, "http://a.example", "http://127.0.0.1:9999"},
		"the flag before all":         {tool{api: "https://b.example/ringback/", config: listens}, "http://a.example", "https://b.example/ringback"},
		"a file that is silent":       {tool{config: write("b.yaml", "endpoints: {}\n")}, "", "http://127.0.0.1:8080"},
		"a file with a name":          {tool{config: write("c.yaml", "api: {listen: 'api.internal:80', tls: {cert: a, key: b}}\n")}, "", "https://api.internal:80"},
		"a file with any address":     {tool{config: write("d.yaml", "api: {listen: ':7000'}\n")}, "", "http://127.0.0.1:7000"},
		"the probes, by default":      {tool{probes: true}, "", "http://127.0.0.1:9464"},
		"the probes, by a flag":       {tool{probes: true, telemetry: "http://b.example:9465", api: "http://c.example"}, "", "http://b.example:9465"},
		"the probes, by a file":       {tool{probes: true, config: write("g.yaml", "api: {listen: ':7000', tls: {}}\ntelemetry: {listen: ':7001'}\n")}, "http://a.example", "https://127.0.0.1:7001"},
		"a file with IPv6":            {tool{config: write("e.yaml", "api: {listen: '[::1]:7000'}\n")}, "", "http://[::1]:7000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.tool.getenv = func(string) string { return c.env }
			u, err := c.tool.address()
			require.NoError(t, err)
			require.Equal(t, c.expected, u.String())
		})
	}
	for _, content := range []string{"api: {listen: nowhere}", "api: [", "- a"} {
		_, err := apiListener.addressIn(write("f.yaml", content))
		require.ErrorContains(t, err, "--config")
	}
}

func TestTheConfigFlagIsAcceptedWithOneDash(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"state", "--config", "f", "--config=g", "--", "-config"}, withTwoDashes([]string{"state", "-config", "f", "-config=g", "--", "-config"}))
}

func TestAKeyIsNotSentUnencryptedBeyondLoopback(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		key, api string
		flags    []string
		refused  bool
	}{
		"by plain http to another machine":           {secret, "http://192.0.2.1:1", nil, true},
		"by plain http to another name":              {secret, "http://localhost.example:1", nil, true},
		"by plain http, on purpose":                  {secret, "http://192.0.2.1:1", []string{"--insecure"}, false},
		"by https":                                   {secret, "https://192.0.2.1:1", nil, false},
		"by plain http to this machine":              {secret, "http://127.0.0.1:1", nil, false},
		"by plain http to this machine, by its name": {secret, "http://localhost:1", nil, false},
		"without a key":                              {"", "http://192.0.2.1:1", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := bare(map[string]string{keyVariable: row.key}, append([]string{"state", "SHOP", "1", "--api", row.api, "--timeout", "1ns"}, row.flags...)...)
			require.Equal(t, row.refused, strings.Contains(got.err, "unencrypted: use https, or --insecure"), got.err)
			require.Equal(t, row.refused, got.code == exitUsage)
		})
	}
}

func TestAPrivateAuthorityIsTrustedIfNamed(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(rest.New(rest.Options{Operations: &fake{state: watching()}}))
	defer server.Close()
	server.Config.ErrorLog = nil
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	require.Equal(t, exitOK, bare(nil, "state", "SHOP", "1", "--api", server.URL, "--ca", ca).code)
	require.Equal(t, exitUnavailable, bare(nil, "state", "SHOP", "1", "--api", server.URL).code)
}

func TestTheVersionIsAskedForWithOneDashAsOfTheOtherPrograms(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-version", "--version"} {
		require.Equal(t, "starter version "+version.String()+"\n", bare(nil, flag).out)
	}
}

func TestReadyShowsWhyTheAPIIsNotReady(t *testing.T) {
	t.Parallel()
	hash := func() rest.Settings { return rest.Settings{ConfigHash: "2f1c6bd0a7e4"} }
	got := starter(t, rest.Options{Operations: &fake{}, Settings: hash, Version: "v1.2.3"}, "ready")
	require.Equal(t, exitOK, got.code, got.err)
	golden(t, "ready", got.out)
	got = starter(t, rest.Options{Operations: &fake{}, Settings: hash, Version: "v1.2.3", Ready: func(context.Context) error {
		return operation.Refuse(client.ProblemUnavailable, "Temporal does not answer.")
	}}, "ready")
	require.Equal(t, exitUnavailable, got.code)
	require.Contains(t, got.err, "is not ready")
	golden(t, "ready-not", got.out)
}

func TestEveryCommandHasHelpAndExamplesThatWork(t *testing.T) {
	t.Parallel()
	root := (&tool{}).root()
	for _, cmd := range everyCommand(root) {
		if !cmd.Runnable() {
			continue // a help topic
		}
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, cmd.Short)
			require.NotEmpty(t, cmd.Long)
			require.NotEmpty(t, cmd.Example)
			files := received(t)
			for line := range strings.Lines(cmd.Example) {
				command, in, _ := strings.Cut(strings.TrimSpace(line), " < ")
				args := words(command)
				require.Equal(t, "starter", args[0])
				for i := range args {
					args[i] = cmp.Or(files[args[i]], args[i])
				}
				p := place{in: content(t, files[in]), browsed: new([]string)}.at(t, anything())
				p.env[secretVariable] = content(t, files["secret.txt"])
				got := p.run(context.Background(), withoutAddress(args[1:])...)
				require.Equal(t, exitOK, got.code, "%s: %s", line, got.err)
			}
		})
	}
}

// anything is an API that every call succeeds with.
func anything() *fake {
	return &fake{
		pages: pageOfUI(),
		state: closedAs(client.OutcomeAcknowledged), ping: client.Ping{Verdict: client.Acknowledged},
		many: []client.BulkRedelivery{{ID: bulkID, Phase: client.BulkRedeliveryDone}},
	}
}

func closedAs(o client.Outcome) client.State {
	return client.State{Key: shop, Phase: client.PhaseClosed, Outcome: o, RunID: "0193f1d2", UIURL: "http://127.0.0.1:8233/x"}
}

// everyCommand is root and all below it, but for what cobra brings.
func everyCommand(root *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{root}
	for _, cmd := range root.Commands() {
		all = append(all, everyCommand(cmd)...)
	}
	return all
}

func content(t *testing.T, file string) string {
	t.Helper()
	if file == "" {
		return ""
	}
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(data)
}

// words splits a command line as a shell would, double quotes only.
func words(line string) []string {
	var all []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}

func withoutAddress(args []string) []string {
	for i, arg := range args {
		if arg == "--api" || arg == "--telemetry" {
			return append(append([]string{}, args[:i]...), args[i+2:]...)
		}
	}
	return args
}

func TestHelpTexts(t *testing.T) {
	t.Parallel()
	golden(t, "help", bare(nil, "--help").out)
	for _, name := range []string{"list", "open", "watch", "redeliver", "ping", "verify", "redeliveries"} {
		golden(t, "help-"+name, bare(nil, name, "--help").out)
	}
	golden(t, "help-config-check", bare(nil, "config", "check", "--help").out)
	golden(t, "help-exit-codes", bare(nil, "help", "exit-codes").out)
}

func TestJSONOutputIsTheAPIsOwn(t *testing.T) {
	t.Parallel()
	got := starter(t, rest.Options{Operations: &fake{state: delivering()}}, "state", "SHOP", "1", "-o", "json")
	var s client.State
	require.NoError(t, json.Unmarshal([]byte(got.out), &s))
	expected := delivering()
	expected.Deliveries[0].Attempts = []client.Attempt{}
	require.Equal(t, expected, s)
}
