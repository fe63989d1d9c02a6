package rest_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
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

// newRequest is a request as a server on 127.0.0.1:8080 gets it.
func newRequest(method, target string, body io.Reader) *http.Request {
	return received(httptest.NewRequest(method, target, body))
}

func received(r *http.Request) *http.Request {
	r.Host = "127.0.0.1:8080"
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}))
}

// httpCall is one request.
type httpCall struct {
	method, path, body string
	header             map[string]string
}

func (e httpCall) do(t *testing.T, h http.Handler) (*http.Response, string) {
	t.Helper()
	r := newRequest(e.method, e.path, strings.NewReader(e.body))
	if e.body != "" || e.method != http.MethodGet {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range e.header {
		r.Header.Set(name, value)
	}
	recorder := httptest.NewRecorder()
	at(h, e.path).ServeHTTP(recorder, r)
	response := recorder.Result()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	if e.method != http.MethodHead {
		holdsContract(t, r, response, body)
	}
	require.NotEmpty(t, response.Header.Get("X-Request-Id"))
	return response, string(body)
}

// at is which of a server's two listeners serves path.
func at(h http.Handler, path string) http.Handler {
	if s, ok := h.(*rest.Server); ok && slices.Contains([]string{"/healthz", "/readyz", "/metrics"}, path) {
		return s.Probes()
	}
	return h
}

const operationPath = "/v1/operations/SHOP/1"

var shop = operation.Key{Endpoint: "SHOP", OperationID: "1"}

func TestEachRequestBecomesOneCallOfOperations(t *testing.T) {
	t.Parallel()
	registered := operation.At(time.Date(2026, 11, 21, 7, 30, 0, 0, time.UTC))
	odd := operation.Key{Endpoint: "SHOP", OperationID: "a/b#c%"}
	for name, c := range map[string]struct {
		httpCall
		created  bool
		status   int
		received []any
		response string
		where    string
	}{
		"a new start is created and located": {
			httpCall: httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1"}`},
			created:  true, status: 201, received: []any{operation.StartRequest{Endpoint: "SHOP", OperationID: "1"}},
			response: `"operation_id":"1"`, where: "/v1/operations/SHOP/1",
		},
		"the same start again is not created": {
			httpCall: httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1"}`},
			status:   200, received: []any{operation.StartRequest{Endpoint: "SHOP", OperationID: "1"}},
		},
		"a start may say all there is to say": {
			httpCall: httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1","method":"p2p_a2c","reference":{"registered_at":"2026-11-21T09:30:00+02:00","order_id":"o"},"known_status":"new","callback":{"url":"https://shop.example/","statuses":["done","failed"]}}`,
				header: map[string]string{"Content-Type": "application/json; charset=UTF-8"}},
			created: true, status: 201, received: []any{operation.StartRequest{
				Endpoint: "SHOP", OperationID: "1", Method: "p2p_a2c", KnownStatus: "new",
				Reference: operation.Reference{RegisteredAt: &registered, OrderID: "o"},
				Callback:  operation.Target{URL: "https://shop.example/", Statuses: []string{"done", "failed"}},
			}}, where: "/v1/operations/SHOP/1",
		},
		"an odd id is located percent-encoded": {
			httpCall: httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"a/b#c%"}`},
			created:  true, status: 201, received: []any{operation.StartRequest{Endpoint: "SHOP", OperationID: "a/b#c%"}},
			where: "/v1/operations/SHOP/a%2Fb%23c%25",
		},
		"a state is read by its key": {
			httpCall: httpCall{method: "GET", path: operationPath}, status: 200, received: []any{shop}, response: `"outcome":null`,
		},
		"a delivery without attempts shows a list": {
			httpCall: httpCall{method: "GET", path: operationPath}, status: 200, received: []any{shop}, response: `"attempts":[]`,
		},
		"an encoded id is decoded once": {
			httpCall: httpCall{method: "GET", path: "/v1/operations/SHOP/a%2Fb%23c%25"}, status: 200, received: []any{odd},
		},
		"an encoded slash does not end the id": {
			httpCall: httpCall{method: "GET", path: "/v1/operations/SHOP/x%2Fstatus"}, status: 200,
			received: []any{operation.Key{Endpoint: "SHOP", OperationID: "x/status"}},
		},
		"a twice-encoded id stays encoded once": {
			httpCall: httpCall{method: "GET", path: "/v1/operations/SHOP/a%252Fb"}, status: 200,
			received: []any{operation.Key{Endpoint: "SHOP", OperationID: "a%2Fb"}},
		},
		"a list filters by everything": {
			httpCall: httpCall{method: "GET", path: "/v1/operations?endpoint=SHOP&outcome=exhausted&since=2026-11-21T12:00:00Z&until=2026-11-21T14:00:00%2B02:00&page_token=p"}, status: 200,
			received: []any{operation.ListQuery{Endpoint: "SHOP", Outcome: operation.OutcomeExhausted, Since: noon, Until: noon, PageToken: "p"}},
		},
		"a list filters by nothing and has no null": {
			httpCall: httpCall{method: "GET", path: "/v1/operations"}, status: 200, received: []any{operation.ListQuery{}}, response: `{"operations":[]}`,
		},
		"details are the source's own": {
			httpCall: httpCall{method: "GET", path: operationPath + "/details"}, status: 200, received: []any{shop}, response: `{"actionCode":"<0>"}`,
		},
		"a push hands over a status": {
			httpCall: httpCall{method: "POST", path: operationPath + "/status", body: `{"status":"reserved"}`}, status: 202, received: []any{shop, "reserved"},
		},
		"a push without a body means poll now": {
			httpCall: httpCall{method: "POST", path: operationPath + "/status"}, status: 202, received: []any{shop, ""},
		},
		"a push of an empty object means poll now": {
			httpCall: httpCall{method: "POST", path: operationPath + "/status", body: "{}"}, status: 202, received: []any{shop, ""},
		},
		"a revocation says by whom and why": {
			httpCall: httpCall{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user","reason":"` + strings.Repeat("і", 256) + `"}`}, status: 200,
			received: []any{shop, operation.Revocation{InitiatedBy: "user", Reason: strings.Repeat("і", 256)}},
		},
		"a withdrawal is a DELETE": {
			httpCall: httpCall{method: "DELETE", path: operationPath}, status: 200, received: []any{shop},
		},
		"a redelivery needs no body": {
			httpCall: httpCall{method: "POST", path: operationPath + "/redelivery"}, status: 201,
			received: []any{shop, operation.RedeliveryRequest{By: "(no keys configured)"}}, where: "/v1/operations/SHOP/1",
		},
		"a redelivery may say all there is to say": {
			httpCall: httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"repoll":true,"force":true,"reason":"r","callback":{"url":"https://b.example/"}}`}, status: 201,
			received: []any{shop, operation.RedeliveryRequest{Repoll: true, Force: true, Reason: "r", Callback: operation.Target{URL: "https://b.example/"}, By: "(no keys configured)"}}, where: "/v1/operations/SHOP/1",
		},
		"a bulk redelivery is taken at the default rate and located": {
			httpCall: many(`{"filter":{"endpoint":"SHOP"}}`), status: 202,
			received: []any{operation.BulkRedeliveryRequest{Filter: operation.Filter{Endpoint: "SHOP"}, RatePerSecond: 10, By: "(no keys configured)"}},
			response: `"done":3`, where: "/v1/redeliveries/" + manyID,
		},
		"a bulk redelivery may say all there is to say": {
			httpCall: many(`{"filter":{"endpoint":"SHOP","status":"done","outcome":"gone","since":"2026-11-21T12:00:00Z","until":"2026-11-21T12:00:01Z"},"rate_per_second":0.5,"force":true,"reason":"r"}`), status: 202,
			received: []any{operation.BulkRedeliveryRequest{
				Filter:        operation.Filter{Endpoint: "SHOP", Status: "done", Outcome: operation.OutcomeGone, Since: noon, Until: noon.Add(1e9)},
				RatePerSecond: 0.5, Force: true, Reason: "r", By: "(no keys configured)",
			}}, where: "/v1/redeliveries/" + manyID,
		},
		"a dry run counts, shows a list and locates nothing": {
			httpCall: many(`{"filter":{"outcome":"acknowledged"},"force":true,"dry_run":true}`), status: 200,
			received: []any{operation.BulkRedeliveryRequest{Filter: operation.Filter{Outcome: operation.OutcomeAcknowledged}, Force: true, DryRun: true, RatePerSecond: 10, By: "(no keys configured)"}},
			response: `"matched":30,"exact":true,"sample":[]`,
		},
		"a bulk redelivery is read by its id": {
			httpCall: httpCall{method: "GET", path: "/v1/redeliveries/" + manyID}, status: 200, received: []any{manyID}, response: `"phase":"running"`,
		},
		"the recent bulk redeliveries are a list": {
			httpCall: httpCall{method: "GET", path: "/v1/redeliveries"}, status: 200, received: []any{"recent", ""}, response: `{"redeliveries":[{"id":"rd_`,
		},
		"the bulk redeliveries of a key are a list": {
			httpCall: httpCall{method: "GET", path: "/v1/redeliveries?key=engineers"}, status: 200, received: []any{"recent", "engineers"}, response: `{"redeliveries":[{"id":"rd_`,
		},
		"the bulk redeliveries of what is no key's name are refused": {
			httpCall: httpCall{method: "GET", path: "/v1/redeliveries?key=a%20b"}, status: 422, response: `"field":"key"`,
		},
		"a bulk redelivery is stopped by its id": {
			httpCall: httpCall{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, status: 200, received: []any{manyID, "stop", manyID},
		},
		"a bulk redelivery is resumed by its id": {
			httpCall: httpCall{method: "POST", path: "/v1/redeliveries/" + manyID + "/resume"}, status: 200, received: []any{manyID, "resume", manyID},
		},
		"what never arrived is counted by the endpoint and when it closed": {
			httpCall: httpCall{method: "GET", path: "/v1/operations/count?outcome=undelivered&time=closed&since=2026-11-21T12:00:00Z&group_by=endpoint"}, status: 200,
			received: []any{operation.CountQuery{ListQuery: operation.ListQuery{Undelivered: true, ByClose: true, Since: noon}, GroupBy: operation.GroupByEndpoint}},
			response: `{"count":7,"exact":true}`,
		},
		"what the last attempt of was answered so is listed": {
			httpCall: httpCall{method: "GET", path: "/v1/operations?http_status=5xx&status=done&outcome=exhausted"}, status: 200,
			received: []any{operation.ListQuery{HTTPStatus: "5xx", Status: "done", Outcome: operation.OutcomeExhausted}},
		},
		"what is on hold is listed": {
			httpCall: httpCall{method: "GET", path: "/v1/operations?phase=on_hold"}, status: 200,
			received: []any{operation.ListQuery{Phase: operation.OnHold}},
		},
		"what never arrived is listed by when it started": {
			httpCall: httpCall{method: "GET", path: "/v1/operations?outcome=undelivered&time=started"}, status: 200,
			received: []any{operation.ListQuery{Undelivered: true}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{
				created: c.created, state: someState("1"), details: map[string]any{"actionCode": "<0>"},
				many: someRedeliveries(), count: operation.OperationsCount{Count: 7, Exact: true},
			}
			response, body := c.do(t, rest.New(rest.Options{Operations: f}))
			require.Equal(t, c.status, response.StatusCode, body)
			require.Equal(t, c.received, f.received())
			require.Contains(t, body, c.response)
			require.Equal(t, c.where, response.Header.Get("Location"))
		})
	}
}

func TestBadInputIsRefusedBeforeAnythingHappens(t *testing.T) {
	t.Parallel()
	start := func(body string) httpCall { return httpCall{method: "POST", path: "/v1/operations", body: body} }
	get := func(path string) httpCall { return httpCall{method: "GET", path: path} }
	for name, c := range map[string]struct {
		httpCall
		status int
		kind   string
		// field is the one at fault; says is in its detail, or in the problem's.
		field, says string
	}{
		"an empty body":            {start(" "), 400, "malformed", "", "is empty"},
		"no body at all":           {httpCall{method: "POST", path: "/v1/operations", header: map[string]string{"Content-Type": "application/json"}}, 400, "malformed", "", "is empty"},
		"malformed JSON":           {start("{\n \"endpoint\": \"SHOP\",\n}"), 400, "malformed", "", "line 3, column 1"},
		"JSON that ends early":     {start(`{"endpoint": "SH`), 400, "malformed", "", "line 1, column 16"},
		"trailing data":            {start(`{"endpoint":"SHOP","operation_id":"1"} {}`), 400, "malformed", "", "after top-level value"},
		"JSON a hundred deep":      {start(`{"endpoint":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), 422, "invalid", "endpoint", "not a string"},
		"JSON too deep":            {start(strings.Repeat("[", 30000) + strings.Repeat("]", 30000)), 400, "malformed", "", "depth"},
		"invalid UTF-8":            {start("{\"endpoint\":\"SHOP\",\"operation_id\":\"\xff\"}"), 400, "malformed", "", "UTF-8 at byte 36"},
		"half a surrogate pair":    {start(`{"endpoint":"SHOP","operation_id":"\ud800"}`), 422, "invalid", "operation_id", "surrogate"},
		"a NUL":                    {start(`{"endpoint":"SHOP","operation_id":"a\u0000"}`), 422, "invalid", "operation_id", "control character"},
		"a turned direction":       {start(`{"endpoint":"SHOP","operation_id":"a\u202Eb"}`), 422, "invalid", "operation_id", "turns the writing direction"},
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
		"an endpoint with a slash": {start(`{"endpoint":"SHOP/A","operation_id":"1"}`), 422, "invalid", "endpoint", "outside letters"},
		"an id that paths drop":    {start(`{"endpoint":"SHOP","operation_id":".."}`), 422, "invalid", "operation_id", "paths"},
		"a query on a start":       {httpCall{method: "POST", path: "/v1/operations?dry_run=1", body: `{"endpoint":"SHOP","operation_id":"1"}`}, 422, "invalid", "dry_run", "no query"},
		"a body of 1 MiB":          {start(`{"endpoint":"` + strings.Repeat("S", 1<<20) + `"}`), 413, "too-large", "", "65536"},
		"a form":                   {httpCall{method: "POST", path: "/v1/operations", body: "endpoint=SHOP", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "unsupported-media-type", "", "application/json"},
		"no content type":          {httpCall{method: "POST", path: "/v1/operations", body: "{}", header: map[string]string{"Content-Type": ""}}, 415, "unsupported-media-type", "", "application/json"},
		"another charset":          {httpCall{method: "POST", path: "/v1/operations", body: "{}", header: map[string]string{"Content-Type": "application/json; charset=cp1251"}}, 415, "unsupported-media-type", "", "UTF-8"},

		"a path to nowhere":                     {get("/v2/operations"), 404, "no-such-route", "", "%2F"},
		"a path with a bare slash":              {get("/v1/operations/SHOP/a/b"), 404, "no-such-route", "", "%2F"},
		"a path without an id":                  {get("/v1/operations/SHOP/"), 404, "no-such-route", "", ""},
		"a path with two slashes":               {get("/v1//operations"), 404, "no-such-route", "", ""},
		"a path below redeliveries":             {get("/v1/redeliveries/" + manyID + "/pause"), 404, "no-such-route", "", ""},
		"an endpoint that can't be":             {get("/v1/operations/SH%20OP/1"), 422, "invalid", "endpoint", "outside letters"},
		"an id that is not UTF-8":               {get("/v1/operations/SHOP/%ff"), 422, "invalid", "operation_id", "UTF-8"},
		"an id with a control":                  {get("/v1/operations/SHOP/a%0Ab"), 422, "invalid", "operation_id", "control"},
		"a query on a state":                    {get(operationPath + "?verbose=1"), 422, "invalid", "verbose", "no query"},
		"a body on a state":                     {httpCall{method: "GET", path: operationPath, body: "{}"}, 422, "invalid", "(body)", "no body"},
		"a body on a withdrawal":                {httpCall{method: "DELETE", path: operationPath, body: "{}"}, 422, "invalid", "(body)", "no body"},
		"an unknown list parameter":             {get("/v1/operations?limit=5"), 422, "invalid", "limit", "page_token"},
		"a list parameter twice":                {get("/v1/operations?endpoint=A&endpoint=B"), 422, "invalid", "endpoint", "twice"},
		"an empty list parameter":               {get("/v1/operations?endpoint="), 422, "invalid", "endpoint", "is empty; leave it out"},
		"an unknown outcome":                    {get("/v1/operations?outcome=failed"), 422, "invalid", "outcome", "exhausted"},
		"an HTTP status that is none":           {get("/v1/operations?http_status=666"), 422, "invalid", "http_status", "such as 5xx"},
		"an HTTP status of an expired one":      {get("/v1/operations?http_status=503&outcome=expired"), 422, "invalid", "outcome", "exhausted and gone"},
		"a status of a terminated one":          {get("/v1/operations?status=done&outcome=terminated"), 422, "invalid", "outcome", "not kept"},
		"a phase that is none":                  {get("/v1/operations?phase=closed"), 422, "invalid", "phase", "on_hold"},
		"a phase of what has closed":            {get("/v1/operations/count?phase=on_hold&status=done"), 422, "invalid", "phase", "open operations"},
		"a since that is no time":               {get("/v1/operations?since=24h"), 422, "invalid", "since", "RFC 3339"},
		"a since with a bare plus":              {get("/v1/operations?since=2026-11-21T09:30:00+02:00"), 422, "invalid", "since", "%2B"},
		"an until before since":                 {get("/v1/operations?since=2026-11-21T09:30:00Z&until=2026-11-20T09:30:00Z"), 422, "invalid", "until", "before since"},
		"a query that is not one":               {get("/v1/operations?endpoint=%zz"), 422, "invalid", "(query)", "percent"},
		"a push of a number":                    {httpCall{method: "POST", path: operationPath + "/status", body: `{"status":2}`}, 422, "invalid", "status", "not a string"},
		"a revocation without initiator":        {httpCall{method: "POST", path: operationPath + "/revocation", body: `{}`}, 422, "invalid", "initiated_by", "required"},
		"a revocation without a body":           {httpCall{method: "POST", path: operationPath + "/revocation"}, 400, "malformed", "", "The body is empty"},
		"a revocation by a stranger":            {httpCall{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"bank"}`}, 422, "invalid", "initiated_by", "client, user, core"},
		"a revocation with a time":              {httpCall{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user","at":"2026-11-21T09:30:00Z"}`}, 422, "invalid", "at", "not a field"},
		"a redelivery with statuses":            {httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"callback":{"statuses":["done"]}}`}, 422, "invalid", "callback.statuses", "not a field"},
		"a card number as a pushed status":      {httpCall{method: "POST", path: operationPath + "/status", body: `{"status":"4111111111111111"}`}, 422, "invalid", "status", "card number"},
		"a card number in a revocation":         {httpCall{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user","reason":"card 4111111111111111"}`}, 422, "invalid", "reason", "card number"},
		"a card number in a redelivery":         {httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"reason":"4111111111111111"}`}, 422, "invalid", "reason", "card number"},
		"a card number in a bulk redelivery":    {many(`{"filter":{"endpoint":"SHOP"},"reason":"4111111111111111"}`), 422, "invalid", "reason", "card number"},
		"a card number as a status in a filter": {many(`{"filter":{"status":"4111111111111111"}}`), 422, "invalid", "filter.status", "card number"},
		"a redelivery forced by text":           {httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"force":"true"}`}, 422, "invalid", "force", "true or false"},

		"no bound":                              {many(`{"filter":{}}`), 422, "invalid", "filter", "at least one"},
		"no filter":                             {many(`{"reason":"all of it"}`), 422, "invalid", "filter", "at least one"},
		"an endpoint in a filter that can't be": {many(`{"filter":{"endpoint":"SH OP"}}`), 422, "invalid", "filter.endpoint", "outside letters"},
		"an unknown outcome in a filter":        {many(`{"filter":{"outcome":"failed"}}`), 422, "invalid", "filter.outcome", "exhausted, gone, expired, terminated"},
		"what was withdrawn":                    {many(`{"filter":{"outcome":"withdrawn"},"force":true}`), 422, "invalid", "filter.outcome", "not one of"},
		"acknowledged without force":            {many(`{"filter":{"outcome":"acknowledged"}}`), 422, "invalid", "filter.outcome", "force"},
		"a status of acknowledged":              {many(`{"filter":{"outcome":"acknowledged","status":"done"},"force":true}`), 422, "invalid", "filter.outcome", "not kept"},
		"an HTTP status of a terminated one":    {many(`{"filter":{"outcome":"terminated","http_status":"5xx"}}`), 422, "invalid", "filter.outcome", "exhausted and gone"},
		"a class that is none in a filter":      {many(`{"filter":{"http_status":"6xx"}}`), 422, "invalid", "filter.http_status", "such as 5xx"},
		"a status of 65 bytes":                  {many(`{"filter":{"status":"` + strings.Repeat("s", 65) + `"}}`), 422, "invalid", "filter.status", "64"},
		"a since in a filter that is no time":   {many(`{"filter":{"since":"24h"}}`), 422, "invalid", "filter.since", "RFC 3339"},
		"an until at since":                     {many(`{"filter":{"since":"2026-11-21T09:30:00Z","until":"2026-11-21T09:30:00Z"}}`), 422, "invalid", "filter.until", "not after since"},
		"an operation id, which is for one":     {many(`{"filter":{"operation_id":"1"}}`), 422, "invalid", "filter.operation_id", "not a field"},
		"a rate of nothing":                     {many(`{"filter":{"endpoint":"SHOP"},"rate_per_second":0}`), 422, "invalid", "rate_per_second", "above 0"},
		"a rate of 101":                         {many(`{"filter":{"endpoint":"SHOP"},"rate_per_second":101}`), 422, "invalid", "rate_per_second", "at most 100"},
		"a rate in words":                       {many(`{"filter":{"endpoint":"SHOP"},"rate_per_second":"10"}`), 422, "invalid", "rate_per_second", "a number"},
		"a bulk redelivery's reason of 257":     {many(`{"filter":{"endpoint":"SHOP"},"reason":"` + strings.Repeat("r", 257) + `"}`), 422, "invalid", "reason", "256"},
		"a query on a bulk redelivery":          {httpCall{method: "POST", path: "/v1/redeliveries?dry_run=1", body: `{"filter":{"endpoint":"SHOP"}}`}, 422, "invalid", "dry_run", "no query"},
		"an id that is not one":                 {httpCall{method: "GET", path: "/v1/redeliveries/rd_x"}, 422, "invalid", "id", "rd_"},
		"a stop with a body":                    {httpCall{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop", body: "{}"}, 422, "invalid", "(body)", "no body"},
		"a count grouped by what is unknown":    {httpCall{method: "GET", path: "/v1/operations/count?group_by=status"}, 422, "invalid", "group_by", "endpoint, outcome"},
		"a count with a page":                   {httpCall{method: "GET", path: "/v1/operations/count?page_token=x"}, 422, "invalid", "page_token", "not a parameter"},
		"a time of something else":              {httpCall{method: "GET", path: "/v1/operations?time=observed"}, 422, "invalid", "time", "started, closed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			r := c.httpCall
			response, body := r.do(t, rest.New(rest.Options{Operations: f}))
			require.Equal(t, c.status, response.StatusCode, body)
			p := isProblem(t, response, []byte(body))
			require.Equal(t, "/problems/"+c.kind, p.Type)
			require.Empty(t, f.received(), "Operations is not called")
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
	response, body := httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":5,"reference":{"order_id":true},"zip":1}`}.do(t, rest.New(rest.Options{Operations: &fake{}}))
	p := isProblem(t, response, []byte(body))
	var fields []string
	for _, fault := range p.Errors {
		fields = append(fields, fault.Field)
	}
	require.Equal(t, []string{"endpoint", "reference.order_id", "zip"}, fields)
}

func TestAWrongMethodIsRefusedWithThoseAllowed(t *testing.T) {
	t.Parallel()
	for path, allow := range map[string]string{
		"/v1/operations":              "GET, POST",
		operationPath:                 "GET, DELETE",
		operationPath + "/redelivery": "POST",
		"/readyz":                     "GET, HEAD",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			response, body := httpCall{method: "PATCH", path: path}.do(t, rest.New(rest.Options{Operations: &fake{}}))
			require.Equal(t, 405, response.StatusCode)
			require.Equal(t, allow, response.Header.Get("Allow"))
			require.Equal(t, "/problems/method-not-allowed", isProblem(t, response, []byte(body)).Type)
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
			for _, e := range []httpCall{
				{method: "POST", path: operationPath + "/redelivery"},
				{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user"}`},
			} {
				response, body := e.do(t, server)
				p := isProblem(t, response, []byte(body))
				require.Equal(t, c.status, response.StatusCode)
				require.Equal(t, "/problems/"+c.kind, p.Type)
				require.Equal(t, c.retry, response.Header.Get("Retry-After"))
				require.NotContains(t, body, "secret-cause")
				require.Empty(t, response.Header.Get("Location"))
			}
		})
	}
}

func TestAnInternalErrorIsLoggedWithTheRequestID(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fake{
		"an error": {err: errors.New("blown fuse")},
		"a panic":  {hook: func(context.Context) { panic("blown fuse") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zapcore.DebugLevel)
			response, body := httpCall{method: "DELETE", path: operationPath, header: map[string]string{"X-Request-Id": "my-id.1"}}.
				do(t, rest.New(rest.Options{Operations: f, Log: zap.New(core)}))
			require.Equal(t, 500, response.StatusCode)
			require.Equal(t, "my-id.1", response.Header.Get("X-Request-Id"))
			require.Contains(t, body, "my-id.1")
			require.NotContains(t, body, "blown fuse")
			failed := logs.FilterMessage("a request failed").All()
			require.Len(t, failed, 1)
			require.Contains(t, failed[0].ContextMap()["error"], "blown fuse")
			require.Equal(t, "my-id.1", failed[0].ContextMap()["request_id"])
		})
	}
}

func TestAnUnsoundRequestIDIsReplaced(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "has space", "<script>", strings.Repeat("x", 65), "4111111111111111", "4111.1111_1111-1111"} {
		response, _ := httpCall{method: "GET", path: "/healthz", header: map[string]string{"X-Request-Id": id}}.do(t, rest.New(rest.Options{Operations: &fake{}}))
		require.Regexp(t, `^[A-Z2-7]{26}$`, response.Header.Get("X-Request-Id"))
	}
}

