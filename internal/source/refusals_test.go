package source

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	errRefused  = &Error{Kind: Unauthorized}
	errSilent   = &Error{Kind: Unavailable}
	errUnknown  = &Error{Kind: NotFound, FromCore: true}
	errPage     = &Error{Kind: NotFound}
	refusalsDay = time.Date(2026, 11, 21, 7, 30, 0, 0, time.UTC)
)

func TestOneRefusedOperationRestsAloneAndEachTimeLonger(t *testing.T) {
	t.Parallel()
	var r Refusals
	now := refusalsDay
	for _, rest := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 4 * time.Minute} {
		requireAllowed(t, &r, "bad", now)
		r.Answered("bad", errRefused, now)
		requireHeld(t, &r, "bad", now, rest)
		for _, healthy := range []string{"1", "2", "3"} {
			requireAllowed(t, &r, healthy, now)
			r.Answered(healthy, nil, now)
		}
		now = now.Add(rest)
	}
	requireAllowed(t, &r, "bad", now)
	r.Answered("bad", nil, now)
	requireAllowed(t, &r, "bad", now)
	r.Answered("bad", errRefused, now)
	requireHeld(t, &r, "bad", now, 15*time.Second)
}

func TestTwoRefusedOperationsOpenTheBreakerUnlessOneIsAcceptedBetween(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		between error
		opens   bool
	}{
		{"another was accepted", nil, false},
		{"the core itself did not know another", errUnknown, false},
		{"another had no answer", errSilent, true},
		{"another had a page for an answer", errPage, true},
		{"another question was given up", errors.New("cancelled"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r Refusals
			r.Answered("a", errRefused, refusalsDay)
			r.Answered("c", tt.between, refusalsDay)
			r.Answered("b", errRefused, refusalsDay)
			wait, ok := r.Allow("healthy", refusalsDay)
			require.Equal(t, !tt.opens, ok)
			if tt.opens {
				require.Equal(t, 15*time.Second, wait)
			}
		})
	}
}

func TestTheProbeIsOfAnOperationThatWasNotRefused(t *testing.T) {
	t.Parallel()
	var r Refusals
	r.Answered("a", errRefused, refusalsDay)
	r.Answered("b", errRefused, refusalsDay)
	due := refusalsDay.Add(15 * time.Second)
	requireHeld(t, &r, "a", due, 15*time.Second)
	requireAllowed(t, &r, "healthy", due)
	requireHeld(t, &r, "another", due, time.Second)
	requireHeld(t, &r, "a", due, time.Second)

	r.Answered("healthy", nil, due)
	for _, operation := range []string{"healthy", "another", "a", "b"} {
		requireAllowed(t, &r, operation, due)
	}
	r.Answered("a", errRefused, due)
	r.Answered("b", errRefused, due)
	requireAllowed(t, &r, "healthy", due)
	requireHeld(t, &r, "a", due, 30*time.Second)
}

func TestARefusedOperationIsTheProbeWhereThereIsNoOther(t *testing.T) {
	t.Parallel()
	var r Refusals
	r.Answered("a", errRefused, refusalsDay)
	r.Answered("b", errRefused, refusalsDay)
	due := refusalsDay.Add(30 * time.Second)
	requireHeld(t, &r, "a", due.Add(-time.Millisecond), time.Millisecond)
	requireAllowed(t, &r, "a", due)
	requireHeld(t, &r, "b", due, time.Second)
	r.Answered("a", errRefused, due)
	requireHeld(t, &r, "b", due, 30*time.Second)
	requireAllowed(t, &r, "b", due.Add(30*time.Second))
	r.Answered("b", nil, due.Add(30*time.Second))
	requireAllowed(t, &r, "a", due.Add(30*time.Second))
}

func TestAProbeWithoutAnAnswerMakesRoomForTheNext(t *testing.T) {
	t.Parallel()
	var r Refusals
	r.Answered("a", errRefused, refusalsDay)
	r.Answered("b", errRefused, refusalsDay)
	due := refusalsDay.Add(15 * time.Second)
	requireAllowed(t, &r, "1", due)
	r.Answered("1", errSilent, due)
	requireAllowed(t, &r, "2", due)
	// The second one's process forgot to tell what became of it.
	requireAllowed(t, &r, "3", due.Add(15*time.Second))
}

func TestRefusedOperationsAreForgottenBeforeTheyFillTheMemory(t *testing.T) {
	t.Parallel()
	var r Refusals
	for i := range 3 * maxRefused {
		r.Answered(fmt.Sprint(i), errRefused, refusalsDay.Add(time.Duration(i)))
	}
	require.Len(t, r.refused, maxRefused)
	require.Contains(t, r.refused, fmt.Sprint(3*maxRefused-1))
}

