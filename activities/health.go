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
	// wellInterval is how often an endpoint that acknowledges is reported as well: the
	// worker that reported it as failing may be gone.
	wellInterval = 5 * time.Minute
)

// healthReports is what this worker knows about the health of its endpoints.
type healthReports struct {
	mu     sync.Mutex
	byName map[string]healthReport
}

// healthReport is one endpoint's: its health, and what of it the server has taken.
type healthReport struct {
	latest operation.Health
	// reported is whether it was reported as failing, reporting that a report is under way.
	reported   bool
	reportedAt time.Time
	reporting  bool
}

// updateHealth counts an attempt, and reports an endpoint that began to fail or recovered.
func (a *Activities) updateHealth(ctx context.Context, endpoint string, attempt operation.Attempt) {
	if a.ReportHealth == nil {
		return
	}
	report, due := a.health.update(endpoint, attempt, a.FailingAfter(endpoint))
	if !due {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
		defer cancel()
		err := a.ReportHealth(ctx, endpoint, report)
		a.health.done(endpoint, report.Failing, err == nil)
		if err != nil {
			a.Log.Warn("the health of an endpoint could not be reported", zap.String("endpoint", endpoint),
				zap.Bool("failing", report.Failing), zap.Error(err))
		}
	}()
}

// update counts an attempt and reports whether its endpoint's health is to be reported.
func (h *healthReports) update(name string, attempt operation.Attempt, failingAfter int) (operation.Health, bool) {
	if failingAfter == 0 {
		return operation.Health{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byName == nil {
		h.byName = map[string]healthReport{}
	}
	one := h.byName[name]
	if attempt.Verdict == operation.Acknowledged {
		one.latest = operation.Health{At: attempt.End()}
	} else {
		failed := one.latest.Attempts + 1
		one.latest = operation.Health{At: attempt.End(), Attempts: failed, Reason: attempt.Reason, Failing: failed >= failingAfter}
	}
	well := attempt.Verdict == operation.Acknowledged && time.Since(one.reportedAt) > wellInterval
	due := !one.reporting && (one.latest.Failing != one.reported || well)
	one.reporting = one.reporting || due
	h.byName[name] = one
	return one.latest, due
}

// done ends a report, which the server took if ok.
func (h *healthReports) done(name string, failing, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.byName[name]
	one.reporting = false
	if ok {
		one.reported, one.reportedAt = failing, time.Now()
	}
	h.byName[name] = one
}