func TestAChangeGoesOnWhenItsClientDisconnects(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]httpCall{
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
			r := received(httptest.NewRequestWithContext(ctx, e.method, e.path, strings.NewReader(e.body)))
			r.Header.Set("Content-Type", "application/json")
			rest.New(rest.Options{Operations: f}).ServeHTTP(httptest.NewRecorder(), r)
			require.Len(t, f.received()[:1], 1)
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
	rest.New(rest.Options{Operations: f}).ServeHTTP(httptest.NewRecorder(), received(httptest.NewRequestWithContext(ctx, "GET", operationPath, nil)))
	require.ErrorIs(t, during, context.Canceled)
}

func TestCallsThatTakeTooLongAreUnavailable(t *testing.T) {
	t.Parallel()
	f := &fake{hook: func(ctx context.Context) { <-ctx.Done() }, err: context.DeadlineExceeded}
	server := rest.New(rest.Options{Operations: f, Timeout: time.Millisecond, ChangeTimeout: time.Millisecond})
	for _, e := range []httpCall{{method: "GET", path: operationPath}, {method: "DELETE", path: operationPath}} {
		response, body := e.do(t, server)
		require.Equal(t, 503, response.StatusCode)
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
	server := rest.New(rest.Options{Operations: f, Settings: func() rest.Settings { return rest.Settings{ConfigHash: "abc"} }, Version: "v1.2.3"})
	start := httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1"}`}

	response, body := httpCall{method: "GET", path: "/readyz"}.do(t, server)
	require.Equal(t, 200, response.StatusCode)
	require.JSONEq(t, `{"status":"ready","config_hash":"abc","version":"v1.2.3"}`, body)
	require.Equal(t, "abc", response.Header.Get("X-Ringback-Config"))

	hold = true
	inFlight := make(chan int)
	go func() {
		r := newRequest(start.method, start.path, strings.NewReader(start.body))
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

	response, body = start.do(t, server)
	require.Equal(t, 503, response.StatusCode)
	require.Equal(t, "2", response.Header.Get("Retry-After"))
	require.Contains(t, body, "shutting down")
	response, _ = httpCall{method: "POST", path: operationPath + "/redelivery"}.do(t, server)
	require.Equal(t, 503, response.StatusCode)
	response, body = httpCall{method: "GET", path: "/readyz"}.do(t, server)
	require.Equal(t, 503, response.StatusCode)
	require.Contains(t, body, `"draining"`)
	response, _ = httpCall{method: "HEAD", path: "/healthz"}.do(t, server)
	require.Equal(t, 200, response.StatusCode)
	response, _ = httpCall{method: "GET", path: operationPath}.do(t, server)
	require.Equal(t, 200, response.StatusCode, "reads are served on")

	close(release)
	require.Equal(t, 201, <-inFlight)
	require.NoError(t, server.Drain(context.Background()))
}

func TestReadinessShowsNoInternalError(t *testing.T) {
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
			response, body := httpCall{method: "GET", path: "/readyz"}.do(t, server)
			require.Equal(t, 503, response.StatusCode)
			require.Contains(t, body, c.says)
			require.NotContains(t, body, "10.0.0.7")
			require.NotEmpty(t, response.Header.Get("Retry-After"))
		})
	}
}

