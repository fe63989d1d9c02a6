package rest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"ringback/api/rest"
	"ringback/internal/operation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a-key-of-the-tests"

func oneKey(k rest.Key) func() []rest.Key {
	k.SHA256 = sha256.Sum256([]byte(secret))
	return func() []rest.Key { return []rest.Key{{Name: "another", Scopes: rest.Scopes}, k} }
}

var noon = operation.At(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))

func someState(id string) operation.State {
	return operation.State{
		Key:    operation.Key{Endpoint: "SHOP", OperationID: id},
		Phase:  operation.Delivering,
		Status: &operation.Status{Value: "done", Final: true, ObservedAt: noon},
		Polls:  1,
		Deliveries: []operation.Delivery{{
			CallbackID: "cb_x", Status: "done", Outcome: operation.DeliveryPending,
			Attempts: []operation.Attempt{{Number: 1, At: noon, TookMS: 5, HTTPStatus: 500, Verdict: operation.Unacknowledged, Reason: "HTTP 500"}},
		}, {CallbackID: "cb_y", Status: "done", Outcome: operation.DeliveryPending}},
		RunID: "run",
	}
}

// exchange is one request and what must come back.
type exchange struct {
	method, path, body string
	header             map[string]string
}

func (e exchange) do(t *testing.T, h http.Handler) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(e.method, e.path, strings.NewReader(e.body))
	if e.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range e.header {
		r.Header.Set(name, value)
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	answer := recorder.Result()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	if e.method != http.MethodHead {
		holdsContract(t, r, answer, body)
	}
	require.NotEmpty(t, answer.Header.Get("X-Request-Id"))
	return answer, string(body)
}

const operationPath = "/v1/operations/SHOP/1"

var shop = operation.Key{Endpoint: "SHOP", OperationID: "1"}

func TestEachCallAsksOperationsForWhatItsRequestSays(t *testing.T) {
	t.Parallel()
	registered := operation.At(time.Date(2026, 11, 21, 7, 30, 0, 0, time.UTC))
	odd := operation.Key{Endpoint: "SHOP", OperationID: "a/b#c%"}
	for name, c := range map[string]struct {
		exchange
		created bool
		status  int
		asked   []any
		answer  string
		where   string
	}{
		"a new start is created and located": {
			exchange: exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1"}`},
			created:  true, status: 201, asked: []any{operation.StartRequest{Endpoint: "SHOP", OperationID: "1"}},
			answer: `"operation_id":"1"`, where: "/v1/operations/SHOP/1",
		},
		"the same start again is not created": {
			exchange: exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1"}`},
			status:   200, asked: []any{operation.StartRequest{Endpoint: "SHOP", OperationID: "1"}},
		},
		"a start may say all there is to say": {
			exchange: exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1","method":"p2p_a2c","reference":{"registered_at":"2026-11-21T09:30:00+02:00","order_id":"o"},"known_status":"new","callback":{"url":"https://shop.example/","statuses":["done","failed"]}}`,
				header: map[string]string{"Content-Type": "application/json; charset=UTF-8"}},
			created: true, status: 201, asked: []any{operation.StartRequest{
				Endpoint: "SHOP", OperationID: "1", Method: "p2p_a2c", KnownStatus: "new",
				Reference: operation.Reference{RegisteredAt: &registered, OrderID: "o"},
				Callback:  operation.Target{URL: "https://shop.example/", Statuses: []string{"done", "failed"}},
			}}, where: "/v1/operations/SHOP/1",
		},
		"an odd id is located percent-encoded": {
			exchange: exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"a/b#c%"}`},
			created:  true, status: 201, asked: []any{operation.StartRequest{Endpoint: "SHOP", OperationID: "a/b#c%"}},
			where: "/v1/operations/SHOP/a%2Fb%23c%25",
		},
		"a state is asked by its key": {
			exchange: exchange{method: "GET", path: operationPath}, status: 200, asked: []any{shop}, answer: `"outcome":null`,
		},
		"a delivery without attempts shows a list": {
			exchange: exchange{method: "GET", path: operationPath}, status: 200, asked: []any{shop}, answer: `"attempts":[]`,
		},
		"an encoded id is decoded once": {
			exchange: exchange{method: "GET", path: "/v1/operations/SHOP/a%2Fb%23c%25"}, status: 200, asked: []any{odd},
		},
		"an encoded slash does not end the id": {
			exchange: exchange{method: "GET", path: "/v1/operations/SHOP/x%2Fstatus"}, status: 200,
			asked: []any{operation.Key{Endpoint: "SHOP", OperationID: "x/status"}},
		},
		"a twice-encoded id stays encoded once": {
			exchange: exchange{method: "GET", path: "/v1/operations/SHOP/a%252Fb"}, status: 200,
			asked: []any{operation.Key{Endpoint: "SHOP", OperationID: "a%2Fb"}},
		},
		"a list filters by everything": {
			exchange: exchange{method: "GET", path: "/v1/operations?endpoint=SHOP&outcome=exhausted&since=2026-11-21T12:00:00Z&until=2026-11-21T14:00:00%2B02:00&page_token=p"}, status: 200,
			asked: []any{operation.ListQuery{Endpoint: "SHOP", Outcome: operation.OutcomeExhausted, Since: noon, Until: noon, PageToken: "p"}},
		},
		"a list filters by nothing and has no null": {
			exchange: exchange{method: "GET", path: "/v1/operations"}, status: 200, asked: []any{operation.ListQuery{}}, answer: `{"operations":[]}`,
		},
		"details are the source's own": {
			exchange: exchange{method: "GET", path: operationPath + "/details"}, status: 200, asked: []any{shop}, answer: `{"actionCode":"<0>"}`,
		},
		"a push hands over a status": {
			exchange: exchange{method: "POST", path: operationPath + "/status", body: `{"status":"reserved"}`}, status: 202, asked: []any{shop, "reserved"},
		},
		"a push without a body means poll now": {
			exchange: exchange{method: "POST", path: operationPath + "/status"}, status: 202, asked: []any{shop, ""},
		},
		"a push of an empty object means poll now": {
			exchange: exchange{method: "POST", path: operationPath + "/status", body: "{}"}, status: 202, asked: []any{shop, ""},
		},
		"a revocation says by whom and why": {
			exchange: exchange{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user","reason":"` + strings.Repeat("і", 256) + `"}`}, status: 200,
			asked: []any{shop, operation.Revocation{InitiatedBy: "user", Reason: strings.Repeat("і", 256)}},
		},
		"a withdrawal is a DELETE": {
			exchange: exchange{method: "DELETE", path: operationPath}, status: 200, asked: []any{shop},
		},
		"a redelivery needs no body": {
			exchange: exchange{method: "POST", path: operationPath + "/redelivery"}, status: 201,
			asked: []any{shop, operation.RedeliveryRequest{By: "(no keys configured)"}}, where: "/v1/operations/SHOP/1",
		},
		"a redelivery may say all there is to say": {
			exchange: exchange{method: "POST", path: operationPath + "/redelivery", body: `{"repoll":true,"force":true,"reason":"r","callback":{"url":"https://b.example/"}}`}, status: 201,
			asked: []any{shop, operation.RedeliveryRequest{Repoll: true, Force: true, Reason: "r", Callback: operation.Target{URL: "https://b.example/"}, By: "(no keys configured)"}}, where: "/v1/operations/SHOP/1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{created: c.created, state: someState("1"), details: map[string]any{"actionCode": "<0>"}}
			answer, body := c.do(t, rest.New(rest.Options{Operations: f}))
			require.Equal(t, c.status, answer.StatusCode, body)
			require.Equal(t, c.asked, f.questions())
			require.Contains(t, body, c.answer)
			require.Equal(t, c.where, answer.Header.Get("Location"))
		})
	}
}

