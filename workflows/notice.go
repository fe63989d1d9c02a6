package workflows

import (
	"cmp"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/ui"
)

// Names of the workflows that deliver notices, and of their Signal.
const (
	// NoticeType is the workflow type of one notice about one delivery.
	NoticeType = "Notice"
	// OutageType is the workflow type of one outage of an endpoint, open while it is failing.
	OutageType = "Outage"
	// SignalHealth takes an operation.Health from a worker.
	SignalHealth = "health"
	// noticePrefix and outagePrefix begin workflow ids that no operation has: an
	// endpoint's name holds no colon.
	noticePrefix = "notice:"
	outagePrefix = "outage:"
)

// OutageID is the workflow id of an endpoint's outage; no operation has a colon there.
func OutageID(endpoint string) string { return outagePrefix + endpoint }

// NoticeID is the workflow id of the notice about one run's delivery of a callback.
func NoticeID(callbackID, runID string) string { return noticePrefix + callbackID + ":" + runID }

// NoticeInput starts a Notice, and continues it as new.
type NoticeInput struct {
	Recipient operation.Recipient `json:"recipient"`
	Notice    operation.Notice    `json:"notice"`
	// Record is how far its delivery came in the run before; nil: it was not started.
	Record *operation.DeliveryRecord `json:"record,omitempty"`
}

// Notice delivers one notice, with the recipient's h and k. It fails where it was not
// acknowledged.
func Notice(ctx workflow.Context, in NoticeInput) (operation.Delivery, error) {
	if err := checkID(ctx, NoticeID(in.Notice.Data.CallbackID, in.Notice.Data.RunID)); err != nil {
		return operation.Delivery{}, err
	}
	record := deliverNotice(ctx, in)
	switch {
	case ctx.Err() != nil:
		return record.Delivery, ctx.Err()
	case record.Pending():
		in.Record = &record
		return record.Delivery, workflow.NewContinueAsNewError(ctx, Notice, in)
	}
	return record.Delivery, notDelivered(in.Recipient, in.Notice, record.Delivery)
}

// deliverNotice delivers a notice until it has an outcome, or the run is to continue as new.
func deliverNotice(ctx workflow.Context, in NoticeInput) operation.DeliveryRecord {
	c := in.Notice.Callback(in.Recipient.Endpoint)
	record := newNoticeRecord(c)
	if in.Record != nil {
		record = *in.Record
	}
	return deliver(ctx, activities.DeliverInput{Callback: c, Policy: in.Recipient.Policy, Record: record}, func() bool {
		return workflow.GetInfo(ctx).GetContinueAsNewSuggested() || ctx.Err() != nil
	}, func(operation.DeliveryRecord) {})
}

// newNoticeRecord is the record of a notice's delivery before its first attempt.
func newNoticeRecord(c operation.Callback) operation.DeliveryRecord {
	return operation.DeliveryRecord{Delivery: operation.Delivery{
		CallbackID: c.ID, Status: c.Observation.Status, Outcome: operation.DeliveryPending, Attempts: []operation.Attempt{},
	}}
}

// OutageInput starts an Outage, and continues it as new.
type OutageInput struct {
	Recipient operation.Recipient `json:"recipient"`
	Endpoint  string              `json:"endpoint"`
	// Failing says which the latest notice, about Report, was. Record is how far its
	// delivery came; nil: it has an outcome.
	Failing bool                      `json:"failing,omitempty"`
	Report  operation.Health          `json:"report,omitzero"`
	Record  *operation.DeliveryRecord `json:"record,omitempty"`
	// Next is a later report, or nil.
	Next *operation.Health `json:"next,omitempty"`
	// Undelivered is the error of the latest notice that was not acknowledged.
	Undelivered string `json:"undelivered,omitempty"`
}

