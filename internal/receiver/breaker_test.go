package receiver_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/bulkhead"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

// How an attempt ended, as far as the breaker looks at it.
var (
	answered = receiver.Result{Attempt: operation.Attempt{HTTPStatus: http.StatusServiceUnavailable}, Took: 2 * time.Second}
	refused  = receiver.Result{Took: time.Millisecond}
	inVain   = receiver.Result{Took: 10 * time.Second}
	guard    = receiver.Result{Took: 10 * time.Second, Ended: operation.DeliveryGone}
)

// perOperation is an endpoint whose URLs come with the operations.
func perOperation(limit int) receiver.Endpoint {
	return receiver.Endpoint{Name: shop, MaxConcurrent: limit}
}

func fixed(limit int) receiver.Endpoint {
	return receiver.Endpoint{Name: shop, MaxConcurrent: limit, URL: "https://shop.example/callback"}
}

const (
	silent  = "https://silent.example/callback"
	healthy = "https://healthy.example/callback"
)

func acquired(t *testing.T, r *receiver.Receivers, e receiver.Endpoint, url string) *receiver.Permit {
	t.Helper()
	permit, err := r.Acquire(e, url, bulkhead.Activity)
	require.NoError(t, err)
	return permit
}

func heldBack(t *testing.T, want error, r *receiver.Receivers, e receiver.Endpoint, url string) {
	t.Helper()
	_, err := r.Acquire(e, url, bulkhead.Activity)
	require.ErrorIs(t, err, want)
}

// opened lets the breaker of a host open.
func opened(t *testing.T, r *receiver.Receivers, e receiver.Endpoint, url string) {
	t.Helper()
	for range 32 {
		acquired(t, r, e, url).Release(inVain)
	}
	heldBack(t, receiver.ErrBreakerOpen, r, e, url)
}

func TestABreakerOpensAfter32AttemptsInARowThatWaitedInVain(t *testing.T) {
	t.Parallel()
	repeat := func(n int, r receiver.Result) (all []receiver.Result) {
		for range n {
			all = append(all, r)
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		ends  []receiver.Result
		opens bool
	}{
		{"no answer", repeat(32, inVain), true},
		{"not before", repeat(31, inVain), false},
		{"counted anew after an answer", append(append(repeat(31, inVain), answered), repeat(31, inVain)...), false},
		{"one that refuses at once costs nobody anything", repeat(99, refused), false},
		{"one that answers slowly answers", repeat(99, answered), false},
		{"one that the egress guard refuses", repeat(99, guard), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r receiver.Receivers
			for _, end := range tt.ends {
				acquired(t, &r, fixed(2), "").Cancel() // says nothing
				acquired(t, &r, fixed(2), "").Release(end)
			}
			_, err := r.Acquire(fixed(2), "", bulkhead.Activity)
			require.Equal(t, tt.opens, errors.Is(err, receiver.ErrBreakerOpen), err)
		})
	}
}

func TestAnOpenBreakerLetsOneAttemptThroughAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r receiver.Receivers
		e := fixed(2)
		opened(t, &r, e, "")
		for range 5 {
			heldBack(t, receiver.ErrBreakerOpen, &r, e, "")
		}
		time.Sleep(5*time.Second + time.Millisecond)
		require.InDelta(t, 0.5, r.States()[shop].Open, 0)
		probe := acquired(t, &r, e, "")
		heldBack(t, receiver.ErrBreakerOpen, &r, e, "")
		probe.Cancel()
		acquired(t, &r, e, "").Release(answered)
		acquired(t, &r, e, "").Release(answered)
	})
}