func TestBadInputIsRefusedBeforeAnythingHappens(t *testing.T) {
	t.Parallel()
	start := func(body string) exchange { return exchange{method: "POST", path: "/v1/operations", body: body} }
	get := func(path string) exchange { return exchange{method: "GET", path: path} }
	for name, c := range map[string]struct {
		exchange
		status int
		kind   string
		// field is the one at fault; says is in its detail, or in the problem's.
		field, says string
	}{
		"an empty body":            {start(" "), 400, "malformed", "", "is empty"},
		"no body at all":           {exchange{method: "POST", path: "/v1/operations", header: map[string]string{"Content-Type": "application/json"}}, 400, "malformed", "", "is empty"},
		"malformed JSON":           {start("{\n \"endpoint\": \"SHOP\",\n}"), 400, "malformed", "", "line 3, column 1"},
		"JSON that ends early":     {start(`{"endpoint": "SH`), 400, "malformed", "", "line 1, column 16"},
		"trailing data":            {start(`{"endpoint":"SHOP","operation_id":"1"} {}`), 400, "malformed", "", "after top-level value"},
		"JSON a hundred deep":      {start(`{"endpoint":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), 422, "invalid", "endpoint", "not a string"},
		"JSON too deep":            {start(strings.Repeat("[", 30000) + strings.Repeat("]", 30000)), 400, "malformed", "", "depth"},
		"invalid UTF-8":            {start("{\"endpoint\":\"SHOP\",\"operation_id\":\"\xff\"}"), 400, "malformed", "", "UTF-8 at byte 36"},
		"half a surrogate pair":    {start(`{"endpoint":"SHOP","operation_id":"\ud800"}`), 422, "invalid", "operation_id", "surrogate"},
		"a NUL":                    {start(`{"endpoint":"SHOP","operation_id":"a\u0000"}`), 422, "invalid", "operation_id", "control character"},
		"a line break":             {start(`{"endpoint":"SHOP","operation_id":"1","method":"a\nb"}`), 422, "invalid", "method", "control character"},
		"a list":                   {start(`[]`), 422, "invalid", "(body)", "not a JSON object"},
		"null":                     {start(`null`), 422, "invalid", "(body)", "null"},
		"an unknown field":         {start(`{"endpoint":"SHOP","operation_id":"1","amount":5}`), 422, "invalid", "amount", "not a field"},
		"an unknown field within":  {start(`{"endpoint":"SHOP","operation_id":"1","reference":{"pan":"x"}}`), 422, "invalid", "reference.pan", "not a field"},
		"a field in another case":  {start(`{"Endpoint":"SHOP","operation_id":"1"}`), 422, "invalid", "Endpoint", "not a field"},
		"a field given twice":      {start(`{"endpoint":"SHOP","operation_id":"1","operation_id":"2"}`), 422, "invalid", "operation_id", "twice"},
		"a field twice, disguised": {start(`{"endpoint":"SHOP","operation_id":"1","operation\u005fid":"2"}`), 422, "invalid", "operation_id", "twice"},
		"a field twice within":     {start(`{"endpoint":"SHOP","operation_id":"1","callback":{"url":"a","url":"b"}}`), 422, "invalid", "callback.url", "twice"},
		"a null field":             {start(`{"endpoint":"SHOP","operation_id":"1","method":null}`), 422, "invalid", "method", "null"},
		"a number for a string":    {start(`{"endpoint":"SHOP","operation_id":1}`), 422, "invalid", "operation_id", "not a string"},
		"a string for a list":      {start(`{"endpoint":"SHOP","operation_id":"1","callback":{"statuses":"done"}}`), 422, "invalid", "callback.statuses", "not a list"},
		"a number in a list":       {start(`{"endpoint":"SHOP","operation_id":"1","callback":{"statuses":["done",7]}}`), 422, "invalid", "callback.statuses[1]", "not a string"},
		"a null in a list":         {start(`{"endpoint":"SHOP","operation_id":"1","callback":{"statuses":[null]}}`), 422, "invalid", "callback.statuses[0]", "null"},
		"a string for an object":   {start(`{"endpoint":"SHOP","operation_id":"1","reference":"x"}`), 422, "invalid", "reference", "not a JSON object"},
		"a time without a zone":    {start(`{"endpoint":"SHOP","operation_id":"1","reference":{"registered_at":"2026-11-21 09:30:00"}}`), 422, "invalid", "reference.registered_at", "RFC 3339"},
		"a time as a number":       {start(`{"endpoint":"SHOP","operation_id":"1","reference":{"registered_at":1795246200}}`), 422, "invalid", "reference.registered_at", "RFC 3339"},
		"no endpoint":              {start(`{"operation_id":"1"}`), 422, "invalid", "endpoint", "required"},
		"no operation id":          {start(`{"endpoint":"SHOP"}`), 422, "invalid", "operation_id", "required"},
		"an endpoint with a slash": {start(`{"endpoint":"SHOP/A","operation_id":"1"}`), 422, "invalid", "endpoint", "1 to 50"},
		"an endpoint of 51":        {start(`{"endpoint":"` + strings.Repeat("S", 51) + `","operation_id":"1"}`), 422, "invalid", "endpoint", "1 to 50"},
		"an id of 256":             {start(`{"endpoint":"SHOP","operation_id":"` + strings.Repeat("1", 256) + `"}`), 422, "invalid", "operation_id", "255"},
		"an id that paths drop":    {start(`{"endpoint":"SHOP","operation_id":".."}`), 422, "invalid", "operation_id", "paths"},
		"a query on a start":       {exchange{method: "POST", path: "/v1/operations?dry_run=1", body: `{"endpoint":"SHOP","operation_id":"1"}`}, 422, "invalid", "dry_run", "no query"},
		"a body of 1 MiB":          {start(`{"endpoint":"` + strings.Repeat("S", 1<<20) + `"}`), 413, "too-large", "", "65536"},
		"a form":                   {exchange{method: "POST", path: "/v1/operations", body: "endpoint=SHOP", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "unsupported-media-type", "", "application/json"},
		"no content type":          {exchange{method: "POST", path: "/v1/operations", body: "{}", header: map[string]string{"Content-Type": ""}}, 415, "unsupported-media-type", "", "application/json"},
		"another charset":          {exchange{method: "POST", path: "/v1/operations", body: "{}", header: map[string]string{"Content-Type": "application/json; charset=cp1251"}}, 415, "unsupported-media-type", "", "UTF-8"},

		"a path to nowhere":            {get("/v2/operations"), 404, "no-such-route", "", "%2F"},
		"a path with a bare slash":     {get("/v1/operations/SHOP/a/b"), 404, "no-such-route", "", "%2F"},
		"a path without an id":         {get("/v1/operations/SHOP/"), 404, "no-such-route", "", ""},
		"a path with two slashes":      {get("/v1//operations"), 404, "no-such-route", "", ""},
		"a path below redeliveries":    {get("/v1/redeliveries/" + manyID + "/pause"), 404, "no-such-route", "", ""},
		"an endpoint that can't be":    {get("/v1/operations/SH%20OP/1"), 422, "invalid", "endpoint", "1 to 50"},
		"an id that is not UTF-8":      {get("/v1/operations/SHOP/%ff"), 422, "invalid", "operation_id", "UTF-8"},
		"an id with a control":         {get("/v1/operations/SHOP/a%0Ab"), 422, "invalid", "operation_id", "control"},
		"an id too long in a path":     {get("/v1/operations/SHOP/" + strings.Repeat("1", 256)), 422, "invalid", "operation_id", "255"},
		"a query on a state":           {get(operationPath + "?verbose=1"), 422, "invalid", "verbose", "no query"},
		"a body on a state":            {exchange{method: "GET", path: operationPath, body: "{}"}, 422, "invalid", "(body)", "no body"},
		"a body on a withdrawal":       {exchange{method: "DELETE", path: operationPath, body: "{}"}, 422, "invalid", "(body)", "no body"},
		"an unknown list parameter":    {get("/v1/operations?limit=5"), 422, "invalid", "limit", "page_token"},
		"a list parameter twice":       {get("/v1/operations?endpoint=A&endpoint=B"), 422, "invalid", "endpoint", "twice"},
		"an empty list parameter":      {get("/v1/operations?endpoint="), 422, "invalid", "endpoint", "1 to 50"},
		"an unknown outcome":           {get("/v1/operations?outcome=failed"), 422, "invalid", "outcome", "exhausted"},
		"a since that is no time":      {get("/v1/operations?since=24h"), 422, "invalid", "since", "RFC 3339"},
		"a since with a bare plus":     {get("/v1/operations?since=2026-11-21T09:30:00+02:00"), 422, "invalid", "since", "%2B"},
		"an until before since":        {get("/v1/operations?since=2026-11-21T09:30:00Z&until=2026-11-20T09:30:00Z"), 422, "invalid", "until", "before since"},
		"a page token of 5,000":        {get("/v1/operations?page_token=" + strings.Repeat("x", 5000)), 422, "invalid", "page_token", ""},
		"a query that is not one":      {get("/v1/operations?endpoint=%zz"), 422, "invalid", "(query)", "percent"},
		"a push of a number":           {exchange{method: "POST", path: operationPath + "/status", body: `{"status":2}`}, 422, "invalid", "status", "not a string"},
		"a revocation by nobody":       {exchange{method: "POST", path: operationPath + "/revocation", body: `{}`}, 422, "invalid", "initiated_by", "required"},
		"a revocation without a body":  {exchange{method: "POST", path: operationPath + "/revocation"}, 415, "unsupported-media-type", "", ""},
		"a revocation by a stranger":   {exchange{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"bank"}`}, 422, "invalid", "initiated_by", "client, user, core"},
		"a revocation with a time":     {exchange{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user","at":"2026-11-21T09:30:00Z"}`}, 422, "invalid", "at", "not a field"},
		"a reason of 257":              {exchange{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user","reason":"` + strings.Repeat("і", 257) + `"}`}, 422, "invalid", "reason", "256"},
		"a redelivery's reason of 257": {exchange{method: "POST", path: operationPath + "/redelivery", body: `{"reason":"` + strings.Repeat("r", 257) + `"}`}, 422, "invalid", "reason", "256"},
		"a redelivery with statuses":   {exchange{method: "POST", path: operationPath + "/redelivery", body: `{"callback":{"statuses":["done"]}}`}, 422, "invalid", "callback.statuses", "not a field"},
		"a redelivery forced by text":  {exchange{method: "POST", path: operationPath + "/redelivery", body: `{"force":"true"}`}, 422, "invalid", "force", "true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			r := c.exchange
			answer, body := r.do(t, rest.New(rest.Options{Operations: f}))
			require.Equal(t, c.status, answer.StatusCode, body)
			p := isProblem(t, answer, []byte(body))
			require.Equal(t, "/problems/"+c.kind, p.Type)
			require.Empty(t, f.questions(), "nothing may have been asked of Operations")
			if c.field == "" {
				require.Contains(t, p.Detail, c.says)
				return
			}
			require.Len(t, p.Errors, 1)
			require.Equal(t, c.field, p.Errors[0].Field)
			require.Contains(t, p.Errors[0].Detail, c.says)
		})
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	answer, body := exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":5,"reference":{"order_id":true},"zip":1}`}.do(t, rest.New(rest.Options{Operations: &fake{}}))
	p := isProblem(t, answer, []byte(body))
	var fields []string
	for _, fault := range p.Errors {
		fields = append(fields, fault.Field)
	}
	require.Equal(t, []string{"endpoint", "reference.order_id", "zip"}, fields)
}

func TestMethodsThatAPathDoesNotTakeAreNamedInAllow(t *testing.T) {
	t.Parallel()
	for path, allow := range map[string]string{
		"/v1/operations":              "GET, POST",
		operationPath:                 "GET, DELETE",
		operationPath + "/redelivery": "POST",
		"/readyz":                     "GET, HEAD",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			answer, body := exchange{method: "PATCH", path: path}.do(t, rest.New(rest.Options{Operations: &fake{}}))
			require.Equal(t, 405, answer.StatusCode)
			require.Equal(t, allow, answer.Header.Get("Allow"))
			require.Equal(t, "/problems/method-not-allowed", isProblem(t, answer, []byte(body)).Type)
		})
	}
}

func TestErrorsOfOperationsBecomeProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
		kind   string
		retry  string
	}{
		"an invalid field":            {operation.Invalid(operation.FieldError{Field: "method", Detail: "is not one of payment"}), 422, "invalid", ""},
		"no such operation":           {operation.Refuse(operation.ProblemNotFound, "none"), 404, "not-found", ""},
		"other content":               {operation.Refuse(operation.ProblemConflict, "other"), 409, "conflict", ""},
		"closed":                      {operation.Refuse(operation.ProblemClosed, "closed"), 409, "closed", ""},
		"not revocable":               {operation.Refuse(operation.ProblemNotRevocable, "no"), 409, "not-revocable", ""},
		"not redeliverable":           {operation.Refuse(operation.ProblemNotRedeliverable, "no"), 409, "not-redeliverable", ""},
		"unavailable, it knows until": {&operation.Error{Problem: operation.ProblemUnavailable, Detail: "d", RetryAfter: 1200 * time.Millisecond}, 503, "unavailable", "2"},
		"unavailable":                 {operation.Refuse(operation.ProblemUnavailable, "d"), 503, "unavailable", "5"},
		"out of time":                 {context.DeadlineExceeded, 503, "unavailable", "5"},
		"a wrapped problem":           {errors.Join(errors.New("x"), operation.Refuse(operation.ProblemClosed, "closed")), 409, "closed", ""},
		"an unknown problem":          {operation.Refuse("surprise", "secret-cause"), 500, "internal", ""},
		"any other error":             {errors.New("secret-cause"), 500, "internal", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := rest.New(rest.Options{Operations: &fake{err: c.err}})
			for _, e := range []exchange{
				{method: "POST", path: operationPath + "/redelivery"},
				{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user"}`},
			} {
				answer, body := e.do(t, server)
				p := isProblem(t, answer, []byte(body))
				require.Equal(t, c.status, answer.StatusCode)
				require.Equal(t, "/problems/"+c.kind, p.Type)
				require.Equal(t, c.retry, answer.Header.Get("Retry-After"))
				require.NotContains(t, body, "secret-cause")
				require.Empty(t, answer.Header.Get("Location"))
			}
		})
	}
}