// Outage delivers a notice that an endpoint is failing and, later, one that it
// recovered. Workers report both by SignalHealth, any number of times.
func Outage(ctx workflow.Context, in OutageInput) error {
	if err := checkID(ctx, OutageID(in.Endpoint)); err != nil {
		return err
	}
	reports := workflow.GetSignalChannel(ctx, SignalHealth)
	for {
		if in.Record == nil {
			in.begin(newest(ctx, in.Next))
			in.Next = nil
		}
		if in.Record != nil {
			in.deliver(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case in.Record != nil || workflow.GetInfo(ctx).GetContinueAsNewSuggested():
			in.Next = unreadReport(ctx)
			return workflow.NewContinueAsNewError(ctx, Outage, in)
		case !in.Failing && reports.Len() == 0:
			return in.result()
		}
	}
}

// begin starts a notice where the report is a change.
func (in *OutageInput) begin(report operation.Health) {
	if report.Failing == in.Failing {
		return
	}
	in.Failing, in.Report = report.Failing, report
	in.Record = new(newNoticeRecord(report.Notice(in.Endpoint).Callback(in.Recipient.Endpoint)))
}

// deliver delivers the current notice until it has an outcome, or the run is to continue as new.
func (in *OutageInput) deliver(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, ui.Outage(in.Endpoint, in.Report))
	notice := in.Report.Notice(in.Endpoint)
	record := deliverNotice(ctx, NoticeInput{Recipient: in.Recipient, Notice: notice, Record: in.Record})
	if record.Pending() {
		in.Record = &record
		return
	}
	in.Record = nil
	if err := notDelivered(in.Recipient, notice, record.Delivery); err != nil {
		in.Undelivered = err.Error()
	}
}

func (in *OutageInput) result() error {
	if in.Undelivered == "" {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(in.Undelivered, TypeExhausted, nil)
}

// newest is the latest report. It waits for one unless there is one already.
func newest(ctx workflow.Context, already *operation.Health) operation.Health {
	latest := cmp.Or(unreadReport(ctx), already)
	if latest == nil {
		latest = new(operation.Health)
		workflow.GetSignalChannel(ctx, SignalHealth).Receive(ctx, latest)
		latest = cmp.Or(unreadReport(ctx), latest)
	}
	return *latest
}

// unreadReport is the latest report that waits, or nil.
func unreadReport(ctx workflow.Context) (latest *operation.Health) {
	drain(ctx, SignalHealth, func(report operation.Health) { latest = &report })
	return latest
}

func notDelivered(to operation.Recipient, n operation.Notice, d operation.Delivery) error {
	kind := map[operation.DeliveryOutcome]string{
		operation.DeliveryExhausted: TypeExhausted, operation.DeliveryGone: TypeGone,
	}[d.Outcome]
	if kind == "" {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("the notice %s about %s at %s is %s", n.Type, n.Data.Endpoint, to.Endpoint, d.Outcome), kind, nil, d)
}

// noticeTypes are the outcomes of a delivery that notices are about.
var noticeTypes = map[operation.DeliveryOutcome]string{
	operation.DeliveryExhausted: operation.NoticeExhausted,
	operation.DeliveryGone:      operation.NoticeGone,
}

// startNotice starts a Notice, which outlives this run, if the delivery was not acknowledged.
func (r *run) startNotice(d operation.Delivery) {
	kind, due := noticeTypes[d.Outcome]
	if !due || r.in.Notices == nil {
		return
	}
	runID := workflow.GetInfo(r.ctx).WorkflowExecution.RunID
	n := operation.Notice{Type: kind, Timestamp: r.now(), Data: operation.NoticeData{
		Endpoint: r.in.Start.Endpoint, OperationID: r.in.Start.OperationID, CallbackID: d.CallbackID, Status: d.Status, Host: d.Host, RunID: runID,
	}}
	if last := len(d.Attempts) - 1; last >= 0 {
		n.Data.Attempts, n.Data.Reason = d.Attempts[last].Number, d.Attempts[last].Reason
	}
	ctx := workflow.WithChildOptions(r.ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            NoticeID(d.CallbackID, runID),
		WorkflowTaskTimeout:   WorkflowTaskTimeout,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		TypedSearchAttributes: temporal.NewSearchAttributes(AttributeEndpoint.ValueSet(r.in.Start.Endpoint)),
		StaticSummary:         ui.Summary(kind+" %s %s, to %s", r.in.Start.Endpoint, r.in.Start.OperationID, r.in.Notices.Endpoint),
	})
	child := workflow.ExecuteChildWorkflow(ctx, Notice, NoticeInput{Recipient: *r.in.Notices, Notice: n})
	r.notices = append(r.notices, child.GetChildWorkflowExecution())
}
