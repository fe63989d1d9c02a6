package dialect_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/dialect"
	"ringback/internal/expression"
	"ringback/internal/operation"
)

// merchant is a dialect that uses all that a definition has.
func merchant() dialect.Definition {
	return dialect.Definition{
		Secrets: []string{"token"}, Method: "PUT",
		Headers: expression.Members{member("X-Event", "'invoice'"), member("X-Token", "secret.token"), member("X-None", "null")},
		JSON: &expression.Node{Object: []expression.Member{
			member("status", "status"),
			{Name: "version", Value: expression.Node{Literal: json.Number("1.10")}},
			member("invoiceId", "operation.operation_id"),
			member("failureReason", "keep.?failure_code.orValue(null)"),
			{Name: "at", Value: expression.Node{List: []expression.Node{text("observed_at"), {Literal: true}, {Literal: nil}}}},
		}},
		Acknowledged: "http.status == 200 && body.result == 'OK'",
		Gone:         "has(body.result) && body.result == 'STOP'",
		RetryAfter:   "body.?wait.orValue(null)",
		PingStatus:   "expired",
	}
}

func callbackOf(id, status string, kept map[string]string) operation.Callback {
	return operation.Callback{
		ID: "cb_1", Key: operation.Key{Endpoint: "SHOP", OperationID: id}, Final: true,
		Observation: operation.Observation{Status: status, Raw: kept, ObservedAt: operation.At(time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC))},
	}
}

var tokens = map[string]string{"token": "hunter2"}

func TestADefinitionWritesInFileOrderWithoutNulls(t *testing.T) {
	t.Parallel()
	d := compiled(t, merchant(), "merchant")
	for range 2 { // the same at every attempt
		message, err := d.Write(callbackOf("a&1", "success", nil), tokens)
		require.NoError(t, err)
		require.Equal(t, `{"status":"success","version":1.10,"invoiceId":"a&1","at":["2026-11-30T10:00:00Z",true,null]}`, string(message.Body)) //nolint:testifylint // byte for byte
		message.Body = nil
		require.Equal(t, dialect.Message{
			Method: http.MethodPut, ContentType: "application/json", Accept: "application/json",
			Header: http.Header{"X-Event": {"invoice"}, "X-Token": {"hunter2"}},
		}, message)
	}
	ping, err := d.Ping(callbackOf("ringback-ping-1", "", nil), tokens)
	require.NoError(t, err)
	require.Contains(t, string(ping.Body), `{"status":"expired"`)
}

// A callback after a watch without an answer has no status (rings_unanswered).
func TestAHeaderMayBeEmpty(t *testing.T) {
	t.Parallel()
	d := compiled(t, dialect.Definition{
		Headers: expression.Members{member("X-Status", "status")}, Text: "'a'", Acknowledged: "true",
	}, "plain")
	message, err := d.Write(callbackOf("a1", "", nil), nil)
	require.NoError(t, err)
	require.Equal(t, http.Header{"X-Status": {""}}, message.Header)
}

func TestABodyMayBeAFormOrAText(t *testing.T) {
	t.Parallel()
	form := compiled(t, dialect.Definition{
		Form:         expression.Members{member("id", "operation.operation_id"), member("none", "null"), member("a b", "status + '&'"), {Name: "v", Value: expression.Node{Literal: json.Number("2")}}},
		Acknowledged: "true",
	}, "form")
	message, err := form.Write(callbackOf("a1", "done", nil), nil)
	require.NoError(t, err)
	require.Equal(t, "id=a1&a+b=done%26&v=2", string(message.Body))
	require.Equal(t, "application/x-www-form-urlencoded", message.ContentType)

	plain := compiled(t, dialect.Definition{Text: "operation.operation_id + ' is ' + status", ContentType: "text/csv", Acknowledged: "true"}, "plain")
	message, err = plain.Write(callbackOf("a1", "done", nil), nil)
	require.NoError(t, err)
	require.Equal(t, "a1 is done", string(message.Body))
	require.Equal(t, "text/csv", message.ContentType)
	_, err = plain.Ping(callbackOf("a1", "", nil), nil)
	require.ErrorContains(t, err, "the dialect plain has no ping_status")
}

