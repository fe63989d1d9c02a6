package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"pgregory.net/rapid"

	"ringback/activities"
	"ringback/internal/operation"
)

// fakeRuns are the runs that a filter matched. As on a server, a redelivery that is
// repeated changes nothing.
type fakeRuns struct {
	runs []operation.RunRef
	// verdicts of runs that are not redelivered, by run id.
	verdicts map[string]operation.RedeliveryVerdict
	// before is called before each redelivery, numbered from 1, and fails it with an
	// error; after is called after it. A panic is a crash of the worker.
	before func(n int) error
	after  func(n int)

	mu          sync.Mutex
	calls       int
	redelivered map[string]int
	times       []time.Time
}

// withRuns lets the filter match n runs.
func (b *fixture) withRuns(n int) *fakeRuns {
	f := &fakeRuns{verdicts: map[string]operation.RedeliveryVerdict{}, redelivered: map[string]int{}}
	for i := range n {
		f.runs = append(f.runs, operation.RunRef{
			Key: operation.Key{Endpoint: shop, OperationID: strconv.Itoa(i)}, RunID: "run-" + strconv.Itoa(i),
		})
	}
	b.Activities.MatchedRuns, b.Activities.RedeliverRun = f.MatchedRuns, f.RedeliverRun
	return f
}

func (b *fakeRuns) MatchedRuns(_ context.Context, _ operation.BulkRedelivery, token string, size int) (operation.RunPage, error) {
	from, _ := strconv.Atoi(token)
	to := min(from+size, len(b.runs))
	page := operation.RunPage{Runs: b.runs[from:to]}
	if to < len(b.runs) {
		page.NextPageToken = strconv.Itoa(to)
	}
	return page, nil
}

func (b *fakeRuns) RedeliverRun(_ context.Context, ref operation.RunRef, r operation.RedeliveryRequest) (operation.Redelivered, error) {
	b.mu.Lock()
	b.calls++
	n := b.calls
	b.mu.Unlock()
	if b.before != nil {
		if err := b.before(n); err != nil {
			return operation.Redelivered{}, err
		}
	}
	verdict := b.take(ref, r)
	if b.after != nil {
		b.after(n)
	}
	return operation.Redelivered{Verdict: verdict, Detail: "because"}, nil
}

func (b *fakeRuns) take(ref operation.RunRef, r operation.RedeliveryRequest) operation.RedeliveryVerdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	if verdict, ok := b.verdicts[ref.RunID]; ok {
		return verdict
	}
	if b.redelivered[ref.RunID] == 0 {
		b.redelivered[ref.RunID]++
		b.times = append(b.times, time.Now())
	}
	if r.BulkRedeliveryID != "rd_1" || r.By != "ops" || r.Reason != "repaired" {
		return operation.RedeliveryFailed
	}
	return operation.RedeliveryDone
}

// since are the times of the redeliveries, counted from begun.
func (b *fakeRuns) since(begun time.Time) []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []time.Duration
	for _, at := range b.times {
		all = append(all, at.Sub(begun))
	}
	return all
}

func page(rate float64, size int) activities.RedeliverPageInput {
	return activities.RedeliverPageInput{
		Job: operation.BulkRedelivery{ID: "rd_1", RatePerSecond: rate, By: "ops", Reason: "repaired"}, PageSize: size,
	}
}

func (b *fixture) redeliver(in activities.RedeliverPageInput, r run) (operation.BulkRedeliveryPosition, error) {
	var place operation.BulkRedeliveryPosition
	err := b.execute(b.RedeliverPage, in, r, &place)
	return place, err
}

func TestAPageIsRedeliveredInOrderAtItsRate(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		runs := b.withRuns(5)
		begun := time.Now()
		place, err := b.redeliver(page(2, 3), run{})
		require.NoError(t, err)
		require.Equal(t, seconds(0.5, 1, 1.5), runs.since(begun), "the first one waits as well")
		require.Equal(t, operation.BulkRedeliveryPosition{PageToken: "3", Progress: operation.BulkRedeliveryProgress{Done: 3}}, place)

		in := page(2, 3)
		in.Position = place
		place, err = b.redeliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, operation.BulkRedeliveryPosition{Over: true, Progress: operation.BulkRedeliveryProgress{Done: 5}}, place)
	})
}

func TestSkippedAndFailedOperationsUseUpNoneOfTheRate(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		runs := b.withRuns(5)
		runs.runs[0].Older = true // its operation is another of them, and counts once
		runs.verdicts = map[string]operation.RedeliveryVerdict{"run-1": operation.RedeliverySkipped, "run-2": operation.RedeliveryFailed}
		begun := time.Now()
		place, err := b.redeliver(page(0.5, 10), run{})
		require.NoError(t, err)
		require.Equal(t, seconds(2, 4), runs.since(begun))
		require.Equal(t, operation.BulkRedeliveryProgress{Done: 2, Skipped: 1, Failed: 1, Failures: []operation.Failure{
			{Key: runs.runs[2].Key, Detail: "because"},
		}}, place.Progress)
	})
}

func TestTheLatestFailuresAreKept(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		runs := b.withRuns(operation.MaxFailures + 5)
		for _, r := range runs.runs {
			runs.verdicts[r.RunID] = operation.RedeliveryFailed
		}
		place, err := b.redeliver(page(100, 100), run{})
		require.NoError(t, err)
		require.Equal(t, operation.MaxFailures+5, place.Progress.Failed)
		require.Len(t, place.Progress.Failures, operation.MaxFailures)
		require.Equal(t, runs.runs[5].Key, place.Progress.Failures[0].Key)
	})
}

