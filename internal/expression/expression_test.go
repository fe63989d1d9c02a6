package expression_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/expression"
)

func TestAnExpressionGivesPlainValues(t *testing.T) {
	t.Parallel()
	body, err := expression.DecodeJSON([]byte(`{"id":9007199254740993,"unsigned":18446744073709551615,"huge":123456789012345678901234567890,` +
		`"status":"done","fraction":200.0,"none":null,"list":[1,"a",{"b":2.5}],"at":"2026-11-30T12:00:00+02:00","wait":7}`))
	require.NoError(t, err)
	vars := map[string]any{
		"body": body, "text": "hello", "http.status": 200, "http.headers": map[string]string{"retry-after": "7"},
		"operation.operation_id": "9007199254740993", "operation.reference.registered_at": nil,
	}
	at := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	failed := func(reason string) error { return &expression.EvalError{Reason: reason} }
	for _, tt := range []struct {
		text string
		want expression.Type
		// is is the value, or the error.
		is any
	}{
		{`body.id`, expression.Text, "9007199254740993"},
		{`string(body.id) == operation.operation_id`, expression.Bool, true},
		{`body.id == 9007199254740992`, expression.Bool, false},
		{`body.unsigned`, expression.Text, "18446744073709551615"},
		{`body.huge`, expression.Text, "123456789012345678901234567890"},
		{`body.fraction`, expression.Text, failed("the value is a fractional number; allowed: a string, a whole number or null")},
		{`body.fraction`, expression.Value, 200.0},
		{`body.status == 'done' && http.status == 200`, expression.Bool, true},
		{`body.missing`, expression.Text, failed("a member is missing")},
		{`body.?missing`, expression.Text, nil},
		{`body.?status`, expression.Text, "done"},
		{`body.none`, expression.Text, nil},
		{`body.?missing.orValue(null)`, expression.Value, nil},
		{`http.headers.?missing.orValue(null)`, expression.Value, nil},
		{`int(http.headers['retry-after'])`, expression.Wait, 7 * time.Second},
		{`body.wait`, expression.Wait, 7 * time.Second},
		{`duration('1m')`, expression.Wait, time.Minute},
		{`-5`, expression.Wait, time.Duration(0)},
		{`1e300`, expression.Wait, 1000 * time.Hour},
		{`body.list`, expression.Value, []any{int64(1), "a", map[string]any{"b": 2.5}}},
		{`json(body.list)`, expression.Text, `[1,"a",{"b":2.5}]`},
		{`bytes('ab')`, expression.Value, "YWI="},
		{`timestamp(body.at)`, expression.Time, at},
		{`timestamp(body.at)`, expression.Value, "2026-11-30T10:00:00Z"},
		{`unix(timestamp(body.at))`, expression.Value, at.Unix()},
		{`operation.reference.registered_at`, expression.Time, nil},
		{`body.list.exists(x, x == 'a')`, expression.Bool, true},
		{`body.status`, expression.Bool, failed("the value is a string; allowed: true or false")},
		{`body.status.matches('^d') && text.contains('ell')`, expression.Bool, true},
		{`body.id.contains('a')`, expression.Bool, failed("a value is of another type than the expression expects")},
		{`int(body.status)`, expression.Value, failed("it can't be evaluated")},
		{`{1: 2}`, expression.Value, failed("the value has an object with a key that is not a string")},
		{`double('NaN')`, expression.Value, failed("the value is a number that JSON can't hold")},
		{`body.list.map(a, 'x').size() == 3 && text.split('').exists(a, text.split('').exists(b, b == '!'))`, expression.Bool, false},
	} {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			e, fault := expression.AnswerScope().Compile(tt.text, tt.want)
			require.Nil(t, fault)
			got, err := e.Eval(t.Context(), vars)
			if wanted, fails := tt.is.(error); fails {
				require.EqualError(t, err, wanted.Error())
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.is, got)
		})
	}
}

func TestAnEvaluationThatIsTooMuchSaysSo(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`text.split('').map(c, c + c).size() == 3`, `text.replace('', text) == ''`, `text.matches('(x+x+)+y')`,
		`json(json(json(json(json(json(operation.operation_id + text)))))) == ''`,
		`operation.operation_id` + strings.Repeat(`.replace('', 'aaaaaaaa')`, 20) + ` == ''`,
	} {
		e, fault := expression.AnswerScope().Compile(text, expression.Bool)
		require.Nil(t, fault)
		_, err := e.Eval(t.Context(), hostileVariables())
		require.EqualError(t, err, "it costs more than is allowed", text)
	}
}

func TestABusyMachineFailsNoEvaluation(t *testing.T) {
	t.Parallel()
	e, fault := expression.AnswerScope().Compile(`[1, 2].all(x, x < 3 && text == 'a')`, expression.Bool)
	require.Nil(t, fault)
	got, err := e.Eval(t.Context(), map[string]any{"text": func() any {
		<-time.After(30 * time.Millisecond) // as long as other programs may take the processor
		return "a"
	}})
	require.NoError(t, err)
	require.Equal(t, true, got)
}

func TestMapsAreVisitedInTheOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	vars := map[string]any{
		"keep": map[string]string{"d": "4", "a": "1", "c": "3", "b": "2"}, "final": true, "status": "s",
		"operation.reference.registered_at": map[string]any{"z": map[string]any{"y": 1, "x": 2}, "b": nil, "a": nil},
	}
	for text, want := range map[string]any{
		`keep.map(k, k + '=' + keep[k]).join('&')`:                                             "a=1&b=2&c=3&d=4",
		`keep.filter(k, k != 'b').map(k, k).join()`:                                            "acd",
		`dyn(keep).map(k, k).join()`:                                                           "abcd",
		`{'y': 1, 'x': 2, 'z': 3}.map(k, k).join()`:                                            "xyz",
		`{'y': 1, 'x': 2, 'z': 3}.map(k, k != 'x', k).join()`:                                  "yz",
		`(final ? {'y': 1, 'x': 2, 'z': 3} : {}).map(k, k).join()`:                             "xyz",
		`operation.reference.registered_at.map(k, k).join()`:                                   "abz",
		`operation.reference.registered_at.z.map(k, k).join()`:                                 "xy",
		`[keep, keep].map(m, m.map(k, k + m[k]).join()).join()`:                                "a1b2c3d4a1b2c3d4",
		`[1].map(status, keep.map(k, k + .status).join()).join()`:                              "asbscsds",
		`{2: 'b', 'x': 'd', 1u: 'a', true: 'c', 1.5: 'e'}.map(k, string(k)).join()`:            "true11.52x",
		`optional.of(keep).optMap(m, m.map(k, k).join()).orValue('')`:                          "abcd",
		`[keep].exists_one(m, m.exists(k, k == 'd')) && keep.all(k, has(keep.a)) ? 'yes' : ''`: "yes",
		`'%s'.format([keep])`: "{a: 1, b: 2, c: 3, d: 4}",
		`json(keep)`:          `{"a":"1","b":"2","c":"3","d":"4"}`,
	} {
		e, fault := expression.CallbackScope().Compile(text, expression.Text)
		require.Nil(t, fault, text)
		for range 100 {
			got, err := e.Eval(t.Context(), vars)
			require.NoError(t, err, text)
			require.Equal(t, want, got, text)
		}
	}
}

func TestATracedEvaluationIsReported(t *testing.T) {
	t.Parallel()
	e, fault := expression.AnswerScope().Compile("body.id", expression.Text)
	require.Nil(t, fault)
	e.Path = "answer.about"
	var seen []expression.Evaluated
	ctx := expression.Traced(t.Context(), func(one expression.Evaluated) { seen = append(seen, one) })
	_, err := e.Eval(ctx, map[string]any{"body": map[string]any{"id": int64(42)}})
	require.NoError(t, err)
	_, err = e.Eval(ctx, map[string]any{"body": map[string]any{}})
	require.Error(t, err)
	require.Equal(t, []expression.Evaluated{{"answer.about", "body.id", "42", nil}, {"answer.about", "body.id", nil, err}}, seen)
}

func TestASecretIsHandedOnAndNeverShown(t *testing.T) {
	t.Parallel()
	scope := expression.HeaderScope([]string{"token"})
	vars := map[string]any{"secret.token": expression.NewSecret("key"), "request.body": "The quick brown fox jumps over the lazy dog"}
	alone, fault := scope.Compile("secret.token", expression.Header)
	require.Nil(t, fault)
	got, err := alone.Eval(t.Context(), vars)
	require.NoError(t, err)
	secret, ok := got.(expression.Secret)
	require.True(t, ok)
	require.Equal(t, "key", secret.Reveal())
	marshalled, err := json.Marshal(struct{ S expression.Secret }{secret})
	require.NoError(t, err)
	for _, shown := range []string{
		fmt.Sprint(secret), fmt.Sprintf("%+v %#v %q %x", secret, secret, secret, secret), fmt.Sprintf("%v", struct{ S any }{secret}), string(marshalled),
	} {
		require.Contains(t, shown, "[redacted]")
		require.NotContains(t, shown, "key")
	}

	// The published vectors of HMAC_SHA256 and HMAC_SHA512 ("key", "The quick brown fox…").
	for hash, want := range map[string]string{
		"sha256": "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
		"sha512": "b42af09057bac1e2d41708e48a902e09b5ff7f12ab428a4fe86653c73dd248fb82f948a549f7b791a5b41915ee4d1ec3935357e4e2317250d0372afa2ebeeb3a",
	} {
		e, fault := scope.Compile("hex(hmac(secret.token, '"+hash+"', request.body))", expression.Header)
		require.Nil(t, fault)
		got, err := e.Eval(t.Context(), vars)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}

	// What reaches a secret where its type is known only at the evaluation fails there.
	for _, text := range []string{"string(body.s)", "json(body)", "body.s == body.s ? 'a' : 'b'", "body.s + 'a'", "'%s'.format([body.s])", "body.s"} {
		e, fault := expression.AnswerScope().Compile(text, expression.Value)
		require.Nil(t, fault)
		got, err := e.Eval(t.Context(), map[string]any{"body": map[string]any{"s": secret}})
		require.Error(t, err, text)
		require.Nil(t, got)
		require.NotContains(t, fmt.Sprintf("%v %+v", err, err), "key")
	}
}

