package source

import (
	"errors"
	"sync"
	"time"
)

const (
	// refusedRest is how long an operation is not polled after a refusal, and a
	// source while its breaker is open.
	refusedRest = 15 * time.Second
	// maxRefusedRest bounds that of one operation, which doubles with each refusal.
	maxRefusedRest = 4 * time.Minute
	// probeTimeLeft is how soon others call Allow again while a probe is under way.
	probeTimeLeft = time.Second
	// maxRefused is how many refused operations are remembered; those that rest
	// shortest are forgotten first.
	maxRefused = 1024
)

// Refusals is the breaker of one source against refused credentials (401, 403).
//
// A refused operation rests alone. When two different operations were refused and
// none was accepted between them, the breaker opens, and lets one poll through
// every 15 s until one is accepted: that of an operation not refused before, or if
// there is none for another 15 s, of a refused one.
//
// The zero Refusals is closed and ready. It is safe for concurrent use.
type Refusals struct {
	mu sync.Mutex
	// refused are the operations not accepted since they were refused.
	refused map[string]refusedOperation
	// newlyRefused counts the operations refused for the first time since one was
	// accepted: from two on, the breaker is open.
	newlyRefused int
	// probeAt is when the open breaker lets a poll through.
	probeAt time.Time
	// probe is the operation whose poll was let through, empty if none is under way.
	probe string
}

type refusedOperation struct {
	until time.Time
	rest  time.Duration
}

// Allow reports whether operation may be polled now; if not, when to call Allow
// again. Every poll that is allowed must be made: it may be the probe.
func (r *Refusals) Allow(operation string, now time.Time) (wait time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	own, wasRefused := r.refused[operation]
	if wait := own.until.Sub(now); wait > 0 {
		return wait, false
	}
	if !r.open() {
		return 0, true
	}
	probeAt := r.probeAt
	if wasRefused {
		probeAt = probeAt.Add(refusedRest)
	}
	if wait := probeAt.Sub(now); wait > 0 {
		if r.probe != "" { // it may close the breaker
			wait = min(wait, probeTimeLeft)
		}
		return wait, false
	}
	r.probe, r.probeAt = operation, now.Add(refusedRest)
	return 0, true
}

// Open reports whether the breaker holds back all polls but its probes.
func (r *Refusals) Open() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open()
}

func (r *Refusals) open() bool { return r.newlyRefused >= 2 }

// Answered records what Poll or Details returned for operation. No answer, and one
// that is not of the core itself, counts neither as accepted nor as refused.
func (r *Refusals) Answered(operation string, err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	probed := r.probe != "" && operation == r.probe
	if probed {
		r.probe = ""
	}
	switch {
	case isRefused(err):
		r.refuse(operation, now)
	case isAccepted(err):
		delete(r.refused, operation)
		r.newlyRefused, r.probe = 0, ""
	case probed:
		r.probeAt = now
	}
}

func (r *Refusals) refuse(operation string, now time.Time) {
	own, known := r.refused[operation]
	if !known {
		r.makeRoom()
		r.newlyRefused++
	}
	own.rest = max(own.rest, refusedRest)
	// Refusals of the whole source do not lengthen the rest of one operation.
	if known && !r.open() {
		own.rest = min(2*own.rest, maxRefusedRest)
	}
	own.until = now.Add(own.rest)
	r.refused[operation] = own
	if r.open() {
		r.probeAt = now.Add(refusedRest)
	}
}

func (r *Refusals) makeRoom() {
	if r.refused == nil {
		r.refused = map[string]refusedOperation{}
	}
	if len(r.refused) < maxRefused {
		return
	}
	var soonest string
	for operation, own := range r.refused {
		if soonest == "" || own.until.Before(r.refused[soonest].until) {
			soonest = operation
		}
	}
	delete(r.refused, soonest)
}

func isRefused(err error) bool {
	var failure *Error
	return errors.As(err, &failure) && failure.Kind == Unauthorized
}

// isAccepted reports whether the core took the credentials, whatever it answered
// about the operation.
func isAccepted(err error) bool {
	if err == nil {
		return true
	}
	var failure *Error
	return errors.As(err, &failure) && failure.FromCore && (failure.Kind == NotFound || failure.Kind == Malformed)
}
