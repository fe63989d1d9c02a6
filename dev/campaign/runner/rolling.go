package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ringback/dev/percentile"
	"ringback/internal/operation"
)

const (
	// rollingStarts is how many operations a second are started throughout.
	rollingStarts = 50
	// warmUp is not measured, undisturbed is how long is measured before.
	warmUp      = 10 * time.Second
	undisturbed = 30 * time.Second
	// between two programs that are restarted, as a careful operator waits.
	betweenRestarts = 3 * time.Second
	// rollingFactor is the target: the 99th percentile at most so many times the
	// undisturbed one.
	rollingFactor = 5
)

// Rolling restarts every program of Ringback with SIGTERM, one after the other,
// while operations are started.
func Rolling(ctx context.Context, o Options) (figures Figures, err error) {
	s, ctx, err := openScenario(ctx, o, ringback{programs: ringbackPrograms()}, usualEndpoints())
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	if err != nil {
		return nil, err
	}
	began, ended, err := s.roll(ctx)
	if err != nil {
		s.fail(err)
		return nil, err
	}
	return s.rollingFigures(began, ended), nil
}

// roll returns from when to when the restarts were.
func (s *scenario) roll(ctx context.Context) (began, ended time.Time, err error) {
	var streaming sync.WaitGroup
	var over atomic.Bool
	streaming.Go(func() {
		s.fresh = s.stream(ctx, rollingStarts, func(n int) (operation.Key, bool) {
			return operation.Key{Endpoint: fresh, OperationID: fmt.Sprintf("%d", 3_000_000+n)}, !over.Load()
		})
	})
	err = until(ctx, time.Now().Add(warmUp+undisturbed))
	began = time.Now()
	for _, name := range ringbackPrograms() {
		if err == nil {
			err = s.restart(ctx, name)
		}
	}
	ended = time.Now()
	over.Store(true)
	streaming.Wait()
	if err != nil {
		return began, ended, err
	}
	rungOnce := func(r []rung) bool { return len(r) > 0 }
	return began, ended, errors.Join(s.arrive(ctx, s.fresh, rungOnce), until(ctx, time.Now().Add(settling)))
}

func (s *scenario) restart(ctx context.Context, name string) error {
	s.Say("%s: SIGTERM", name)
	what, at := s.subjects[name], time.Now()
	if err := what.stop(); err != nil {
		return err
	}
	down := time.Now()
	if err := what.start(ctx); err != nil {
		return err
	}
	s.Say("%s: drained in %s, ready %s later", name, down.Sub(at).Round(time.Millisecond), time.Since(down).Round(time.Millisecond))
	return until(ctx, time.Now().Add(betweenRestarts))
}

func (s *scenario) rollingFigures(began, ended time.Time) Figures {
	var before, during []time.Duration
	for key, at := range s.fresh {
		took := s.of(key.OperationID)[0].came.Sub(at)
		switch {
		case at.After(began) && at.Before(ended):
			during = append(during, took)
		case at.After(began.Add(-undisturbed)):
			before = append(before, took)
		}
	}
	var f Figures
	calm, rolling := percentile.Of(before, 0.99), percentile.Of(during, 0.99)
	f.told("operations started, undisturbed and during the restarts", fmt.Sprintf("%d and %d", len(before), len(during)))
	f.told("calls made again at an API, for a 503 or a refused connection", s.repeated.Load())
	f.wanted("starts that failed", s.failed.Load(), "none", s.failed.Load() == 0)
	twice := duplicates(s.yard, s.fresh)
	f.wanted("duplicates", twice, "none", twice == 0)
	f.told("start to callback, median, undisturbed and during the restarts", fmt.Sprintf("%s and %s", ms(percentile.Of(before, 0.5)), ms(percentile.Of(during, 0.5))))
	f.told("start to callback, 99th percentile, undisturbed", ms(calm))
	f.wanted("start to callback, 99th percentile, during the restarts", ms(rolling), fmt.Sprintf("at most %d times that", rollingFactor), rolling <= rollingFactor*calm)
	f.told("start to callback, the longest, during the restarts", ms(percentile.Of(during, 1)))
	return f
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
