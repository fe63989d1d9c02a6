package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
)

// Next is Operation as a later version has it that commands something else from
// its begin on, behind a predicate as CONTRIBUTING.md wants it.
func Next(ctx workflow.Context, in Input) (operation.Record, error) {
	if saysSo(ctx) {
		workflow.SideEffect(ctx, func(workflow.Context) any { return "the next version" })
	}
	return Operation(ctx, in)
}

func saysSo(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "says-so", workflow.DefaultVersion, 1) == 1
}
