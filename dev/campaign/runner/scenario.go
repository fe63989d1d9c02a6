package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ringback/internal/operation"
)

// scenario is a stage whose world is the yard: one thing is measured there, and
// what happens to what is no matter of a plan.
type scenario struct {
	*Stage
	*yard
	*caller
	// fresh are when the operations were begun that are rung at once.
	fresh map[operation.Key]time.Time
}

const (
	// gap is h where nothing else is said.
	gap = time.Second
	// dueEndpoints share what is due, as receivers do.
	dueEndpoints = 10
	// arriveWithin bounds every wait of a scenario.
	arriveWithin = 3 * time.Minute
)

// usualEndpoints are those that are due together, and one that acknowledges always.
func usualEndpoints() map[string]string {
	usual := fmt.Sprintf("poll: {interval: 5s, lifetime: 20m}, honor_retry_after: true, delivery: {interval: %s, attempts: 100, timeout: 5s}", gap)
	endpoints := map[string]string{fresh: usual}
	for n := range dueEndpoints {
		endpoints[fmt.Sprint(due, n)] = usual
	}
	return endpoints
}

// openScenario starts Ringback with the yard as its world and these endpoints of it.
func openScenario(ctx context.Context, o Options, r ringback, endpoints map[string]string) (*scenario, context.Context, error) {
	stage, ctx := newStage(ctx, o)
	stage.direct = r.direct
	s := &scenario{Stage: stage}
	var err error
	if s.yard, err = openYard(); err != nil {
		return s, ctx, err
	}
	s.ends = append(s.ends, s.yard.close)
	if err := s.openEngine(ctx); err != nil {
		return s, ctx, err
	}
	r.config, r.environment = s.yard.config(endpoints), yardEnvironment
	if err := s.openRingback(ctx, r); err != nil {
		return s, ctx, err
	}
	s.caller = s.newCaller()
	return s, ctx, nil
}

// arrive waits until what the receivers were sent about each operation is enough.
func (s *scenario) arrive(ctx context.Context, keys map[operation.Key]time.Time, enough func([]rung) bool) error {
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

// acknowledged says that a receiver took the callback, and that its answer has gone.
func acknowledged(rungs []rung) bool {
	return slices.ContainsFunc(rungs, func(r rung) bool { return r.took && !r.answered.IsZero() })
}

// duplicates are the requests that came after a receiver had acknowledged.
func duplicates(y *yard, keys map[operation.Key]time.Time) (found int) {
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
