package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
	"ringback/workflows"
)

// story is one operation: the answers of its core and receiver, what is done while it
// is open, and how it ends.
type story struct {
	name, endpoint string
	statuses       []string
	replies        []simulator.Reply
	// unanswered drops every poll.
	unanswered bool
	actions    action[operation.Key]
	ends       operation.Outcome
}

var (
	ack   = simulator.Acknowledge
	fails = simulator.Reply{HTTPStatus: http.StatusInternalServerError}
)

// stories have every ending and every sequence of workflow commands.
var stories = []story{
	{name: "acknowledged", endpoint: "CARD", statuses: []string{"2"}, ends: operation.OutcomeAcknowledged},
	{name: "acknowledged-after-failures", endpoint: "CARD", statuses: []string{"0", "0", "2"},
		replies: []simulator.Reply{fails, fails, ack}, ends: operation.OutcomeAcknowledged},
	{name: "polls-used-up", endpoint: "CARD", statuses: []string{"0"}, ends: operation.OutcomeAcknowledged},
	{name: "polls-used-up-after-many", endpoint: "CARD_LONG", statuses: []string{"0"}, ends: operation.OutcomeAcknowledged},
	{name: "polls-unanswered", endpoint: "CARD", unanswered: true, ends: operation.OutcomeAcknowledged},
	{name: "exhausted", endpoint: "CARD", statuses: []string{"2"}, replies: []simulator.Reply{fails}, ends: operation.OutcomeExhausted},
	{name: "exhausted-after-many", endpoint: "CARD_LONG", statuses: []string{"2"}, replies: []simulator.Reply{fails}, ends: operation.OutcomeExhausted},
	{name: "exhausted-through-the-server", endpoint: "CARD_SLOW", statuses: []string{"0", "2"}, replies: []simulator.Reply{fails}, ends: operation.OutcomeExhausted},
	{name: "gone", endpoint: "CARD", statuses: []string{"2"}, replies: []simulator.Reply{fails, {HTTPStatus: http.StatusGone}}, ends: operation.OutcomeGone},
	{name: "statuses-delivered-in-turn", endpoint: "WALLET", statuses: []string{"waiting_funds", "reserved", "processing", "done"}, ends: operation.OutcomeAcknowledged},
	{name: "superseded", endpoint: "WALLET_SLOW", statuses: []string{"waiting_funds"}, replies: []simulator.Reply{fails, ack},
		actions: inTurn(attempted(1), pushed("done")), ends: operation.OutcomeAcknowledged},
	{name: "superseded-in-flight", endpoint: "WALLET", statuses: []string{"waiting_funds"},
		replies: []simulator.Reply{fails, {HTTPStatus: http.StatusInternalServerError, Delay: 500 * time.Millisecond}, ack},
		actions: inTurn(attempted(2), pushed("done")), ends: operation.OutcomeAcknowledged},
	{name: "queued", endpoint: "WALLET_EVERY", statuses: []string{"waiting_funds", "done"}, replies: []simulator.Reply{fails, fails, fails, ack},
		ends: operation.OutcomeAcknowledged},
	{name: "expired", endpoint: "WALLET_BRIEF", statuses: []string{"processing"}, ends: operation.OutcomeExpired},
	{name: "revoked-and-delivered", endpoint: "WALLET", statuses: []string{"waiting_funds"}, actions: inTurn(attempted(1), revoked("core")),
		ends: operation.OutcomeAcknowledged},
	{name: "revoked-by-the-client", endpoint: "WALLET", statuses: []string{"waiting"}, actions: inTurn(polled, revoked("client")), ends: operation.OutcomeRevoked},
	{name: "revoked-while-delivering", endpoint: "WALLET_SLOW", statuses: []string{"waiting_funds"}, replies: []simulator.Reply{fails, ack},
		actions: inTurn(attempted(1), revoked("user")), ends: operation.OutcomeAcknowledged},
	{name: "revoked-by-signal", endpoint: "WALLET", statuses: []string{"waiting_funds"}, actions: inTurn(attempted(1), bySignal(workflows.SignalRevoke, operation.Revocation{InitiatedBy: "core"})), ends: operation.OutcomeAcknowledged},
	{name: "withdrawn", endpoint: "WALLET_SLOW", statuses: []string{"processing"}, actions: inTurn(polled, withdrawn), ends: operation.OutcomeWithdrawn},
	{name: "withdrawn-while-delivering", endpoint: "CARD_SLOW", statuses: []string{"2"}, replies: []simulator.Reply{fails},
		actions: inTurn(attempted(1), withdrawn), ends: operation.OutcomeWithdrawn},
	{name: "withdrawn-and-acknowledged", endpoint: "CARD", statuses: []string{"2"},
		replies: []simulator.Reply{fails, {Delay: 500 * time.Millisecond}}, actions: inTurn(attempted(2), withdrawn), ends: operation.OutcomeAcknowledged},
	{name: "pushed", endpoint: "WALLET_SLOW", statuses: []string{"processing"}, actions: inTurn(polled, pushed("reserved"), attempted(1), pushed("done")),
		ends: operation.OutcomeAcknowledged},
	{name: "pushed-to-poll-now", endpoint: "WALLET_SLOW", statuses: []string{"processing", "done"}, actions: inTurn(polled, pushed("")),
		ends: operation.OutcomeAcknowledged},
	{name: "redelivered", endpoint: "CARD", statuses: []string{"2"}, replies: []simulator.Reply{fails, fails, fails, fails, fails, ack},
		actions: inTurn(closed, redelivered(operation.RedeliveryRequest{})), ends: operation.OutcomeAcknowledged},
	{name: "redelivered-with-repoll", endpoint: "WALLET_BRIEF", statuses: []string{"processing", "processing", "processing", "processing", "processing", "done"},
		actions: inTurn(closed, redelivered(operation.RedeliveryRequest{Repoll: true})), ends: operation.OutcomeAcknowledged},
	{name: "first-attempt-failed-in-an-activity", endpoint: "WALLET_SLOW", statuses: []string{"processing"}, replies: []simulator.Reply{fails, ack},
		actions: inTurn(polled, pushed("done")), ends: operation.OutcomeAcknowledged},
	{name: "exhausted-on-the-way", endpoint: "WALLET_EVERY", statuses: []string{"waiting_funds", "done"},
		replies: []simulator.Reply{fails, fails, fails, fails, ack}, ends: operation.OutcomeAcknowledged},
	// Signal and Update wait for the workflow task with the first attempt.
	{name: "pushed-by-signal-before-an-update", endpoint: "WALLET", statuses: []string{"waiting_funds"}, replies: []simulator.Reply{{Delay: 500 * time.Millisecond}, ack},
		actions: inTurn(attempted(1), bySignal(workflows.SignalStatus, workflows.Push{Status: "reserved"}), pushed("done")), ends: operation.OutcomeAcknowledged},
}