func TestAnInternalErrorIsLoggedWithItsCauseUnderTheIdThatIsShown(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fake{
		"an error": {err: errors.New("blown fuse")},
		"a panic":  {hook: func(context.Context) { panic("blown fuse") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zapcore.DebugLevel)
			answer, body := exchange{method: "DELETE", path: operationPath, header: map[string]string{"X-Request-Id": "my-id.1"}}.
				do(t, rest.New(rest.Options{Operations: f, Log: zap.New(core)}))
			require.Equal(t, 500, answer.StatusCode)
			require.Equal(t, "my-id.1", answer.Header.Get("X-Request-Id"))
			require.Contains(t, body, "my-id.1")
			require.NotContains(t, body, "blown fuse")
			failed := logs.FilterMessage("a request failed").All()
			require.Len(t, failed, 1)
			require.Contains(t, failed[0].ContextMap()["error"], "blown fuse")
			require.Equal(t, "my-id.1", failed[0].ContextMap()["request_id"])
		})
	}
}

func TestAnUnsoundRequestIdIsReplaced(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "has space", "<script>", strings.Repeat("x", 65)} {
		answer, _ := exchange{method: "GET", path: "/healthz", header: map[string]string{"X-Request-Id": id}}.do(t, rest.New(rest.Options{Operations: &fake{}}))
		require.Regexp(t, `^[A-Z2-7]{26}$`, answer.Header.Get("X-Request-Id"))
	}
}

