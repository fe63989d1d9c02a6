package actors

import (
	"context"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// againPause is between two starts that are said again.
const againPause = 250 * time.Millisecond

// Again says the starts of the plan once more, one after another, until ctx ends
// and the call in flight is over: Starters have said everything then. Each is to
// be answered by its operation, open or closed, and how long that takes is all
// that tells how the engine does while there is nothing else to start. An error
// says that the journal can't be written.
func Again(ctx context.Context, o Options, written *journal.Writer) error {
	calling, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	s := newStarters(&role{Options: o, plan: plan.Make(o.Plan), journal: written, fail: fail})
	defer s.hangUp()
	over := func() bool { return ctx.Err() != nil }
	for n := 0; sleep(ctx, againPause) && calling.Err() == nil; n++ {
		i := n % len(s.plan.Operations)
		operation := s.plan.Operations[i]
		s.sayStart(calling, n, operation, operation.Starts+n/len(s.plan.Operations), over)
	}
	return context.Cause(calling)
}
