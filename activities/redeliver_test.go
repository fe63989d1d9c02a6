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

// books are what a desk knows: which runs a filter matched, and which of them
// were taken up. Like a desk's, its redelivery may be repeated.
type books struct {
	runs []operation.RunRef
	// verdicts of runs that are not redelivered, by run id.
	verdicts map[string]operation.RedeliveryVerdict
	// before is called before each redelivery, numbered from 1: an error is the
	// desk's, a panic a crash before it; after a crash after it.
	before func(n int) error
	after  func(n int)

	mu    sync.Mutex
	asked int
	rung  map[string]int
	times []time.Time
}

func newBooks(n int) *books {
	b := &books{verdicts: map[string]operation.RedeliveryVerdict{}, rung: map[string]int{}}
	for i := range n {
		b.runs = append(b.runs, operation.RunRef{
			Key: operation.Key{Endpoint: shop, OperationID: strconv.Itoa(i)}, RunID: "run-" + strconv.Itoa(i),
		})
	}
	return b
}

func (b *books) MatchedRuns(_ context.Context, _ operation.Filter, _ bool, token string, size int) (operation.RunPage, error) {
	from, _ := strconv.Atoi(token)
	to := min(from+size, len(b.runs))
	page := operation.RunPage{Runs: b.runs[from:to]}
	if to < len(b.runs) {
		page.NextPageToken = strconv.Itoa(to)
	}
	return page, nil
}

func (b *books) RedeliverRun(_ context.Context, ref operation.RunRef, r operation.RedeliveryRequest) (operation.Redelivered, error) {
	b.mu.Lock()
	b.asked++
	n := b.asked
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

func (b *books) take(ref operation.RunRef, r operation.RedeliveryRequest) operation.RedeliveryVerdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	if verdict, ok := b.verdicts[ref.RunID]; ok {
		return verdict
	}
	if b.rung[ref.RunID] == 0 {
		b.rung[ref.RunID]++
		b.times = append(b.times, time.Now())
	}
	if r.BulkRedeliveryID != "rd_1" || r.By != "ops" || r.Reason != "repaired" {
		return operation.RedeliveryFailed
	}
	return operation.RedeliveryDone
}

// sinces are when operations were begun.
func (b *books) sinces(begun time.Time) []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	var sinces []time.Duration
	for _, at := range b.times {
		sinces = append(sinces, at.Sub(begun))
	}
	return sinces
}

// opens lets the bench's activities use the books.
func (b *bench) opens(books *books) {
	b.Activities.MatchedRuns, b.Activities.RedeliverRun = books.MatchedRuns, books.RedeliverRun
}

func page(rate float64, size int) activities.RedeliverPageInput {
	return activities.RedeliverPageInput{
		Job: operation.BulkRedelivery{ID: "rd_1", RatePerSecond: rate, By: "ops", Reason: "repaired"}, PageSize: size,
	}
}

func (b *bench) redeliver(in activities.RedeliverPageInput, r run) (operation.BulkRedeliveryPosition, error) {
	var place operation.BulkRedeliveryPosition
	err := b.execute(b.RedeliverPage, in, r, &place)
	return place, err
}

func TestAPageIsRedeliveredInOrderAtItsRate(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		books := newBooks(5)
		b.opens(books)
		begun := time.Now()
		place, err := b.redeliver(page(2, 3), run{})
		require.NoError(t, err)
		require.Equal(t, seconds(0.5, 1, 1.5), books.sinces(begun), "the first one waits as well")
		require.Equal(t, operation.BulkRedeliveryPosition{PageToken: "3", Progress: operation.BulkRedeliveryProgress{Done: 3}}, place)

		in := page(2, 3)
		in.Position = place
		place, err = b.redeliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, operation.BulkRedeliveryPosition{Over: true, Progress: operation.BulkRedeliveryProgress{Done: 5}}, place)
	})
}

func TestWhatRingsNobodyTakesNoTurn(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		books := newBooks(4)
		books.verdicts = map[string]operation.RedeliveryVerdict{"run-1": operation.RedeliverySkipped, "run-2": operation.RedeliveryFailed}
		b.opens(books)
		begun := time.Now()
		place, err := b.redeliver(page(0.5, 10), run{})
		require.NoError(t, err)
		require.Equal(t, seconds(2, 4), books.sinces(begun))
		require.Equal(t, operation.BulkRedeliveryProgress{Done: 2, Skipped: 1, Failed: 1, Failures: []operation.Failure{
			{Key: books.runs[2].Key, Detail: "because"},
		}}, place.Progress)
	})
}

func TestTheLatestFailuresAreKept(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		books := newBooks(operation.MaxFailures + 5)
		for _, r := range books.runs {
			books.verdicts[r.RunID] = operation.RedeliveryFailed
		}
		b.opens(books)
		place, err := b.redeliver(page(100, 100), run{})
		require.NoError(t, err)
		require.Equal(t, operation.MaxFailures+5, place.Progress.Failed)
		require.Len(t, place.Progress.Failures, operation.MaxFailures)
		require.Equal(t, books.runs[5].Key, place.Progress.Failures[0].Key)
	})
}