func TestWhatCannotBeWrittenSaysWhy(t *testing.T) {
	t.Parallel()
	const visa = "4111111111111111"
	d := compiled(t, merchant(), "merchant")
	for _, tt := range []struct {
		name     string
		callback operation.Callback
		secrets  map[string]string
		says     string
	}{
		{"a card number", callbackOf("a1", "success", map[string]string{"failure_code": visa}), tokens, "the body holds what looks like a card number"},
		{"a card number beside an identifier that is a part of it", callbackOf("1", "success", map[string]string{"failure_code": "card 4111 1111 1111 1111 "}), tokens, "the body holds what looks like a card number"},
		{"an identifier is screened by its endpoint's own rule", callbackOf(visa, "success", nil), tokens, ""},
		{"a secret that the endpoint does not give", callbackOf("a1", "success", nil), nil, "the endpoint gives no secret token, which the dialect merchant uses"},
		{"a secret that can't be sent", callbackOf("a1", "success", nil), map[string]string{"token": "hunter2\n"}, "headers.X-Token: the value cannot be sent: it is not printable ASCII without a space at either end"},
		{"a secret that would arrive without its end", callbackOf("a1", "success", nil), map[string]string{"token": "hunter2 "}, "headers.X-Token: the value cannot be sent: it is not printable ASCII without a space at either end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := d.Write(tt.callback, tt.secrets)
			if tt.says == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tt.says)
		})
	}
}

func TestADefinitionKnowsWhatItCanWrite(t *testing.T) {
	t.Parallel()
	d := merchant()
	require.True(t, compiled(t, d, "any").Knows("anything"))
	require.False(t, compiled(t, d, "any").Knows(""))
	d.JSON.Object[0] = member("status", "{'success': 'ok', 'failure': 'ko'}[status]")
	require.True(t, compiled(t, d, "some").Knows("success"))
	require.False(t, compiled(t, d, "some").Knows("revoked"))
}

func TestADefinitionJudges(t *testing.T) {
	t.Parallel()
	d := compiled(t, merchant(), "merchant")
	seconds := func(n int) *time.Duration { wait := time.Duration(n) * time.Second; return &wait }
	const ok, no = operation.Acknowledged, operation.Unacknowledged
	for _, tt := range []struct {
		name   string
		answer dialect.Answer
		want   dialect.Judgement
	}{
		{"acknowledged is true", dialect.Answer{HTTPStatus: 200, Body: []byte(`{"result":"OK"}`)}, dialect.Judgement{Verdict: ok}},
		{"a redirect, whatever it says", dialect.Answer{HTTPStatus: 302, Body: []byte(`{"result":"STOP"}`)}, dialect.Judgement{Verdict: no, Reason: "HTTP 302: a redirect is not followed"}},
		{"acknowledged is false", dialect.Answer{HTTPStatus: 500, Body: []byte(`{"result":"OK"}`)}, dialect.Judgement{Verdict: no, Reason: "HTTP 500: acknowledged is false", RetryAfter: seconds(0)}},
		{"a wait", dialect.Answer{HTTPStatus: 429, Body: []byte(`{"result":"LATER","wait":7}`)}, dialect.Judgement{Verdict: no, Reason: "HTTP 429: acknowledged is false", RetryAfter: seconds(7)}},
		{"gone is true", dialect.Answer{HTTPStatus: 200, Body: []byte(`{"result":"STOP"}`)}, dialect.Judgement{Verdict: no, Reason: "HTTP 200: gone is true: the receiver wants no more of it", Gone: true}},
		{"410 alone is not gone where the definition says what is", dialect.Answer{HTTPStatus: 410, Body: []byte(`{"result":"x"}`)}, dialect.Judgement{Verdict: no, Reason: "HTTP 410: acknowledged is false", RetryAfter: seconds(0)}},
		{"a member is missing", dialect.Answer{HTTPStatus: 200, Body: []byte(`{"card":"4111111111111111"}`)}, dialect.Judgement{Verdict: no, Reason: "HTTP 200: acknowledged: a member is missing", RetryAfter: seconds(0)}},
		{"an HTML page", dialect.Answer{HTTPStatus: 200, Body: []byte("<html>")}, dialect.Judgement{Verdict: no, Reason: "HTTP 200: the answer is an HTML page, not JSON", RetryAfter: seconds(0)}},
		{"nothing", dialect.Answer{HTTPStatus: 200}, dialect.Judgement{Verdict: no, Reason: "HTTP 200: the answer is empty, not JSON", RetryAfter: seconds(0)}},
		{"a member twice", dialect.Answer{HTTPStatus: 200, Body: []byte(`{"result":"OK","result":"NO"}`)}, dialect.Judgement{Verdict: no, Reason: "HTTP 200: the answer is JSON with a member twice, of different values", RetryAfter: seconds(0)}},
		{"a body over the cap", dialect.Answer{HTTPStatus: 200, Body: []byte(`{"result":"OK"}`), Truncated: true}, dialect.Judgement{Verdict: no, Reason: "HTTP 200: the answer is longer than is read", RetryAfter: seconds(0)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, d.Judge(callbackOf("a1", "success", nil), tt.answer))
		})
	}
	byStatus := merchant()
	byStatus.Acknowledged, byStatus.Gone, byStatus.RetryAfter = "http.status == 204 || http.headers[?'x-result'].orValue('') == 'OK'", "", ""
	plain := compiled(t, byStatus, "by status")
	c := callbackOf("a1", "success", nil)
	require.Equal(t, ok, plain.Judge(c, dialect.Answer{HTTPStatus: 204, Truncated: true}).Verdict, "its body is not asked for")
	require.Equal(t, ok, plain.Judge(c, dialect.Answer{HTTPStatus: 500, Header: http.Header{"X-Result": {"OK"}}}).Verdict)
	require.Equal(t, dialect.Judgement{Verdict: no, Reason: "410 Gone: the receiver wants no more of it", Gone: true}, plain.Judge(c, dialect.Answer{HTTPStatus: 410}))
	require.Nil(t, plain.Judge(c, dialect.Answer{HTTPStatus: 503}).RetryAfter, "the header Retry-After says it")
}

