package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// workerClock is a worker whose wall clock a test sets. The worker is the real program,
// built with one change: the package in which all waiting is done reads a clock
// that is off by what a file says. Its monotonic clock and its timers go on, as
// those of a process do when somebody sets the machine's clock.
type workerClock struct{ file string }

// asClock names the file in the worker's environment.
const asClock = "RINGBACK_E2E_CLOCK"

// set sets the clock by this much from the true time, and waits until it is.
func (h workerClock) set(t *testing.T, off time.Duration) {
	t.Helper()
	next := h.file + ".next"
	require.NoError(t, os.WriteFile(next, strconv.AppendInt(nil, int64(off/time.Second), 10), 0o600))
	require.NoError(t, os.Rename(next, h.file))
	time.Sleep(50 * time.Millisecond)
}

// leapingClock is added to package activities. What package time keeps of a
// moment is two words, the first with the wall clock's seconds above 30 bits of
// nanoseconds, the second with the monotonic clock's reading: only the first
// leaps.
const leapingClock = `package activities

import (
	"os"
	"strconv"
	"time"
	"unsafe"
)

func leapingNow() time.Time {
	text, err := os.ReadFile(os.Getenv("` + asClock + `"))
	if err != nil {
		panic(err)
	}
	seconds, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		panic(err)
	}
	now := time.Now()
	*(*uint64)(unsafe.Pointer(&now)) += uint64(seconds) << 30
	return now
}

func leapingUntil(t time.Time) time.Duration { return t.Sub(leapingNow()) }
func leapingSince(t time.Time) time.Duration { return leapingNow().Sub(t) }
`

// buildLeaping builds the program worker with that clock.
func buildLeaping(t *testing.T) (path string) {
	t.Helper()
	dir, of := t.TempDir(), absolute(t, "../../activities")
	files, err := filepath.Glob(filepath.Join(of, "*.go"))
	require.NoError(t, err)
	replaced := map[string]string{filepath.Join(of, "leaping.go"): leapingClock}
	clock := strings.NewReplacer("time.Now()", "leapingNow()", "time.Until(", "leapingUntil(", "time.Since(", "leapingSince(")
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		if changed := clock.Replace(string(text)); changed != string(text) && !strings.HasSuffix(name, "_test.go") {
			replaced[name] = changed + "\nvar _ time.Duration\n"
		}
	}
	require.Greater(t, len(replaced), 4, "the clock is read in several files")
	for name, content := range replaced {
		replaced[name] = filepath.Join(dir, filepath.Base(name))
		require.NoError(t, os.WriteFile(replaced[name], []byte(content), 0o600))
	}
	path = filepath.Join(dir, "worker")
	buildWith(t, path, replaced, "./worker")
	return path
}

// leapingWorker runs that program.
func (w *environment) leapingWorker(t *testing.T) workerClock {
	t.Helper()
	h := workerClock{filepath.Join(t.TempDir(), "clock")}
	path := buildLeaping(t)
	h.set(t, 0)
	awaitOutput(t, w.launchFrom(t, path, []string{asClock + "=" + h.file}), `"msg":"running"`)
	return h
}

const (
	shortH = 2 * time.Second // waited for in the worker
	longH  = 7 * time.Second // waited for on the server
	// late is what a busy machine may add.
	late = 5 * time.Second
)

// TestSettingTheClockDelaysNothing sets a worker's clock back by an hour
// and forward again, with operations open that wait in every way there is.
func TestSettingTheClockDelaysNothing(t *testing.T) {
	endpoint := "%s: {dialect: paysera, source: wallet, callback_url: per_operation, poll: {interval: %s, lifetime: 1h}, delivery: {interval: %s, attempts: 50, timeout: 1s}, push: trust}"
	w := newEnvironment(t, sharedServer(t), quick,
		fmt.Sprintf(endpoint, "SHORT", "2s", shortH), fmt.Sprintf(endpoint, "LONG", "11s", longH))
	_, api := w.api(t, "127.0.0.1:0", "-worker=false")
	clock := w.leapingWorker(t)

	key := func(endpoint, id string) operation.Key { return operation.Key{Endpoint: endpoint, OperationID: id} }
	watching := []operation.Key{key("SHORT", "1201"), key("LONG", "1202"), key("SHORT", "1203"), key("LONG", "1204")}
	delivering := []operation.Key{key("SHORT", "1205"), key("LONG", "1206")}
	for _, k := range append(watching, delivering...) {
		request := w.transfer(k.OperationID)
		request.Endpoint = k.Endpoint
		w.core.SetStatus(k.OperationID, "waiting_funds")
		start(t, api, request)
	}
	for _, k := range watching {
		awaitCallbacks(t, w.paysera, k.OperationID, 1)
	}
	for _, k := range delivering {
		w.paysera.Script(k.OperationID, failing(http.StatusServiceUnavailable))
		w.core.SetStatus(k.OperationID, "done")
	}
	for _, k := range delivering {
		awaitCallbacksAbout(t, w.paysera, k.OperationID, "done", 2)
	}

	// Back by an hour. Both deliveries go on, and both watches see the change.
	clock.set(t, -time.Hour)
	set := time.Now()
	for _, k := range watching[:2] {
		w.core.SetStatus(k.OperationID, "done")
	}
	for i, h := range []time.Duration{shortH, longH} {
		id := delivering[i].OperationID
		made := len(awaitCallbacksAbout(t, w.paysera, id, "done", 1))
		awaitCallbacksAbout(t, w.paysera, id, "done", made+2)
		require.Less(t, time.Since(set), 3*longH+2*late, "the leap is not waited for")
		requireGaps(t, w.paysera, id, h)
	}
	for _, k := range watching[:2] {
		state := awaitClosed(t, api, k)
		require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
		require.Less(t, time.Since(set), 3*longH+3*late)
	}

	// What the core pushes is newer than every poll, although it was dated by the
	// server's clock, which is an hour ahead of the worker's.
	require.NoError(t, api.Push(t.Context(), watching[2], "done"))
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, watching[2]).Outcome)

	// Forward again: the wait on the server that it happens in is at most half a
	// second short, by which the server wakes the worker early. No other is.
	clock.set(t, 0)
	for i, h := range []time.Duration{shortH, longH} {
		id := delivering[i].OperationID
		made := len(awaitCallbacksAbout(t, w.paysera, id, "done", 1))
		got := awaitCallbacksAbout(t, w.paysera, id, "done", made+2)
		require.GreaterOrEqual(t, got[made].Gap, h-500*time.Millisecond)
		require.GreaterOrEqual(t, got[made+1].Gap, h)
		w.paysera.Script(id, simulator.Acknowledge)
		state := awaitClosed(t, api, delivering[i])
		require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
		for _, attempt := range state.Deliveries[len(state.Deliveries)-1].Attempts {
			require.Less(t, attempt.TookMS, int64(2000), "an attempt took as long as it took: %+v", attempt)
		}
	}
	require.NoError(t, api.Push(t.Context(), watching[3], "done"))
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, watching[3]).Outcome)
}

