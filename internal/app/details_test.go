package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/internal/source"
)

// What stands in front of a core answers 404 to anything while the core is away.
func TestOnlyTheCoreItselfSaysThatItKnowsNoSuchOperation(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  source.Error
		want operation.Problem
	}{
		"the core's own words":     {source.Error{Kind: source.NotFound, FromCore: true}, operation.ProblemNotFound},
		"a proxy's 404":            {source.Error{Kind: source.NotFound}, operation.ProblemUnavailable},
		"the core can't read this": {source.Error{Kind: source.Malformed, FromCore: true}, operation.ProblemUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refused *operation.Error
			require.ErrorAs(t, sourceError("bank", &row.err), &refused)
			require.Equal(t, row.want, refused.Problem)
		})
	}
}