func TestMetricsAndTheDocumentAreServed(t *testing.T) {
	t.Parallel()
	server := rest.New(rest.Options{Operations: &fake{}, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, "ringback_up 1\n")
	})})
	_, body := httpCall{method: "GET", path: "/metrics"}.do(t, server)
	require.Equal(t, "ringback_up 1\n", body)
	response, body := httpCall{method: "GET", path: "/openapi.yaml"}.do(t, server)
	require.Equal(t, "application/yaml", response.Header.Get("Content-Type"))
	require.True(t, strings.HasPrefix(body, "openapi: 3.0.3"))
}

func TestEveryChangeIsInTheAuditWithoutItsBody(t *testing.T) {
	t.Parallel()
	const card = "4111111111111111"
	for name, c := range map[string]struct {
		httpCall httpCall
		err      error
		expected map[string]any
		absent   string
	}{
		"a start": {
			httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1","method":"payment"}`}, nil,
			map[string]any{"who": "core", "action": "start", "result": "ok", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(201)}, "payment",
		},
		"a revocation that is refused": {
			httpCall{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user","reason":"because"}`}, operation.Refuse(operation.ProblemNotRevocable, "no"),
			map[string]any{"who": "core", "action": "revoke", "result": "not-revocable", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(409), "initiated_by": "user", "reason": "because"}, "x-x",
		},
		"a revocation for a reason that holds a card number": {
			httpCall{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user","reason":"card ` + card + `"}`}, nil,
			map[string]any{"who": "core", "action": "revoke", "result": "invalid", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(422), "initiated_by": "user"}, card,
		},
		"a start with a URL of its own": {
			httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1","callback":{"url":"https://Pay.example:8443/in/secret?token=secret"}}`}, nil,
			map[string]any{"who": "core", "action": "start", "result": "ok", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(201), "host": "pay.example:8443"}, "/in/",
		},
		"a start at a host that holds a card number": {
			httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"1","callback":{"url":"https://` + card + `.example/"}}`}, operation.Invalid(operation.FieldError{Field: "callback.url", Detail: "looks like a card number"}),
			map[string]any{"who": "core", "action": "start", "result": "invalid", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(422)}, card,
		},
		"a status that is pushed, and refused": {
			httpCall{method: "POST", path: operationPath + "/status", body: `{"status":"done"}`}, operation.Refuse(operation.ProblemClosed, "no"),
			map[string]any{"who": "core", "action": "push", "result": "closed", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(409), "status": "done"}, "x-x",
		},
		"a card number for a status": {
			httpCall{method: "POST", path: operationPath + "/status", body: `{"status":"` + card + `"}`}, nil,
			map[string]any{"who": "core", "action": "push", "result": "invalid", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(422)}, card,
		},
		"a redelivery to another URL, refused": {
			httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"reason":"moved","callback":{"url":"https://b.example/in/secret"}}`}, operation.Refuse(operation.ProblemNotRedeliverable, "no"),
			map[string]any{"who": "core", "action": "redeliver", "result": "not-redeliverable", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(409), "reason": "moved", "force": false, "host": "b.example"}, "/in/",
		},
		"a ping to a URL": {
			httpCall{method: "POST", path: "/v1/endpoints/SHOP/ping", body: `{"url":"https://b.example/in/secret"}`}, operation.Refuse(rest.ProblemTooManyRequests, "no"),
			map[string]any{"who": "core", "action": "ping", "result": "too-many-requests", "endpoint": "SHOP", "http_status": int64(429), "host": "b.example"}, "/in/",
		},
		"many, refused": {
			httpCall{method: "POST", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"SHOP","outcome":"gone"},"reason":"moved"}`}, operation.Refuse(operation.ProblemUnavailable, "no"),
			map[string]any{"who": "core", "action": "redeliver many", "result": "unavailable", "endpoint": "SHOP", "http_status": int64(503), "reason": "moved",
				"filter": operation.Filter{Outcome: operation.OutcomeGone}, "rate_per_second": 10.0, "force": false, "dry_run": false}, "x-x",
		},
		"a withdrawal that Temporal does not answer": {
			httpCall{method: "DELETE", path: operationPath}, operation.Refuse(operation.ProblemUnavailable, "no"),
			map[string]any{"who": "core", "action": "withdraw", "result": "unavailable", "endpoint": "SHOP", "operation_id": "1", "http_status": int64(503)}, "x-x",
		},
		"a card number in a path is not written": {
			httpCall{method: "DELETE", path: "/v1/operations/SHOP/" + card}, operation.Invalid(operation.FieldError{Field: "operation_id", Detail: "looks like a card number"}),
			map[string]any{"who": "core", "action": "withdraw", "result": "invalid", "endpoint": "SHOP", "http_status": int64(422)}, card,
		},
		"a card number in a field's name is not written": {
			httpCall{method: "POST", path: "/v1/operations", body: `{"` + card + `":1}`}, nil,
			map[string]any{"who": "core", "action": "start", "result": "invalid", "http_status": int64(422)}, card,
		},
		"a card number in place of an endpoint is not written": {
			httpCall{method: "DELETE", path: "/v1/operations/" + card + "/1"}, operation.Refuse(operation.ProblemInvalid, "no"),
			map[string]any{"who": "core", "action": "withdraw", "result": "invalid", "operation_id": "1", "http_status": int64(422)}, card,
		},
		"a line break in an id is not written": {
			httpCall{method: "DELETE", path: "/v1/operations/SHOP/1%0Aforged"}, nil,
			map[string]any{"who": "core", "action": "withdraw", "result": "invalid", "endpoint": "SHOP", "http_status": int64(422)}, "forged",
		},
		"what a key may not touch": {
			httpCall{method: "DELETE", path: "/v1/operations/BANK/7"}, nil,
			map[string]any{"who": "core", "action": "withdraw", "result": "forbidden", "endpoint": "BANK", "operation_id": "7", "http_status": int64(403)}, "x-x",
		},
		"a ping": {
			httpCall{method: "POST", path: "/v1/endpoints/SHOP/ping"}, operation.Refuse(rest.ProblemTooManyRequests, "no"),
			map[string]any{"who": "core", "action": "ping", "result": "too-many-requests", "endpoint": "SHOP", "http_status": int64(429)}, "x-x",
		},
		"many, of another's endpoint": {
			httpCall{method: "POST", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"BANK"}}`}, nil,
			map[string]any{"who": "core", "action": "redeliver many", "result": "forbidden", "endpoint": "BANK", "http_status": int64(403)}, "x-x",
		},
		"a stop of many that are not there": {
			httpCall{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, operation.Refuse(operation.ProblemNotFound, "no"),
			map[string]any{"who": "core", "action": "stop redeliveries", "result": "not-found", "redeliveries_id": manyID, "http_status": int64(404)}, "x-x",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zapcore.DebugLevel)
			server := rest.New(rest.Options{
				Operations: &fake{created: true, state: someState("1"), err: c.err},
				Settings:   oneKey(rest.Key{Name: "core", Scopes: operation.Scopes, Endpoints: []string{"SHOP", card}}),
				Log:        zap.New(core),
			})
			if c.httpCall.header == nil {
				c.httpCall.header = map[string]string{"Authorization": "Bearer " + secret}
			}
			response, _ := c.httpCall.do(t, server)
			got := ended(t, logs)
			require.Equal(t, response.Header.Get("X-Request-Id"), got["request_id"])
			require.Equal(t, "192.0.2.1", got["from"])
			require.Equal(t, fmt.Sprintf("%x", sha256.Sum256([]byte(secret)))[:8], got["key_id"])
			delete(got, "key_id")
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

// ended is the audit's line of how a call ended, without its event: after one of how
// it began, unless it was refused before.
func ended(t *testing.T, logs *observer.ObservedLogs) map[string]any {
	t.Helper()
	lines := logs.FilterMessage("audit").All()
	require.NotEmpty(t, lines)
	line := lines[len(lines)-1].ContextMap()
	if line["event"] == "completed" {
		require.Len(t, lines, 2)
		begun := lines[0].ContextMap()
		require.Equal(t, "begun", begun["event"])
		require.NotContains(t, begun, "result")
		require.Equal(t, line["request_id"], begun["request_id"])
	} else {
		require.Len(t, lines, 1)
		require.Equal(t, "refused", line["event"])
	}
	delete(line, "event")
	return line
}

func TestAnIDThatMayBeACardNumberIsNotLogged(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	server := rest.New(rest.Options{Operations: &fake{}, Log: zap.New(core)})
	require.NoError(t, server.Drain(context.Background()))
	httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP","operation_id":"4111111111111111"}`}.do(t, server)
	require.Equal(t, "unavailable", ended(t, logs)["result"])
	for _, line := range logs.FilterMessage("audit").All() {
		require.NotContains(t, line.ContextMap(), "operation_id")
	}
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
	response, err := client.Get(listener.URL + "/v1/operations/SHOP/a%2Fb%23c%25")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, []any{operation.Key{Endpoint: "SHOP", OperationID: "a/b#c%"}}, f.received())

	big, err := client.Post(listener.URL+"/v1/operations", "application/json", strings.NewReader(strings.Repeat(" ", 1<<20)))
	require.NoError(t, err)
	require.NoError(t, big.Body.Close())
	require.Equal(t, 413, big.StatusCode)
	client.CloseIdleConnections()
}

