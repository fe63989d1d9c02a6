// Package story shows what Ringback does: it runs five operations of both systems
// through the HTTP API, and prints one line for each thing that happens, to these and to
// every other.
package story

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	apiclient "ringback/api/client"
	"ringback/dev/demo"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// Options are what a story uses.
type Options struct {
	API   *apiclient.Client
	World *demo.World
	// Printer follows the API's operations.
	Printer *Printer
}

// Result names operations that the user can try the API on after the story.
type Result struct {
	// NotStarted is a transfer that was not started.
	NotStarted operation.Key
	// Exhausted was never acknowledged; its receiver would acknowledge now.
	Exhausted operation.Key
	// FailedURL is the page of a failed run in the UI.
	FailedURL string
}

// Run runs the scenes at the same time, and prints what happens. It fails if an
// operation ends otherwise than it should.
func Run(ctx context.Context, o Options) (Result, error) {
	series, err := freeSeries(ctx, o.API)
	if err != nil {
		return Result{}, err
	}
	s := &story{Options: o, series: series}
	s.result = Result{NotStarted: s.transfer(7), Exhausted: s.ledger(6)}
	defer o.Printer.begin(s.result.Exhausted)()
	defer o.Printer.Print(ctx)()
	var scenes errgroup.Group
	for i, scene := range []func(context.Context) error{s.paidOut, s.statusUnknown, s.funded, s.revoked, s.redelivered, s.leftExhausted} {
		scenes.Go(func() error {
			if err := scene(ctx); err != nil {
				return fmt.Errorf("scene %d: %w", i+1, err)
			}
			return nil
		})
	}
	err = scenes.Wait()
	return s.result, err
}

type story struct {
	Options
	// series keeps the operation ids of this story apart from those of others.
	series int
	result Result
}

// freeSeries is the first number whose operations were not started yet: a data
// directory keeps those of earlier stories.
func freeSeries(ctx context.Context, api *apiclient.Client) (int, error) {
	for series := 1; ; series++ {
		_, err := api.State(ctx, (&story{series: series}).order("A2C", 1))
		switch {
		case apiclient.Status(err) == http.StatusNotFound:
			return series, nil
		case err != nil:
			return 0, fmt.Errorf("looking for operations that are not started yet: %w", err)
		}
	}
}

func (s *story) id(n int) string { return strconv.Itoa(s.series*1000 + n) }

func (s *story) order(prefix string, n int) operation.Key {
	return operation.Key{Endpoint: demo.UkrcardEndpoint, OperationID: prefix + "-" + s.id(n)}
}

func (s *story) transfer(n int) operation.Key {
	return operation.Key{Endpoint: demo.PayseraEndpoint, OperationID: s.id(n)}
}

func (s *story) ledger(n int) operation.Key {
	return operation.Key{Endpoint: demo.StandardEndpoint, OperationID: s.id(n)}
}

// paidOut: the status goes 0, 0, 2; the receiver answers HTTP 500, then 200
// with applicationStatus 500, then it acknowledges.
func (s *story) paidOut(ctx context.Context) error {
	key := s.order("A2C", 1)
	s.World.WSGate.Script(key.OperationID, simulator.Statuses(0, 0, 2)...)
	s.World.UkrcardReceiver.Script(key.OperationID,
		simulator.Reply{HTTPStatus: http.StatusInternalServerError},
		simulator.Reply{Body: `{"orderNumber":"{operation}","applicationStatus":500}`},
		simulator.Acknowledge)
	return s.play(ctx, order(key, "p2p_a2c"))
}

// statusUnknown: wsGate never knows the status, so the polls are used up and the
// callback goes out without an orderStatus.
func (s *story) statusUnknown(ctx context.Context) error {
	key := s.order("PAY", 2)
	s.World.WSGate.Script(key.OperationID, simulator.WSGateAnswer{RespStatus: http.StatusServiceUnavailable})
	return s.play(ctx, order(key, "payment"))
}

// funded: each new status of a transfer is delivered.
func (s *story) funded(ctx context.Context) error {
	key := s.transfer(3)
	s.World.PayseraCore.Schedule(key.OperationID,
		simulator.TransferStep{Status: "waiting_funds", For: 5 * time.Second},
		simulator.TransferStep{Status: "reserved", For: 4 * time.Second},
		simulator.TransferStep{Status: "done"})
	return s.play(ctx, s.shop(key))
}

