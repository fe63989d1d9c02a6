package activities

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"ringback/internal/operation"
)

const (
	// reportTimeout bounds one report of an endpoint's health.
	reportTimeout = 10 * time.Second
	// stillWell is how often an endpoint that acknowledges is said to be well:
	// whoever said that it is failing may be gone since.
	stillWell = 5 * time.Minute
)

// healths is what this worker knows of how its endpoints are.
type healths struct {
	mu     sync.Mutex
	byName map[string]*health
}

// health is one endpoint's. What it is and what was said of it are kept apart,
// so that a report that the server did not take is made again.
type health struct {
	latest operation.Health
	// said is what the server knows from us, and since when; saying that a
	// report is on its way.
	said   bool
	saidAt time.Time
	saying bool
}

// judged takes an attempt into account and says so where the endpoint went bad
// or recovered. Nothing waits for it.
func (a *Activities) judged(ctx context.Context, endpoint string, attempt operation.Attempt) {
	if a.ReportHealth == nil {
		return
	}
	report, due := a.healths.take(endpoint, attempt, a.FailingAfter(endpoint))
	if !due {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
		defer cancel()
		err := a.ReportHealth(ctx, endpoint, report)
		a.healths.said(endpoint, report.Failing, err == nil)
		if err != nil {
			a.Log.Warn("the health of an endpoint could not be told", zap.String("endpoint", endpoint),
				zap.Bool("failing", report.Failing), zap.Error(err))
		}
	}()
}

// take counts an attempt; failingAfter attempts in a row that were not
// acknowledged make an endpoint failing, one that was makes it well. 0: nobody
// hears of it.
func (h *healths) take(name string, attempt operation.Attempt, failingAfter int) (operation.Health, bool) {
	if failingAfter == 0 {
		return operation.Health{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byName == nil {
		h.byName = map[string]*health{}
	}
	one := h.byName[name]
	if one == nil {
		one = &health{}
		h.byName[name] = one
	}
	one.count(attempt, failingAfter)
	well := !one.latest.Failing && attempt.Verdict == operation.Acknowledged && time.Since(one.saidAt) > stillWell
	due := !one.saying && (one.latest.Failing != one.said || well)
	one.saying = one.saying || due
	return one.latest, due
}

func (h *health) count(attempt operation.Attempt, failingAfter int) {
	if attempt.Verdict == operation.Acknowledged {
		h.latest = operation.Health{At: attempt.End()}
		return
	}
	h.latest.Attempts++
	h.latest.At, h.latest.Reason = attempt.End(), attempt.Reason
	h.latest.Failing = h.latest.Attempts >= failingAfter
}

func (h *healths) said(name string, failing, heard bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.byName[name]
	one.saying = false
	if heard {
		one.said, one.saidAt = failing, time.Now()
	}
}
