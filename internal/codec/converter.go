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
// A missing key loses nothing. In a workflow it panics, so that the workflow task is
// tried again until the key is there: an error would end the run or drop a signal. In an
// activity it waits until the server gives the task to another worker: an error would
// count as one of its runs and lose what it had recorded.
func NewConverter(c *Codec) converter.DataConverter {
	return dataConverter{converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c)}
}

type dataConverter struct{ converter.DataConverter }

var _ converter.ContextAware = dataConverter{}

// WithWorkflowContext implements [converter.ContextAware].
func (d dataConverter) WithWorkflowContext(workflow.Context) converter.DataConverter {
	return inWorkflow{detailsConverter(d)}
}

// WithContext implements [converter.ContextAware], for activities and clients.
func (d dataConverter) WithContext(ctx context.Context) converter.DataConverter {
	if !activity.IsActivity(ctx) {
		return d
	}
	return inActivity{d.DataConverter, ctx}
}

type inWorkflow struct{ detailsConverter }

// FromPayload panics if the key is missing.
func (d inWorkflow) FromPayload(p *commonpb.Payload, into any) error {
	return panicWithoutKey(d.DataConverter.FromPayload(p, into))
}

// detailsConverter reads the details of a failure always, and its text, one payload,
// only if it can.
type detailsConverter struct{ converter.DataConverter }

// FromPayloads panics if the key is missing.
func (d detailsConverter) FromPayloads(p *commonpb.Payloads, into ...any) error {
	return panicWithoutKey(d.DataConverter.FromPayloads(p, into...))
}

func panicWithoutKey(err error) error {
	if sealed, ok := errors.AsType[*Error](err); ok {
		panic(sealed)
	}
	return err
}

type inActivity struct {
	converter.DataConverter
	ctx context.Context
}

// FromPayload waits for a missing key.
func (d inActivity) FromPayload(p *commonpb.Payload, into any) error {
	return d.awaitKey(func() error { return d.DataConverter.FromPayload(p, into) })
}

// FromPayloads waits for a missing key.
func (d inActivity) FromPayloads(p *commonpb.Payloads, into ...any) error {
	return d.awaitKey(func() error { return d.DataConverter.FromPayloads(p, into...) })
}

const (
	keyRetry = 500 * time.Millisecond
	// rescheduleMargin is added to the heartbeat timeout, after which the server gives
	// the task to another worker.
	rescheduleMargin = 5 * time.Second
)

func (d inActivity) awaitKey(open func() error) error {
	err := open()
	var sealed *Error
	if !errors.As(err, &sealed) {
		return err
	}
	info := activity.GetInfo(d.ctx)
	activity.GetLogger(d.ctx).Error("a task cannot be read; it waits for its key and goes to another worker", "error", err)
	lost := time.After(info.HeartbeatTimeout + rescheduleMargin)
	for errors.As(err, &sealed) {
		select {
		case <-d.ctx.Done():
			return err
		case <-lost:
			return err
		case <-time.After(keyRetry):
			err = open()
		}
	}
	return err
}

// failures seals the texts of failures while there are keys.
type failures struct {
	codec         *Codec
	plain, sealed converter.FailureConverter
}

// NewFailureConverter is the SDK's default failure converter over NewConverter: while c
// has keys, messages and stack traces are sealed, too. Reading a failure's details
// without the key panics, as in a workflow.
func NewFailureConverter(c *Codec) converter.FailureConverter {
	details := detailsConverter{NewConverter(c)}
	return failures{
		codec:  c,
		plain:  temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: details}),
		sealed: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: details, EncodeCommonAttributes: true}),
	}
}

// ErrorToFailure implements [converter.FailureConverter].
func (f failures) ErrorToFailure(err error) *failurepb.Failure {
	if len(f.codec.keys()) > 0 {
		return f.sealed.ErrorToFailure(err)
	}
	return f.plain.ErrorToFailure(err)
}

// FailureToError opens a sealed text if it can.
func (f failures) FailureToError(failure *failurepb.Failure) error {
	return f.plain.FailureToError(failure)
}
