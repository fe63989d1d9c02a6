package expression

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

const (
	// costLimit bounds one evaluation, in CEL's units: some 100,000 take 10 ms.
	costLimit = 50_000
	// timeLimit is a backstop, far beyond what a busy machine lets an evaluation wait: what
	// bounds that is its cost.
	timeLimit = 10 * time.Second
	// interruptEvery is how many elements of a list are visited between two looks at the time.
	interruptEvery = 1
)

// Type is what an expression must give.
type Type uint8

// The types.
const (
	// Value is anything that JSON can hold, as nil, bool, int64, uint64, float64,
	// string, []any or map[string]any. A timestamp becomes its RFC 3339 text, bytes
	// become base64.
	Value Type = iota
	// Bool is a bool.
	Bool
	// Text is a string; a whole number becomes its digits; nil for null.
	Text
	// Header is a Text, or a [Secret] as it is.
	Header
	// Time is a time.Time; nil for null.
	Time
	// Wait is a time.Duration, also given by a number of seconds; nil for null.
	Wait
)

// typeWords say what is allowed for each type.
var typeWords = [...]string{
	Value:  "a value that JSON can hold",
	Bool:   "true or false",
	Text:   "a string, a whole number or null",
	Header: "a string, a whole number, null or a secret alone",
	Time:   "a timestamp or null",
	Wait:   "a duration, a number of seconds or null",
}

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct {
	// Path is where it stands in its definition, such as "answer.status": for errors and
	// [Traced].
	Path    string
	text    string
	want    Type
	program cel.Program
	// names are the variables that it reads.
	names []string
	// loops says that it visits lists, whose length only an evaluation shows.
	loops bool
	// constant is the value of one that reads nothing and has a value.
	constant   any
	isConstant bool
}

// Text is the expression as it was written.
func (e *Expression) Text() string { return e.text }

// Reads reports whether the expression uses that variable, such as "text".
func (e *Expression) Reads(name string) bool { return e != nil && slices.Contains(e.names, name) }

// Eval is the expression's value. Its variables are those of its [Scope], by their
// whole names such as "operation.operation_id"; one that is a func() any is called
// when the evaluation reads it first. Its cost is bounded at some 10 ms of the processor. An
// optional without a value is nil.
// Every error is an *[EvalError].
func (e *Expression) Eval(ctx context.Context, vars map[string]any) (any, error) {
	value, err := e.eval(ctx, vars)
	if see, traced := ctx.Value(traceKey{}).(func(Evaluated)); traced {
		see(Evaluated{e.Path, e.text, value, err})
	}
	return value, err
}

func (e *Expression) eval(ctx context.Context, vars map[string]any) (any, error) {
	if e.isConstant {
		return e.constant, nil
	}
	result, err := e.run(ctx, vars)
	if err != nil {
		return nil, &EvalError{e.Path, reasonOf(err), err}
	}
	value, err := e.want.of(result)
	if err != nil {
		return nil, &EvalError{e.Path, err.Error(), err}
	}
	return value, nil
}

// EvalError says why an expression has no value.
type EvalError struct {
	// Path is the expression's.
	Path string
	// Reason repeats nothing of the variables.
	Reason string
	// Err is the cause. It may hold what an answer says, and no secret.
	Err error
}

