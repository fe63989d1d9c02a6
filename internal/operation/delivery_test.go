package operation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestACallbacksIDNeverChanges(t *testing.T) {
	t.Parallel()
	// Receivers hold these ids against duplicates: a change here delivers them twice.
	for _, tt := range []struct {
		key    operation.Key
		status string
		want   string
	}{
		{operation.Key{Endpoint: "WALLET_SHOP", OperationID: "239441503"}, "done", "cb_4b6iqvhudat6fb6qzzy36qv74e"},
		{operation.Key{Endpoint: "WALLET_SHOP", OperationID: "239441503"}, "reserved", "cb_u6rhzi6hkjittm4chs5tzgvlv4"},
		{operation.Key{Endpoint: "ECOM_GOLD_BANK", OperationID: "A/1 <&> #%"}, "", "cb_2fu4myugx2x6lo4waillgniwlg"},
	} {
		require.Equal(t, tt.want, operation.CallbackID(tt.key, tt.status))
		require.Regexp(t, `^cb_[a-z2-7]{26}$`, tt.want, "no \".\", as Standard Webhooks wants")
	}
}

func TestEachStatusOfEachOperationHasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	ids := map[string]string{}
	for _, endpoint := range []string{"A", "A_B", "B"} {
		for _, id := range []string{"1", "11", "1/1", "1done"} {
			for _, status := range []string{"", "done", "1done"} {
				what := endpoint + "," + id + "," + status
				id := operation.CallbackID(operation.Key{Endpoint: endpoint, OperationID: id}, status)
				require.Empty(t, ids[id], "%s has the id of %s", what, ids[id])
				ids[id] = what
			}
		}
	}
}

func TestAnAttemptsTimeIsRoundedUp(t *testing.T) {
	t.Parallel()
	at := operation.At(time.UnixMilli(1596014146000))
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
		ended := operation.Attempt{Number: 3, At: at}.EndedBy(at.Time.Add(tt.took))
		require.Equal(t, tt.tookMS, ended.TookMS, "%s", tt.took)
		require.Equal(t, 3, ended.Number)
		require.False(t, ended.End().Time.Before(at.Time.Add(tt.took)), "h is counted from no earlier than the end")
	}
}

func TestOnlyTheNewestAttemptsAreKept(t *testing.T) {
	t.Parallel()
	attempts := func(n int) []operation.Attempt {
		made := make([]operation.Attempt, n)
		for i := range made {
			made[i].Number = i + 1
		}
		return made
	}
	require.Empty(t, operation.KeepNewest(nil))
	require.Len(t, operation.KeepNewest(attempts(operation.AttemptsKept)), operation.AttemptsKept)
	kept := operation.KeepNewest(attempts(operation.AttemptsKept + 7))
	require.Len(t, kept, operation.AttemptsKept)
	require.Equal(t, 8, kept[0].Number)
	require.Equal(t, operation.AttemptsKept+7, kept[len(kept)-1].Number)
}

func TestAnAttemptWhoseWorkerWasLostCountsOnce(t *testing.T) {
	t.Parallel()
	begun := operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	for name, tt := range map[string]struct {
		ended bool
		lost  time.Duration
		at    time.Duration
	}{
		"the one in flight":                                   {false, time.Minute, 0},
		"one that its run's start records alone":              {true, time.Minute, time.Minute},
		"and that was not made before it was due (h is 20 s)": {true, time.Second, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := operation.DeliveryRecord{Delivery: operation.Delivery{Outcome: operation.DeliveryPending}}
			r.BeginAttempt(begun)
			want := 1
			if tt.ended {
				r.EndAttempt(operation.Attempt{Number: 1, At: begun, Verdict: operation.Unacknowledged}, "", "", operation.Time{})
				want = 2
			}
			r.Lose(begun.Add(tt.lost), 20*time.Second, 10*time.Second, operation.ReasonUnseen)
			require.Equal(t, want, r.Made)
			require.Equal(t, operation.Attempt{
				Number: want, At: begun.Add(tt.at), Verdict: operation.Unacknowledged, Reason: operation.ReasonUnseen, TookMS: 10_000,
			}, *r.Last())
		})
	}
}
