// Package story tells what Ringback does, by doing it: five operations of both
// systems, started, watched, rung, revoked and redelivered through the HTTP API
// alone, one line for each thing that happens.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	apiclient "ringback/api/client"
	"ringback/dev/demo"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// Options are what a story needs.
type Options struct {
	API   *apiclient.Client
	World *demo.World
	Out   io.Writer
	// Colour writes for a terminal.
	Colour bool
}

// Told is what a story leaves behind, to try the API on.
type Told struct {
	// Fresh is a transfer that nobody has started yet.
	Fresh operation.Key
	// Exhausted was never acknowledged; its receiver would acknowledge now.
	Exhausted operation.Key
	// Failed is where the UI shows a failed run.
	Failed string
}

// Tell starts the operations, prints until each has ended, and checks that
// each ended as it should: any other ending is an error.
func Tell(ctx context.Context, o Options) (Told, error) {
	series, err := freeSeries(ctx, o.API)
	if err != nil {
		return Told{}, err
	}
	t := &teller{Options: o, series: series, page: newPage(o.Out, o.Colour)}
	told := Told{Fresh: t.transfer(7), Exhausted: t.ledger(6)}
	finish := t.page.turn()
	defer finish()
	errs := make([]error, len(scenes))
	var all sync.WaitGroup
	for i, scene := range scenes {
		all.Go(func() {
			if errs[i] = scene(t, ctx, &told); errs[i] != nil {
				errs[i] = fmt.Errorf("scene %d: %w", i+1, errs[i])
			}
		})
	}
	all.Wait()
	return told, errors.Join(errs...)
}

// teller tells one story.
type teller struct {
	Options
	series int
	page   *page
}

// freeSeries is the first number whose operations nobody has started: a data
// directory remembers the stories of before.
func freeSeries(ctx context.Context, api *apiclient.Client) (int, error) {
	for series := 1; ; series++ {
		_, err := api.State(ctx, (&teller{series: series}).order("A2C", 1))
		switch {
		case apiclient.Status(err) == http.StatusNotFound:
			return series, nil
		case err != nil:
			return 0, fmt.Errorf("look for operations that are not started yet: %w", err)
		}
	}
}

func (t *teller) number(n int) string { return strconv.Itoa(t.series*1000 + n) }

func (t *teller) order(prefix string, n int) operation.Key {
	return operation.Key{Endpoint: demo.UkrcardEndpoint, OperationID: prefix + "-" + t.number(n)}
}

func (t *teller) transfer(n int) operation.Key {
	return operation.Key{Endpoint: demo.PayseraEndpoint, OperationID: t.number(n)}
}

func (t *teller) ledger(n int) operation.Key {
	return operation.Key{Endpoint: demo.StandardEndpoint, OperationID: t.number(n)}
}

var scenes = []func(t *teller, ctx context.Context, told *Told) error{
	(*teller).paidOut, (*teller).neverAnswered, (*teller).funded, (*teller).revoked, (*teller).redelivered, (*teller).leftExhausted,
}

// paidOut: the status goes 0, 0, 2; the receiver answers HTTP 500, then 200
// with applicationStatus 500, then it acknowledges.
func (t *teller) paidOut(ctx context.Context, _ *Told) error {
	key := t.order("A2C", 1)
	t.World.WSGate.Script(key.OperationID, simulator.Statuses(0, 0, 2)...)
	t.World.UkrcardReceiver.Script(key.OperationID,
		simulator.Reply{HTTPStatus: http.StatusInternalServerError},
		simulator.Reply{Body: `{"orderNumber":"{operation}","applicationStatus":500}`},
		simulator.Acknowledge)
	if err := t.start(ctx, order(key, "p2p_a2c")); err != nil {
		return err
	}
	return t.until(ctx, key, operation.OutcomeAcknowledged)
}

// neverAnswered: wsGate never knows the status, so the polls are used up and
// the callback goes out without an orderStatus.
func (t *teller) neverAnswered(ctx context.Context, _ *Told) error {
	key := t.order("PAY", 2)
	t.World.WSGate.Script(key.OperationID, simulator.WSGateAnswer{RespStatus: http.StatusServiceUnavailable})
	if err := t.start(ctx, order(key, "payment")); err != nil {
		return err
	}
	return t.until(ctx, key, operation.OutcomeAcknowledged)
}

// funded: each new status of a transfer rings.
func (t *teller) funded(ctx context.Context, _ *Told) error {
	key := t.transfer(3)
	t.World.PayseraCore.Schedule(key.OperationID,
		simulator.TransferStep{Status: "waiting_funds", For: 5 * time.Second},
		simulator.TransferStep{Status: "reserved", For: 4 * time.Second},
		simulator.TransferStep{Status: "done"})
	if err := t.start(ctx, t.shop(key)); err != nil {
		return err
	}
	return t.until(ctx, key, operation.OutcomeAcknowledged)
}

