package stage

import (
	"context"
	"fmt"
	"time"

	"ringback/internal/callback"
)

// scenario is a stage whose world is the yard: one thing is measured there, and
// what happens to what is no matter of a plan.
type scenario struct {
	*Stage
	*yard
	*caller
	// fresh are when the operations were begun that are rung at once.
	fresh map[callback.Key]time.Time
}

const (
	// gap is h in a scenario.
	gap = time.Second
	// dueEndpoints share what is due, as receivers do.
	dueEndpoints = 10
	// arriveWithin bounds every wait of a scenario.
	arriveWithin = 3 * time.Minute
)

// openScenario starts Ringback with the yard as its world.
func openScenario(ctx context.Context, o Options, r ringback) (*scenario, context.Context, error) {
	stage, ctx := newStage(ctx, o)
	s := &scenario{Stage: stage}
	var err error
	if s.yard, err = openYard(); err != nil {
		return s, ctx, err
	}
	s.ends = append(s.ends, s.yard.close)
	if err := s.openEngine(ctx); err != nil {
		return s, ctx, err
	}
	endpoints := []string{fresh}
	for n := range dueEndpoints {
		endpoints = append(endpoints, fmt.Sprint(due, n))
	}
	r.config, r.environment = s.yard.config(gap, endpoints...), yardEnvironment
	if err := s.openRingback(ctx, r); err != nil {
		return s, ctx, err
	}
	s.caller = s.newCaller()
	return s, ctx, nil
}

// arrive waits until what the receivers were sent about each operation is enough.
func (s *scenario) arrive(ctx context.Context, keys map[callback.Key]time.Time, enough func([]rung) bool) error {
	deadline := time.Now().Add(arriveWithin)
	for key := range keys {
		for !enough(s.of(key.OperationID)) {
			if time.Now().After(deadline) {
				return fmt.Errorf("%s was not rung as it should within %s: %+v", key.WorkflowID(), arriveWithin, s.of(key.OperationID))
			}
			if err := until(ctx, time.Now().Add(100*time.Millisecond)); err != nil {
				return err
			}
		}
	}
	return nil
}

// duplicates are the requests that came after a receiver had acknowledged.
func duplicates(y *yard, keys map[callback.Key]time.Time) (found int) {
	for key := range keys {
		took := 0
		for _, r := range y.of(key.OperationID) {
			if r.took {
				took++
			}
		}
		found += max(took-1, 0)
	}
	return found
}