// revoked: the payer takes a transfer back while it waits for funds, and the
// core says so.
func (s *story) revoked(ctx context.Context) error {
	key := s.transfer(4)
	s.World.PayseraCore.SetStatus(key.OperationID, "waiting_funds")
	if err := s.start(ctx, s.shop(key)); err != nil {
		return err
	}
	delivered := func(state operation.State) bool {
		return len(state.Deliveries) > 0 && state.Deliveries[0].Outcome == operation.DeliveryAcknowledged
	}
	if _, err := s.API.Await(ctx, key, delivered); err != nil {
		return err
	}
	if err := wait(ctx, 2500*time.Millisecond); err != nil {
		return err
	}
	s.World.PayseraCore.SetStatus(key.OperationID, "revoked")
	if _, err := s.API.Revoke(ctx, key, "user", "the payer took it back"); err != nil {
		return fmt.Errorf("revoking %s: %w", key.WorkflowID(), err)
	}
	return s.acknowledged(ctx, key)
}

// redelivered: the receiver acknowledges nothing until the delivery is
// exhausted; an engineer redelivers, and it gets the same callback.
func (s *story) redelivered(ctx context.Context) error {
	key := s.ledger(5)
	s.World.PayseraCore.SetStatus(key.OperationID, "done")
	s.World.StandardReceiver.Script(key.OperationID, simulator.Reply{HTTPStatus: http.StatusServiceUnavailable})
	if err := s.start(ctx, operation.StartRequest{Endpoint: key.Endpoint, OperationID: key.OperationID}); err != nil {
		return err
	}
	exhausted, err := s.API.Await(ctx, key, apiclient.Closed)
	if err != nil {
		return err
	}
	if err := s.ended(exhausted, operation.OutcomeExhausted); err != nil {
		return err
	}
	s.result.FailedURL = exhausted.UIURL
	if err := wait(ctx, 2*time.Second); err != nil {
		return err
	}
	s.World.StandardReceiver.Script(key.OperationID, simulator.Acknowledge)
	if _, err := s.API.Redeliver(ctx, key, operation.RedeliveryRequest{Reason: "the receiver is back"}); err != nil {
		return fmt.Errorf("redelivering %s: %w", key.WorkflowID(), err)
	}
	if err := s.acknowledged(ctx, key); err != nil {
		return err
	}
	received := s.World.StandardReceiver.Received(key.OperationID)
	first, last := received[0].CallbackID, received[len(received)-1].CallbackID
	if first != last {
		return fmt.Errorf("the redelivery of %s has the callback id %s, not %s", key.WorkflowID(), last, first)
	}
	s.Printer.now(key, "receiver", fmt.Sprintf("got %d requests, each with webhook-id %s", len(received), first), good)
	return nil
}

// leftExhausted leaves a failed operation behind for the user, and prints nothing.
func (s *story) leftExhausted(ctx context.Context) error {
	key := s.result.Exhausted
	s.World.PayseraCore.SetStatus(key.OperationID, "done")
	s.World.StandardReceiver.Script(key.OperationID, simulator.Reply{HTTPStatus: http.StatusServiceUnavailable})
	if _, _, err := s.API.Start(ctx, operation.StartRequest{Endpoint: key.Endpoint, OperationID: key.OperationID}); err != nil {
		return fmt.Errorf("starting %s: %w", key.WorkflowID(), err)
	}
	state, err := s.API.Await(ctx, key, apiclient.Closed)
	if err != nil {
		return err
	}
	s.World.StandardReceiver.Script(key.OperationID, simulator.Acknowledge)
	return s.ended(state, operation.OutcomeExhausted)
}

func order(key operation.Key, method string) operation.StartRequest {
	registered := operation.At(time.Now())
	return operation.StartRequest{
		Endpoint: key.Endpoint, OperationID: key.OperationID, Method: method,
		Reference: operation.Reference{RegisteredAt: &registered},
	}
}

func (s *story) shop(key operation.Key) operation.StartRequest {
	return operation.StartRequest{
		Endpoint: key.Endpoint, OperationID: key.OperationID,
		Callback: operation.Target{URL: s.World.PayseraReceiver.URL() + "/transfers"},
	}
}

func (s *story) start(ctx context.Context, r operation.StartRequest) error {
	if _, _, err := s.API.Start(ctx, r); err != nil {
		return fmt.Errorf("starting %s: %w", r.Key().WorkflowID(), err)
	}
	return nil
}

// play starts an operation and waits until it is acknowledged.
func (s *story) play(ctx context.Context, r operation.StartRequest) error {
	if err := s.start(ctx, r); err != nil {
		return err
	}
	return s.acknowledged(ctx, r.Key())
}

// acknowledged waits until the operation ends, which must be with that.
func (s *story) acknowledged(ctx context.Context, key operation.Key) error {
	state, err := s.API.Await(ctx, key, apiclient.Closed)
	if err != nil {
		return err
	}
	return s.ended(state, operation.OutcomeAcknowledged)
}

// ended prints the end, and is an error where it is another than that.
func (s *story) ended(state operation.State, want operation.Outcome) error {
	s.Printer.show(state)
	if state.Outcome != want {
		return fmt.Errorf("%s ended %s, not %s", state.WorkflowID(), state.Outcome, want)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