func TestRefusalsMayBeUsedFromManyPlaces(t *testing.T) {
	t.Parallel()
	var r Refusals
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				now := refusalsDay.Add(time.Duration(j) * time.Second)
				if _, ok := r.Allow(fmt.Sprint(i), now); ok {
					r.Answered(fmt.Sprint(i), []error{nil, errRefused, errSilent}[(i+j)%3], now)
				}
			}
		})
	}
	all.Wait()
}

// asked is one answer that the model remembers.
type asked struct {
	operation string
	err       error
	at        time.Time
}

// The model keeps all answers and derives from them what must hold.
type refusalsModel struct {
	answers []asked
	// probed is when the last question was let through while open.
	probed time.Time
}

// newlyRefused are the operations refused since the last accepted answer that were
// not waiting to be accepted by then.
func (m *refusalsModel) newlyRefused() int {
	lastAccepted := -1
	for i, a := range m.answers {
		if isAccepted(a.err) {
			lastAccepted = i
		}
	}
	before := map[string]bool{}
	for _, a := range m.answers[:lastAccepted+1] {
		before[a.operation] = isRefused(a.err) || before[a.operation] && !isAccepted(a.err)
	}
	different := map[string]bool{}
	for _, a := range m.answers[lastAccepted+1:] {
		if isRefused(a.err) && !before[a.operation] {
			different[a.operation] = true
		}
	}
	return len(different)
}

// lastRefusal is when operation was refused, unless it was accepted later.
func (m *refusalsModel) lastRefusal(operation string) (time.Time, bool) {
	for _, a := range slices.Backward(m.answers) {
		switch {
		case a.operation != operation:
		case isAccepted(a.err):
			return time.Time{}, false
		case isRefused(a.err):
			return a.at, true
		}
	}
	return time.Time{}, false
}

func TestRefusalsHoldWhatTheyPromiseWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r Refusals
		var m refusalsModel
		now := refusalsDay
		var underWay []string
		operations := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
			},
			"ask": func(t *rapid.T) {
				operation := operations.Draw(t, "operation")
				if slices.Contains(underWay, operation) {
					return // One question of an operation is under way at most.
				}
				open := m.newlyRefused() >= 2
				refusedAt, refused := m.lastRefusal(operation)
				wait, ok := r.Allow(operation, now)
				if ok != (wait == 0) || wait > maxRefusedRest {
					t.Fatalf("allowed %v, wait %v", ok, wait)
				}
				if !ok && !refused && !open {
					t.Fatalf("%s was not refused, and is held back by what happened to one other", operation)
				}
				if !ok {
					return
				}
				if refused && now.Sub(refusedAt) < refusedRest {
					t.Fatalf("%s does not rest", operation)
				}
				if last := len(m.answers) - 1; open && refused && isRefused(m.answers[last].err) && now.Sub(m.answers[last].at) < 2*refusedRest {
					t.Fatalf("%s takes the probe that those who were not refused come before", operation)
				}
				if open && now.Sub(m.probed) < refusedRest {
					t.Fatalf("two probes within %v", now.Sub(m.probed))
				}
				if open {
					m.probed = now
				}
				underWay = append(underWay, operation)
			},
			"answer": func(t *rapid.T) {
				if len(underWay) == 0 {
					return
				}
				i := rapid.IntRange(0, len(underWay)-1).Draw(t, "which")
				operation := underWay[i]
				underWay = slices.Delete(underWay, i, i+1)
				err := rapid.SampledFrom([]error{nil, errUnknown, errRefused, errRefused, errSilent, errPage}).Draw(t, "err")
				r.Answered(operation, err, now)
				m.answers = append(m.answers, asked{operation, err, now})
				if !isRefused(err) {
					m.probed = time.Time{} // it was not a refused probe: another may follow at once
				}
			},
		})
		// Left alone for long enough, every operation may be asked about.
		for _, operation := range []string{"a", "b", "c", "d", "e"} {
			now = now.Add(maxRefusedRest + 2*refusedRest)
			if _, ok := r.Allow(operation, now); !ok {
				t.Fatalf("%s is held back for ever", operation)
			}
		}
	})
}

func requireAllowed(t *testing.T, r *Refusals, operation string, now time.Time) {
	t.Helper()
	wait, ok := r.Allow(operation, now)
	require.True(t, ok, "%s is held back for %v", operation, wait)
	require.Zero(t, wait)
}

func requireHeld(t *testing.T, r *Refusals, operation string, now time.Time, wants time.Duration) {
	t.Helper()
	wait, ok := r.Allow(operation, now)
	require.False(t, ok, operation)
	require.Equal(t, wants, wait, operation)
}
