package expression_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/expression"
)

func TestAHeaderIsSentAsItIsOrNotAtAll(t *testing.T) {
	t.Parallel()
	const sent, token = "operation.operation_id", "secret.token"
	for _, tt := range []struct {
		name, expression, value string
		want                    *expression.HeaderValue
	}{
		{"a text", sent, "a b", &expression.HeaderValue{Text: "a b"}},
		{"a number", "7", "", &expression.HeaderValue{Text: "7"}},
		{"an empty text", sent, "", &expression.HeaderValue{}},
		{"a secret", token, "hunter2", &expression.HeaderValue{Text: "hunter2", IsSecret: true}},
		{"a space before it", sent, " a", nil},
		{"a space behind it", sent, "a ", nil},
		{"a space alone", sent, " ", nil},
		{"a space behind a secret", token, "hunter2 ", nil},
		{"a tab", sent, "a\tb", nil},
		{"a line break", sent, "a\r\nX-B: b", nil},
		{"a line feed behind it", sent, "a\n", nil},
		{"a NUL", sent, "a\x00b", nil},
		{"what is not ASCII", sent, "ä", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := header(t, tt.expression).HeaderValue(t.Context(), map[string]any{token: expression.NewSecret(tt.value), sent: tt.value})
			require.Equal(t, tt.want, got)
			if tt.want == nil {
				require.EqualError(t, err, "headers.X-A: the value cannot be sent: it is not printable ASCII without a space at either end")
			}
		})
	}
	nothing, err := header(t, "null").HeaderValue(t.Context(), nil)
	require.NoError(t, err)
	require.Nil(t, nothing)
	_, err = header(t, "string(int(operation.operation_id))").HeaderValue(t.Context(), map[string]any{sent: "a"})
	require.EqualError(t, err, "headers.X-A: it can't be evaluated")
}

func header(t *testing.T, text string) expression.Field {
	t.Helper()
	var faults expression.Faults
	headers := faults.Headers(expression.HeaderScope([]string{"token"}), "headers", expression.Members{{Name: "X-A", Value: expression.Node{Text: &text}}})
	require.Empty(t, faults)
	return headers[0]
}
