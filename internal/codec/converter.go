package codec

import (
	"context"
	"errors"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// NewConverter is the SDK's default data converter with c around it.
//
// What it can't open for want of a key costs nothing. In a workflow it panics:
// the workflow task fails and is tried again until the key is there, where an
// error would have ended the run, or dropped a signal. In an activity it waits for the
// key until the server takes the task for lost and gives it to another worker:
// an error would count as one of its runs and forget what it had recorded.
func NewConverter(c *Codec) converter.DataConverter {
	return dataConverter{converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c)}
}

type dataConverter struct{ converter.DataConverter }

var _ converter.ContextAware = dataConverter{}

// WithWorkflowContext is the converter of a workflow's code.
func (d dataConverter) WithWorkflowContext(workflow.Context) converter.DataConverter {
	return inWorkflow(d)
}

// WithContext is the converter of an activity's code, and of a client's.
func (d dataConverter) WithContext(ctx context.Context) converter.DataConverter {
	if !activity.IsActivity(ctx) {
		return d
	}
	return inActivity{d.DataConverter, ctx}
}

type inWorkflow struct{ converter.DataConverter }

// FromPayload panics where it is for want of a key.
func (d inWorkflow) FromPayload(p *commonpb.Payload, into any) error {
	return orPanic(d.DataConverter.FromPayload(p, into))
}

// FromPayloads panics where it is for want of a key.
func (d inWorkflow) FromPayloads(p *commonpb.Payloads, into ...any) error {
	return orPanic(d.DataConverter.FromPayloads(p, into...))
}

// orPanic leaves other errors to the SDK: a payload that was never ours.
func orPanic(err error) error {
	var sealed *Error
	if errors.As(err, &sealed) {
		panic(sealed)
	}
	return err
}

type inActivity struct {
	converter.DataConverter
	ctx context.Context
}

// FromPayload waits where it is for want of a key.
func (d inActivity) FromPayload(p *commonpb.Payload, into any) error {
	return d.waiting(func() error { return d.DataConverter.FromPayload(p, into) })
}

// FromPayloads waits where it is for want of a key.
func (d inActivity) FromPayloads(p *commonpb.Payloads, into ...any) error {
	return d.waiting(func() error { return d.DataConverter.FromPayloads(p, into...) })
}

const (
	// lookForKey is how often a task that can't be read looks for its key.
	lookForKey = 500 * time.Millisecond
	// givenAway is how long after its heartbeat time-out a task is surely another
	// worker's.
	givenAway = 5 * time.Second
)

func (d inActivity) waiting(open func() error) error {
	err := open()
	var sealed *Error
	if !errors.As(err, &sealed) {
		return err
	}
	info := activity.GetInfo(d.ctx)
	activity.GetLogger(d.ctx).Error("a task can't be read; it waits for its key and goes to another worker", "error", err)
	// By then the server has given the task away: it got no heartbeat.
	lost := time.After(info.HeartbeatTimeout + givenAway)
	for errors.As(err, &sealed) {
		select {
		case <-d.ctx.Done():
			return err
		case <-lost:
			return err
		case <-time.After(lookForKey):
			err = open()
		}
	}
	return err
}

// failures seals the texts of failures as well, while there are keys.
type failures struct {
	codec         *Codec
	plain, sealed converter.FailureConverter
}

// NewFailureConverter is the SDK's default failure converter over NewConverter:
// while c has keys, messages and stack traces are sealed, too. What a failure's
// details hold can't be forgotten for want of a key: reading them panics, as
// NewConverter's do in a workflow.
func NewFailureConverter(c *Codec) converter.FailureConverter {
	details := detailsConverter{NewConverter(c)}
	return failures{
		codec:  c,
		plain:  temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: details}),
		sealed: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: details, EncodeCommonAttributes: true}),
	}
}

// ErrorToFailure seals the failure's text while there are keys.
func (f failures) ErrorToFailure(err error) *failurepb.Failure {
	if f.codec.On() {
		return f.sealed.ErrorToFailure(err)
	}
	return f.plain.ErrorToFailure(err)
}

// FailureToError opens a text that was sealed, if it can.
func (f failures) FailureToError(failure *failurepb.Failure) error {
	return f.plain.FailureToError(failure)
}

// detailsConverter reads a failure's text, one payload, where it can, and its
// details always.
type detailsConverter struct{ converter.DataConverter }

// FromPayloads panics where it is for want of a key.
func (d detailsConverter) FromPayloads(p *commonpb.Payloads, into ...any) error {
	return orPanic(d.DataConverter.FromPayloads(p, into...))
}