func TestAPageResumesFromItsRecordWithoutABurst(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		runs := b.withRuns(4)
		begun := time.Now()
		place, err := b.redeliver(page(1, 10), run{details: operation.BulkRedeliveryPosition{
			After: "run-1", Progress: operation.BulkRedeliveryProgress{Done: 1, Skipped: 1},
		}})
		require.NoError(t, err)
		require.Equal(t, seconds(1, 2), runs.since(begun))
		require.Equal(t, operation.BulkRedeliveryProgress{Done: 3, Skipped: 1}, place.Progress)
	})
}

func TestAPageThatIsCancelledReturnsItsPlace(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		runs := b.withRuns(10)
		b.server.answer = afterHeartbeats(3, temporal.NewCanceledError())
		place, err := b.redeliver(page(1, 10), run{})
		require.NoError(t, err)
		require.False(t, place.Over)
		require.Equal(t, len(runs.redelivered), place.Progress.Done)
		require.Equal(t, "run-"+strconv.Itoa(place.Progress.Done-1), place.After)
		require.Less(t, place.Progress.Done, 10)
	})
}

func TestAPageThatTheServerGaveUpRedeliversNothingMore(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		runs := b.withRuns(10)
		b.server.answer = afterHeartbeats(1, serviceerror.NewNotFound("no such activity"))
		_, err := b.redeliver(page(2, 10), run{})
		require.ErrorIs(t, err, activity.ErrResultPending)
		require.LessOrEqual(t, len(runs.redelivered), 2)
	})
}

func TestNoOperationIsRedeliveredUnlessThePageIsRecorded(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		runs := b.withRuns(10)
		b.server.answer = func(int) error { return errors.New("unreachable") }
		_, err := b.redeliver(page(1, 10), run{})
		requireYielded(t, err, activities.TypeHeldBack, 1500*time.Millisecond)
		require.Empty(t, runs.redelivered)
	})
}

func TestARedeliveryThatFailsIsLeftToALaterRun(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		runs := b.withRuns(2)
		runs.before = func(n int) error {
			if n == 2 {
				return errors.New("Temporal is unavailable")
			}
			return nil
		}
		_, err := b.redeliver(page(1, 10), run{})
		requireYielded(t, err, activities.TypeHeldBack, 1500*time.Millisecond)
		kept := recorded[operation.BulkRedeliveryPosition](t, b.server)
		require.Equal(t, "run-0", kept.After)
		place, err := b.redeliver(page(1, 10), run{details: kept, attempt: 2})
		require.NoError(t, err)
		require.Equal(t, 2, place.Progress.Done)
	})
}

func TestAPageIsRecordedWhenItsWorkerStops(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.withRuns(10)
		stop := make(chan struct{})
		go func() {
			time.Sleep(2500 * time.Millisecond)
			close(stop)
		}()
		_, err := b.redeliver(page(1, 10), run{stop: stop})
		requireYielded(t, err, activities.TypeWaiting, 1500*time.Millisecond)
		require.Equal(t, "run-1", recorded[operation.BulkRedeliveryPosition](t, b.server).After)
	})
}

func TestAPageRefusesARecordThatItCannotRead(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.withRuns(1)
		_, err := b.redeliver(page(1, 10), run{details: "nonsense"})
		require.Equal(t, activities.TypeBadInput, failure(t, err).Type())
	})
}

// TestEachRunIsRedeliveredOnceWhateverCrashes kills the worker before and after
// redeliveries, and lets the server lose records: what is repeated changes
// neither who is redelivered nor, in the end, the counts.
func TestEachRunIsRedeliveredOnceWhateverCrashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(rt, "runs")
		size := rapid.IntRange(1, 5).Draw(rt, "page size")
		crashes := rapid.SliceOfN(rapid.IntRange(1, 20), 0, 4).Draw(rt, "crashes before")
		crashesAfter := rapid.SliceOfN(rapid.IntRange(1, 20), 0, 4).Draw(rt, "crashes after")
		lost := rapid.IntRange(0, 3).Draw(rt, "records lost at a crash")
		synctest.Test(t, func(t *testing.T) {
			b := newFixture()
			runs := b.withRuns(n)
			runs.before = func(at int) error { crashAt(crashes, at); return nil }
			runs.after = func(at int) { crashAt(crashesAfter, at) }
			place := workOff(t, b, size, lost)
			require.Equal(t, n, place.Progress.Done)
			require.Len(t, runs.redelivered, n)
			for _, times := range runs.redelivered {
				require.Equal(t, 1, times)
			}
			for i, at := range runs.times[min(1, len(runs.times)):] {
				require.GreaterOrEqual(t, at.Sub(runs.times[i]), 100*time.Millisecond, "no burst")
			}
		})
	})
}

func crashAt(crashes []int, n int) {
	for _, at := range crashes {
		if at == n {
			panic(fmt.Sprintf("a crash at %d", n))
		}
	}
}

// workOff is what a server does: it repeats a page whose worker died, from the
// record that it has.
func workOff(t *testing.T, b *fixture, size, lost int) operation.BulkRedeliveryPosition {
	t.Helper()
	in := page(10, size)
	for !in.Position.Over {
		b.server.kept = nil
		var r run
		for {
			place, err := b.redeliver(in, r)
			if err == nil {
				in.Position = place
				break
			}
			require.ErrorContains(t, err, "a crash")
			r.details = nil
			if kept := b.server.kept; len(kept) > lost {
				var place operation.BulkRedeliveryPosition
				require.NoError(t, json.Unmarshal(kept[len(kept)-1-lost], &place))
				r.details = place
			}
		}
	}
	return in.Position
}
