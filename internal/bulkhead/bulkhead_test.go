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

func acquired(t *testing.T, b *bulkhead.Bulkhead, from bulkhead.From) *bulkhead.Slot {
	t.Helper()
	slot, err := b.Acquire(from)
	require.NoError(t, err)
	return slot
}

func heldBack(t *testing.T, b *bulkhead.Bulkhead, from bulkhead.From, want error) {
	t.Helper()
	_, err := b.Acquire(from)
	require.ErrorIs(t, err, want)
}

// answering is a bulkhead whose target answered so fast.
func answering(t *testing.T, b *bulkhead.Bulkhead, recent ...time.Duration) *bulkhead.Bulkhead {
	t.Helper()
	for _, took := range recent {
		acquired(t, b, bulkhead.Activity).Release(took)
	}
	return b
}

func TestACallWithoutAFreeSlotIsHeldBack(t *testing.T) {
	t.Parallel()
	b := bulkhead.New(2)
	require.True(t, b.Idle())
	first := acquired(t, b, bulkhead.Activity)
	second := acquired(t, b, bulkhead.Activity)
	heldBack(t, b, bulkhead.Activity, bulkhead.ErrFull)
	first.Release(0)
	require.False(t, b.Idle())
	second.Cancel()
	require.True(t, b.Idle())
	acquired(t, b, bulkhead.Activity)
	acquired(t, b, bulkhead.Activity)
	heldBack(t, b, bulkhead.Activity, bulkhead.ErrFull)
}

func TestABulkheadWithoutALimitHasTheDefaultLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, -1} {
		b := bulkhead.New(limit)
		require.Equal(t, bulkhead.DefaultLimit, b.Limit())
		for range bulkhead.DefaultLimit {
			acquired(t, b, bulkhead.Activity)
		}
		heldBack(t, b, bulkhead.Activity, bulkhead.ErrFull)
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
			_, err := answering(t, bulkhead.New(8), tt.recent...).Acquire(bulkhead.WorkflowTask)
			require.ErrorIs(t, err, tt.held)
		})
	}
}

func TestACallThatWasNotMadeSaysNothingAboutItsTarget(t *testing.T) {
	t.Parallel()
	b := bulkhead.New(8)
	acquired(t, b, bulkhead.Activity).Cancel()
	heldBack(t, b, bulkhead.WorkflowTask, bulkhead.ErrUnknown)
}

func TestATargetIsSlowAsSoonAsACallInFlightIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := answering(t, bulkhead.New(8), time.Millisecond)
		slot := acquired(t, b, bulkhead.Activity)
		time.Sleep(time.Minute) // for a record on the server, say
		synctest.Wait()
		acquired(t, b, bulkhead.WorkflowTask).Cancel()
		slot.Begin()
		time.Sleep(bulkhead.FastWithin + time.Millisecond)
		synctest.Wait()
		heldBack(t, b, bulkhead.WorkflowTask, bulkhead.ErrSlow)
		slot.Cancel()
	})
}

func TestAnUnknownTargetIsProbedByOneCallAtATime(t *testing.T) {
	t.Parallel()
	b := bulkhead.New(2)
	probe := acquired(t, b, bulkhead.WorkflowTaskProbe)
	heldBack(t, b, bulkhead.WorkflowTaskProbe, bulkhead.ErrProbing)
	other := acquired(t, b, bulkhead.Activity)
	heldBack(t, b, bulkhead.Activity, bulkhead.ErrFull)
	probe.Release(time.Millisecond)
	for range 3 {
		slot := acquired(t, b, bulkhead.WorkflowTaskProbe)
		heldBack(t, b, bulkhead.WorkflowTask, bulkhead.ErrFull)
		slot.Release(time.Millisecond)
	}
	other.Release(time.Millisecond)
}

func TestTheShareOfWorkflowTasksIsSmallerThanTheLimit(t *testing.T) {
	t.Parallel()
	b := answering(t, bulkhead.New(100), time.Millisecond)
	for range 32 {
		acquired(t, b, bulkhead.WorkflowTask)
	}
	heldBack(t, b, bulkhead.WorkflowTask, bulkhead.ErrLocalFull)
	acquired(t, b, bulkhead.Activity)
}

func TestAPartLeavesRoomForTheOthers(t *testing.T) {
	t.Parallel()
	whole := bulkhead.New(4)
	silent, other := whole.Part(2), whole.Part(3)
	first := acquired(t, silent, bulkhead.Activity)
	acquired(t, silent, bulkhead.Activity)
	heldBack(t, silent, bulkhead.Activity, bulkhead.ErrPartFull)
	acquired(t, other, bulkhead.Activity)
	last := acquired(t, other, bulkhead.Activity)
	heldBack(t, other, bulkhead.Activity, bulkhead.ErrFull)
	first.Release(time.Minute)
	heldBack(t, other, bulkhead.WorkflowTask, bulkhead.ErrUnknown)
	last.Release(time.Millisecond)
	acquired(t, other, bulkhead.WorkflowTask).Cancel()
	heldBack(t, silent, bulkhead.WorkflowTask, bulkhead.ErrSlow)
	acquired(t, other, bulkhead.WorkflowTask)
	acquired(t, silent, bulkhead.Activity)
	heldBack(t, whole, bulkhead.Activity, bulkhead.ErrFull)
}

func TestPartsShareTheShareOfWorkflowTasks(t *testing.T) {
	t.Parallel()
	whole := bulkhead.New(100)
	a, b := answering(t, whole.Part(50), 0), answering(t, whole.Part(50), 0)
	for range 16 {
		acquired(t, a, bulkhead.WorkflowTask)
		acquired(t, b, bulkhead.WorkflowTask)
	}
	heldBack(t, a, bulkhead.WorkflowTask, bulkhead.ErrLocalFull)
	acquired(t, a, bulkhead.Activity)
}

func TestTheLimitHoldsUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	const limit = 3
	b := answering(t, bulkhead.New(limit), 0)
	var inside, passed atomic.Int32
	var users sync.WaitGroup
	for user := range 16 {
		from := []bulkhead.From{bulkhead.WorkflowTask, bulkhead.Activity}[user%2]
		users.Go(func() {
			for range 200 {
				slot, err := b.Acquire(from)
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
	require.True(t, b.Idle())
}