func TestKeysLetInWhomTheySay(t *testing.T) {
	t.Parallel()
	reader := rest.Key{Name: "reader", Scopes: []rest.Scope{rest.ScopeRead}}
	bound := rest.Key{Name: "bound", Scopes: rest.Scopes, Endpoints: []string{"SHOP", "KIOSK"}}
	unforced := rest.Key{Name: "unforced", Scopes: []rest.Scope{rest.ScopeRedeliver}}
	good := "Bearer " + secret
	for name, c := range map[string]struct {
		key       rest.Key
		header    string
		exchange  exchange
		status    int
		challenge string
		says      string
	}{
		"no key":                         {reader, "", exchange{method: "GET", path: operationPath}, 401, `Bearer realm="ringback"`, "Authorization: Bearer"},
		"a wrong key":                    {reader, "Bearer nope", exchange{method: "GET", path: operationPath}, 401, `Bearer realm="ringback", error="invalid_token"`, "not one of"},
		"an empty key":                   {reader, "Bearer ", exchange{method: "GET", path: operationPath}, 401, `Bearer realm="ringback"`, ""},
		"another scheme":                 {reader, "Basic " + secret, exchange{method: "GET", path: operationPath}, 401, `Bearer realm="ringback"`, ""},
		"the right key":                  {reader, good, exchange{method: "GET", path: operationPath}, 200, "", ""},
		"the scheme in lower case":       {reader, "bearer " + secret, exchange{method: "GET", path: operationPath}, 200, "", ""},
		"a scope that is missing":        {reader, good, exchange{method: "DELETE", path: operationPath}, 403, `Bearer realm="ringback", error="insufficient_scope", scope="start"`, "scope start"},
		"a wrong key with a bad body":    {reader, "Bearer nope", exchange{method: "POST", path: "/v1/operations", body: "{"}, 401, `Bearer realm="ringback", error="invalid_token"`, ""},
		"force without its scope":        {unforced, good, exchange{method: "POST", path: operationPath + "/redelivery", body: `{"force":true}`}, 403, `Bearer realm="ringback", error="insufficient_scope", scope="force"`, "scope force"},
		"redelivery without force":       {unforced, good, exchange{method: "POST", path: operationPath + "/redelivery", body: `{"force":false}`}, 201, "", ""},
		"its endpoint":                   {bound, good, exchange{method: "GET", path: operationPath}, 200, "", ""},
		"another's endpoint":             {bound, good, exchange{method: "GET", path: "/v1/operations/BANK/1"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, changed":    {bound, good, exchange{method: "POST", path: "/v1/operations/BANK/1/revocation", body: `{"initiated_by":"user"}`}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, started":    {bound, good, exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"BANK","operation_id":"1"}`}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, listed":     {bound, good, exchange{method: "GET", path: "/v1/operations?endpoint=BANK"}, 403, "", "SHOP, KIOSK"},
		"its endpoint, listed":           {bound, good, exchange{method: "GET", path: "/v1/operations?endpoint=KIOSK"}, 200, "", ""},
		"every endpoint, listed":         {bound, good, exchange{method: "GET", path: "/v1/operations"}, 422, "", "SHOP, KIOSK"},
		"health asks for none":           {reader, "", exchange{method: "GET", path: "/healthz"}, 200, "", ""},
		"readiness asks for none":        {reader, "", exchange{method: "GET", path: "/readyz"}, 200, "", ""},
		"the document asks for none":     {reader, "", exchange{method: "GET", path: "/openapi.yaml"}, 200, "", ""},
		"nor does a path to nowhere":     {reader, "", exchange{method: "GET", path: "/nowhere"}, 404, "", ""},
		"the metrics do":                 {reader, "", exchange{method: "GET", path: "/metrics"}, 401, `Bearer realm="ringback"`, ""},
		"the metrics, with a key":        {reader, good, exchange{method: "GET", path: "/metrics"}, 404, "", ""},
		"the metrics name all endpoints": {bound, good, exchange{method: "GET", path: "/metrics"}, 403, "", "about all endpoints"},
		"another's endpoint, counted":    {bound, good, exchange{method: "GET", path: "/v1/operations/count?endpoint=BANK"}, 403, "", "SHOP, KIOSK"},
		"every endpoint, counted":        {bound, good, exchange{method: "GET", path: "/v1/operations/count"}, 422, "", "SHOP, KIOSK"},
		"another's endpoint, pinged":     {bound, good, exchange{method: "POST", path: "/v1/endpoints/BANK/ping"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, in detail":  {bound, good, exchange{method: "GET", path: "/v1/operations/BANK/1/details"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, pushed":     {bound, good, exchange{method: "POST", path: "/v1/operations/BANK/1/status"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, withdrawn":  {bound, good, exchange{method: "DELETE", path: "/v1/operations/BANK/1"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, again":      {bound, good, exchange{method: "POST", path: "/v1/operations/BANK/1/redelivery"}, 403, "", "SHOP, KIOSK"},
		"an endpoint is no prefix":       {bound, good, exchange{method: "GET", path: "/v1/operations/SHO/1"}, 403, "", "SHOP, KIOSK"},
		"nor is its case forgiven":       {bound, good, exchange{method: "GET", path: "/v1/operations/shop/1"}, 403, "", "SHOP, KIOSK"},
		"nor is it decoded twice":        {bound, good, exchange{method: "GET", path: "/v1/operations/SHOP%252F..%252FBANK/1"}, 422, "", "endpoint"},
		"two keys at once are none":      {reader, good + ", Bearer other", exchange{method: "GET", path: operationPath}, 401, `Bearer realm="ringback", error="invalid_token"`, ""},
		"the key in the query is none":   {reader, "", exchange{method: "GET", path: operationPath + "?access_token=" + secret}, 401, `Bearer realm="ringback"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{state: someState("1")}
			c.exchange.header = map[string]string{"Authorization": c.header}
			answer, body := c.exchange.do(t, rest.New(rest.Options{Operations: f, Keys: oneKey(c.key)}))
			require.Equal(t, c.status, answer.StatusCode, body)
			require.Equal(t, c.challenge, answer.Header.Get("WWW-Authenticate"))
			require.Contains(t, body, c.says)
			require.NotContains(t, body, secret)
			if c.status >= 400 {
				require.Empty(t, f.questions())
			}
		})
	}
}

