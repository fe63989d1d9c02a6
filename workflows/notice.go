package workflows

import (
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/callback"
)

// Names of the workflows that give notices, and of what is said to them.
const (
	// NoticeType is the workflow type of one notice about one delivery.
	NoticeType = "Notice"
	// OutageType is the workflow type of one spell in which an endpoint
	// acknowledges nothing: open ones are the endpoints that are failing now.
	OutageType = "Outage"
	// SignalHealth takes a callback.Health, said by workers.
	SignalHealth = "health"
	// noticePrefix and outagePrefix begin workflow ids that no operation can
	// have: an endpoint's name holds no colon.
	noticePrefix = "notice:"
	outagePrefix = "outage:"
)

// OutageID is the id of the workflow of an endpoint's outages: one at a time,
// however many workers say so.
func OutageID(endpoint string) string { return outagePrefix + endpoint }

// NoticeID is the id of the workflow of the notice about a callback's delivery
// by one run of its operation.
func NoticeID(callbackID, runID string) string { return noticePrefix + callbackID + ":" + runID }

// NoticeInput starts a Notice.
type NoticeInput struct {
	Hearing callback.Hearing `json:"hearing"`
	Notice  callback.Notice  `json:"notice"`
}

// Notice gives one notice, with the h and k of the endpoint that hears it. It
// fails where that did not acknowledge it; nobody is told of that but the UI.
func Notice(ctx workflow.Context, in NoticeInput) (callback.Delivery, error) {
	return give(ctx, in.Hearing, in.Notice)
}

// OutageInput starts an Outage.
type OutageInput struct {
	Hearing  callback.Hearing `json:"hearing"`
	Endpoint string           `json:"endpoint"`
}

// Outage tells that an endpoint is failing and, when it acknowledged again, that
// it recovered, in this order. Workers say both by SignalHealth, any number of
// times; each is told once.
func Outage(ctx workflow.Context, in OutageInput) error {
	reports := workflow.GetSignalChannel(ctx, SignalHealth)
	var failed error
	for failing := false; ; {
		report := newest(ctx, reports)
		if report.Failing != failing {
			failing = report.Failing
			workflow.SetCurrentDetails(ctx, outageDetails(in.Endpoint, report))
			if _, err := give(ctx, in.Hearing, report.Notice(in.Endpoint)); err != nil {
				failed = err
			}
		}
		if !failing && reports.Len() == 0 {
			return failed
		}
	}
}

// newest is the latest report; it waits for one.
func newest(ctx workflow.Context, reports workflow.ReceiveChannel) callback.Health {
	var report callback.Health
	reports.Receive(ctx, &report)
	for next := (callback.Health{}); reports.ReceiveAsync(&next); next = (callback.Health{}) {
		report = next
	}
	return report
}

func outageDetails(endpoint string, h callback.Health) string {
	if !h.Failing {
		return fmt.Sprintf("**recovered** · the endpoint %s acknowledged an attempt at %s\n", code(endpoint), h.At)
	}
	return fmt.Sprintf("**failing** · the endpoint %s acknowledged none of the last %s of one worker, the latest at %s: %s\n",
		code(endpoint), count(h.Attempts, "attempt"), h.At, code(h.Reason))
}

// give delivers a notice until it is settled.
func give(ctx workflow.Context, h callback.Hearing, n callback.Notice) (callback.Delivery, error) {
	c := n.Callback(h.Endpoint)
	progress := callback.DeliveryProgress{Delivery: callback.Delivery{
		CallbackID: c.ID, Status: n.Type, Outcome: callback.DeliveryPending, Attempts: []callback.Attempt{},
	}}
	ctx = workflow.WithActivityOptions(ctx, deliverOptions(h.Endpoint, h.Policy, c))
	for progress.Delivery.Outcome == callback.DeliveryPending {
		var result activities.DeliverResult
		err := workflow.ExecuteActivity(ctx, acts.Deliver, activities.DeliverInput{
			Callback: c, Policy: h.Policy, Progress: progress,
		}).Get(ctx, &result)
		if err == nil {
			progress = result.Progress
			continue
		}
		reached, known := failedDelivery(err)
		if wasCancelled(err) || !known {
			return progress.Delivery, err
		}
		progress = reached
	}
	return progress.Delivery, notGiven(h, n, progress.Delivery)
}

func notGiven(h callback.Hearing, n callback.Notice, d callback.Delivery) error {
	kind := map[callback.DeliveryOutcome]string{
		callback.DeliveryExhausted: TypeExhausted, callback.DeliveryGone: TypeGone,
	}[d.Outcome]
	if kind == "" {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("the notice %s about %s at %s is %s", n.Type, n.Data.Endpoint, h.Endpoint, d.Outcome), kind, nil, d)
}

// noticeTypes are the endings of a delivery that notices are given of.
var noticeTypes = map[callback.DeliveryOutcome]string{
	callback.DeliveryExhausted: callback.NoticeExhausted,
	callback.DeliveryGone:      callback.NoticeGone,
}

// giveNotice begins a run of its own for the notice of a delivery that ended
// unacknowledged: it outlives this one.
func (o *operation) giveNotice(d callback.Delivery) {
	kind, due := noticeTypes[d.Outcome]
	if !due || o.in.Notices == nil || !o.tellsMore() {
		return
	}
	run := workflow.GetInfo(o.ctx).WorkflowExecution.RunID
	n := callback.Notice{Type: kind, Timestamp: o.now(), Data: callback.NoticeData{
		Endpoint: o.in.Start.Endpoint, OperationID: o.in.Start.OperationID, CallbackID: d.CallbackID, Status: d.Status, RunID: run,
	}}
	if last := len(d.Attempts) - 1; last >= 0 {
		n.Data.Attempts, n.Data.Reason = d.Attempts[last].Number, d.Attempts[last].Reason
	}
	ctx := workflow.WithChildOptions(o.ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            NoticeID(d.CallbackID, run),
		WorkflowTaskTimeout:   WorkflowTaskTimeout,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		TypedSearchAttributes: temporal.NewSearchAttributes(AttributeEndpoint.ValueSet(o.in.Start.Endpoint)),
		StaticSummary:         fmt.Sprintf("%s %s %s, told to %s", kind, o.in.Start.Endpoint, o.in.Start.OperationID, o.in.Notices.Endpoint),
	})
	child := workflow.ExecuteChildWorkflow(ctx, Notice, NoticeInput{Hearing: *o.in.Notices, Notice: n})
	o.notices = append(o.notices, child.GetChildWorkflowExecution())
}

// noticed reports whether every notice given has begun: only then does it
// outlive the run.
func (o *operation) noticed() bool {
	for _, begun := range o.notices {
		if !begun.IsReady() {
			return false
		}
	}
	return true
}
