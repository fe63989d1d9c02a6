package bulkhead_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/bulkhead"
)

func acquired(t *testing.T, acquire func() (*bulkhead.Slot, error)) *bulkhead.Slot {
	t.Helper()
	slot, err := acquire()
	require.NoError(t, err)
	return slot
}

func heldBack(t *testing.T, want error, acquire func() (*bulkhead.Slot, error)) {
	t.Helper()
	_, err := acquire()
	require.ErrorIs(t, err, want)
}

func TestABulkheadHoldsBackWhatItHasNoSlotFor(t *testing.T) {
	t.Parallel()
	b := bulkhead.New(2)
	first := acquired(t, b.Acquire)
	second := acquired(t, b.Acquire)
	heldBack(t, bulkhead.ErrFull, b.Acquire)
	first.Release(0)
	second.Cancel()
	acquired(t, b.Acquire).Cancel()
	acquired(t, b.Acquire)
	acquired(t, b.Acquire)
	heldBack(t, bulkhead.ErrFull, b.Acquire)
}

func TestABulkheadWithoutALimitHasTheDefaultOne(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, -1} {
		b := bulkhead.New(limit)
		require.Equal(t, bulkhead.DefaultLimit, b.Limit())
		for range bulkhead.DefaultLimit {
			acquired(t, b.Acquire)
		}
		heldBack(t, bulkhead.ErrFull, b.Acquire)
	}
}

func TestACallInsideAWorkflowTaskIsMade(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		recent []time.Duration
		held   error
	}{
		{"not where nothing is known", nil, bulkhead.ErrUnknown},
		{"where the recent answers were fast", []time.Duration{time.Millisecond, time.Second}, nil},
		{"not where one of them was slow", []time.Duration{time.Second + 1, time.Millisecond}, bulkhead.ErrSlow},
		{"where the slow one is long past", []time.Duration{time.Minute, 1, 1, 1, 1, 1, 1, 1, 1}, nil},
		{"not where the slow one is the oldest of eight", []time.Duration{time.Minute, 1, 1, 1, 1, 1, 1, 1}, bulkhead.ErrSlow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := bulkhead.New(8)
			for _, took := range tt.recent {
				acquired(t, b.Acquire).Release(took)
			}
			_, err := b.AcquireLocal()
			require.ErrorIs(t, err, tt.held)
		})
	}
}

func TestACallThatWasNotMadeSaysNothingOfItsTarget(t *testing.T) {
	t.Parallel()
	b := bulkhead.New(8)
	acquired(t, b.Acquire).Cancel()
	heldBack(t, bulkhead.ErrUnknown, b.AcquireLocal)
}

func TestACallInFlightForLongIsKnownToBeSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.New(8)
		acquired(t, b.Acquire).Release(time.Millisecond)
		slot := acquired(t, b.Acquire)
		time.Sleep(bulkhead.FastWithin + time.Millisecond)
		synctest.Wait()
		heldBack(t, bulkhead.ErrSlow, b.AcquireLocal)
		slot.Cancel()
	})
}

func TestTheShareOfWorkflowTasksIsGivenBack(t *testing.T) {
	t.Parallel()
	b := bulkhead.New(2)
	probe := acquired(t, b.AcquireFirst)
	heldBack(t, bulkhead.ErrFindingOut, b.AcquireFirst)
	other := acquired(t, b.Acquire)
	heldBack(t, bulkhead.ErrFull, b.Acquire)
	probe.Release(time.Millisecond)
	for range 3 {
		slot := acquired(t, b.AcquireLocal)
		heldBack(t, bulkhead.ErrFull, b.AcquireLocal)
		slot.Release(time.Millisecond)
	}
	other.Release(time.Millisecond)
}

func TestTheShareOfWorkflowTasksIsSmallerThanTheLimit(t *testing.T) {
	t.Parallel()
	b := bulkhead.New(100)
	b.Remember(time.Millisecond)
	for range 32 {
		acquired(t, b.AcquireLocal)
	}
	heldBack(t, bulkhead.ErrLocalFull, b.AcquireLocal)
	acquired(t, b.Acquire)
}

func TestAPartLeavesRoomForTheOthers(t *testing.T) {
	t.Parallel()
	whole := bulkhead.New(4)
	silent, other := whole.Part(2), whole.Part(3)
	first := acquired(t, silent.Acquire)
	acquired(t, silent.Acquire)
	heldBack(t, bulkhead.ErrPartFull, silent.Acquire)
	acquired(t, other.Acquire)
	last := acquired(t, other.Acquire)
	heldBack(t, bulkhead.ErrFull, other.Acquire)
	first.Release(time.Minute)
	heldBack(t, bulkhead.ErrUnknown, other.AcquireLocal)
	last.Release(time.Millisecond)
	acquired(t, other.AcquireLocal).Cancel()
	heldBack(t, bulkhead.ErrSlow, silent.AcquireLocal)
	acquired(t, other.AcquireLocal)
	acquired(t, silent.Acquire)
	heldBack(t, bulkhead.ErrFull, whole.Acquire)
}

func TestPartsShareTheShareOfWorkflowTasks(t *testing.T) {
	t.Parallel()
	whole := bulkhead.New(100)
	a, b := whole.Part(50), whole.Part(50)
	a.Remember(0)
	b.Remember(0)
	for range 16 {
		acquired(t, a.AcquireLocal)
		acquired(t, b.AcquireLocal)
	}
	heldBack(t, bulkhead.ErrLocalFull, a.AcquireLocal)
	acquired(t, a.Acquire)
}

func TestBulkheadsUnderConcurrentUseKeepTheirLimit(t *testing.T) {
	t.Parallel()
	const limit = 3
	b := bulkhead.New(limit)
	b.Remember(0)
	var inside, passed atomic.Int32
	var users sync.WaitGroup
	for user := range 16 {
		acquire := b.Acquire
		if user%2 == 0 {
			acquire = b.AcquireLocal
		}
		users.Go(func() {
			for range 200 {
				slot, err := acquire()
				if err != nil {
					continue
				}
				if inside.Add(1) > limit {
					t.Error("more inside than the limit")
				}
				passed.Add(1)
				inside.Add(-1)
				slot.Release(time.Microsecond)
			}
		})
	}
	users.Wait()
	require.Positive(t, passed.Load())
	for range limit {
		acquired(t, b.Acquire)
	}
}
