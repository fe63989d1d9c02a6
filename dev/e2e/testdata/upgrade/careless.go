package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
)

// Next is Operation as a later version has it that commands something else from
// its begin on, and does not care about the histories of the version before.
func Next(ctx workflow.Context, in Input) (operation.Record, error) {
	workflow.SideEffect(ctx, func(workflow.Context) any { return "the next version" })
	return Operation(ctx, in)
}
