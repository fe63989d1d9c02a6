package source_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/expression"
	"ringback/internal/operation"
	"ringback/internal/source"
)

func text(s string) expression.Node { return expression.Node{Text: &s} }

func member(name, value string) expression.Member {
	return expression.Member{Name: name, Value: text(value)}
}

// invoices is a kind with most of what a definition can hold.
func invoices() source.Definition {
	body := expression.Node{Object: []expression.Member{
		member("id", "operation.operation_id"), {Name: "version", Value: expression.Node{Literal: json.Number("1.50")}}, member("order", "operation.reference.order_id != '' ? dyn(operation.reference.order_id) : null"),
	}}
	return source.Definition{
		Secrets:     []string{"token", "key"},
		OperationID: source.IdentifierRule{Pattern: "[a-z0-9/-]+", MaxLength: 10},
		Methods:     []string{"card", "cash"},
		Statuses:    map[string][]string{"created": {}, "hold": {"rings", "revocable"}, "paid": {"final", "rings"}},
		Request: &source.RequestTemplate{
			Method: "POST", Path: "/v1/{operation.method}/invoices/{operation.operation_id}.json",
			Query:   expression.Members{member("z", "operation.operation_id"), member("a", "null"), {Name: "n", Value: expression.Node{Literal: json.Number("2")}}},
			Headers: expression.Members{member("X-Token", "secret.token"), member("x-sign", "hex(hmac(secret.key, 'sha256', request.method + request.target + request.body))"), member("X-None", "null")},
			JSON:    &body,
		},
		Answer: &source.AnswerReader{
			Answered: "has(body.invoice) || has(body.problem)", About: "body.invoice.id", Status: "body.invoice.?status",
			ChangedAt: "timestamp(body.invoice.modified)", Refused: "body.problem == 'token'", RetryAfter: "body.seconds",
			Keep:    expression.Members{member("code", "body.invoice.code"), member("long", "body.invoice.long")},
			Details: expression.Members{member("note", "body.invoice.note"), {Name: "sum", Value: expression.Node{Object: []expression.Member{member("amount", "body.invoice.amount")}}}},
		},
	}
}

func TestADefinitionMakesItsRequest(t *testing.T) {
	t.Parallel()
	kind, faults := invoices().Compile("invoices")
	require.Empty(t, faults)
	type asked struct{ method, uri, token, sign, none, contentType, accept, authorization, body string }
	received := make(chan asked, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := r.Header
		received <- asked{r.Method, r.RequestURI, h.Get("X-Token"), h.Get("X-Sign"), h.Get("X-None"), h.Get("Content-Type"), h.Get("Accept"), h.Get("Authorization"), string(body)}
		_, _ = io.WriteString(w, `{"invoice":{"id":"a/1","status":"hold","modified":"2026-11-30T12:00:00+02:00","code":59,"long":"`+strings.Repeat("x", 300)+`"}}`)
	}))
	t.Cleanup(server.Close)
	src := kind.Open(source.Config{
		Name: "core", Bases: []source.Base{{URL: server.URL + "/base/", Client: server.Client()}},
		Secrets: map[string]string{"token": "hunter2", "key": "key"}, Header: http.Header{"Authorization": {"Bearer b"}},
	})
	got, err := src.Poll(t.Context(), operation.Query{OperationID: "a/1", Method: "card"})
	require.NoError(t, err)
	require.Equal(t, "hold", got.Status)
	require.Equal(t, map[string]string{"code": "59", "changed_at": "2026-11-30T10:00:00Z"}, got.Raw, "what is too long is left out")
	is := <-received
	require.Regexp(t, "^[0-9a-f]{64}$", is.sign)
	is.sign = ""
	require.Equal(t, asked{
		method: "POST", uri: "/base/v1/card/invoices/a%2F1.json?z=a%2F1&n=2", token: "hunter2",
		contentType: "application/json", accept: "application/json", authorization: "Bearer b", body: `{"id":"a/1","version":1.50}`,
	}, is)

	for _, id := range []string{"", "..", "."} {
		_, err = src.Poll(t.Context(), operation.Query{OperationID: "a/1", Method: id})
		require.ErrorContains(t, err, "request.path: a ")
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.Empty(t, received)
}