func TestTwoKeysOfOneNameBothWorkAndAReloadTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	keys := []rest.Key{
		{Name: "core", SHA256: sha256.Sum256([]byte("old")), Scopes: rest.Scopes},
		{Name: "core", SHA256: sha256.Sum256([]byte("new")), Scopes: rest.Scopes},
	}
	server := rest.New(rest.Options{Operations: &fake{state: someState("1")}, Keys: func() []rest.Key { return keys }})
	with := func(key string) int {
		answer, _ := exchange{method: "GET", path: operationPath, header: map[string]string{"Authorization": "Bearer " + key}}.do(t, server)
		return answer.StatusCode
	}
	require.Equal(t, []int{200, 200}, []int{with("old"), with("new")})
	keys = keys[1:]
	require.Equal(t, []int{401, 200}, []int{with("old"), with("new")})
}

func TestReadsAndChangesAreLimitedForEachKeyByThemselves(t *testing.T) {
	t.Parallel()
	keys := []rest.Key{
		{Name: "a", SHA256: sha256.Sum256([]byte("a")), Scopes: rest.Scopes},
		{Name: "b", SHA256: sha256.Sum256([]byte("b")), Scopes: rest.Scopes},
	}
	limit := rest.Limit{PerSecond: 0.001, Burst: 2}
	server := rest.New(rest.Options{
		Operations:  &fake{state: someState("1")},
		Keys:        func() []rest.Key { return keys },
		ReadLimit:   func() rest.Limit { return limit },
		ChangeLimit: func() rest.Limit { return limit },
	})
	call := func(method, path, key string) *http.Response {
		answer, _ := exchange{method: method, path: path, header: map[string]string{"Authorization": "Bearer " + key}}.do(t, server)
		return answer
	}
	require.Equal(t, 200, call("GET", operationPath, "a").StatusCode)
	require.Equal(t, 200, call("GET", "/v1/operations", "a").StatusCode)
	refused := call("GET", operationPath, "a")
	require.Equal(t, 429, refused.StatusCode)
	require.Equal(t, "1000", refused.Header.Get("Retry-After"))
	again := call("GET", operationPath+"/details", "a")
	require.Equal(t, 429, again.StatusCode)
	require.Equal(t, "1000", again.Header.Get("Retry-After"), "a refused call costs nothing")
	require.Equal(t, 200, call("DELETE", operationPath, "a").StatusCode, "a change is not a read")
	require.Equal(t, 202, call("POST", operationPath+"/status", "a").StatusCode)
	changed := call("POST", operationPath+"/status", "a")
	require.Equal(t, 429, changed.StatusCode)
	require.Equal(t, "1000", changed.Header.Get("Retry-After"))
	require.Equal(t, 200, call("DELETE", operationPath, "b").StatusCode, "another key has a limit of its own")
	require.Equal(t, 200, call("GET", operationPath, "b").StatusCode, "another key has a limit of its own")
	limit = rest.Limit{}
	require.Equal(t, 200, call("GET", operationPath, "a").StatusCode, "a reload that lifts the limit takes effect at once")
}

