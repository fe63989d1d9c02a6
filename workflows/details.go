package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ringback/internal/ui"
)

// showDetails sets what the Temporal UI shows of the run. It costs no event.
func (r *run) showDetails() {
	info := workflow.GetInfo(r.ctx)
	d := ui.Details{
		State: r.op.State(), Policy: r.in.Policy, Source: r.in.Source, PushOnly: r.in.Rules.PushOnly,
		AcceptedAt: r.in.AcceptedAt, Namespace: info.Namespace, Refused: r.refused,
	}
	if r.op.Watching() {
		d.PolledAt = r.op.Watch().PollBegunAt
	}
	if from := info.OriginalRunID; from != "" && from != info.WorkflowExecution.RunID {
		d.ResetFrom = from
	}
	if again := r.in.Redelivery; again != nil {
		d.EarlierRunID, d.By, d.Reason, d.Host = again.Previous.State.RunID, again.By, again.Reason, again.Host
		if again.BulkRedeliveryID != "" {
			d.BulkRedeliveryWorkflow = BulkRedeliveryWorkflowID(again.BulkRedeliveryID)
		}
	}
	workflow.SetCurrentDetails(r.ctx, d.Markdown())
}