// served is a server on a connection of its own, its times shortened by hurry
// so that the test needn't wait for them.
func served(t *testing.T, o rest.Options, hurry func(*http.Server)) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = rest.New(o).HTTPServer()
	for _, bound := range []time.Duration{server.Config.ReadHeaderTimeout, server.Config.ReadTimeout, server.Config.WriteTimeout, server.Config.IdleTimeout} {
		require.Positive(t, bound, "nothing is waited for without an end")
	}
	hurry(server.Config)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// sendRaw writes to a new connection and reads the response's status, 0 if there is none.
func sendRaw(t *testing.T, address string, lines ...string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	for _, line := range lines {
		if _, err := io.WriteString(conn, line); err != nil {
			break // hung up on, and its response may be there
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

const post = "POST /v1/operations HTTP/1.1\r\nHost: ringback\r\nContent-Type: application/json\r\n"

func TestASlowClientHoldsNoConnectionAndStartsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says   string
		status int
	}{
		"a body that never comes":             {post + "Content-Length: 64\r\n\r\n", 400},
		"a body that ends half-way":           {post + "Content-Length: 64\r\n\r\n{\"endpoint\":\"SHOP\",", 400},
		"a chunk that never comes":            {post + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"end\r\n", 400},
		"a header that never ends":            {"POST /v1/operations HTTP/1.1\r\nHost: ringback\r\nX-A: ", 0},
		"a connection on which nothing comes": {"", 0},
		"headers of more than 32 KiB":         {"GET /healthz HTTP/1.1\r\nHost: ringback\r\nX-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", 431},
		"a body longer than it may be":        {post + "Content-Length: 1000000\r\n\r\n" + strings.Repeat(" ", 100_000), 413},
		"a body of endless chunks":            {post + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("4000\r\n"+strings.Repeat(" ", 0x4000)+"\r\n", 8), 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			address := served(t, rest.Options{Operations: f}, func(s *http.Server) {
				s.ReadTimeout, s.ReadHeaderTimeout = 200*time.Millisecond, 100*time.Millisecond
			})
			require.Equal(t, c.status, sendRaw(t, address, strings.Replace(c.says, "Host: ringback", "Host: "+address, 1)))
			require.Empty(t, f.received())
		})
	}
}

func TestEachCallIsObservedWithItsStatus(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]int{
		operationPath:          {200},
		"/v1/operations?x=1":   {422},
		"/v1/nothing":          nil,
		"/openapi.yaml":        nil,
		"/codec":               nil,
		"/v1/redeliveries/rd_": {422},
	} {
		var observed []int
		server := rest.New(rest.Options{
			Operations: &fake{state: someState("1")},
			Observe: func(ctx context.Context, _ *http.Request) (context.Context, func(int)) {
				return ctx, func(status int) { observed = append(observed, status) }
			},
		})
		server.ServeHTTP(httptest.NewRecorder(), newRequest(http.MethodGet, path, nil))
		require.Equal(t, want, observed, path)
	}
}
