package activities

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/bulkhead"
)

func TestASourceThatRefusesOurCredentialsRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all sourceLimiters
		wallet := all.of("wallet")
		require.Same(t, wallet, all.of("wallet"))
		done, err := wallet.acquire((*bulkhead.Bulkhead).AcquireFirst)
		require.NoError(t, err)
		done(time.Millisecond, errRefused)
		for range 2 * bulkhead.DefaultLimit { // no slot is kept
			_, err = wallet.acquire((*bulkhead.Bulkhead).Acquire)
			require.ErrorIs(t, err, errBreakerOpen)
		}
		done, err = all.of("another").acquire((*bulkhead.Bulkhead).Acquire)
		require.NoError(t, err)
		done(0, nil)
		time.Sleep(sourceOpens + time.Millisecond)
		done, err = wallet.acquire((*bulkhead.Bulkhead).AcquireLocal)
		require.NoError(t, err)
		done(0, nil)
	})
}