func TestADefinitionReadsAnswers(t *testing.T) {
	t.Parallel()
	const retryAfter = "30"
	keep := func(pairs ...string) map[string]string {
		kept := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			kept[pairs[i]] = pairs[i+1]
		}
		return kept
	}
	answer := func(httpStatus int, body string) *expression.ExampleAnswer {
		return &expression.ExampleAnswer{HTTPStatus: httpStatus, Body: body, Headers: map[string]string{"Retry-After": retryAfter}}
	}
	id := source.ExampleOperation{OperationID: "a1", Method: "card"}
	for _, e := range []source.Example{
		{Name: "a status", Answer: answer(0, `{"invoice":{"id":"a1","status":"paid"}}`), Status: "paid", Keep: keep()},
		{Name: "an id of digits", Operation: source.ExampleOperation{OperationID: "12345678901234567890", Method: "card"}, Answer: answer(0, `{"invoice":{"id":12345678901234567890,"status":"paid"}}`), Status: "paid"},
		{Name: "no status", Answer: answer(0, `{"invoice":{"id":"a1"}}`)},
		{Name: "a status of null", Answer: answer(0, `{"invoice":{"id":"a1","status":null}}`)},
		{Name: "no status beside 404", Answer: answer(404, `{"invoice":{"id":"a1"}}`), Error: "not_found"},
		{Name: "a status beside 402", Answer: answer(402, `{"invoice":{"id":"a1","status":"hold"}}`), Status: "hold"},
		{Name: "a status that is none", Answer: answer(0, `{"invoice":{"id":"a1","status":"a b"}}`), Error: "malformed"},
		{Name: "a status that is a number with a fraction", Answer: answer(0, `{"invoice":{"id":"a1","status":1.0}}`), Error: "malformed"},
		{Name: "another operation", Answer: answer(0, `{"invoice":{"id":"a2","status":"paid"}}`), Error: "malformed"},
		{Name: "no id", Answer: answer(0, `{"invoice":{"status":"paid"}}`), Error: "malformed"},
		{Name: "not the core's words", Answer: answer(0, `{"message":"no route"}`), Error: "malformed"},
		{Name: "a problem", Answer: answer(503, `{"problem":"busy"}`), Error: "unavailable"},
		{Name: "a refusal in words", Answer: answer(0, `{"problem":"token"}`), Error: "refused"},
		{Name: "401, which this kind doesn't take for a refusal", Answer: answer(401, `{"problem":"unknown"}`), Error: "malformed"},
		{Name: "429", Answer: answer(429, `{"problem":"slow","seconds":5}`), Error: "throttled"},
		{Name: "HTML", Answer: answer(0, `<html>`), Error: "malformed"},
		{Name: "a member twice", Answer: answer(0, `{"invoice":{"id":"a1","status":"paid","status":"hold"}}`), Error: "malformed"},
		{Name: "a card number to be kept", Answer: answer(0, `{"invoice":{"id":"a1","status":"paid","code":4111111111111111}}`), Status: "paid", Keep: keep()},
		{Name: "a text that can't be kept", Answer: answer(0, `{"invoice":{"id":"a1","status":"paid","code":"a\u202eb"}}`), Status: "paid", Keep: keep()},
		{
			Name: "details, with a card number masked", Answer: answer(0, `{"invoice":{"id":"a1","status":"paid","note":"4111111111111111 paid","amount":1.50}}`), Status: "paid",
			Details: map[string]string{"note": "411111******1111 paid", "sum": "map[amount:1.5]"},
		},
		{Name: "details that are objects", Answer: answer(0, `{"invoice":{"id":"a1","status":"paid","note":{"pan":"1"},"amount":[1]}}`), Status: "paid", Details: keep()},
	} {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			if e.Operation.OperationID == "" {
				e.Operation = id
			}
			d := invoices()
			d.OperationID.MaxLength = 20
			d.Examples = []source.Example{e}
			require.Empty(t, d.RunExamples())
		})
	}
}

