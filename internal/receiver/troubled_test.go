package receiver_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/dialect"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

// answering is a transport whose receiver answers so after so long.
type answering struct {
	status int
	after  time.Duration
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(a.after)
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func TestAnEndpointIsTroubledWhileMostOfItsLatestAttemptsFailOrAreSlow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers  []answering
		troubled bool
	}{
		"not before the first":            {nil, false},
		"not by a few that fail":          {[]answering{{500, 0}, {500, 0}, {500, 0}, {200, 0}}, false},
		"not by every other one":          {alternating(20, answering{500, 0}, answering{200, 0}), false},
		"by eight that fail":              {alternating(8, answering{500, 0}), true},
		"by eight that are slow":          {alternating(8, answering{200, 2 * time.Second}), true},
		"not by eight that take a second": {alternating(8, answering{200, time.Second - 1}), false},
		"no longer once it acknowledges":  {append(alternating(50, answering{500, 0}), alternating(8, answering{200, 0})...), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var r receiver.Receivers
				for _, a := range tt.answers {
					attempt(t, &r, a)
				}
				require.Equal(t, tt.troubled, r.Troubled(shop))
				require.False(t, r.Troubled("ANOTHER"))
			})
		})
	}
}

func TestAnEndpointIsTroubledBeforeItsSlowAttemptsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r receiver.Receivers
		for range 8 {
			e := endpointAnswering(answering{200, 20 * time.Second})
			permit := acquired(t, &r, e, "")
			go permit.Send(t.Context(), e, request(time.Minute))
		}
		time.Sleep(1100 * time.Millisecond)
		require.True(t, r.Troubled(shop))
		time.Sleep(20 * time.Second)
		require.True(t, r.Troubled(shop), "one attempt counts once")
		for range 8 {
			attempt(t, &r, answering{200, 0})
		}
		require.False(t, r.Troubled(shop))
	})
}

func attempt(t *testing.T, r *receiver.Receivers, a answering) {
	t.Helper()
	e := endpointAnswering(a)
	result := acquired(t, r, e, "").Send(t.Context(), e, request(time.Minute))
	require.Equal(t, a.status == http.StatusOK, result.Attempt.Verdict == operation.Acknowledged)
}

func alternating(n int, of ...answering) (all []answering) {
	for i := range n {
		all = append(all, of[i%len(of)])
	}
	return all
}

func endpointAnswering(a answering) receiver.Endpoint {
	e := fixed(8)
	e.Dialect, _ = dialect.ByName("standard")
	e.Client = &http.Client{Transport: &a}
	return e
}