func TestAStartGoesOnWhenItsClientHasGone(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]exchange{
		"a start":      {method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1"}`},
		"a redelivery": {method: "POST", path: operationPath + "/redelivery"},
		"a withdrawal": {method: "DELETE", path: operationPath},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, leave := context.WithCancel(context.Background())
			var during error
			var bounded bool
			f := &fake{hook: func(ctx context.Context) {
				leave()
				_, bounded = ctx.Deadline()
				during = ctx.Err()
			}}
			r := httptest.NewRequestWithContext(ctx, e.method, e.path, strings.NewReader(e.body))
			r.Header.Set("Content-Type", "application/json")
			rest.New(rest.Options{Operations: f}).ServeHTTP(httptest.NewRecorder(), r)
			require.Len(t, f.questions()[:1], 1)
			require.NoError(t, during)
			require.True(t, bounded, "it has a time of its own")
		})
	}
}

func TestAReadEndsWithItsClient(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(context.Background())
	var during error
	f := &fake{hook: func(ctx context.Context) { leave(); during = ctx.Err() }}
	rest.New(rest.Options{Operations: f}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", operationPath, nil))
	require.ErrorIs(t, during, context.Canceled)
}

func TestCallsThatTakeTooLongAreUnavailable(t *testing.T) {
	t.Parallel()
	f := &fake{hook: func(ctx context.Context) { <-ctx.Done() }, err: context.DeadlineExceeded}
	server := rest.New(rest.Options{Operations: f, Timeout: time.Millisecond, StartTimeout: time.Millisecond})
	for _, e := range []exchange{{method: "GET", path: operationPath}, {method: "DELETE", path: operationPath}} {
		answer, body := e.do(t, server)
		require.Equal(t, 503, answer.StatusCode)
		require.Contains(t, body, "is safe")
	}
}

func TestADrainRefusesStartsAndWaitsForThoseInFlight(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	var hold bool
	f := &fake{created: true, state: someState("1")}
	f.hook = func(context.Context) {
		if hold {
			close(began)
			<-release
		}
	}
	server := rest.New(rest.Options{Operations: f, ConfigHash: func() string { return "abc" }})
	start := exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1"}`}

	answer, body := exchange{method: "GET", path: "/readyz"}.do(t, server)
	require.Equal(t, 200, answer.StatusCode)
	require.JSONEq(t, `{"status":"ready","config_hash":"abc"}`, body)
	require.Equal(t, "abc", answer.Header.Get("X-Ringback-Config"))

	hold = true
	inFlight := make(chan int)
	go func() {
		r := httptest.NewRequest(start.method, start.path, strings.NewReader(start.body))
		r.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		server.ServeHTTP(recorder, r)
		inFlight <- recorder.Code
	}()
	<-began
	hold = false

	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, server.Drain(impatient), context.Canceled, "a start is in flight")

	answer, body = start.do(t, server)
	require.Equal(t, 503, answer.StatusCode)
	require.Equal(t, "2", answer.Header.Get("Retry-After"))
	require.Contains(t, body, "shutting down")
	answer, _ = exchange{method: "POST", path: operationPath + "/redelivery"}.do(t, server)
	require.Equal(t, 503, answer.StatusCode)
	answer, body = exchange{method: "GET", path: "/readyz"}.do(t, server)
	require.Equal(t, 503, answer.StatusCode)
	require.Contains(t, body, `"draining"`)
	answer, _ = exchange{method: "HEAD", path: "/healthz"}.do(t, server)
	require.Equal(t, 200, answer.StatusCode)
	answer, _ = exchange{method: "GET", path: operationPath}.do(t, server)
	require.Equal(t, 200, answer.StatusCode, "reads are served on")

	close(release)
	require.Equal(t, 201, <-inFlight)
	require.NoError(t, server.Drain(context.Background()))
}

func TestReadinessSaysWhatIsMissingButNoMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"a refusal in its own words": {operation.Refuse(operation.ProblemUnavailable, "Temporal does not answer."), "Temporal does not answer."},
		"an error in none":           {errors.New("dial tcp 10.0.0.7:7233"), "its log says which"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := rest.New(rest.Options{Operations: &fake{}, Ready: func(context.Context) error { return c.err }})
			answer, body := exchange{method: "GET", path: "/readyz"}.do(t, server)
			require.Equal(t, 503, answer.StatusCode)
			require.Contains(t, body, c.says)
			require.NotContains(t, body, "10.0.0.7")
			require.NotEmpty(t, answer.Header.Get("Retry-After"))
		})
	}
}

func TestMetricsAndTheDocumentAreServed(t *testing.T) {
	t.Parallel()
	server := rest.New(rest.Options{Operations: &fake{}, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, "ringback_up 1\n")
	})})
	_, body := exchange{method: "GET", path: "/metrics"}.do(t, server)
	require.Equal(t, "ringback_up 1\n", body)
	answer, body := exchange{method: "GET", path: "/openapi.yaml"}.do(t, server)
	require.Equal(t, "application/yaml", answer.Header.Get("Content-Type"))
	require.True(t, strings.HasPrefix(body, "openapi: 3.0.3"))
}