// A kind that reads text needs no JSON, but a proxy's page is not the core's.
func TestADefinitionReadsText(t *testing.T) {
	t.Parallel()
	d := source.Definition{
		Statuses: map[string][]string{"OK": {"final"}, "WAIT": {}},
		Request:  &source.RequestTemplate{Path: "/status", Query: expression.Members{member("id", "operation.operation_id")}},
		Answer:   &source.AnswerReader{Answered: "text.startsWith('STATUS=')", Status: "text.substring(7).trim()"},
	}
	for body, e := range map[string]source.Example{
		"STATUS=OK\n":                {Status: "OK"},
		"STATUS=WAIT":                {Status: "WAIT"},
		"STATUS=":                    {},
		"<html>STATUS=OK</html>":     {Error: "malformed"},
		"":                           {Error: "malformed"},
		"\x1f\x8bSTATUS=OK":          {Error: "malformed"},
		"STATUS=4111111111111111":    {Error: "malformed"},
		"STATUS=\xff":                {Error: "malformed"},
		"STATUS=OK and another text": {Error: "malformed"},
	} {
		e.Name, e.Operation.OperationID, e.Answer = body, "a1", &expression.ExampleAnswer{Body: body}
		d.Examples = append(d.Examples, e)
	}
	require.Empty(t, d.RunExamples())
}

func TestAnExampleThatFailsSaysTheDifference(t *testing.T) {
	t.Parallel()
	operationA1 := source.ExampleOperation{OperationID: "a1", Method: "card"}
	paid := &expression.ExampleAnswer{Body: `{"invoice":{"id":"a1","status":"paid","code":1}}`}
	for _, tt := range []struct {
		name    string
		example source.Example
		want    []string
	}{
		{"another status", source.Example{Name: "x", Answer: paid, Status: "hold"}, []string{`.status: x: the example says "hold", but it is "paid"`}},
		{"an error that does not come", source.Example{Answer: paid, Error: "refused"}, []string{`.error: the example says "refused", but it is "" (there is none)`, `.status: the example says "", but it is "paid"`}},
		{
			"an error that comes", source.Example{Answer: &expression.ExampleAnswer{HTTPStatus: 500, Body: "{}"}, Status: "paid"},
			[]string{`.error: the example says "", but it is "unavailable" (example: HTTP 500: the answer is not in the core's own words (answer.answered))`},
		},
		{
			"what is kept", source.Example{Answer: paid, Status: "paid", Keep: map[string]string{"code": "2", "more": "x"}},
			[]string{`.keep.code: the example says "2", but it is "1"`, `.keep.more: the example says "x", but it is left out`},
		},
		{"what is kept besides", source.Example{Answer: paid, Status: "paid", Keep: map[string]string{}}, []string{`.keep.code: the example leaves it out, but it is "1"`}},
		{
			"another request", source.Example{Request: &source.ExampleRequest{Method: "GET", URL: "/v1/card/invoices/a1.json?z=a1&n=3", Body: "{}"}},
			[]string{
				`.request.method: the example says "GET", but it is "POST"`,
				`.request.url: the example says "/v1/card/invoices/a1.json?z=a1&n=3", but it is "/v1/card/invoices/a1.json?z=a1&n=2"`,
				`.request.body: the example says "{}", but it is "{\"id\":\"a1\",\"version\":1.50}"`,
			},
		},
		{"a request whose body is not checked", source.Example{Request: &source.ExampleRequest{Method: "POST"}}, nil},
		{"an operation without a method", source.Example{Operation: source.ExampleOperation{OperationID: "a1"}}, []string{".request: it can't be built: request.path: a part of the path is empty"}},
		{"a status that is not in the vocabulary", source.Example{Answer: paid, Status: "payd"}, []string{`.status: "payd" is not in statuses (did you mean paid?)`}},
		{"an observed status that is not in the vocabulary", source.Example{Answer: &expression.ExampleAnswer{Body: `{"invoice":{"id":"a1","status":"odd"}}`}}, []string{`.status: the example says "", but it is "odd"`}},
		{"an operation that can't be started", source.Example{Operation: source.ExampleOperation{OperationID: "A1", Method: "card"}}, []string{".operation.operation_id: holds a character outside the pattern [a-z0-9/-]+"}},
		{"an operation whose id is too long", source.Example{Operation: source.ExampleOperation{OperationID: "aaaaaaaaaaa", Method: "card"}}, []string{".operation.operation_id: is longer than 10 characters"}},
		{"what is read of no answer", source.Example{Keep: map[string]string{}}, []string{".answer: is missing: there is nothing that status, error, keep and details could be read from"}},
		{"an error that there is not", source.Example{Answer: paid, Status: "paid", Error: "gone"}, []string{`.error: "gone" is unknown; allowed: malformed, not_found, refused, throttled, unavailable`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.example.Operation.OperationID == "" {
				tt.example.Operation = operationA1
			}
			d := invoices()
			d.Examples = []source.Example{{Operation: operationA1}, tt.example}
			var details []string
			for _, fault := range d.RunExamples() {
				at, inSecond := strings.CutPrefix(fault.Path, "examples[1]")
				require.True(t, inSecond, fault.Path)
				details = append(details, at+": "+fault.Detail)
			}
			require.Equal(t, tt.want, details)
		})
	}
}