// What takes long is cut off, and its reason holds nothing of the answer.
func TestAJudgementThatCostsTooMuchIsUnacknowledged(t *testing.T) {
	t.Parallel()
	d := merchant()
	d.Acknowledged, d.Gone, d.RetryAfter = "body.all(a, body.all(b, true))", "", ""
	list := "[" + strings.TrimSuffix(strings.Repeat(`"y",`, 4000), ",") + "]"
	j := compiled(t, d, "slow").Judge(callbackOf("a1", "success", nil), dialect.Answer{HTTPStatus: 200, Body: []byte(list)})
	require.Equal(t, operation.Unacknowledged, j.Verdict)
	require.Contains(t, []string{
		"HTTP 200: acknowledged: it costs more than is allowed", "HTTP 200: acknowledged: it takes longer than is allowed",
	}, j.Reason)
}

func TestADefinitionThatIsWrongSaysWhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*dialect.Definition)
		want   expression.Fault
	}{
		{"a method", func(d *dialect.Definition) { d.Method = "GET" }, expression.Fault{Path: "method", Detail: "is unknown; allowed: POST, PUT, PATCH"}},
		{"two bodies", func(d *dialect.Definition) { d.Text = "status" }, expression.Fault{Detail: "has 2 bodies; allowed: one of json, form and text"}},
		{"no body", func(d *dialect.Definition) { d.JSON = nil }, expression.Fault{Detail: "has 0 bodies; allowed: one of json, form and text"}},
		{"a media type", func(d *dialect.Definition) { d.ContentType = "json" + "\n" }, expression.Fault{Path: "content_type", Detail: "is not a media type such as application/json"}},
		{"no acknowledgement", func(d *dialect.Definition) { d.Acknowledged = "" }, expression.Fault{Path: "acknowledged", Detail: "is missing; allowed: an expression such as http.status == 200"}},
		{"a judgement of another type", func(d *dialect.Definition) { d.Gone = "http.status" }, expression.Fault{Path: "gone", Line: 1, Column: 1, Detail: "the value is a whole number; allowed: true or false"}},
		{"a header of the protocol", func(d *dialect.Definition) { d.Headers[0].Name = "content-Length" }, expression.Fault{Path: "headers.content-Length", Detail: "is set by Ringback itself and cannot be replaced"}},
		{"a header that repeats", func(d *dialect.Definition) { d.Headers[0].Name = "Idempotency-Key" }, expression.Fault{Path: "headers.Idempotency-Key", Detail: "would let one attempt be sent twice; use webhook-id, which Ringback sends, against duplicates"}},
		{"a header twice", func(d *dialect.Definition) { d.Headers[2].Name = "x-token" }, expression.Fault{Path: "headers.x-token", Detail: "occurs twice: header names ignore case"}},
		{"a header of the signature", func(d *dialect.Definition) {
			d.Signature = &dialect.Signature{Scheme: "hmac-sha256", Headers: dialect.SignatureHeaders{Signature: "x-event"}}
		}, expression.Fault{Path: "headers.X-Event", Detail: "is a header of the signature"}},
		{"a secret in the body", func(d *dialect.Definition) { d.JSON.Object[0] = member("status", "secret.token") }, expression.Fault{Path: "json.status", Line: 1, Column: 1}},
		{"a secret within a header", func(d *dialect.Definition) { d.Headers[0] = member("X-Event", "'a' + secret.token") }, expression.Fault{Path: "headers.X-Event", Line: 1, Column: 5}},
		{"the name of a secret", func(d *dialect.Definition) { d.Secrets = append(d.Secrets, "Token!") }, expression.Fault{Path: "secrets[1]", Detail: "must be a name of its own; allowed: lower-case letters, digits and _, a letter first"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := merchant()
			tt.change(&d)
			_, faults := d.Compile("wrong")
			require.Len(t, faults, 1)
			if tt.want.Detail == "" {
				faults[0].Detail = "" // the language's own words
			}
			require.Equal(t, tt.want, faults[0])
		})
	}
}