func (s story) dialect() string {
	if strings.HasPrefix(s.endpoint, "CARD") {
		return "ukrcard"
	}
	return "paysera"
}

func (s story) start(key operation.Key) operation.StartRequest {
	r := operation.StartRequest{Endpoint: key.Endpoint, OperationID: key.OperationID}
	if s.dialect() == "ukrcard" {
		at := operation.At(time.Now())
		r.Method, r.Reference.RegisteredAt = "payment", &at
	}
	return r
}

// warmUp makes one fast delivery at every endpoint, so that the stories do not depend
// on their order.
func (s *recording) warmUp(ctx context.Context) error {
	known := map[string]bool{}
	for i, story := range stories {
		if known[story.endpoint] {
			continue
		}
		known[story.endpoint] = true
		story.replies, story.actions, story.unanswered, story.statuses = nil, nil, false, []string{"done"}
		if story.dialect() == "ukrcard" {
			story.statuses = []string{"2"}
		}
		story.ends = operation.OutcomeAcknowledged
		if _, err := s.perform(ctx, story, fmt.Sprint(901+i)); err != nil {
			return fmt.Errorf("the first operation of %s: %w", story.endpoint, err)
		}
	}
	return nil
}

// perform performs the story and returns the history of its last run.
func (s *recording) perform(ctx context.Context, story story, id string) ([]byte, error) {
	key := operation.Key{Endpoint: story.endpoint, OperationID: id}
	s.script(story, id)
	if _, _, err := s.api.Start(ctx, story.start(key)); err != nil {
		return nil, err
	}
	if story.actions != nil {
		if err := story.actions(ctx, s, key); err != nil {
			return nil, err
		}
	}
	state, err := s.api.Await(ctx, key, apiclient.Closed)
	if err != nil {
		return nil, err
	}
	if state.Outcome != story.ends {
		return nil, fmt.Errorf("it ended as %s, not %s: %+v", state.Outcome, story.ends, state)
	}
	return s.history(ctx, key.WorkflowID(), state.RunID)
}

