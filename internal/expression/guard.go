package expression

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// CEL adds up what a call cost after it was made. That is too late where the work grows
// with the product of the arguments' sizes, so these calls are judged before.

const (
	// maxSteps bounds the bytes that one such call writes or compares.
	maxSteps = 1 << 20
	// maxPatternSteps bounds a text's length times the size of the pattern's program:
	// each step takes about 10 ns.
	maxPatternSteps = 1 << 19
)

// steps are how much work such calls do, at most, by the function's name.
var steps = map[string]func(args []ref.Val) int{
	"replace":     func(args []ref.Val) int { return (length(args[0]) + 1) * (length(args[2]) + 1) },
	"indexOf":     search,
	"lastIndexOf": search,
	"join": func(args []ref.Val) int {
		separator := 0
		if len(args) > 1 {
			separator = length(args[1])
		}
		return lengths(args[0], separator)
	},
	"format":        func(args []ref.Val) int { return length(args[0]) + visited(args[1:]) },
	"json":          twice,
	"strings.quote": twice,
	"hex":           twice,
	"base64.encode": twice,
	"math.@max":     visited,
	"math.@min":     visited,
	operators.In:    visited,
	// Texts are charged by their length. What a list of lists holds is counted nowhere.
	operators.Add: func(args []ref.Val) int { return elements(args[0]) + elements(args[1]) },
}

// search compares each place of a text with all of another one.
func search(args []ref.Val) int { return (length(args[0]) + 1) * (length(args[1]) + 1) }

// visited is the size of everything that the arguments hold.
func visited(args []ref.Val) (sum int) {
	for _, arg := range args {
		one := weight(arg)
		if one >= costLimit {
			return maxSteps + 1
		}
		sum += int(one) * charactersForOne
	}
	return sum
}

func twice(args []ref.Val) int { return 2 * visited(args) }

// elements is the length of a list, as steps.
func elements(value ref.Val) int {
	list, ok := value.(traits.Lister)
	if !ok {
		return 0
	}
	size, _ := list.Size().(types.Int)
	return int(size) * charactersForOne
}

// length is that of a string, in bytes.
func length(value ref.Val) int {
	text, _ := value.(types.String)
	return len(text)
}

// lengths is the sum of those of a list's strings, each with a separator.
func lengths(value ref.Val, separator int) (sum int) {
	list, ok := value.(traits.Lister)
	if !ok {
		return 0
	}
	for elements := list.Iterator(); elements.HasNext() == types.True && sum <= maxSteps; {
		sum += length(elements.Next()) + separator
	}
	return sum
}

// guarded are the language's functions of steps, each judged before it is called.
var guarded = sync.OnceValue(func() cel.ProgramOption {
	var all []*functions.Overload
	for name, steps := range steps {
		overloads, err := language().Functions()[name].Bindings()
		if err != nil {
			panic("expression: " + err.Error()) // nothing of it depends on input
		}
		for _, overload := range overloads {
			all = append(all, guard(name, *overload, steps))
		}
	}
	return cel.Functions(all...) //nolint:staticcheck // Function can't replace what a library declared
})

// tooLong begins as CEL's own error of a cost above the limit.
func tooLong(function string) ref.Val {
	return types.NewErr("operation cancelled: %s: its arguments are too long", function)
}

func guard(name string, overload functions.Overload, steps func([]ref.Val) int) *functions.Overload {
	unary, binary, variadic := overload.Unary, overload.Binary, overload.Function
	judge := func(args ...ref.Val) ref.Val {
		if steps(args) > maxSteps {
			return tooLong(name)
		}
		return nil
	}
	if unary != nil {
		overload.Unary = func(arg ref.Val) ref.Val {
			if fault := judge(arg); fault != nil {
				return fault
			}
			return unary(arg)
		}
	}
	if binary != nil {
		overload.Binary = func(a, b ref.Val) ref.Val {
			if fault := judge(a, b); fault != nil {
				return fault
			}
			return binary(a, b)
		}
	}
	if variadic != nil {
		overload.Function = func(args ...ref.Val) ref.Val {
			if fault := judge(args...); fault != nil {
				return fault
			}
			return variadic(args...)
		}
	}
	return &overload
}

// patterns compiles the literal of each call of matches once, and bounds the call.
func (m meter) patterns() *interpreter.RegexOptimization {
	return &interpreter.RegexOptimization{Function: "matches", RegexIndex: 1, Factory: m.pattern}
}

