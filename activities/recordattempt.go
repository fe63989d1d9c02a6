package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ringback/internal/operation"
)

// recordAttempt records the attempt on the server before it is sent (promise 5), and
// then waits until it is due. What could not be recorded is not sent; what is recorded
// is sent, unless the workflow prevents it.
func (d *delivery) recordAttempt(ctx context.Context, due time.Time, host string) error {
	begins := time.Now()
	if due.After(begins) {
		begins = due
	}
	before := d.record.Clone()
	d.record.BeginAttempt(operation.At(begins))
	d.record.Delivery.Host = host
	err := d.recorder.record(context.WithoutCancel(ctx), d.record.Clone())
	if err == nil {
		if err = d.recorder.sleepUntil(ctx, due); !errors.Is(err, errEndedByWorkflow) {
			time.Sleep(time.Until(due))
			return nil
		}
	}
	d.record = before
	switch {
	case isStop(err):
		return err
	case d.lastRun():
		return stillPending{}
	}
	// The record goes along, with the verdict on the attempt before it.
	return d.recorder.yield(context.WithoutCancel(ctx), d.record.Clone(),
		notRecorded(fmt.Sprintf("attempt %d", d.record.NextNumber()), err, d.record.Brief()))
}
