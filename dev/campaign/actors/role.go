package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// role is what every role has.
type role struct {
	Options
	plan       plan.Plan
	operations map[string]plan.Operation
	journal    *journal.Writer
	// fail ends the role: without its journal it must not go on.
	fail context.CancelCauseFunc
}

// play runs a role that listens at so many addresses until ctx ends, its run
// does, or its journal can't be written.
func play(ctx context.Context, o Options, addresses int, run func(context.Context, *role) error) error {
	if len(o.Listen) != addresses {
		return fmt.Errorf("play a role of the outside: it needs %d addresses to listen on and has %d", addresses, len(o.Listen))
	}
	written, err := journal.Open(o.Journal)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &role{Options: o, plan: plan.Make(o.Plan), journal: written}
	r.operations = r.plan.ByID()
	var once sync.Once
	var failure error
	r.fail = func(err error) {
		once.Do(func() { failure = err })
		fail(err)
	}
	err = run(ctx, r)
	// Nobody fails once run has returned.
	once.Do(func() {})
	return errors.Join(err, failure, written.Close())
}

func (r *role) write(e journal.Entry) {
	if err := r.journal.Write(e); err != nil {
		r.fail(err)
	}
}

// since is how long ago the campaign began.
func (r *role) since() time.Duration { return time.Since(r.Began) }

// wait waits until so long after the campaign's beginning; false if ctx ended before.
func (r *role) wait(ctx context.Context, since time.Duration) bool {
	return sleep(ctx, since-r.since())
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