// awaitCallbacksAbout waits until a receiver has answered n callbacks about one status.
func awaitCallbacksAbout(t *testing.T, r *simulator.Receiver, id, status string, n int) []simulator.Received {
	t.Helper()
	var found []simulator.Received
	require.Eventually(t, func() bool {
		found = nil
		for _, got := range r.Received(id) {
			if got.Status == status && !got.EndedAt.IsZero() {
				found = append(found, got)
			}
		}
		return len(found) >= n
	}, patience, 10*time.Millisecond)
	return found
}

// requireGaps checks h between the attempts of the callback that came last, and that no
// two were further apart than two of them.
func requireGaps(t *testing.T, r *simulator.Receiver, id string, h time.Duration) {
	t.Helper()
	for _, got := range r.Received(id) {
		if got.Attempt == 1 {
			continue
		}
		require.GreaterOrEqual(t, got.Gap, h, "attempt %d of %s", got.Attempt, id)
		require.Less(t, got.Gap, 2*h+late, "attempt %d of %s", got.Attempt, id)
	}
}

// TestRegDateIsTheOrdersOverDaylightSaving is about Ukraine's two nights of 2026
// on which the clock is set: what wsGate is asked, whatever the offset that the
// core wrote.
func TestRegDateIsTheOrdersOverDaylightSaving(t *testing.T) {
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client
	for i, tt := range []struct{ name, registered, again, regDate string }{
		{"the last second of winter time", "2026-03-29T02:59:59+02:00", "2026-03-29T00:59:59Z", "2026-03-29 02:59:59"},
		{"the first second of summer time", "2026-03-29T04:00:00+03:00", "2026-03-29T01:00:00Z", "2026-03-29 04:00:00"},
		{"the hour that does not exist, written with winter's offset", "2026-03-29T03:30:00+02:00", "2026-03-29T01:30:00Z", "2026-03-29 04:30:00"},
		{"the hour that there is twice, the first time", "2026-10-25T03:30:00+03:00", "2026-10-25T00:30:00Z", "2026-10-25 03:30:00"},
		{"the hour that there is twice, the second time", "2026-10-25T03:30:00+02:00", "2026-10-25T01:30:00Z", "2026-10-25 03:30:00"},
		{"the first second after it", "2026-10-25T04:00:00+02:00", "2026-10-25T02:00:00Z", "2026-10-25 04:00:00"},
		{"an offset far from Kyiv's", "2026-07-01T01:30:00+14:00", "2026-06-30T11:30:00Z", "2026-06-30 14:30:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := fmt.Sprintf("DST-%d", i)
			w.wsgate.Script(id, simulator.Statuses(2)...)
			body := func(registered string) map[string]any {
				return map[string]any{"endpoint": gold, "operation_id": id, "method": "payment", "reference": map[string]any{"registered_at": registered}}
			}
			status, err := api.Call(t.Context(), http.MethodPost, "/v1/operations", body(tt.registered), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusCreated, status)
			awaitClosed(t, api, operation.Key{Endpoint: gold, OperationID: id})
			require.Equal(t, tt.regDate, w.wsgate.Questions(id)[0].Header.Get("RegDate"))

			status, err = api.Call(t.Context(), http.MethodPost, "/v1/operations", body(tt.again), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status, "the same moment written otherwise is the same start")
		})
	}
}