func (m meter) pattern(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
	size, err := types.RegexProgramSize(pattern)
	if err != nil {
		return nil, fmt.Errorf("the pattern can't be read: %w", err)
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("the pattern can't be read: %w", err)
	}
	m.sizes[pattern] = size
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		text, ok := args[0].(types.String)
		if !ok {
			return types.NoSuchOverloadErr()
		}
		if len(text)*size > maxPatternSteps {
			return tooLong(call.Function())
		}
		return types.Bool(compiled.MatchString(string(text)))
	}), nil
}

// equality judges the comparisons, which the language does without a function of steps.
// One with a literal visits no more than that.
func equality(node interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := node.(interpreter.InterpretableCall)
	if !ok || call.Function() != operators.Equals && call.Function() != operators.NotEquals {
		return node, nil
	}
	if call.Function() == operators.Equals && slices.ContainsFunc(call.Args(), isLiteral) {
		return node, nil
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		if visited(args) > maxSteps {
			return tooLong(call.Function())
		}
		equal := types.Equal(args[0], args[1])
		if types.IsError(equal) || call.Function() == operators.Equals {
			return equal
		}
		return types.Bool(equal != types.True)
	}), nil
}

func isLiteral(node interpreter.InterpretableV2) bool {
	_, literal := node.(interpreter.InterpretableConst)
	return literal
}

// assumed is what a core is taken to answer when an expression's cost is estimated:
// lists of so many elements, texts of so many characters.
const assumed = 50

// meter says what calls cost: before an evaluation as CEL does, in one by what they visit.
type meter struct {
	// sizes are those of the patterns' programs.
	sizes map[string]int
}

// EstimateSize implements [cost.Estimator].
func (meter) EstimateSize(cost.AstNode) *cost.SizeEstimate {
	return &cost.SizeEstimate{Min: 0, Max: assumed}
}

// EstimateCallCost implements [cost.Estimator]: as CEL does.
func (meter) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// constant are the functions that visit nothing of the lists and objects they are given.
var constant = []string{
	operators.Add, operators.Index, operators.OptIndex, operators.OptSelect, "size", "dyn", "type",
	"or", "orValue", "value", "hasValue", "optional.of", "optional.ofNonZeroValue",
}

// CallCost implements [cost.ActualCostEstimator].
func (m meter) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	visits := weight
	if slices.Contains(constant, function) {
		visits = weightOfText
	}
	total := 1 + visits(result)
	for _, arg := range args {
		total += visits(arg)
	}
	if len(args) > 1 && strings.HasPrefix(function, "get") {
		total += timeZone
	}
	switch function {
	case "matches":
		pattern, _ := args[1].(types.String)
		total += uint64(length(args[0]) * m.sizes[string(pattern)] / patternStepsForOne)
	case "indexOf", "lastIndexOf":
		total += uint64(search(args) / searchStepsForOne)
	}
	return &total
}

const (
	// timeZone is the cost of reading one, for getHours('Europe/Kyiv') and the like.
	timeZone = 500
	// charactersForOne is how many characters are visited for one unit of cost.
	charactersForOne = 16
	// patternStepsForOne and searchStepsForOne are the same for steps of a pattern's
	// program and for comparisons of a search.
	patternStepsForOne, searchStepsForOne = 20, 64
)

func weightOfText(value ref.Val) uint64 { return uint64(length(value)) / charactersForOne }

// weight is what it costs to visit a value. Where that is more than any evaluation may
// cost, it is at least costLimit.
func weight(value ref.Val) uint64 {
	const ofValue = 2
	switch v := value.(type) {
	case types.String:
		return uint64(len(v)) / charactersForOne
	case types.Bytes:
		return uint64(len(v)) / charactersForOne
	case *types.Optional:
		if v.HasValue() {
			return weight(v.GetValue())
		}
	case traits.Lister:
		total := uint64(0)
		for elements := v.Iterator(); elements.HasNext() == types.True && total <= costLimit; {
			total += ofValue + weight(elements.Next())
		}
		return total
	case traits.Mapper:
		total := uint64(0)
		for names := v.Iterator(); names.HasNext() == types.True && total <= costLimit; {
			name := names.Next()
			total += ofValue + weight(name) + weight(v.Get(name))
		}
		return total
	}
	return 0
}