func TestAPageGoesOnWhereItsRecordSaysWithoutABurst(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		books := newBooks(4)
		b.opens(books)
		begun := time.Now()
		place, err := b.redeliver(page(1, 10), run{details: operation.BulkRedeliveryPosition{
			After: "run-1", Progress: operation.BulkRedeliveryProgress{Done: 1, Skipped: 1},
		}})
		require.NoError(t, err)
		require.Equal(t, seconds(1, 2), books.sinces(begun))
		require.Equal(t, operation.BulkRedeliveryProgress{Done: 3, Skipped: 1}, place.Progress)
	})
}

func TestAPageThatIsUnwantedSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		books := newBooks(10)
		b.opens(books)
		b.server.answer = func(n int) error {
			if n > 3 {
				return temporal.NewCanceledError()
			}
			return nil
		}
		place, err := b.redeliver(page(1, 10), run{})
		require.NoError(t, err)
		require.False(t, place.Over)
		require.Equal(t, len(books.rung), place.Progress.Done)
		require.Equal(t, "run-"+strconv.Itoa(place.Progress.Done-1), place.After)
		require.Less(t, place.Progress.Done, 10)
	})
}

func TestAPageThatTheServerGaveUpBeginsNothingMore(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		books := newBooks(10)
		b.opens(books)
		b.server.answer = func(n int) error {
			if n == 1 {
				return nil
			}
			return serviceerror.NewNotFound("no such activity")
		}
		_, err := b.redeliver(page(2, 10), run{})
		require.ErrorIs(t, err, activity.ErrResultPending)
		require.LessOrEqual(t, len(books.rung), 2)
	})
}

func TestNothingIsBegunUnlessTheServerHeardOfThePage(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		books := newBooks(10)
		b.opens(books)
		b.server.answer = func(int) error { return errors.New("unreachable") }
		_, err := b.redeliver(page(1, 10), run{})
		handsBack(t, err, activities.TypeHeldBack, 1500*time.Millisecond)
		require.Empty(t, books.rung)
	})
}

func TestWhatPassesIsTriedAgainAndThenLeftToTheServer(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		books := newBooks(2)
		b.opens(books)
		books.before = func(n int) error {
			if n == 2 || n == 3 {
				return errors.New("Temporal is away")
			}
			return nil
		}
		place, err := b.redeliver(page(1, 10), run{})
		require.NoError(t, err)
		require.Equal(t, 2, place.Progress.Done, "it passed")

		books = newBooks(2)
		b.opens(books)
		books.before = func(n int) error {
			if n > 1 {
				return errors.New("Temporal is away")
			}
			return nil
		}
		_, err = b.redeliver(page(1, 10), run{})
		handsBack(t, err, activities.TypeHeldBack, 1500*time.Millisecond)
		require.Equal(t, "run-0", recorded[operation.BulkRedeliveryPosition](t, b.server).After, "with its record kept")
	})
}

func TestAPageInAWorkerThatStopsGivesItsWaitBackWithTheRecordKept(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		books := newBooks(10)
		b.opens(books)
		stop := make(chan struct{})
		go func() {
			time.Sleep(2500 * time.Millisecond)
			close(stop)
		}()
		_, err := b.redeliver(page(1, 10), run{stop: stop})
		handsBack(t, err, activities.TypeWaiting, 1500*time.Millisecond)
		require.Equal(t, "run-1", recorded[operation.BulkRedeliveryPosition](t, b.server).After)
	})
}

func TestAPageRefusesARecordThatItCannotRead(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		b.opens(newBooks(1))
		_, err := b.redeliver(page(1, 10), run{details: "nonsense"})
		require.Equal(t, activities.TypeBadInput, failure(t, err).Type())
	})
}

// TestEachRunIsTakenUpOnceWhateverCrashesWhen kills the worker before and after
// redeliveries, and lets the server lose records: what is repeated changes
// neither who is rung nor, in the end, the counts.
func TestEachRunIsTakenUpOnceWhateverCrashesWhen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(rt, "runs")
		size := rapid.IntRange(1, 5).Draw(rt, "page size")
		crashes := rapid.SliceOfN(rapid.IntRange(1, 20), 0, 4).Draw(rt, "crashes before")
		crashesAfter := rapid.SliceOfN(rapid.IntRange(1, 20), 0, 4).Draw(rt, "crashes after")
		lost := rapid.IntRange(0, 3).Draw(rt, "records lost at a crash")
		synctest.Test(t, func(t *testing.T) {
			b, books := newBench(), newBooks(n)
			b.opens(books)
			books.before = func(at int) error { crashAt(crashes, at); return nil }
			books.after = func(at int) { crashAt(crashesAfter, at) }
			place := workOff(t, b, size, lost)
			require.Equal(t, n, place.Progress.Done)
			require.Len(t, books.rung, n)
			for _, times := range books.rung {
				require.Equal(t, 1, times)
			}
			for i, at := range books.times[min(1, len(books.times)):] {
				require.GreaterOrEqual(t, at.Sub(books.times[i]), 100*time.Millisecond, "no burst")
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
func workOff(t *testing.T, b *bench, size, lost int) operation.BulkRedeliveryPosition {
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
