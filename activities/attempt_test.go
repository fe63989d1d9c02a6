package activities_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/internal/egress"
	"ringback/internal/operation"
)

const cardNumber = "4111111111111111"

// once is an attempt at a callback in the bench's dialect.
func once(timeout time.Duration) activities.AttemptInput {
	in := ringing(time.Second, 1)
	in.Callback.Observation.Raw = map[string]string{"respStatus": "200", "orderStatus": "1"}
	return activities.AttemptInput{Callback: in.Callback, TimeoutMS: timeout.Milliseconds(), Number: 7}
}

func attempt(t *testing.T, b *bench, in activities.AttemptInput) activities.AttemptResult {
	t.Helper()
	activities.KnowFast(b.Activities, b.endpoint)
	result, err := b.Attempt(t.Context(), in)
	require.NoError(t, err)
	return result
}

// Over real HTTP on a machine with other work: never below h, and the median
// gap within the promised 50 ms above it.
func TestDeliverKeepsHOverHTTP(t *testing.T) {
	t.Parallel()
	for _, h := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond} {
		t.Run("h is "+h.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench()
			b.overHTTP(t)
			b.receiver.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
				time.Sleep(5 * time.Millisecond)
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, err := b.deliver(ringing(h, 8), run{})
			require.NoError(t, err)
			gaps := b.receiver.gaps()
			require.Len(t, gaps, 7)
			slices.Sort(gaps)
			require.GreaterOrEqual(t, gaps[0], h)
			require.LessOrEqual(t, gaps[len(gaps)/2], h+50*time.Millisecond)
		})
	}
}

func TestAnAttemptWithoutAnyURLIsNotMade(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.endpoint.URL = ""
	got := attempt(t, b, once(time.Second))
	require.Contains(t, got.HeldBack, "the url of the endpoint "+shop)
	require.Zero(t, b.receiver.requests())
	inVirtualTime(t, func(t *testing.T, b *bench) {
		b.endpoint.URL = ""
		result, err := b.deliver(ringing(time.Second, 1), run{})
		require.NoError(t, err)
		require.Contains(t, result.HeldBack, "the url of the endpoint "+shop)
		require.Zero(t, result.Record.Made, "it costs no attempt")
	})
}

func TestAttemptIsLeftToDeliver(t *testing.T) {
	t.Parallel()
	t.Run("where the endpoint's recent answers were slow, until they are fast again", func(t *testing.T) {
		t.Parallel()
		inVirtualTime(t, func(t *testing.T, b *bench) {
			b.receiver.answer = func(n int, _ http.ResponseWriter, _ *http.Request) {
				if n == 2 {
					time.Sleep(1001 * time.Millisecond)
				}
			}
			require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
			require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
			for range 8 {
				require.Equal(t, "recent answers were slow", attempt(t, b, once(10*time.Second)).HeldBack)
				_, err := b.deliver(ringing(time.Second, 1), run{})
				require.NoError(t, err)
			}
			require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
			require.Equal(t, 11, b.receiver.requests())
		})
	})
	t.Run("where nothing is known of the endpoint", func(t *testing.T) {
		t.Parallel()
		inVirtualTime(t, func(t *testing.T, b *bench) {
			result, err := b.Attempt(t.Context(), once(10*time.Second))
			require.NoError(t, err)
			require.Equal(t, "how fast it answers is not known yet", result.HeldBack)
			_, err = b.deliver(ringing(time.Second, 1), run{})
			require.NoError(t, err)
			result, err = b.Attempt(t.Context(), once(10*time.Second))
			require.NoError(t, err)
			require.Empty(t, result.HeldBack, "a delivery has found out")
		})
	})
	t.Run("where an answer is overdue", func(t *testing.T) {
		t.Parallel()
		inVirtualTime(t, func(t *testing.T, b *bench) {
			require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
			b.receiver.answer = func(int, http.ResponseWriter, *http.Request) { time.Sleep(5 * time.Second) }
			ended := make(chan struct{})
			go func() {
				_, _ = b.Attempt(t.Context(), once(10*time.Second))
				close(ended)
			}()
			time.Sleep(time.Second + time.Millisecond)
			require.Equal(t, "recent answers were slow", attempt(t, b, once(10*time.Second)).HeldBack)
			<-ended
		})
	})
	t.Run("where the endpoint's share of workflow tasks is used", func(t *testing.T) {
		t.Parallel()
		inVirtualTime(t, func(t *testing.T, b *bench) {
			attempt(t, b, once(10*time.Second))
			b.receiver.answer = func(int, http.ResponseWriter, *http.Request) { time.Sleep(500 * time.Millisecond) }
			results := make(chan string, 40)
			for range 40 {
				go func() {
					result, _ := b.Attempt(t.Context(), once(10*time.Second))
					results <- result.HeldBack
				}()
			}
			made := 0
			for range 40 {
				if <-results == "" {
					made++
				}
			}
			require.Equal(t, 32, made)
		})
	})
	t.Run("where the configuration has no such endpoint", func(t *testing.T) {
		t.Parallel()
		b := newBench()
		b.missing = true
		result := attempt(t, b, once(time.Second))
		require.Equal(t, "the endpoint "+shop+" is not in this worker's configuration", result.HeldBack)
		require.Zero(t, result.Attempt)
	})
}

func TestAttemptIsNotCutOffByItsContext(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		b.receiver.answer = func(int, http.ResponseWriter, *http.Request) {
			cancel()
			time.Sleep(500 * time.Millisecond)
		}
		activities.KnowFast(b.Activities, b.endpoint)
		result, err := b.Attempt(ctx, once(time.Second))
		require.NoError(t, err)
		require.Equal(t, operation.Acknowledged, result.Attempt.Verdict)
	})
}

// refusing is a network that refuses every connection.
type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
}

func TestEndpointsBreakerIsOpenedByWaitingInVainAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(b *bench)
		opens  bool
	}{
		{"an endpoint that answers nothing opens it", func(b *bench) { b.receiver.answer = silence }, true},
		{"one that refuses at once costs nobody anything, and keeps its h",
			func(b *bench) { b.endpoint.Client = &http.Client{Transport: refusing{}} }, false},
		{"one that answers slowly answers", func(b *bench) {
			b.receiver.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
				time.Sleep(1900 * time.Millisecond)
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inVirtualTime(t, func(t *testing.T, b *bench) {
				tt.change(b)
				in := ringing(time.Millisecond, 33)
				in.Policy.TimeoutMS = 2000
				result, err := b.deliver(in, run{})
				if tt.opens {
					require.Equal(t, activities.TypeHeldBack, failure(t, err).Type())
					return
				}
				require.NoError(t, err)
				require.Equal(t, 33, result.Record.Made)
			})
		})
	}
}

func TestDeliverEndsWhereTheEgressGuardRefuses(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.overHTTP(t)
	b.endpoint.Client = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}).Client(nil, 0)
	delivered, err := b.deliver(ringing(time.Second, 3), run{})
	require.NoError(t, err)
	require.Equal(t, operation.DeliveryGone, delivered.Record.Delivery.Outcome)
	require.Equal(t, operation.ReasonEgress, delivered.Record.Delivery.Reason)
	require.Equal(t, 1, delivered.Record.Made)
	require.Zero(t, b.receiver.requests())
}
