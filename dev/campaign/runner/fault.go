package runner

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"ringback/dev/campaign/actors"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// injection is how a fault is begun and ended. end returns when everything works
// again.
type injection struct {
	on    string
	begin func() error
	end   func(ctx context.Context) error
}

func (r *runner) injection(ctx context.Context, f plan.Fault) injection {
	program, broken := r.targets[f.On], r.links[f.On]
	switch f.Kind {
	case plan.Kill:
		return injection{f.On, program.Kill, program.Restart}
	case plan.Terminate:
		return injection{f.On, program.Stop, program.Restart}
	case plan.Freeze:
		return injection{
			f.On, func() error { return program.Signal(syscall.SIGSTOP) },
			func(context.Context) error { return program.Signal(syscall.SIGCONT) },
		}
	case plan.CoreDown:
		return r.refusal(toCores)
	case plan.DatabaseRefuses:
		return r.refusal(toDatabase)
	case plan.SkewedClock, plan.SlotsFull:
		return injection{
			f.On, func() error { return actors.SetFault(ctx, r.receivers, f.Kind, true) },
			func(ctx context.Context) error { return actors.SetFault(ctx, r.receivers, f.Kind, false) },
		}
	case plan.Latency, plan.Reset, plan.Blackhole, plan.SlowClose:
	}
	return injection{
		f.On, func() error { return broken.impair(f.Kind) },
		func(context.Context) error { return broken.repair(f.Kind) },
	}
}

// refusal is a link that refuses connections.
func (r *runner) refusal(name string) injection {
	refusing := r.links[name]
	return injection{
		name, func() error { refusing.refuse(); return nil },
		func(context.Context) error { return refusing.open() },
	}
}

// inject injects one fault and records when it really began and ended.
func (r *runner) inject(ctx context.Context, f plan.Fault) error {
	i := r.injection(ctx, f)
	r.locks[i.on].Lock()
	defer r.locks[i.on].Unlock()
	r.Log("%s: %s, for %s", f.On, f.Kind, f.Last)
	done := journal.Fault{Kind: string(f.Kind), On: f.On, Span: journal.Span{Began: time.Now()}}
	if err := i.begin(); err != nil {
		return fmt.Errorf("inject %s on %s: %w", f.Kind, f.On, err)
	}
	if err := sleepUntil(ctx, done.Began.Add(f.Last)); err != nil {
		return err
	}
	ending, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := i.end(ending); err != nil {
		return fmt.Errorf("end %s on %s: %w", f.Kind, f.On, err)
	}
	done.Ended = time.Now()
	return r.journal.Write(journal.Entry{Fault: &done})
}

// injectFaults injects each of the plan's faults at its time, and returns when all
// are over.
func (r *runner) injectFaults(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, f := range r.plan.Faults {
		all.Go(func() error {
			if err := sleepUntil(ctx, r.began.Add(f.At)); err != nil {
				return err
			}
			return r.inject(ctx, f)
		})
	}
	err := all.Wait()
	r.restarting.Wait()
	return err
}

func sleepUntil(ctx context.Context, t time.Time) error {
	select {
	case <-time.After(time.Until(t)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