func TestASilentHostHoldsUpNoOtherOfItsEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r receiver.Receivers
		e := perOperation(8)
		acquired(t, &r, e, healthy).Release(receiver.Result{Attempt: operation.Attempt{HTTPStatus: 200}})
		waiting := []*receiver.Permit{acquired(t, &r, e, silent), acquired(t, &r, e, "HTTPS://Silent.example.:443/other?x=1")}
		heldBack(t, bulkhead.ErrPartFull, &r, e, silent)
		time.Sleep(10 * time.Second)
		local, err := r.Acquire(e, healthy, bulkhead.WorkflowTask)
		require.NoError(t, err, "the other's answers are remembered apart")
		local.Cancel()
		for _, permit := range waiting {
			permit.Release(inVain)
		}
		_, err = r.Acquire(e, silent, bulkhead.WorkflowTask)
		require.ErrorIs(t, err, bulkhead.ErrSlow)
		trips := 0
		for ; trips < 40; trips++ {
			permit, err := r.Acquire(e, silent, bulkhead.Activity)
			if err != nil {
				require.ErrorIs(t, err, receiver.ErrBreakerOpen)
				break
			}
			permit.Release(inVain)
		}
		require.Equal(t, 30, trips)
		acquired(t, &r, e, healthy).Cancel()
		require.Equal(t, map[string]receiver.State{shop: {Limit: 8, Open: 1}}, r.States(), "the worst host is shown")
	})
}

func TestAllHostsOfAnEndpointShareItsLimit(t *testing.T) {
	t.Parallel()
	var r receiver.Receivers
	e := perOperation(4)
	for n := range 4 {
		acquired(t, &r, e, fmt.Sprintf("https://host-%d.example/", n))
	}
	heldBack(t, bulkhead.ErrFull, &r, e, healthy)
	acquired(t, &r, receiver.Endpoint{Name: "ANOTHER", MaxConcurrent: 4}, healthy)
}

func TestAFixedURLHasTheWholeBulkhead(t *testing.T) {
	t.Parallel()
	var r receiver.Receivers
	for range 3 {
		acquired(t, &r, fixed(3), "")
	}
	heldBack(t, bulkhead.ErrFull, &r, fixed(3), "")
	acquired(t, &r, fixed(4), "").Cancel()
	require.Equal(t, map[string]receiver.State{shop: {Limit: 4}}, r.States(), "a changed limit holds at once")
	var one receiver.Receivers
	acquired(t, &one, perOperation(1), silent).Cancel()
}

func TestAddressesThatAreNoURLShareOneHost(t *testing.T) {
	t.Parallel()
	var r receiver.Receivers
	e := perOperation(4)
	acquired(t, &r, e, "http://%zz/")
	heldBack(t, bulkhead.ErrPartFull, &r, e, "::")
}

// The payment cores choose the hosts.
func TestIdleHostsAreForgottenWhereThereAreTooMany(t *testing.T) {
	t.Parallel()
	var r receiver.Receivers
	e := perOperation(4)
	inFlight := acquired(t, &r, e, healthy)
	opened(t, &r, e, silent)
	for n := range 1022 {
		acquired(t, &r, e, fmt.Sprintf("https://host-%d.example/", n)).Cancel()
	}
	heldBack(t, receiver.ErrBreakerOpen, &r, e, silent)
	acquired(t, &r, e, "https://one-too-many.example/").Cancel()
	acquired(t, &r, e, silent).Cancel()
	heldBack(t, bulkhead.ErrPartFull, &r, e, healthy)
	inFlight.Cancel()
	acquired(t, &r, e, healthy)
}

func TestReceiversUnderConcurrentUseKeepTheirLimits(t *testing.T) {
	t.Parallel()
	const limit = 3
	var r receiver.Receivers
	var inside, passed atomic.Int32
	var users sync.WaitGroup
	for user := range 16 {
		users.Go(func() {
			for n := range 200 {
				permit, err := r.Acquire(perOperation(limit), fmt.Sprintf("https://host-%d.example/", (user+n)%5), bulkhead.Activity)
				if err != nil {
					continue
				}
				if inside.Add(1) > limit {
					t.Error("more inside than the limit")
				}
				passed.Add(1)
				inside.Add(-1)
				permit.Release(answered)
			}
		})
	}
	users.Wait()
	require.Positive(t, passed.Load())
	for n := range limit {
		acquired(t, &r, perOperation(limit), fmt.Sprintf("https://host-%d.example/", n))
	}
}
