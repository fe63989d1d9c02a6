package expression_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/expression"
)

func TestWhatIsWrongWithAnExpressionIsToldWithItsPlace(t *testing.T) {
	t.Parallel()
	request := func() *expression.Scope { return expression.RequestScope([]string{"token"}) }
	headers := func() *expression.Scope { return expression.HeaderScope([]string{"token"}) }
	answer, callback := expression.AnswerScope, expression.CallbackScope
	for _, tt := range []struct {
		name  string
		scope func() *expression.Scope
		text  string
		want  expression.Type
		// line and column are the fault's, detail a part of it.
		line, column int
		detail       string
	}{
		{"a syntax error", answer, "body.id ==", expression.Bool, 1, 11, "the expression ends too early"},
		{"a syntax error in the second line", answer, "body.id == 1 &&\n  body.status = 2", expression.Bool, 2, 15, "a single = compares nothing; allowed: =="},
		{"nothing", answer, "", expression.Bool, 1, 1, "the expression ends too early"},
		{"an unknown variable, with those that are known", answer, "true && bdy.id == 1", expression.Bool, 1, 9, "there is no bdy (did you mean body?); allowed: http.status, http.headers, body, text, operation.operation_id"},
		{"an unknown member of the operation", answer, "operation.id == '1'", expression.Bool, 1, 1, "there is no operation.id; allowed: http.status"},
		{"a function in other letters", answer, "text.startswith('a')", expression.Bool, 1, 16, "there is no function startswith (did you mean startsWith?)"},
		{"an unknown function", answer, "now() == body.at", expression.Bool, 1, 4, "there is no function now"},
		{"types that don't fit", answer, "http.status == '200'", expression.Bool, 1, 13, "== does not take (a whole number, a string)"},
		{"a question that is none", answer, "http.status ? 'a' : 'b'", expression.Text, 1, 13, "a whole number stands before ?; allowed: a bool"},
		{"two values of different types", callback, "final ? status : 1", expression.Value, 1, 7, "? : gives values of different types: a string, a whole number"},
		{"an element of a number", answer, "http.status['code']", expression.Value, 1, 12, "[ ] of a whole number does not take a string"},
		{"a text that does not end", answer, "body.state == 'PAID", expression.Bool, 1, 15, "the text that begins here has no quote at its end"},
		{"a bracket that does not end", answer, "(body.id == 1", expression.Bool, 1, 14, ") is missing here"},
		{"an and of another language", answer, "body.id == 1 and true", expression.Bool, 1, 14, "and does not belong here"},
		{"a member of a text", answer, "text.code", expression.Value, 1, 5, "a string has no members"},
		{"a function of another type", answer, "text.startsWith(1)", expression.Bool, 1, 16, "startsWith of a string does not take (a whole number)"},
		{"a null beside a string, with the way out", callback, "final ? status : null", expression.Value, 1, 7, "dyn("},
		{"a value of another type", answer, "http.status", expression.Bool, 1, 1, "the value is a whole number; allowed: true or false"},
		{"a list for a text", answer, "[1, 2]", expression.Text, 1, 1, "the value is a list; allowed: a string, a whole number or null"},
		{"a number with a fraction for a text", answer, "1.5", expression.Text, 1, 1, "allowed: a string, a whole number or null"},
		{"null for a question", answer, "null", expression.Bool, 1, 1, "allowed: true or false"},
		{"a text for a time", answer, "'2026-11-30'", expression.Time, 1, 1, "allowed: a timestamp or null"},
		{"a duration for a body", callback, "duration('1s')", expression.Value, 1, 1, "allowed: a value that JSON can hold"},
		{"a duration that is none", answer, "duration('soon')", expression.Wait, 1, 10, "invalid duration argument"},
		{"a timestamp that is none", answer, "timestamp('today')", expression.Time, 1, 11, "invalid timestamp argument"},
		{"a pattern that is none", answer, "text.matches('(')", expression.Bool, 1, 14, "invalid matches argument"},
		{"a pattern that is no literal", answer, "text.matches(body.pattern)", expression.Bool, 1, 18, "a pattern must be a literal"},
		{"a pattern that grows", answer, "text.matches('((a{99}){99}){99}')", expression.Bool, 1, 14, "invalid matches argument"},
		{"a secret in an answer", answer, "secret.token == body.token", expression.Bool, 1, 1, "operation.method; a secret may stand alone as a header's value, or as hmac's first argument, and nowhere else, and is named in the definition's secrets"},
		{"a secret in a callback's body", callback, "secret.token", expression.Value, 1, 1, "a secret may stand alone as a header's value"},
		{"a word that is meant as a text", callback, "R03", expression.Value, 1, 1, `operation.reference.registered_at; a literal text is quoted within: "'R03'"`},
		{"a secret in a query", request, "secret.token", expression.Text, 1, 1, "a secret may stand alone as a header's value"},
		{"a secret in a JSON body", request, "secret.token", expression.Value, 1, 1, "a secret may stand alone as a header's value"},
		{"a secret within a list", request, "[secret.token]", expression.Value, 1, 2, "a secret may stand alone as a header's value"},
		{"a secret that is joined to a text", headers, "'Token ' + secret.token", expression.Header, 1, 10, "+ does not take (a string, a secret)"},
		{"a secret as text", headers, "string(secret.token)", expression.Header, 1, 7, "string does not take (a secret)"},
		{"a secret as any value", headers, "dyn(secret.token)", expression.Header, 1, 5, "a secret may stand alone as a header's value"},
		{"a secret as JSON", headers, "json(secret.token)", expression.Header, 1, 6, "a secret may stand alone as a header's value"},
		{"a secret that is chosen", headers, "true ? secret.token : secret.token", expression.Header, 1, 8, "a secret may stand alone as a header's value"},
		{"a secret that is compared", headers, "secret.token == secret.token ? 'a' : 'b'", expression.Header, 1, 1, "a secret may stand alone as a header's value"},
		{"a secret with a leading dot", headers, "json([1].map(secret, .secret.token))", expression.Header, 1, 22, "a secret may stand alone as a header's value"},
		{"a secret with a leading dot, compared", headers, "[1].exists(secret, .secret.token == .secret.token) ? 'a' : 'b'", expression.Header, 1, 20, "a secret may stand alone as a header's value"},
		{"a secret that is signed, not signed with", headers, "hex(hmac(secret.token, 'sha256', secret.token))", expression.Header, 1, 9, "hmac does not take (a secret, a string, a secret)"},
		{"a secret that is not declared", headers, "secret.key", expression.Header, 1, 7, "there is no secret.key (did you mean secret.token?)"},
		{"an hmac with a text", headers, "hex(hmac('key', 'sha256', 'a'))", expression.Header, 1, 9, "hmac does not take (a string, a string, a string)"},
		{"an hmac with an unknown hash", headers, "hex(hmac(secret.token, 'md5', 'a'))", expression.Header, 1, 24, "is not a hash; allowed: sha256 or sha512"},
		{"a loop in a loop in a loop", answer, "body.a.all(x, body.a.all(y, body.a.all(z, x == y && y == z)))", expression.Bool, 1, 1, "may cost"},
		{"a number of very many digits", answer, "'%.1000000f'.format([1.5])", expression.Text, 1, 20, "exceeds maximum allowed precision 100"},
		{"an expression that is too long", answer, "true" + strings.Repeat(" && true", 1000), expression.Bool, 1, 1, "size"},
		{"an expression that is too deep", answer, strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), expression.Bool, 1, 1, "recursion"},
		{"an expression of too many parts", answer, "[" + strings.Repeat("1,", 2000) + "1] == []", expression.Bool, 1, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, fault := tt.scope().Compile(tt.text, tt.want)
			require.NotNil(t, fault)
			require.Contains(t, fault.Detail, tt.detail)
			require.Equal(t, [2]int{tt.line, tt.column}, [2]int{fault.Line, fault.Column}, "%v", fault)
			require.LessOrEqual(t, len(fault.Detail), 500, "%v", fault)
		})
	}
}
