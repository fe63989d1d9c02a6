package expression_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"ringback/internal/expression"
)

// FuzzDecodeJSON: what is decoded is what encoding/json decodes, but for numbers that it
// would round and for what is refused.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{`{"id":9007199254740993,"a":[1.5,null,true,"\u0061"]}`, `{"a":1,"a":2}`, `{"a":1,"a":1}`, `[[[]]]`, `1e999`, `-0`, `18446744073709551616`, "\xff", `"\ud800"`, `{"":{}} x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := expression.DecodeJSON(data)
		if err != nil {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		require.True(t, json.Valid(data))
		require.NoError(t, decoder.Decode(&want))
		requireSame(t, want, got)
	})
}

func requireSame(t *testing.T, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		require.True(t, ok)
		require.Len(t, object, len(want))
		for name, member := range want {
			requireSame(t, member, object[name])
		}
	case []any:
		list, ok := got.([]any)
		require.True(t, ok)
		require.Len(t, list, len(want))
		for i := range want {
			requireSame(t, want[i], list[i])
		}
	case json.Number:
		if number, isFloat := got.(float64); isFloat {
			rounded, err := want.Float64()
			require.NoError(t, err)
			require.InDelta(t, rounded, number, 0)
			return
		}
		if want != "-0" {
			require.Equal(t, want.String(), fmt.Sprint(got))
		}
	default:
		require.Equal(t, want, got)
	}
}

// hostileVariables are an answer as long as is read, with as many values as are decoded.
func hostileVariables() map[string]any {
	list, object := make([]any, 2400), map[string]any{}
	for i := range list {
		list[i] = int64(i)
		object[fmt.Sprint(i)] = "x"
	}
	deep := any("x")
	for range 60 {
		deep = []any{deep}
	}
	return map[string]any{
		"body": map[string]any{"list": list, "object": object, "deep": deep, "quotes": strings.Repeat(`\"`, 15000)}, "text": strings.Repeat("x", 64<<10),
		"http.status": 200, "http.headers": map[string]string{}, "operation.operation_id": "A-1",
	}
}

// FuzzCompile: whatever is written as an expression is compiled, or refused with a place
// in it. What is compiled gives a value that JSON can hold, or an error, and neither
// holds the secret.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"body.id", "body.?a.orValue(null)", "has(body.a) && body.a.all(x, x == 1)", "secret.token", "json(body)", "hex(hmac(secret.token, 'sha256', operation.operation_id))",
		"'%d %s'.format([1, body])", "[secret.token]", "{'a': dyn(secret.token)}", "type(secret.token)", "timestamp('2026-11-30T00:00:00Z')", "b'\\xff'", "\"\\ud800\"", "math.greatest(1, 2u)",
		"body.map(k, secret.token)", "size(body) / 0", "[1].map(x, [x].map(y, [y]))", "request.body.matches('(a+)+')", "operation.reference.registered_at.getFullYear('Europe/Kyiv')",
	} {
		f.Add(seed)
	}
	scope := expression.HeaderScope([]string{"token"})
	const secret = "hunter2-secret-value"
	vars := hostileVariables()
	for _, name := range []string{"operation.method", "operation.reference.order_id", "request.method", "request.target", "request.body", "request.nonce"} {
		vars[name] = "x"
	}
	vars["secret.token"] = expression.NewSecret(secret)
	f.Fuzz(func(t *testing.T, text string) {
		e, fault := scope.Compile(text, expression.Value)
		if fault != nil {
			require.Positive(t, fault.Line)
			require.Positive(t, fault.Column)
			require.NotEmpty(t, fault.Detail)
			return
		}
		value, err := e.Eval(t.Context(), vars)
		require.NotContains(t, fmt.Sprintf("%v %+v", value, err), secret)
		if err == nil {
			written, err := json.Marshal(value)
			require.NoError(t, err)
			require.True(t, utf8.Valid(written))
		}
	})
}