func TestExamplesAreRun(t *testing.T) {
	t.Parallel()
	const body = `{"status":"success","version":1.10,"invoiceId":"a1","failureReason":"59","at":["2026-11-30T10:00:00Z",true,null]}`
	writes := dialect.Example{
		Name: "paid", Operation: dialect.ExampleOperation{OperationID: "a1"}, Status: "success", Keep: map[string]string{"failure_code": "59"},
		ObservedAt: time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC), Body: body,
	}
	with := func(change func(*dialect.Example)) dialect.Example {
		changed := writes
		change(&changed)
		return changed
	}
	judges := func(body, verdict string, wait time.Duration) dialect.Example {
		return dialect.Example{Answer: &expression.ExampleAnswer{Body: body}, Verdict: verdict, RetryAfter: wait}
	}
	for _, tt := range []struct {
		name    string
		example dialect.Example
		fault   string
	}{
		{"a body", writes, ""},
		{"another body", with(func(e *dialect.Example) { e.Body = strings.Replace(body, `"59"`, `"60"`, 1) }), `.body: paid: the example says "…1\",\"failureReason\":\"60\",\"at\":[\"2026-11-30T10:00:00Z\",true,nu…", but it is "…1\",\"failureReason\":\"59\",\"at\":[\"2026-11-30T10:00:00Z\",true,nu…"`},
		{"what can't be written", with(func(e *dialect.Example) { e.Keep = map[string]string{"failure_code": "4111111111111111"} }), ".body: paid: nothing is written: the body holds what looks like a card number"},
		{"a verdict", judges(`{"result":"OK"}`, "acknowledged", 0), ""},
		{"another verdict", judges(`{"result":"NO"}`, "acknowledged", 0), `.verdict: the example says "acknowledged", but it is "unacknowledged" (HTTP 200: acknowledged is false)`},
		{"gone", judges(`{"result":"STOP"}`, "gone", 0), ""},
		{"a wait", judges(`{"result":"NO","wait":7}`, "unacknowledged", 7*time.Second), ""},
		{"another wait", judges(`{"result":"NO","wait":7}`, "unacknowledged", 8*time.Second), `.retry_after: the example says "8s", but it is "7s"`},
		{"a verdict of no list", judges(`{}`, "yes", 0), `.verdict: "yes" is unknown; allowed: acknowledged, unacknowledged, gone`},
		{"a verdict of no list beside a body alone", with(func(e *dialect.Example) { e.Verdict = "nonsense" }), `.verdict: paid: "nonsense" is unknown; allowed: acknowledged, unacknowledged, gone`},
		{"a verdict on no answer", with(func(e *dialect.Example) { e.Verdict = "gone" }), ".answer: paid: is missing: there is nothing to judge for verdict and retry_after"},
		{"a wait that no answer asks for", with(func(e *dialect.Example) { e.RetryAfter = time.Second }), ".answer: paid: is missing: there is nothing to judge for verdict and retry_after"},
		{"nothing", dialect.Example{Name: "idle"}, ": idle: tests nothing; give a body, or an answer and its verdict"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := merchant()
			d.Examples = []dialect.Example{tt.example}
			faults := d.RunExamples()
			if tt.fault == "" {
				require.Empty(t, faults)
				return
			}
			require.Len(t, faults, 1)
			require.EqualError(t, faults[0], "examples[0]"+tt.fault)
		})
	}
}