// Error is the reason, and where the expression stands.
func (e *EvalError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

// Unwrap is the cause.
func (e *EvalError) Unwrap() error { return e.Err }

// reasons are the sentences for CEL's errors, by what their texts begin with.
var reasons = []struct{ begins, sentence string }{
	{"no such key", "a member is missing"},
	{"no such attribute", "a variable is missing"},
	{"no such overload", "a value is of another type than the expression expects"},
	{"operation cancelled", "it costs more than is allowed"},
	{"operation interrupted", "it takes longer than is allowed"},
}

func reasonOf(err error) string {
	for _, r := range reasons {
		if strings.HasPrefix(err.Error(), r.begins) {
			return r.sentence
		}
	}
	return "it can't be evaluated"
}

// Evaluated is one evaluation.
type Evaluated struct {
	Path, Text string
	Value      any
	Err        error
}

type traceKey struct{}

// Traced is ctx under which each evaluation is reported to see, for people who try a
// definition out.
func Traced(ctx context.Context, see func(Evaluated)) context.Context {
	return context.WithValue(ctx, traceKey{}, see)
}

func (e *Expression) run(ctx context.Context, vars map[string]any) (ref.Val, error) {
	if !e.loops {
		value, _, err := e.program.Eval(vars)
		return value, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	value, _, err := e.program.ContextEval(ctx, vars)
	return value, err
}

// accepts reports whether values of a static type may be of this one.
func (t Type) accepts(given *cel.Type) bool {
	switch given.Kind() { //nolint:exhaustive // no expression may give the others
	case types.DynKind, types.AnyKind:
		return true
	case types.NullTypeKind:
		return t != Bool
	case types.OpaqueKind:
		if given.TypeName() == "optional_type" {
			return t != Bool && t.accepts(given.Parameters()[0])
		}
		return t == Header && given.IsExactType(secretType)
	case types.BoolKind:
		return t == Bool || t == Value
	case types.StringKind:
		return t == Text || t == Header || t == Value
	case types.IntKind, types.UintKind:
		return t != Bool && t != Time
	case types.DoubleKind:
		return t == Wait || t == Value
	case types.TimestampKind:
		return t == Time || t == Value
	case types.DurationKind:
		return t == Wait
	case types.BytesKind, types.ListKind, types.MapKind:
		return t == Value
	}
	return false
}

// of is the Go value of a CEL value.
func (t Type) of(value ref.Val) (any, error) {
	if optional, ok := value.(*types.Optional); ok {
		if !optional.HasValue() {
			value = types.NullValue
		} else {
			value = optional.GetValue()
		}
	}
	if value == types.NullValue && t != Bool {
		return nil, nil
	}
	if t == Value {
		if weight(value) > costLimit {
			return nil, errors.New("the value is larger than is allowed")
		}
		return plain(value, maxDepth)
	}
	switch v := value.(type) {
	case types.Bool:
		if t == Bool {
			return bool(v), nil
		}
	case types.String:
		if t == Text || t == Header {
			return string(v), nil
		}
	case types.Int, types.Uint, types.Double:
		return t.ofNumber(v)
	case Secret:
		if t == Header {
			return v, nil
		}
	case types.Timestamp:
		if t == Time {
			return v.Time.UTC(), nil
		}
	case types.Duration:
		if t == Wait {
			return v.Duration, nil
		}
	}
	return nil, t.mismatch(value)
}

func (t Type) mismatch(value ref.Val) error {
	return fmt.Errorf("the value is %s; allowed: %s", typesInWords(value.Type().TypeName()), typeWords[t])
}

func (t Type) ofNumber(value ref.Val) (any, error) {
	if t == Wait {
		return seconds(value)
	}
	if t == Bool || t == Time {
		return nil, t.mismatch(value)
	}
	switch v := value.(type) {
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), nil
	}
	return nil, t.mismatch(value)
}

// longestWait is longer than any wait that is kept.
const longestWait = 1000 * time.Hour

func seconds(value ref.Val) (any, error) {
	n, ok := value.ConvertToType(types.DoubleType).(types.Double)
	if !ok || math.IsNaN(float64(n)) {
		return nil, errors.New("the number of seconds can't be read")
	}
	return time.Duration(min(max(float64(n), 0), longestWait.Seconds()) * float64(time.Second)), nil
}

// plain is a value as JSON can hold it, at most depth levels deep.
func plain(value ref.Val, depth int) (any, error) {
	if depth < 0 {
		return nil, fmt.Errorf("the value is deeper than %d levels", maxDepth)
	}
	switch v := value.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		return uint64(v), nil
	case types.Double:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, errors.New("the value is a number that JSON can't hold")
		}
		return float64(v), nil
	case types.String:
		return string(v), nil
	case types.Bytes:
		return base64.StdEncoding.EncodeToString(v), nil
	case types.Timestamp:
		return v.UTC().Format(time.RFC3339Nano), nil
	case *types.Optional:
		if !v.HasValue() {
			return nil, nil
		}
		return plain(v.GetValue(), depth)
	case traits.Mapper:
		return plainObject(v, depth-1)
	case traits.Lister:
		return plainList(v, depth-1)
	}
	return nil, Value.mismatch(value)
}

func plainObject(object traits.Mapper, depth int) (any, error) {
	plainly := map[string]any{}
	for names := object.Iterator(); names.HasNext() == types.True; {
		name := names.Next()
		text, ok := name.(types.String)
		if !ok {
			return nil, errors.New("the value has an object with a key that is not a string")
		}
		member, err := plain(object.Get(name), depth)
		if err != nil {
			return nil, err
		}
		plainly[string(text)] = member
	}
	return plainly, nil
}

func plainList(list traits.Lister, depth int) (any, error) {
	plainly := []any{}
	for elements := list.Iterator(); elements.HasNext() == types.True; {
		element, err := plain(elements.Next(), depth)
		if err != nil {
			return nil, err
		}
		plainly = append(plainly, element)
	}
	return plainly, nil
}