// revoked: the payer takes a transfer back while it waits for funds, and the
// core says so.
func (t *teller) revoked(ctx context.Context, _ *Told) error {
	key := t.transfer(4)
	t.World.PayseraCore.SetStatus(key.OperationID, "waiting_funds")
	if err := t.start(ctx, t.shop(key)); err != nil {
		return err
	}
	rung := func(s operation.State) bool {
		return len(s.Deliveries) > 0 && s.Deliveries[0].Outcome == operation.DeliveryAcknowledged
	}
	if _, err := t.watch(ctx, key, rung); err != nil {
		return err
	}
	if err := wait(ctx, 2500*time.Millisecond); err != nil {
		return err
	}
	t.World.PayseraCore.SetStatus(key.OperationID, "revoked")
	t.page.now(key, "revocation", "POST …/revocation, initiated by the user", plain)
	if _, err := t.API.Revoke(ctx, key, "user", "the payer took it back"); err != nil {
		return fmt.Errorf("revoke %s: %w", key.WorkflowID(), err)
	}
	return t.until(ctx, key, operation.OutcomeAcknowledged)
}

// redelivered: the receiver acknowledges nothing until the delivery is
// exhausted; an engineer redelivers, and it gets the same callback.
func (t *teller) redelivered(ctx context.Context, told *Told) error {
	key := t.ledger(5)
	t.World.PayseraCore.SetStatus(key.OperationID, "done")
	t.World.StandardReceiver.Script(key.OperationID, simulator.Reply{HTTPStatus: http.StatusServiceUnavailable})
	if err := t.start(ctx, operation.StartRequest{Endpoint: key.Endpoint, OperationID: key.OperationID}); err != nil {
		return err
	}
	exhausted, err := t.watch(ctx, key, apiclient.Closed)
	if err != nil {
		return err
	}
	if err := ended(exhausted, operation.OutcomeExhausted); err != nil {
		return err
	}
	told.Failed = exhausted.UIURL
	if err := wait(ctx, 2*time.Second); err != nil {
		return err
	}
	t.World.StandardReceiver.Script(key.OperationID, simulator.Acknowledge)
	t.page.now(key, "redelivery", "POST …/redelivery: the receiver is back", plain)
	if _, err := t.API.Redeliver(ctx, key, operation.RedeliveryRequest{Reason: "the receiver is back"}); err != nil {
		return fmt.Errorf("redeliver %s: %w", key.WorkflowID(), err)
	}
	if err := t.until(ctx, key, operation.OutcomeAcknowledged); err != nil {
		return err
	}
	return t.sameCallback(key)
}

// sameCallback asks the receiver: what it got after the redelivery is what it
// got before.
func (t *teller) sameCallback(key operation.Key) error {
	received := t.World.StandardReceiver.Received(key.OperationID)
	first, last := received[0].CallbackID, received[len(received)-1].CallbackID
	if first != last {
		return fmt.Errorf("the redelivery of %s rang as %s, not as %s", key.WorkflowID(), last, first)
	}
	t.page.now(key, "receiver", fmt.Sprintf("got %d requests, each with webhook-id %s", len(received), first), good)
	return nil
}

// leftExhausted leaves a failed operation behind, without a line of its own.
func (t *teller) leftExhausted(ctx context.Context, told *Told) error {
	key := told.Exhausted
	t.World.PayseraCore.SetStatus(key.OperationID, "done")
	t.World.StandardReceiver.Script(key.OperationID, simulator.Reply{HTTPStatus: http.StatusServiceUnavailable})
	if _, _, err := t.API.Start(ctx, operation.StartRequest{Endpoint: key.Endpoint, OperationID: key.OperationID}); err != nil {
		return fmt.Errorf("start %s: %w", key.WorkflowID(), err)
	}
	state, err := t.API.Await(ctx, key, apiclient.Closed)
	if err != nil {
		return err
	}
	t.World.StandardReceiver.Script(key.OperationID, simulator.Acknowledge)
	return ended(state, operation.OutcomeExhausted)
}

func order(key operation.Key, method string) operation.StartRequest {
	registered := operation.At(time.Now())
	return operation.StartRequest{
		Endpoint: key.Endpoint, OperationID: key.OperationID, Method: method,
		Reference: operation.Reference{RegisteredAt: &registered},
	}
}

func (t *teller) shop(key operation.Key) operation.StartRequest {
	return operation.StartRequest{
		Endpoint: key.Endpoint, OperationID: key.OperationID,
		Callback: operation.Target{URL: t.World.PayseraReceiver.URL() + "/transfers"},
	}
}

func (t *teller) start(ctx context.Context, r operation.StartRequest) error {
	if _, _, err := t.API.Start(ctx, r); err != nil {
		return fmt.Errorf("start %s: %w", r.Key().WorkflowID(), err)
	}
	what := "POST /v1/operations"
	if r.Method != "" {
		what += ", method " + r.Method
	}
	t.page.now(r.Key(), "started", what, plain)
	return nil
}

// until prints what happens until the operation has ended, with that outcome.
func (t *teller) until(ctx context.Context, key operation.Key, want operation.Outcome) error {
	state, err := t.watch(ctx, key, apiclient.Closed)
	if err != nil {
		return err
	}
	return ended(state, want)
}

func ended(state operation.State, want operation.Outcome) error {
	if state.Outcome != want {
		return fmt.Errorf("%s ended %s, not %s", state.WorkflowID(), state.Outcome, want)
	}
	return nil
}

// watch prints what is new in each state until done says so.
func (t *teller) watch(ctx context.Context, key operation.Key, done func(operation.State) bool) (operation.State, error) {
	return t.API.Await(ctx, key, func(s operation.State) bool {
		t.page.show(s)
		return done(s)
	})
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
