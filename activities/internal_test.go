package activities

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/bulkhead"
	"ringback/internal/operation"
	"ringback/internal/receiver"
	"ringback/internal/source"
)

// KnowFast makes an endpoint of which nothing is known one that answers fast.
func KnowFast(a *Activities, e receiver.Endpoint) {
	permit, err := a.receivers.Acquire(e, "", bulkhead.WorkflowTask)
	if err == nil {
		permit.Cancel()
		return
	}
	if !errors.Is(err, bulkhead.ErrUnknown) {
		return
	}
	if permit, err = a.receivers.Acquire(e, "", bulkhead.Activity); err == nil {
		permit.Release(receiver.Result{})
	}
}

func TestASourceRestsAfterItRefusedTwoOperations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a Activities
		wallet := a.sourceLimiter("wallet")
		refuse := func(operationID string) {
			permit, _, err := wallet.acquire(operationID, bulkhead.Activity)
			require.NoError(t, err)
			permit.release(time.Millisecond, &source.Error{Kind: source.Unauthorized})
		}
		allowed := func(operationID string) bool {
			permit, wait, err := wallet.acquire(operationID, bulkhead.Activity)
			if err != nil {
				require.ErrorIs(t, err, errRefused)
				require.Positive(t, wait)
				return false
			}
			permit.release(0, errNotMade)
			return true
		}
		refuse("1")
		require.False(t, allowed("1"), "it rests alone")
		require.True(t, allowed("2"))
		refuse("2")
		require.False(t, allowed("3"), "the source rests")
		another, _, err := a.sourceLimiter("another").acquire("3", bulkhead.Activity)
		require.NoError(t, err)
		another.release(0, errNotMade)
		time.Sleep(15 * time.Second)
		require.True(t, allowed("3"), "the probe")
		require.True(t, allowed("4"), "and another, since that one was not made")
	})
}

func TestAnAttemptOfAWorkflowTaskIsMadeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var memo once[AttemptResult]
		sent := 0
		attempt := func() (AttemptResult, error) {
			sent++
			time.Sleep(time.Second)
			return AttemptResult{Attempt: operation.Attempt{Number: sent}}, nil
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				got, err := memo.do("run/callback/1", attempt)
				require.NoError(t, err)
				require.Equal(t, 1, got.Attempt.Number, "also while the first is in flight")
			})
		}
		both.Wait()
		got, _ := memo.do("run/callback/2", attempt)
		require.Equal(t, 2, got.Attempt.Number)
		got, _ = memo.do("run/callback/1", attempt)
		require.Equal(t, 1, got.Attempt.Number)
	})
}

func TestAnAttemptThatWasHeldBackIsNotRemembered(t *testing.T) {
	t.Parallel()
	var memo once[AttemptResult]
	_, err := memo.do("k", func() (AttemptResult, error) { return AttemptResult{}, bulkhead.ErrFull })
	require.ErrorIs(t, err, bulkhead.ErrFull)
	require.Panics(t, func() { _, _ = memo.do("k", func() (AttemptResult, error) { panic("lost") }) })
	got, err := memo.do("k", func() (AttemptResult, error) {
		return AttemptResult{Attempt: operation.Attempt{HTTPStatus: http.StatusOK}}, nil
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.Attempt.HTTPStatus)
}

func TestRememberedResultsAreBounded(t *testing.T) {
	t.Parallel()
	var memo once[AttemptResult]
	sent := 0
	attempt := func() (AttemptResult, error) { sent++; return AttemptResult{}, nil }
	for n := range 30_000 {
		_, _ = memo.do(fmt.Sprint(n), attempt)
	}
	_, _ = memo.do("29999", attempt)
	require.Equal(t, 30_000, sent, "the newest are kept")
	_, _ = memo.do("0", attempt)
	require.Equal(t, 30_001, sent, "the oldest are not")
}
