package activities_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/source"
)

func TestPollReturnsOneAnswer(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		b.core.answer = func(ctx context.Context, _ int) (operation.Observation, error) {
			cancel()
			time.Sleep(200 * time.Millisecond)
			return operation.Observation{Status: "done"}, ctx.Err()
		}
		begun := operation.At(time.Now())
		result, err := b.Poll(ctx, activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "wallet"})
		require.NoError(t, err)
		require.Equal(t, activities.PollResult{
			BegunAt: begun, EndedAt: begun.Add(200 * time.Millisecond),
			Observation: &operation.Observation{Status: "done", BegunAt: begun, ObservedAt: begun.Add(200 * time.Millisecond)},
		}, result, "its context does not cut it off")
	})
}

func TestPollIsLeftToWatch(t *testing.T) {
	t.Parallel()
	subtest(t, "where the source was slow lately", func(t *testing.T, b *fixture) {
		b.core.answer = func(context.Context, int) (operation.Observation, error) {
			time.Sleep(1500 * time.Millisecond)
			return operation.Observation{Status: "new"}, nil
		}
		first, err := b.Poll(t.Context(), activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "wallet"})
		require.NoError(t, err)
		require.Empty(t, first.HeldBack)
		second, err := b.Poll(t.Context(), activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "wallet"})
		require.NoError(t, err)
		require.Equal(t, activities.PollResult{HeldBack: "recent answers were slow"}, second)
	})
	t.Run("where the configuration has no such source", func(t *testing.T) {
		t.Parallel()
		b := newFixture()
		result, err := b.Poll(t.Context(), activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "other"})
		require.NoError(t, err)
		require.Equal(t, activities.PollResult{HeldBack: "the source other is not in this worker's configuration"}, result)
	})
}

func TestPollReturnsWhyThereIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		err       *source.Error
		free      bool
		notBefore time.Duration
	}{
		{"a core that is down costs a poll", &source.Error{Kind: source.Unavailable, Source: "wallet", Detail: "down"}, false, 0},
		{"one that throttles says when to come back", &source.Error{Kind: source.Throttled, Source: "wallet", RetryAfter: time.Minute}, false, time.Minute},
		{"one that refuses our credentials costs none", &source.Error{Kind: source.Unauthorized, Source: "wallet"}, true, 0},
	} {
		subtest(t, tt.name, func(t *testing.T, b *fixture) {
			b.core.answer = failing(tt.err)
			now := operation.At(time.Now())
			want := activities.PollResult{Uncounted: tt.free, Error: tt.err.Error(), BegunAt: now, EndedAt: now}
			if tt.notBefore > 0 {
				want.NotBefore = now.Add(tt.notBefore)
			}
			result, err := b.Poll(t.Context(), activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "wallet"})
			require.NoError(t, err)
			require.Equal(t, want, result)
		})
	}
}

// A source's bulkhead has 256 slots: were one kept by an answer, the last poll would
// be held back.
func TestNoSlotOfASourceIsKeptByItsAnswers(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		answers := []error{
			nil, errors.New("not even one of ours"), &source.Error{Kind: source.Unavailable}, &source.Error{Kind: source.Malformed},
			&source.Error{Kind: source.NotFound}, &source.Error{Kind: source.Throttled},
		}
		b.core.answer = func(_ context.Context, n int) (operation.Observation, error) {
			return operation.Observation{}, answers[n%len(answers)]
		}
		for range 300 * len(answers) {
			got, err := b.Poll(t.Context(), activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "wallet"})
			require.NoError(t, err)
			require.Empty(t, got.HeldBack)
		}
	})
}
