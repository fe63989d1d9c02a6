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
//
// A message is an exception: one that is refused, or that its key does not open, is
// dropped, since it would hold up its workflow.
func NewConverter(c *Codec) converter.DataConverter { return newConverter(ownedCodec{codec: c}) }

// Message is what people send to a workflow, also by the Temporal UI and CLI, whose
// codec server does not know the workflow.
type Message interface{ IsMessage() }

// OptionalMessage is a Message that also says something without an input.
type OptionalMessage interface {
	Message
	IsOptional()
}

func newConverter(b ownedCodec) dataConverter {
	return dataConverter{converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), b), b}
}

type dataConverter struct {
	converter.DataConverter
	codec ownedCodec
}

var (
	_ converter.ContextAware                          = dataConverter{}
	_ converter.DataConverterWithSerializationContext = dataConverter{}
	_ converter.DataConverterWithSerializationContext = inWorkflow{}
	_ converter.DataConverterWithSerializationContext = inActivity{}
)

// WithSerializationContext implements [converter.DataConverterWithSerializationContext].
func (d dataConverter) WithSerializationContext(ctx converter.SerializationContext) converter.DataConverter {
	return d.in(ctx)
}

func (d dataConverter) in(ctx converter.SerializationContext) dataConverter {
	return newConverter(d.codec.WithSerializationContext(ctx).(ownedCodec))
}

// WithWorkflowContext implements [converter.ContextAware].
func (d dataConverter) WithWorkflowContext(workflow.Context) converter.DataConverter {
	return inWorkflow{detailsConverter(d)}
}

// WithContext implements [converter.ContextAware], for activities and clients.
func (d dataConverter) WithContext(ctx context.Context) converter.DataConverter {
	if !activity.IsActivity(ctx) {
		return d
	}
	return inActivity{d, ctx}
}

type inWorkflow struct{ detailsConverter }

// WithSerializationContext implements [converter.DataConverterWithSerializationContext].
func (d inWorkflow) WithSerializationContext(ctx converter.SerializationContext) converter.DataConverter {
	return inWorkflow{detailsConverter(dataConverter(d.detailsConverter).in(ctx))}
}

// FromPayload panics if the key is missing.
func (d inWorkflow) FromPayload(p *commonpb.Payload, into any) error {
	if isMessage(into) {
		return panicUnlessRefused(d.messages().FromPayload(p, into))
	}
	return panicWithoutKey(d.DataConverter.FromPayload(p, into))
}

// FromPayloads panics if the key or a payload is missing. A message without a payload is
// refused, unless that says something.
func (d inWorkflow) FromPayloads(p *commonpb.Payloads, into ...any) error {
	missing := d.codec.checkPresent(p, len(into))
	if len(into) > 0 && isMessage(into[0]) {
		if _, optional := into[0].(OptionalMessage); missing != nil && !optional {
			return missing
		}
		return panicUnlessRefused(d.messages().FromPayloads(p, into...))
	}
	if missing != nil {
		return panicWithoutKey(missing)
	}
	return d.detailsConverter.FromPayloads(p, into...)
}

func (d inWorkflow) messages() dataConverter {
	b := d.codec
	b.forMessage = true
	return newConverter(b)
}

func isMessage(into any) bool {
	_, ok := into.(Message)
	return ok
}

// detailsConverter reads the details of a failure always, and its text, one payload,
// only if it can.
type detailsConverter dataConverter

// FromPayloads panics if the key is missing.
func (d detailsConverter) FromPayloads(p *commonpb.Payloads, into ...any) error {
	return panicWithoutKey(d.DataConverter.FromPayloads(p, into...))
}

func panicUnlessRefused(err error) error {
	if sealed, ok := errors.AsType[*Error](err); ok && sealed.Refused {
		return err
	}
	return panicWithoutKey(err)
}

func panicWithoutKey(err error) error {
	if sealed, ok := errors.AsType[*Error](err); ok {
		panic(sealed)
	}
	return err
}

type inActivity struct {
	dataConverter
	ctx context.Context
}

// WithSerializationContext implements [converter.DataConverterWithSerializationContext].
func (d inActivity) WithSerializationContext(ctx converter.SerializationContext) converter.DataConverter {
	return inActivity{d.in(ctx), d.ctx}
}

// FromPayload waits for a missing key.
func (d inActivity) FromPayload(p *commonpb.Payload, into any) error {
	return d.awaitKey(func() error { return d.DataConverter.FromPayload(p, into) })
}

// FromPayloads waits for a missing key, but for no missing payload.
func (d inActivity) FromPayloads(p *commonpb.Payloads, into ...any) error {
	if err := d.codec.checkPresent(p, len(into)); err != nil {
		return err
	}
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
	codec         ownedCodec
	plain, sealed converter.FailureConverter
}

var _ converter.FailureConverterWithSerializationContext = failures{}

// NewFailureConverter is the SDK's default failure converter over NewConverter: while c
// has keys, messages and stack traces are sealed, too. Reading a failure's details
// without the key panics, as in a workflow.
func NewFailureConverter(c *Codec) converter.FailureConverter {
	return newFailures(ownedCodec{codec: c})
}

func newFailures(b ownedCodec) failures {
	details := detailsConverter(newConverter(b))
	return failures{
		codec:  b,
		plain:  temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: details}),
		sealed: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: details, EncodeCommonAttributes: true}),
	}
}

// WithSerializationContext implements [converter.FailureConverterWithSerializationContext].
func (f failures) WithSerializationContext(ctx converter.SerializationContext) converter.FailureConverter {
	return newFailures(f.codec.WithSerializationContext(ctx).(ownedCodec))
}

// ErrorToFailure implements [converter.FailureConverter].
func (f failures) ErrorToFailure(err error) *failurepb.Failure {
	if len(f.codec.codec.settings().keys) > 0 {
		return f.sealed.ErrorToFailure(err)
	}
	return f.plain.ErrorToFailure(err)
}

// FailureToError opens a sealed text if it can.
func (f failures) FailureToError(failure *failurepb.Failure) error {
	return f.plain.FailureToError(failure)
}
