package rest_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api/rest"
	"ringback/internal/operation"
	"ringback/internal/overload"
)

// turns stands for the overload protection: it refuses some kinds of work, and
// records what was acquired and how it was released.
type turns struct {
	refuses map[overload.Work]bool

	mu        sync.Mutex
	acquired  []overload.Work
	endpoints []string
	released  []error
}

func (d *turns) acquire(_ context.Context, w overload.Work, endpoint string) (func(error), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuses[w] {
		return nil, &operation.Error{Problem: operation.ProblemOverloaded, Detail: "Come back.", RetryAfter: 1500 * time.Millisecond}
	}
	d.acquired, d.endpoints = append(d.acquired, w), append(d.endpoints, endpoint)
	return func(err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.released = append(d.released, err)
	}, nil
}

const aStart = `{"endpoint":"SHOP","operation_id":"1"}`

// succeeding is Operations on which each of the calls succeeds.
func succeeding() *fake {
	return &fake{created: true, state: someState("1"), many: someRedeliveries(), ping: somePing()}
}

// calls is one of each call and its kind of work.
var calls = map[string]struct {
	httpCall
	work overload.Work
}{
	"a start":                    {httpCall{method: "POST", path: "/v1/operations", body: aStart}, overload.Start},
	"a redelivery":               {httpCall{method: "POST", path: operationPath + "/redelivery"}, overload.Start},
	"a bulk redelivery":          {httpCall{method: "POST", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"SHOP"}}`}, overload.Search},
	"a dry run":                  {httpCall{method: "POST", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"SHOP"},"dry_run":true}`}, overload.Search},
	"a list":                     {httpCall{method: "GET", path: "/v1/operations"}, overload.Search},
	"a count":                    {httpCall{method: "GET", path: "/v1/operations/count"}, overload.Search},
	"a list of redeliveries":     {httpCall{method: "GET", path: "/v1/redeliveries"}, overload.Search},
	"a push":                     {httpCall{method: "POST", path: operationPath + "/status"}, overload.Change},
	"a revocation":               {httpCall{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user"}`}, overload.Change},
	"a withdrawal":               {httpCall{method: "DELETE", path: operationPath}, overload.Change},
	"a bulk redelivery's stop":   {httpCall{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, overload.Change},
	"a bulk redelivery's resume": {httpCall{method: "POST", path: "/v1/redeliveries/" + manyID + "/resume"}, overload.Change},
	"a ping":                     {httpCall{method: "POST", path: "/v1/endpoints/SHOP/ping"}, overload.Change},
	"a state":                    {httpCall{method: "GET", path: operationPath}, overload.Read},
	"details":                    {httpCall{method: "GET", path: operationPath + "/details"}, overload.Read},
	"a bulk redelivery's state":  {httpCall{method: "GET", path: "/v1/redeliveries/" + manyID}, overload.Read},
}

func TestEachCallAcquiresItsKindOfWork(t *testing.T) {
	t.Parallel()
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d := succeeding(), &turns{}
			response, body := c.do(t, rest.New(rest.Options{Operations: f, Acquire: d.acquire}))
			require.Less(t, response.StatusCode, 300, body)
			require.Equal(t, []overload.Work{overload.Request, c.work}, d.acquired)
			if c.work == overload.Start {
				require.Equal(t, []string{"", "SHOP"}, d.endpoints, "endpoints take turns")
			}
			require.Equal(t, []error{nil, nil}, d.released)
		})
	}
}

func TestARefusedCallDoesNothingAndSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range calls {
		for _, work := range []overload.Work{overload.Request, c.work} {
			t.Run(name+", refused as "+string(work), func(t *testing.T) {
				t.Parallel()
				f, d := &fake{}, &turns{refuses: map[overload.Work]bool{work: true}}
				response, body := c.do(t, rest.New(rest.Options{Operations: f, Acquire: d.acquire}))
				require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
				require.Equal(t, "2", response.Header.Get("Retry-After"), "in whole seconds, rounded up")
				require.Contains(t, body, `"/problems/overloaded"`)
				require.Empty(t, f.received())
				require.Len(t, d.released, len(d.acquired), "what was acquired is released")
			})
		}
	}
}

func TestChangesGoOnWhileStartsAreRefused(t *testing.T) {
	t.Parallel()
	d := &turns{refuses: map[overload.Work]bool{overload.Start: true, overload.Search: true}}
	server := rest.New(rest.Options{Operations: succeeding(), Acquire: d.acquire})
	for name, c := range calls {
		response, _ := c.do(t, server)
		shed := c.work == overload.Start || c.work == overload.Search
		require.Equal(t, shed, response.StatusCode == http.StatusServiceUnavailable, name)
	}
}

func TestACallReleasesWithItsError(t *testing.T) {
	t.Parallel()
	start := calls["a start"]
	d := &turns{}
	failure := operation.Refuse(operation.ProblemConflict, "Other content.")
	_, _ = start.do(t, rest.New(rest.Options{Operations: &fake{err: failure}, Acquire: d.acquire}))
	require.Equal(t, []error{failure, failure}, d.released)

	d = &turns{}
	panics := &fake{hook: func(context.Context) { panic("in the middle") }}
	response, _ := start.do(t, rest.New(rest.Options{Operations: panics, Acquire: d.acquire}))
	require.Equal(t, http.StatusInternalServerError, response.StatusCode)
	require.Len(t, d.released, 2, "also after a panic")
	require.Error(t, d.released[0])
}

func TestAnInvalidStartAcquiresNoTurn(t *testing.T) {
	t.Parallel()
	d := &turns{}
	bad := httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP"}`}
	response, _ := bad.do(t, rest.New(rest.Options{Operations: &fake{}, Acquire: d.acquire}))
	require.Equal(t, http.StatusUnprocessableEntity, response.StatusCode)
	require.Equal(t, []overload.Work{overload.Request}, d.acquired)
}

func TestProbesAreServedUnderOverload(t *testing.T) {
	t.Parallel()
	d := &turns{refuses: map[overload.Work]bool{overload.Request: true}}
	server := rest.New(rest.Options{Operations: &fake{}, Acquire: d.acquire})
	for _, path := range []string{"/healthz", "/readyz"} {
		response, _ := httpCall{method: "GET", path: path}.do(t, server)
		require.Equal(t, http.StatusOK, response.StatusCode, path)
	}
}