func TestWhatIsWrongWithADefinitionIsToldWithItsPlace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*source.Definition)
		// want are the faults, in order.
		want []string
	}{
		{"nothing", func(*source.Definition) {}, nil},
		{"a path with a wrong expression", func(d *source.Definition) { d.Request.Path = "/v1/{nope}/{operation.operation_id}" }, []string{"request.path: 1:6: there is no nope; allowed: "}},
		{"a path that does not end its expression", func(d *source.Definition) { d.Request.Path = "/v1/{operation.operation_id" }, []string{"request.path: 1:5: this { is not closed by a }"}},
		{"a path with a query", func(d *source.Definition) { d.Request.Path = "/v1?id={operation.operation_id}" }, []string{`request.path: holds "/v1?id=", which can't stand in a path`}},
		{"a path without a slash", func(d *source.Definition) { d.Request.Path = "v1" }, []string{"request.path: must begin with a /"}},
		{"an unknown HTTP method", func(d *source.Definition) { d.Request.Method = "DELETE" }, []string{"request.method: is unknown; allowed: GET, POST"}},
		{"a body with GET", func(d *source.Definition) { d.Request.Method = "" }, []string{"request.method: must be POST where there is a body"}},
		{"two bodies", func(d *source.Definition) { d.Request.Form = expression.Members{member("a", "'a'")} }, []string{"request.form: can't stand beside json"}},
		{"a header of Ringback's own", func(d *source.Definition) { d.Request.Headers = expression.Members{member("host", "'a'")} }, []string{"request.headers.host: is set by Ringback itself"}},
		{"a header twice", func(d *source.Definition) {
			d.Request.Headers = expression.Members{member("X-A", "'a'"), member("x-a", "'a'")}
		}, []string{"request.headers.x-a: occurs twice"}},
		{"a header that would arrive without its end", func(d *source.Definition) { d.Request.Headers = expression.Members{member("X-A", "'a '")} }, []string{"request.headers.X-A: cannot be sent; allowed: printable ASCII without a space at either end"}},
		{"a header's name", func(d *source.Definition) { d.Request.Headers = expression.Members{member("X A", "'a'")} }, []string{`request.headers."X A": is not a valid header name`}},
		{"a secret in a query", func(d *source.Definition) { d.Request.Query = expression.Members{member("t", "secret.token")} }, []string{"request.query.t: 1:1: a secret may stand alone as a header's value"}},
		{"a secret in the answer", func(d *source.Definition) { d.Answer.Keep = expression.Members{member("t", "secret.token")} }, []string{"answer.keep.t: 1:1: there is no secret; allowed: "}},
		{"the sent request in its body", func(d *source.Definition) { d.Request.Query = expression.Members{member("t", "request.body")} }, []string{"request.query.t: 1:1: there is no request"}},
		{"a status that is none", func(d *source.Definition) { d.Statuses["a b"] = nil }, []string{`statuses."a b": is no status; allowed: 1 to 64 letters`}},
		{"a meaning that is none", func(d *source.Definition) { d.Statuses["created"] = []string{"rings", "ends"} }, []string{"statuses.created[1]: is unknown; allowed: final, rings, revocable"}},
		{"no final status", func(d *source.Definition) { delete(d.Statuses, "paid") }, []string{"statuses: none is final"}},
		{"no request", func(d *source.Definition) { d.Request = nil }, []string{"request: is missing"}},
		{"no answer", func(d *source.Definition) { d.Answer = nil }, []string{"answer: is missing"}},
		{"an answer that says nothing", func(d *source.Definition) { *d.Answer = source.AnswerReader{} }, []string{"answer.answered: is missing", "answer.status: is missing"}},
		{"a question that is none", func(d *source.Definition) { d.Answer.Answered = "http.status" }, []string{"answer.answered: 1:1: the value is a whole number; allowed: true or false"}},
		{"changed_at twice", func(d *source.Definition) { d.Answer.Keep = expression.Members{member("changed_at", "'x'")} }, []string{"answer.keep.changed_at: occurs twice"}},
		{"too much to keep", func(d *source.Definition) {
			for i := range 17 {
				d.Answer.Keep = append(d.Answer.Keep, member("k"+strings.Repeat("x", i), "'x'"))
			}
		}, []string{"answer.keep: holds 19 values; allowed: up to 16"}},
		{"a detail that is wrong", func(d *source.Definition) { d.Answer.Details[1].Value.Object[0].Value = text("1 +") }, []string{"answer.details.sum.amount: 1:4: the expression ends too early"}},
		{"a secret twice", func(d *source.Definition) { d.Secrets = append(d.Secrets, "token") }, []string{"secrets[2]: must be a name of its own"}},
		{"a pattern", func(d *source.Definition) { d.OperationID.Pattern = "(" }, []string{"operation_id.pattern: can't be read: missing closing ): \"(\"; allowed: "}},
		{"a pattern that is too deep between the anchors", func(d *source.Definition) {
			d.OperationID.Pattern = strings.Repeat("(", 999) + "a" + strings.Repeat(")", 999)
		}, []string{"operation_id.pattern: can't be read: expression nests too deeply: \"^(?:((("}},
		{"a length", func(d *source.Definition) { d.OperationID.MaxLength = 205 }, []string{"operation_id.max_length: is out of range; allowed: 1 to 204"}},
		{"push beside a request", func(d *source.Definition) { d.Push = &source.Push{LifetimeStatus: "expired"} }, []string{"push: can't stand beside request or answer", "secrets: can't stand beside push: no request is made that could send them", "push.lifetime_status: is not in statuses"}},
		{"push beside examples", func(d *source.Definition) {
			d.Push, d.Secrets, d.Request, d.Answer, d.Examples = &source.Push{}, nil, nil, nil, []source.Example{{Error: "no such"}}
		}, []string{"examples: can't stand beside push: there is no answer that they could try"}},
		{"two callbacks at the end of a lifetime", func(d *source.Definition) {
			d.Push, d.Secrets, d.Request, d.Answer, d.RingsUnanswered = &source.Push{LifetimeStatus: "paid"}, nil, nil, nil, true
		}, []string{"rings_unanswered: can't stand beside push.lifetime_status, which is sent instead"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := invoices()
			tt.change(&d)
			_, faults := d.Compile("invoices")
			require.Len(t, faults, len(tt.want), "%v", faults)
			for i, fault := range faults {
				require.True(t, strings.HasPrefix(fault.Error(), tt.want[i]), "%v", fault)
			}
		})
	}
}

