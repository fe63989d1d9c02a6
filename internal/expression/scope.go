package expression

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"ringback/internal/operation"
)

const (
	// maxText bounds an expression's text, in characters.
	maxText = 4096
	// maxNodes bounds its parts, those of the macros included.
	maxNodes = 2000
	// maxNesting bounds how deep they stand in each other.
	maxNesting = 50
)

// Scope is what an expression may use: its variables. The functions are the same in all:
// CEL's own, its extensions for strings, encoders and math, optionals, and unix, hmac,
// hex and json. It compiles one expression at a time: the checker of cel-go sets its
// catalog of names, at the first unknown one, without a lock.
type Scope struct {
	env *cel.Env
	// names are the variables, for messages.
	names []string
}

// variables are names with their types, in the order of messages.
type variables []struct {
	name string
	kind *cel.Type
}

var (
	anyByName = cel.MapType(cel.StringType, cel.DynType)

	methodVariable = variables{{"operation.method", cel.StringType}}
	// operationVariables are those that a callback knows of its operation.
	operationVariables = variables{
		{"operation.operation_id", cel.StringType},
		{"operation.reference.order_id", cel.StringType},
		// registered_at is a timestamp or null.
		{"operation.reference.registered_at", cel.DynType},
	}
	// answerVariables: the values of http.headers are strings. They are declared as
	// any value so that .orValue(null) fits them.
	answerVariables = variables{
		{"http.status", cel.IntType}, {"http.headers", anyByName}, {"body", cel.DynType}, {"text", cel.StringType},
	}
	sentVariables = variables{
		{"request.method", cel.StringType}, {"request.target", cel.StringType}, {"request.body", cel.StringType},
		{"request.timestamp", cel.TimestampType}, {"request.nonce", cel.StringType},
	}
	callbackVariables = variables{
		{"operation.endpoint", cel.StringType}, {"status", cel.StringType}, {"final", cel.BoolType},
		{"observed_at", cel.TimestampType}, {"keep", anyByName}, {"callback_id", cel.StringType},
	}
	signatureVariables = variables{{"timestamp", cel.StringType}, {"id", cel.StringType}, {"body", cel.StringType}}
)

// RequestScope is for the path, query and body of a source's request.
func RequestScope(secrets []string) *Scope {
	return newScope(secrets, operationVariables, methodVariable)
}

// HeaderScope is for the headers of a source's request, which are made last.
func HeaderScope(secrets []string) *Scope {
	return newScope(secrets, operationVariables, methodVariable, sentVariables)
}

// AnswerScope is for what a core answers.
func AnswerScope() *Scope { return newScope(nil, answerVariables, operationVariables, methodVariable) }

// CallbackScope is for the body of a callback.
func CallbackScope() *Scope { return newScope(nil, callbackVariables, operationVariables) }

// CallbackHeaderScope is for the headers of a callback.
func CallbackHeaderScope(secrets []string) *Scope {
	return newScope(secrets, callbackVariables, operationVariables)
}

// SignatureScope is for the text that a signature is over.
func SignatureScope() *Scope { return newScope(nil, signatureVariables) }

// JudgementScope is for what a receiver answers.
func JudgementScope() *Scope { return newScope(nil, answerVariables, operationVariables) }

// SignatureHeaderScope is for the header that signatures are sent in.
func SignatureHeaderScope() *Scope {
	return newScope(nil, variables{{"timestamp", cel.StringType}, {"id", cel.StringType}, {"signatures", cel.ListType(cel.StringType)}})
}

func newScope(secrets []string, declared ...variables) *Scope {
	var options []cel.EnvOption
	s := &Scope{}
	add := func(name string, kind *cel.Type) {
		options = append(options, cel.Variable(name, kind))
		s.names = append(s.names, name)
	}
	for _, group := range declared {
		for _, v := range group {
			add(v.name, v.kind)
		}
	}
	for _, name := range secrets {
		add("secret."+name, secretType)
	}
	var err error
	if s.env, err = language().Extend(options...); err != nil {
		panic("expression: " + err.Error()) // the names of secrets are checked before
	}
	return s
}