func TestABodyIsWrittenInFileOrder(t *testing.T) {
	t.Parallel()
	text := func(s string) expression.Node { return expression.Node{Text: &s} }
	body := expression.Node{Object: []expression.Member{
		{Name: "z", Value: text("status")},
		{Name: "a", Value: expression.Node{Literal: json.Number("1.50")}},
		{Name: "none", Value: text("keep.?code.orValue(null)")},
		{Name: "null", Value: expression.Node{}},
		{Name: "list", Value: expression.Node{List: []expression.Node{{}, text("final"), {Literal: true}, {List: []expression.Node{}}}}},
		{Name: "inner", Value: expression.Node{Object: []expression.Member{{Name: "left <out>", Value: text("null")}}}},
		{Name: "map", Value: text(`{'b': 1, 'a': '<&>'}`)},
	}}
	var faults expression.Faults
	tree := faults.Tree(expression.CallbackScope(), "json", body)
	require.Empty(t, faults)
	require.True(t, tree.Reads("keep"))
	require.False(t, tree.Reads("callback_id"))
	vars := map[string]any{"status": "done", "final": true, "keep": map[string]string{}}
	for range 3 {
		written, err := tree.JSON(t.Context(), vars)
		require.NoError(t, err)
		require.Equal(t, `{"z":"done","a":1.50,"list":[null,true,true,[]],"inner":{},"map":{"a":"<&>","b":1}}`, string(written)) //nolint:testifylint // byte for byte
	}
	_, err := tree.JSON(t.Context(), map[string]any{"final": true, "keep": map[string]string{}})
	require.EqualError(t, err, "json.z: a variable is missing")

	faults.Tree(expression.CallbackScope(), "json", expression.Node{Object: []expression.Member{
		{Name: "a", Value: text("nope")}, {Name: "b", Value: expression.Node{List: []expression.Node{text("1"), text("secret.token")}}}, {Name: "a", Value: text("1")},
	}})
	require.Len(t, faults, 3)
	require.Equal(t, []string{"json.a", "json.b[1]", "json.a"}, []string{faults[0].Path, faults[1].Path, faults[2].Path})
}

func TestFieldsAreEscapedInFileOrder(t *testing.T) {
	t.Parallel()
	text := func(s string) expression.Node { return expression.Node{Text: &s} }
	var faults expression.Faults
	fields := faults.Fields(expression.CallbackScope(), "form", expression.Members{
		{Name: "z", Value: text("status")}, {Name: "a b", Value: text("'x&y=z'")}, {Name: "n", Value: expression.Node{Literal: json.Number("1.50")}},
		{Name: "b", Value: expression.Node{Literal: true}}, {Name: "none", Value: expression.Node{}}, {Name: "t", Value: text("unix(observed_at)")},
	}, expression.Text)
	require.Empty(t, faults)
	form, err := fields.Form(t.Context(), map[string]any{"status": "їжак", "observed_at": time.Unix(1596014146, 0)})
	require.NoError(t, err)
	require.Equal(t, "z=%D1%97%D0%B6%D0%B0%D0%BA&a+b=x%26y%3Dz&n=1.50&b=true&t=1596014146", form)
}

func TestDecodeJSONRefusesWhatIsAmbiguousOrTooMuch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, data, says string }{
		{"nothing", ``, "not JSON"},
		{"two values", `1 2`, "not JSON"},
		{"half an object", `{"a":`, "not JSON"},
		{"a comma too many", `[1,]`, "not JSON"},
		{"a member twice, with different values", `{"a":1,"b":{"c":1,"c":2}}`, "JSON with a member twice, of different values"},
		{"a member twice, once as text", `{"a":1,"a":"1"}`, "JSON with a member twice, of different values"},
		{"a member twice, by an escape", `{"a":1,"\u0061":2}`, "JSON with a member twice, of different values"},
		{"a member twice, with the same value", `{"a":{"b":[1]},"a":{"b":[1]}}`, ""},
		{"names that differ in case", `{"a":1,"A":2}`, ""},
		{"64 levels", strings.Repeat("[", 64) + strings.Repeat("]", 64), ""},
		{"65 levels", strings.Repeat("[", 65) + strings.Repeat("]", 65), "JSON deeper than 64 levels"},
		{"5000 values", "[" + strings.Repeat("1,", 4998) + "1]", ""},
		{"5001 values", "[" + strings.Repeat("1,", 4999) + "1]", "JSON of more than 5000 values"},
		{"a number out of range", `1e999`, "JSON with a number out of range"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := expression.DecodeJSON([]byte(tt.data))
			if tt.says == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tt.says)
		})
	}
}
