package expression

import (
	"cmp"
	"slices"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// inOrder is a function that no text can name. What loops visit is its result: of a map
// its keys, sorted, and everything else as it is. A map of Go has no order, and the same
// variables must give the same bytes.
const inOrder = "@inOrder"

var inOrderFunction = cel.Function(inOrder, cel.Overload("in_order_dyn", []*cel.Type{cel.DynType}, cel.DynType, cel.UnaryBinding(sorted)))

func sorted(value ref.Val) ref.Val {
	object, ok := value.(traits.Mapper)
	if !ok {
		return value
	}
	var keys []ref.Val
	for all := object.Iterator(); all.HasNext() == types.True; {
		keys = append(keys, all.Next())
	}
	slices.SortFunc(keys, func(a, b ref.Val) int {
		if order, same := a.(traits.Comparer).Compare(b).(types.Int); same {
			return int(order)
		}
		return cmp.Compare(kindOf(a), kindOf(b))
	})
	return types.NewRefValList(types.DefaultTypeAdapter, keys)
}

// kindOf is the same for all keys that compare as numbers.
func kindOf(key ref.Val) string {
	if _, unsigned := key.(types.Uint); unsigned {
		return types.IntType.TypeName()
	}
	return key.Type().TypeName()
}

// ordered wraps what loops visit in inOrder, where that may be a map.
type ordered struct{}

// Optimize implements [cel.ASTOptimizer].
func (ordered) Optimize(ctx *cel.OptimizerContext, ast *celast.AST) *celast.AST {
	for _, loop := range celast.MatchDescendants(celast.NavigateAST(ast), celast.KindMatcher(celast.ComprehensionKind)) {
		visited := loop.AsComprehension().IterRange()
		if ast.GetType(visited.ID()).Kind() != types.ListKind {
			ctx.UpdateExpr(visited, ctx.NewCall(inOrder, ctx.CopyASTAndMetadata(ctx.NewAST(visited))))
		}
	}
	return ast
}

// order is the expression with its loops in order.
func (s *Scope) order(ast *cel.Ast) (*cel.Ast, error) {
	optimizer, err := cel.NewStaticOptimizer(ordered{})
	if err != nil {
		return nil, err //nolint:wrapcheck // nothing of it depends on input
	}
	inOrder, issues := optimizer.Optimize(s.env, ast)
	return inOrder, issues.Err()
}
