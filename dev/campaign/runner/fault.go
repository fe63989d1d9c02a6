package runner

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"ringback/dev/campaign/actors"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// breaking is how a fault is begun and ended. mend returns when what was broken
// is whole again.
type breaking struct {
	on          string
	begin, mend func(ctx context.Context) error
}

// breaking is how f is done here.
func (s *Stage) breaking(f plan.Fault) (breaking, error) {
	switch f.Kind {
	case plan.Latency, plan.Reset, plan.Blackhole, plan.SlowClose:
		return s.poisoning(f.On, f.Kind)
	case plan.CoreDown:
		return s.cutting(toCores)
	case plan.DatabaseRefuses:
		return s.cutting(toDatabase)
	case plan.SkewedClock, plan.SlotsFull:
		return s.telling(f.Kind), nil
	case plan.Kill, plan.Terminate, plan.Freeze:
		return s.hurting(f.On, f.Kind)
	}
	return breaking{}, fmt.Errorf("no fault is called %q", f.Kind)
}

func (s *Stage) poisoning(name string, kind plan.FaultKind) (breaking, error) {
	l, ok := s.links[name]
	if !ok {
		return breaking{}, fmt.Errorf("no link is called %q", name)
	}
	return breaking{
		on:    name,
		begin: func(context.Context) error { return l.poison(kind) },
		mend:  func(context.Context) error { return l.heal(kind) },
	}, nil
}

func (s *Stage) cutting(name string) (breaking, error) {
	l, ok := s.links[name]
	if !ok {
		return breaking{}, fmt.Errorf("no link is called %q", name)
	}
	return breaking{
		on:    name,
		begin: func(context.Context) error { l.refuse(); return nil },
		mend:  func(context.Context) error { return l.open() },
	}, nil
}

func (s *Stage) telling(kind plan.FaultKind) breaking {
	set := func(on bool) func(context.Context) error {
		return func(ctx context.Context) error { return actors.SetFault(ctx, s.receivers, kind, on) }
	}
	return breaking{on: receiversRole, begin: set(true), mend: set(false)}
}

func (s *Stage) hurting(name string, kind plan.FaultKind) (breaking, error) {
	what, ok := s.subjects[name]
	if !ok {
		return breaking{}, fmt.Errorf("no program is called %q", name)
	}
	b := breaking{on: name, mend: what.start}
	switch kind {
	case plan.Kill:
		b.begin = func(context.Context) error { return what.kill() }
	case plan.Terminate:
		b.begin = func(context.Context) error { return what.stop() }
	default:
		b.begin = func(context.Context) error { return what.signal(syscall.SIGSTOP) }
		b.mend = func(context.Context) error { return what.signal(syscall.SIGCONT) }
	}
	return b, nil
}

// inject does one fault and writes down when it really was.
func (s *Stage) inject(ctx context.Context, f plan.Fault) error {
	b, err := s.breaking(f)
	if err != nil {
		return fmt.Errorf("inject %s on %s: %w", f.Kind, f.On, err)
	}
	s.busy[b.on].Lock()
	defer s.busy[b.on].Unlock()
	s.Say("%s: %s, for %s", f.On, f.Kind, f.Last)
	done := journal.Fault{Kind: string(f.Kind), On: f.On, Span: journal.Span{Began: time.Now()}}
	if err := b.begin(ctx); err != nil {
		return fmt.Errorf("inject %s on %s: %w", f.Kind, f.On, err)
	}
	if err := until(ctx, done.Began.Add(f.Last)); err != nil {
		return err
	}
	if err := b.mend(ctx); err != nil {
		return fmt.Errorf("end %s on %s: %w", f.Kind, f.On, err)
	}
	done.Ended = time.Now()
	return s.journal.Write(journal.Entry{Fault: &done})
}

// Faults injects the plan's faults, each at its time, and returns when what was
// broken is whole.
func (s *Stage) Faults(ctx context.Context) error {
	for _, f := range s.plan.Faults {
		if _, err := s.breaking(f); err != nil {
			return fmt.Errorf("the plan's fault %s on %s: %w", f.Kind, f.On, err)
		}
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var all sync.WaitGroup
	for _, f := range s.plan.Faults {
		all.Go(func() {
			err := until(ctx, s.began.Add(f.At))
			if err == nil {
				err = s.inject(ctx, f)
			}
			if err != nil {
				fail(err)
			}
		})
	}
	all.Wait()
	s.reviving.Wait()
	return context.Cause(ctx)
}

// until waits for a moment.
func until(ctx context.Context, moment time.Time) error {
	select {
	case <-time.After(time.Until(moment)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