func TestEveryChangeLeavesOneAuditLineWithoutItsBody(t *testing.T) {
	t.Parallel()
	const card = "4111111111111111"
	for name, c := range map[string]struct {
		exchange exchange
		err      error
		expected map[string]any
		absent   string
	}{
		"a start": {
			exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1","method":"payment"}`}, nil,
			map[string]any{"who": "core", "action": "start", "result": "ok", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(201)}, "payment",
		},
		"a revocation that is refused": {
			exchange{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user","reason":"because"}`}, operation.Refuse(operation.ProblemNotRevocable, "no"),
			map[string]any{"who": "core", "action": "revoke", "result": "not-revocable", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(409)}, "because",
		},
		"a withdrawal that Temporal does not answer": {
			exchange{method: "DELETE", path: operationPath}, operation.Refuse(operation.ProblemUnavailable, "no"),
			map[string]any{"who": "core", "action": "withdraw", "result": "unavailable", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(503)}, "x-x",
		},
		"a card number in a path is not written": {
			exchange{method: "DELETE", path: "/v1/operations/SHOP/" + card}, operation.Invalid(operation.FieldError{Field: "operation_id", Detail: "looks like a card number"}),
			map[string]any{"who": "core", "action": "withdraw", "result": "invalid", "endpoint": "SHOP", "http_status": int64(422)}, card,
		},
		"a card number in a field's name is not written": {
			exchange{method: "POST", path: "/v1/operations", body: `{"` + card + `":1}`}, nil,
			map[string]any{"who": "core", "action": "start", "result": "invalid", "http_status": int64(422)}, card,
		},
		"a card number in place of an endpoint is not written": {
			exchange{method: "DELETE", path: "/v1/operations/" + card + "/1"}, operation.Refuse(operation.ProblemInvalid, "no"),
			map[string]any{"who": "core", "action": "withdraw", "result": "invalid", "operation_id": "1", "http_status": int64(422)}, card,
		},
		"a line break in an id is not written": {
			exchange{method: "DELETE", path: "/v1/operations/SHOP/1%0Aforged"}, nil,
			map[string]any{"who": "core", "action": "withdraw", "result": "invalid", "endpoint": "SHOP", "http_status": int64(422)}, "forged",
		},
		"what a key may not touch": {
			exchange{method: "DELETE", path: "/v1/operations/BANK/7"}, nil,
			map[string]any{"who": "core", "action": "withdraw", "result": "forbidden", "endpoint": "BANK", "operation_id": "7", "http_status": int64(403)}, "x-x",
		},
		"a ping": {
			exchange{method: "POST", path: "/v1/endpoints/SHOP/ping"}, operation.Refuse(rest.ProblemTooManyRequests, "no"),
			map[string]any{"who": "core", "action": "ping", "result": "too-many-requests", "endpoint": "SHOP", "http_status": int64(429)}, "x-x",
		},
		"many, of another's endpoint": {
			exchange{method: "POST", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"BANK"}}`}, nil,
			map[string]any{"who": "core", "action": "redeliver many", "result": "forbidden", "endpoint": "BANK", "http_status": int64(403)}, "x-x",
		},
		"a stop of many that are not there": {
			exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, operation.Refuse(operation.ProblemNotFound, "no"),
			map[string]any{"who": "core", "action": "stop redeliveries", "result": "not-found", "redeliveries_id": manyID, "http_status": int64(404)}, "x-x",
		},
		"nobody's push": {
			exchange{method: "POST", path: operationPath + "/status", header: map[string]string{"Authorization": "Bearer guess"}}, nil,
			map[string]any{"who": "", "action": "push", "result": "unauthenticated", "http_status": int64(401)}, "guess",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zapcore.DebugLevel)
			server := rest.New(rest.Options{
				Operations: &fake{created: true, state: someState("1"), err: c.err},
				Keys:       oneKey(rest.Key{Name: "core", Scopes: rest.Scopes, Endpoints: []string{"SHOP", card}}),
				Log:        zap.New(core),
			})
			if c.exchange.header == nil {
				c.exchange.header = map[string]string{"Authorization": "Bearer " + secret}
			}
			answer, _ := c.exchange.do(t, server)
			lines := logs.FilterMessage("audit").All()
			require.Len(t, lines, 1)
			got := lines[0].ContextMap()
			require.Equal(t, answer.Header.Get("X-Request-Id"), got["request_id"])
			require.Equal(t, "192.0.2.1", got["from"])
			delete(got, "request_id")
			delete(got, "from")
			require.Equal(t, c.expected, got)
			for _, line := range logs.All() {
				text := line.Message
				for key, value := range line.ContextMap() {
					text += " " + key + "=" + string(mustJSON(t, value))
				}
				require.NotContains(t, text, c.absent)
				require.NotContains(t, text, secret)
			}
		})
	}
}

func TestAnIdThatNobodyScreenedIsNotLogged(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	server := rest.New(rest.Options{Operations: &fake{}, Log: zap.New(core)})
	require.NoError(t, server.Drain(context.Background()))
	exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"4111111111111111"}`}.do(t, server)
	lines := logs.FilterMessage("audit").All()
	require.Len(t, lines, 1)
	require.Equal(t, "unavailable", lines[0].ContextMap()["result"])
	require.NotContains(t, lines[0].ContextMap(), "operation_id")
}

func TestItWorksOverARealConnection(t *testing.T) {
	t.Parallel()
	f := &fake{state: someState("a/b#c%")}
	server := rest.New(rest.Options{Operations: f})
	listener := httptest.NewUnstartedServer(server)
	listener.Config = server.HTTPServer()
	listener.Start()
	defer listener.Close()
	client := listener.Client()
	answer, err := client.Get(listener.URL + "/v1/operations/SHOP/a%2Fb%23c%25")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, []any{operation.Key{Endpoint: "SHOP", OperationID: "a/b#c%"}}, f.questions())

	big, err := client.Post(listener.URL+"/v1/operations", "application/json", strings.NewReader(strings.Repeat(" ", 1<<20)))
	require.NoError(t, err)
	require.NoError(t, big.Body.Close())
	require.Equal(t, 413, big.StatusCode)
	client.CloseIdleConnections()
}