// language is what all scopes share.
var language = sync.OnceValue(func() *cel.Env {
	env, err := cel.NewEnv(
		ext.Strings(ext.StringsVersion(4), ext.StringsMaxPrecision(100)), ext.Encoders(), ext.Math(), cel.OptionalTypes(),
		cel.DefaultUTCTimeZone(true), cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxText), cel.ExpressionNodeLimit(maxNodes), cel.ParserRecursionLimit(maxNesting),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		cel.Function("unix", cel.Overload("unix_timestamp", []*cel.Type{cel.TimestampType}, cel.IntType,
			cel.UnaryBinding(func(at ref.Val) ref.Val { return types.Int(at.(types.Timestamp).Unix()) }))),
		cel.Function("hex", cel.Overload("hex_bytes", []*cel.Type{cel.BytesType}, cel.StringType,
			cel.UnaryBinding(func(octets ref.Val) ref.Val { return types.String(hex.EncodeToString(octets.(types.Bytes))) }))),
		cel.Function("json", cel.Overload("json_dyn", []*cel.Type{cel.DynType}, cel.StringType, cel.UnaryBinding(jsonText))),
		cel.Function("hmac", cel.Overload("hmac_secret_string_string", []*cel.Type{secretType, cel.StringType, cel.StringType}, cel.BytesType,
			cel.FunctionBinding(hmacOf))),
		inOrderFunction,
	)
	if err != nil {
		panic("expression: " + err.Error()) // nothing of it depends on input
	}
	return env
})

// hashes are those of hmac, by name.
var hashes = map[string]func() hash.Hash{"sha256": sha256.New, "sha512": sha512.New}

const hashNames = "sha256 or sha512"

func hmacOf(args ...ref.Val) ref.Val {
	newHash, known := hashes[string(args[1].(types.String))]
	if !known {
		return types.NewErr("hmac's second argument must be %s", hashNames)
	}
	sum := hmac.New(newHash, []byte(args[0].(Secret).Reveal()))
	sum.Write([]byte(args[2].(types.String)))
	return types.Bytes(sum.Sum(nil))
}

func jsonText(value ref.Val) ref.Val {
	plainly, err := plain(value, maxDepth)
	if err != nil {
		return types.WrapErr(err)
	}
	text, err := EncodeJSON(plainly)
	if err != nil {
		return types.WrapErr(err)
	}
	return types.String(text)
}

// Compile compiles text, whose value must be of type want.
func (s *Scope) Compile(text string, want Type) (*Expression, *Fault) {
	ast, issues := s.env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, s.faultOf(text, issues)
	}
	e := &Expression{text: text, want: want}
	if fault := s.inspect(ast, e); fault != nil {
		return nil, fault
	}
	if !want.accepts(ast.OutputType()) {
		return nil, &Fault{Line: 1, Column: 1, Detail: fmt.Sprintf("the value is %s; allowed: %s", typesInWords(cel.FormatCELType(ast.OutputType())), typeWords[want])}
	}
	estimate, err := s.env.EstimateCost(ast, meter{})
	if err != nil || estimate.Max > costLimit {
		return nil, &Fault{Line: 1, Column: 1, Detail: fmt.Sprintf("the expression may cost %d steps where lists have %d elements and texts %d characters; allowed: %d", estimate.Max, assumed, assumed, costLimit)}
	}
	if e.loops {
		if ast, err = s.order(ast); err != nil {
			return nil, &Fault{Line: 1, Column: 1, Detail: err.Error()}
		}
	}
	m := meter{sizes: map[string]int{}}
	e.program, err = s.env.Program(ast, cel.CustomDecoratorV2(equality), cel.OptimizeRegex(m.patterns()), guarded(),
		cel.CostTracking(m), cel.CostLimit(costLimit), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil, &Fault{Line: 1, Column: 1, Detail: err.Error()}
	}
	if len(e.names) == 0 {
		e.constant, err = e.eval(context.Background(), nil)
		e.isConstant = err == nil
	}
	return e, nil
}

// secretName is what a secret is called in expressions.
var secretName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// HeaderValues is the variable http.headers: each header's first value, by its name in
// lower case.
func HeaderValues(header http.Header) map[string]string {
	first := make(map[string]string, len(header))
	for name := range header {
		first[strings.ToLower(name)] = header.Get(name)
	}
	return first
}

// OperationVariables are the operation's variables, with room for so many more.
func OperationVariables(q operation.Query, more int) map[string]any {
	vars := make(map[string]any, 4+more)
	vars["operation.operation_id"] = q.OperationID
	vars["operation.method"] = q.Method
	vars["operation.reference.order_id"] = q.Reference.OrderID
	vars["operation.reference.registered_at"] = nil
	if at := q.Reference.RegisteredAt; at != nil {
		vars["operation.reference.registered_at"] = at.Time
	}
	return vars
}