func (s *recording) script(story story, id string) {
	if len(story.replies) > 0 {
		s.receiver[story.dialect()].Script(id, story.replies...)
	}
	if story.dialect() == "paysera" {
		s.core.Script(id, simulator.Steps(story.statuses...)...)
		return
	}
	var answers []simulator.WSGateAnswer
	for _, status := range story.statuses {
		answers = append(answers, simulator.WSGateAnswer{OrderStatus: int(status[0] - '0')})
	}
	if story.unanswered {
		answers = []simulator.WSGateAnswer{{Drop: true}}
	}
	s.wsgate.Script(id, answers...)
}

// action is one thing that is done to an operation, or to a bulk redelivery by its id.
type action[K any] func(context.Context, *recording, K) error

func inTurn[K any](actions ...action[K]) action[K] {
	return func(ctx context.Context, s *recording, key K) error {
		for _, do := range actions {
			if err := do(ctx, s, key); err != nil {
				return err
			}
		}
		return nil
	}
}

// settleTime is left to a run to complete its workflow task.
const settleTime = 100 * time.Millisecond

// until waits until done, or an error.
func until(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// attempted waits until n attempts have arrived.
func attempted(n int) action[operation.Key] {
	return func(ctx context.Context, s *recording, key operation.Key) error {
		defer time.Sleep(settleTime)
		return until(ctx, func() (bool, error) {
			return len(s.receiver["ukrcard"].Received(key.OperationID))+len(s.receiver["paysera"].Received(key.OperationID)) >= n, nil
		})
	}
}

// polled waits for the first poll.
func polled(ctx context.Context, s *recording, key operation.Key) error {
	defer time.Sleep(settleTime)
	return until(ctx, func() (bool, error) { return len(s.core.Questions(key.OperationID)) > 0, nil })
}

func closed(ctx context.Context, s *recording, key operation.Key) error {
	_, err := s.api.Await(ctx, key, apiclient.Closed)
	return err
}

func pushed(status string) action[operation.Key] {
	return func(ctx context.Context, s *recording, key operation.Key) error { return s.api.Push(ctx, key, status) }
}

// bySignal sends a Signal, as the UI and the CLI do.
func bySignal(signal string, input any) action[operation.Key] {
	return func(ctx context.Context, s *recording, key operation.Key) error {
		return s.temporal.SignalWorkflow(ctx, key.WorkflowID(), "", signal, input)
	}
}

func revoked(by string) action[operation.Key] {
	return func(ctx context.Context, s *recording, key operation.Key) error {
		_, err := s.api.Revoke(ctx, key, by, "")
		return err
	}
}

func withdrawn(ctx context.Context, s *recording, key operation.Key) error {
	_, err := s.api.Withdraw(ctx, key)
	return err
}

func redelivered(r operation.RedeliveryRequest) action[operation.Key] {
	return func(ctx context.Context, s *recording, key operation.Key) error {
		_, err := s.api.Redeliver(ctx, key, r)
		return err
	}
}
