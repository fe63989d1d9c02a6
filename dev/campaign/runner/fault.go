package runner

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// injection is how a fault is begun and ended. end returns when everything works
// again.
type injection struct {
	on         string
	begin, end func(ctx context.Context) error
}

func (r *runner) injection(f plan.Fault) (injection, error) {
	switch f.Kind {
	case plan.Latency, plan.Reset, plan.Blackhole:
		return r.breakLink(f.On, f.Kind)
	case plan.CoreDown:
		return r.refuseConnections(toCores)
	case plan.DatabaseRefuses:
		return r.refuseConnections(toDatabase)
	case plan.Kill, plan.Terminate, plan.Freeze:
		return r.signalProgram(f.On, f.Kind)
	}
	return injection{}, fmt.Errorf("unknown fault %q", f.Kind)
}

func (r *runner) breakLink(name string, kind plan.FaultKind) (injection, error) {
	l, ok := r.links[name]
	if !ok {
		return injection{}, fmt.Errorf("unknown link %q", name)
	}
	return injection{
		on:    name,
		begin: func(context.Context) error { return l.impair(kind) },
		end:   func(context.Context) error { return l.repair(kind) },
	}, nil
}

func (r *runner) refuseConnections(name string) (injection, error) {
	l, ok := r.links[name]
	if !ok {
		return injection{}, fmt.Errorf("unknown link %q", name)
	}
	return injection{
		on:    name,
		begin: func(context.Context) error { l.refuse(); return nil },
		end:   func(context.Context) error { return l.open() },
	}, nil
}

func (r *runner) signalProgram(name string, kind plan.FaultKind) (injection, error) {
	t, ok := r.targets[name]
	if !ok {
		return injection{}, fmt.Errorf("unknown program %q", name)
	}
	i := injection{on: name, end: t.start}
	switch kind {
	case plan.Kill:
		i.begin = func(context.Context) error { return t.kill() }
	case plan.Terminate:
		i.begin = func(context.Context) error { return t.stop() }
	default:
		i.begin = func(context.Context) error { return t.signal(syscall.SIGSTOP) }
		i.end = func(context.Context) error { return t.signal(syscall.SIGCONT) }
	}
	return i, nil
}

// inject injects one fault and records when it really began and ended.
func (r *runner) inject(ctx context.Context, f plan.Fault) error {
	i, err := r.injection(f)
	if err != nil {
		return fmt.Errorf("inject %s on %s: %w", f.Kind, f.On, err)
	}
	r.locks[i.on].Lock()
	defer r.locks[i.on].Unlock()
	r.Log("%s: %s, for %s", f.On, f.Kind, f.Last)
	done := journal.Fault{Kind: string(f.Kind), On: f.On, Span: journal.Span{Began: time.Now()}}
	if err := i.begin(ctx); err != nil {
		return fmt.Errorf("inject %s on %s: %w", f.Kind, f.On, err)
	}
	if err := sleepUntil(ctx, done.Began.Add(f.Last)); err != nil {
		return err
	}
	if err := i.end(ctx); err != nil {
		return fmt.Errorf("end %s on %s: %w", f.Kind, f.On, err)
	}
	done.Ended = time.Now()
	return r.journal.Write(journal.Entry{Fault: &done})
}

// injectFaults injects each of the plan's faults at its time, and returns when all
// are over.
func (r *runner) injectFaults(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var all sync.WaitGroup
	for _, f := range r.plan.Faults {
		all.Go(func() {
			err := sleepUntil(ctx, r.began.Add(f.At))
			if err == nil {
				err = r.inject(ctx, f)
			}
			if err != nil {
				fail(err)
			}
		})
	}
	all.Wait()
	r.restarting.Wait()
	return context.Cause(ctx)
}

func sleepUntil(ctx context.Context, t time.Time) error {
	select {
	case <-time.After(time.Until(t)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