func TestADefinitionLimitsStartsAndSources(t *testing.T) {
	t.Parallel()
	kind, faults := invoices().Compile("invoices")
	require.Empty(t, faults)
	require.Equal(t, []string{"created", "hold", "paid"}, kind.Vocabulary)
	require.Equal(t, operation.Rules{Final: []string{"paid", "revoked"}, Delivered: []string{"hold", "paid"}, Revocable: []string{"hold"}, Revoked: "revoked"}, kind.Rules(nil))
	require.Equal(t, []string{"hold", "revoked"}, kind.Rules([]string{"hold"}).Final)
	at := operation.At(registered.Time).Format("2006-01-02T15:04:05Z07:00")
	for _, tt := range []struct{ field, right, wrong, says string }{
		{"operation_id", "a/1", "A1", "the pattern [a-z0-9/-]+"},
		{"operation_id", "a/1", "aaaaaaaaaaa", "longer than 10"},
		{"method", "cash", "", "is required"},
		{"method", "card", "wire", "not one of card, cash"},
		{"reference.order_id", "", "\x00", "control character"},
		{"reference.registered_at", "", at, "must be left out"},
		{"known_status", "created", "odd", "not one of created, hold, paid"},
	} {
		for _, rule := range kind.Fields {
			if rule.Field != tt.field {
				continue
			}
			require.Nil(t, rule.Check(tt.right), tt.field)
			fault := rule.Check(tt.wrong)
			require.NotNil(t, fault, tt.field)
			require.Contains(t, fault.Detail, tt.says)
		}
	}
	ukrcardAsData := allKinds(t)[3]
	require.True(t, ukrcardAsData.Rules(nil).DeliversUnanswered, "as the built-in kind does")
	for _, rule := range ukrcardAsData.Fields {
		if rule.Field == "reference.registered_at" {
			require.True(t, rule.Required, "there is no request without it")
		}
	}

	require.Empty(t, kind.Check(source.Config{}))
	require.Equal(t, []source.SettingError{
		{Setting: "mac.key", Detail: "is missing beside mac.id: set both, or neither where a client certificate is used"},
		{Setting: "mac.id", Detail: "signs requests without a body, and those of this kind have one"},
	}, kind.Check(source.Config{MACID: "id"}))
}

