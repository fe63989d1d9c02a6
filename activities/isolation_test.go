package activities

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/bulkhead"
	"ringback/internal/source"
)

// One operation that the core refuses is none of the others' business, and two are.
func TestASourceRestsWhereTwoOperationsWereRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all sourceLimiters
		wallet, take := all.of("wallet"), (*bulkhead.Bulkhead).Acquire
		refused := &source.Error{Kind: source.Unauthorized}
		refuse := func(operation string) {
			permit, _, err := wallet.acquire(operation, take)
			require.NoError(t, err)
			permit.release(time.Millisecond, refused)
		}
		allowed := func(operation string) bool {
			permit, wait, err := wallet.acquire(operation, take)
			if err != nil {
				require.ErrorIs(t, err, errRefused)
				require.Positive(t, wait)
				return false
			}
			permit.cancel()
			return true
		}
		refuse("1")
		require.False(t, allowed("1"), "it rests alone")
		require.True(t, allowed("2"))
		refuse("2")
		require.False(t, allowed("3"), "the source rests")
		another, _, err := all.of("another").acquire("3", take)
		require.NoError(t, err)
		another.cancel()
		time.Sleep(15 * time.Second)
		require.True(t, allowed("3"), "the probe")
		require.True(t, allowed("4"), "and another, since that one was not made")
	})
}
