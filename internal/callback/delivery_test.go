package callback_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/callback"
)

func TestACallbacksIDNeverChanges(t *testing.T) {
	t.Parallel()
	// Receivers hold these ids against duplicates: a change here rings them twice.
	for _, tt := range []struct {
		key    callback.Key
		status string
		want   string
	}{
		{callback.Key{Endpoint: "WALLET_SHOP", OperationID: "239441503"}, "done", "cb_4b6iqvhudat6fb6qzzy36qv74e"},
		{callback.Key{Endpoint: "WALLET_SHOP", OperationID: "239441503"}, "reserved", "cb_u6rhzi6hkjittm4chs5tzgvlv4"},
		{callback.Key{Endpoint: "ECOM_GOLD_BANK", OperationID: "A/1 <&> #%"}, "", "cb_2fu4myugx2x6lo4waillgniwlg"},
	} {
		require.Equal(t, tt.want, callback.CallbackID(tt.key, tt.status))
		require.Regexp(t, `^cb_[a-z2-7]{26}$`, tt.want, "no \".\", as Standard Webhooks wants")
	}
}

func TestEachStatusOfEachOperationHasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	ids := map[string]string{}
	for _, endpoint := range []string{"A", "A_B", "B"} {
		for _, operation := range []string{"1", "11", "1/1", "1done"} {
			for _, status := range []string{"", "done", "1done"} {
				what := endpoint + "," + operation + "," + status
				id := callback.CallbackID(callback.Key{Endpoint: endpoint, OperationID: operation}, status)
				require.Empty(t, ids[id], "%s has the id of %s", what, ids[id])
				ids[id] = what
			}
		}
	}
}

func TestAnAttemptsTimeIsRoundedUp(t *testing.T) {
	t.Parallel()
	at := callback.At(time.UnixMilli(1596014146000))
	for _, tt := range []struct {
		took   time.Duration
		tookMS int64
	}{
		{0, 0},
		{time.Nanosecond, 1},
		{time.Millisecond, 1},
		{time.Millisecond + time.Nanosecond, 2},
		{10 * time.Second, 10_000},
	} {
		ended := callback.Attempt{Number: 3, At: at}.EndedBy(at.Time.Add(tt.took))
		require.Equal(t, tt.tookMS, ended.TookMS, "%s", tt.took)
		require.Equal(t, 3, ended.Number)
		require.False(t, ended.End().Time.Before(at.Time.Add(tt.took)), "h is counted from no earlier than the end")
	}
}

func TestOnlyTheNewestAttemptsAreKept(t *testing.T) {
	t.Parallel()
	attempts := func(n int) []callback.Attempt {
		made := make([]callback.Attempt, n)
		for i := range made {
			made[i].Number = i + 1
		}
		return made
	}
	require.Empty(t, callback.KeepNewest(nil))
	require.Len(t, callback.KeepNewest(attempts(callback.AttemptsKept)), callback.AttemptsKept)
	kept := callback.KeepNewest(attempts(callback.AttemptsKept + 7))
	require.Len(t, kept, callback.AttemptsKept)
	require.Equal(t, 8, kept[0].Number)
	require.Equal(t, callback.AttemptsKept+7, kept[len(kept)-1].Number)
}