func TestWhatNoRequestCanDoWithoutIsRequired(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path     string
		required bool
	}{
		{"/{operation.reference.order_id}", true},
		{"/{operation.reference.order_id.substring(4)}", true},
		{"/{operation.operation_id.substring(4)}/{operation.reference.order_id}", true},
		{"/{string(int(operation.reference.order_id) + 1)}", true},
		{"/{operation.method == 'card' || operation.method == 'cash' ? operation.reference.order_id : ''}", true},
		{"/{operation.method == 'card' ? operation.reference.order_id : 'cash'}", false},
		{"/{operation.reference.order_id == '' ? 'none' : operation.reference.order_id}", false},
	} {
		d := invoices()
		d.Request.Path = tt.path
		kind, faults := d.Compile("invoices")
		require.Empty(t, faults, tt.path)
		require.Equal(t, "reference.order_id", kind.Fields[2].Field)
		require.Equal(t, tt.required, kind.Fields[2].Required, tt.path)
	}
}

// What a pattern leaves open does not reach the anchors, and no pattern panics.
func TestAPatternIsOfTheWholeOperationID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ pattern, right, wrong string }{
		{`\Qa.c`, "a.c", "abc"},
		{`\Q`, "", "a"},
		{"a|bc", "bc", "abc"},
		{"(?i)ab", "AB", "ABC"},
		{"(?m)^a$", "a", "a\nb"},
		{"^[a-z]+$", "abc", "ab1"},
	} {
		d := invoices()
		d.OperationID.Pattern = tt.pattern
		kind, faults := d.Compile("invoices")
		require.Empty(t, faults, tt.pattern)
		pattern := kind.Fields[0].Pattern
		require.True(t, pattern.MatchString(tt.right), "%s: %s", tt.pattern, pattern)
		require.False(t, pattern.MatchString(tt.wrong), "%s: %s", tt.pattern, pattern)
	}
}

func TestAKindThatPushesIsNeverPolled(t *testing.T) {
	t.Parallel()
	d := source.Definition{Push: &source.Push{LifetimeStatus: "expired"}, Statuses: map[string][]string{"paid": {"final", "rings"}, "expired": {"final", "rings"}}}
	kind, faults := d.Compile("bankfeed")
	require.Empty(t, faults)
	require.Equal(t, "expired", kind.Push.LifetimeStatus)
	require.Empty(t, kind.Check(source.Config{}))
	src := kind.Open(source.Config{Name: "feed"})
	_, err := src.Poll(t.Context(), operation.Query{OperationID: "a1"})
	require.EqualError(t, err, "source feed: this core pushes, and can't be asked")
	_, err = src.Details(t.Context(), operation.Query{OperationID: "a1"})
	require.Error(t, err)
}
