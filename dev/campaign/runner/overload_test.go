package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/internal/config"
	"ringback/internal/operation"
)

func TestWhatIsDueAgainIsLateByWhatItCameAfterItsGap(t *testing.T) {
	t.Parallel()
	during := span{second(10), second(20)}
	for name, tc := range map[string]struct {
		came []float64
		want []time.Duration
	}{
		"nothing that never came is due":        {},
		"what came in time is not late":         {came: []float64{9, 11, 19.5}, want: []time.Duration{0, 6500 * time.Millisecond}},
		"what came early is not late either":    {came: []float64{9, 10.5, 29}, want: []time.Duration{0, 16500 * time.Millisecond}},
		"what was due before is not looked at":  {came: []float64{7, 30}},
		"what was due at the end is not either": {came: []float64{18, 30}},
		"what has not come is as late as now":   {came: []float64{17}, want: []time.Duration{21 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var came []time.Time
			for _, at := range tc.came {
				came = append(came, second(at))
			}
			require.Equal(t, tc.want, late(came, 2*time.Second, during, second(40)))
		})
	}
}

// problem is an answer of the API that is not 2xx.
func problem(status int, retryAfter string) error {
	return &apiclient.Problem{Status: status, RetryAfter: retryAfter}
}

func TestACallIsAcceptedShedOrFailed(t *testing.T) {
	t.Parallel()
	hangs := errors.New("no answer")
	a := &answers{}
	for _, err := range []error{
		nil, problem(http.StatusServiceUnavailable, "2"), problem(http.StatusTooManyRequests, "1"),
		problem(http.StatusServiceUnavailable, ""), problem(http.StatusServiceUnavailable, "0"), hangs, problem(http.StatusInternalServerError, "2"),
	} {
		a.note(err)
	}
	require.Equal(t, []int{7, 1, 4, 2, 2}, []int{a.offered, a.accepted, a.shed, a.withoutRetryAfter, a.failed})
	require.ErrorIs(t, a.why, hangs)
}

func TestWhatWasShedComesBackWhenItMayAndTheFirstFirst(t *testing.T) {
	t.Parallel()
	key := func(id string) operation.Key { return operation.Key{Endpoint: fresh, OperationID: id} }
	var c comebacks
	c.add(key("a"), second(0), 2)
	c.add(key("b"), second(0), 60)
	c.add(key("c"), second(1), 0)
	c.add(key("d"), second(1), 2)
	var came []string
	for _, at := range []float64{0.5, 1, 1.5, 2, 2.5, 3, 4.5, 5, 6} {
		if k, ok := c.next(second(at)); ok {
			came = append(came, k.OperationID)
		}
	}
	require.Equal(t, []string{"c", "a", "d", "b"}, came)
}

func TestABeatGoesOnUntilItEnds(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var calls atomic.Int64
	wait := beat(ctx, 1000, func(n int) {
		if calls.Add(1); n == 20 {
			end()
		}
	})
	wait()
	require.GreaterOrEqual(t, calls.Load(), int64(21))
}

func TestTheConfigurationsOfTheScenariosAreGood(t *testing.T) {
	name, value, _ := strings.Cut(yardEnvironment[0], "=")
	t.Setenv(name, value)
	y := &yard{url: "http://127.0.0.1:1"}
	for scenario, endpoints := range map[string]map[string]string{"usual": usualEndpoints(), "overload": overloadEndpoints()} {
		c, err := config.Parse("ringback.yml", []byte(y.config(endpoints)))
		require.NoError(t, err, scenario)
		require.Len(t, c.Endpoints, len(endpoints), scenario)
		require.Empty(t, c.Warnings, scenario)
	}
}

func TestTheYardsCoreNeverCallsWhatIsEndlessDone(t *testing.T) {
	t.Parallel()
	y, err := openYard()
	require.NoError(t, err)
	t.Cleanup(func() { _ = y.close() })
	for id, status := range map[string]string{"7": "done", endless + "-7": "new"} {
		answer, err := http.Get(y.url + "/transfer/rest/v1/transfers/" + id)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf(`{"id":%q,"status":%q}`, id, status), string(body))
		require.Len(t, y.polledAt(id), 1)
	}
}

func TestADirectLinkIsItsUpstream(t *testing.T) {
	t.Parallel()
	s := &Stage{direct: true, links: map[string]*link{}, subjects: map[string]subject{}, busy: map[string]*sync.Mutex{}}
	through, err := s.link(t.Context(), "a>b", "127.0.0.1:1")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:1", through)
	require.NoError(t, s.Close(t.Context()))
}
