package operation_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestContradictsFindsAMemberThatSaysTwoThings(t *testing.T) {
	t.Parallel()
	exactly := func(a, b string) bool { return a == b }
	for _, tt := range []struct {
		name, body  string
		exact, fold bool
	}{
		{"one value", `{"a":1,"b":2}`, false, false},
		{"two values", `{"a":1,"a":2}`, true, true},
		{"the same value twice", `{"a":1,"a":1}`, false, false},
		{"the same number in two types", `{"a":1,"a":"1"}`, true, true},
		{"in another case", `{"a":1,"A":2}`, false, true},
		{"apart", `{"a":1,"x":[{"a":3}],"b":1,"a":2}`, true, true},
		{"of a member that nobody asks about", `{"x":1,"x":2}`, false, false},
		{"within a member", `{"x":{"a":1,"a":2}}`, false, false},
		{"escaped", `{"a":1,"\u0061":2}`, true, true},
		{"of no object", `[{"a":1,"a":2}]`, false, false},
		{"broken off", `{"a":1,"a":`, false, false},
		{"empty", ``, false, false},
		{"with a value that is an object", `{"a":{},"a":{"b":1}}`, true, true},
	} {
		require.Equal(t, tt.exact, operation.Contradicts([]byte(tt.body), exactly, "a", "b"), tt.name)
		require.Equal(t, tt.fold, operation.Contradicts([]byte(tt.body), strings.EqualFold, "a", "b"), tt.name)
	}
}

// FuzzContradicts: an object without a contradiction reads the same whichever
// of two equal names a parser lets win.
func FuzzContradicts(f *testing.F) {
	for _, seed := range []string{`{"a":1,"a":2}`, `{"a":1,"a":1}`, `{"a":[{"a":1}],"b":2}`, `{`, `[]`, ``, `{"\u0061":1,"a":2}`, `{"a":1}{"a":2}`} {
		f.Add([]byte(seed))
	}
	exactly := func(a, b string) bool { return a == b }
	f.Fuzz(func(t *testing.T, body []byte) {
		contradicts := operation.Contradicts(body, exactly, "a")
		require.True(t, !contradicts || operation.Contradicts(body, strings.EqualFold, "a"))
		var last map[string]json.RawMessage
		if json.Unmarshal(body, &last) != nil || contradicts || last == nil {
			return
		}
		first, tokens := json.RawMessage(nil), json.NewDecoder(bytes.NewReader(body))
		_, err := tokens.Token()
		require.NoError(t, err)
		for first == nil && tokens.More() {
			name, err := tokens.Token()
			require.NoError(t, err)
			var value json.RawMessage
			require.NoError(t, tokens.Decode(&value))
			if name == "a" {
				first = value
			}
		}
		require.Equal(t, string(last["a"]), string(first))
	})
}
