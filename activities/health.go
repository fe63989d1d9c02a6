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
	// wellInterval is how often an endpoint that acknowledges is reported as well:
	// the worker that reported it as failing may be gone.
	wellInterval = 5 * time.Minute
)

// healthReports is what this worker knows about the health of its endpoints, for
// notices.
type healthReports struct {
	mu     sync.Mutex
	byName map[string]healthReport
}

// healthReport is one endpoint's. What is and what was reported are kept apart, so
// that a report that the server did not take is made again.
type healthReport struct {
	latest operation.Health
	// reported is whether it was reported as failing, and reportedAt when; reporting
	// says that a report is under way.
	reported   bool
	reportedAt time.Time
	reporting  bool
}

// updateHealth counts an attempt, and reports where the endpoint began to fail or
// recovered. Nothing waits for the report.
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

// update counts an attempt and reports whether its endpoint's health is to be
// reported. failingAfter attempts in a row that were not acknowledged make an
// endpoint failing, one that was makes it well; 0: nobody wants reports.
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
	one.count(attempt, failingAfter)
	well := attempt.Verdict == operation.Acknowledged && time.Since(one.reportedAt) > wellInterval
	due := !one.reporting && (one.latest.Failing != one.reported || well)
	one.reporting = one.reporting || due
	h.byName[name] = one
	return one.latest, due
}

func (h *healthReport) count(attempt operation.Attempt, failingAfter int) {
	if attempt.Verdict == operation.Acknowledged {
		h.latest = operation.Health{At: attempt.End()}
		return
	}
	h.latest.Attempts++
	h.latest.At, h.latest.Reason = attempt.End(), attempt.Reason
	h.latest.Failing = h.latest.Attempts >= failingAfter
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
