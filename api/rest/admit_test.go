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

// doorman lets in all work but some, and keeps what entered and how it left.
type doorman struct {
	refuses map[overload.Work]bool

	mu      sync.Mutex
	entered []overload.Work
	left    []error
}

func (d *doorman) acquire(_ context.Context, w overload.Work) (func(error), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuses[w] {
		return nil, &operation.Error{Problem: operation.ProblemOverloaded, Detail: "Come back.", RetryAfter: 1500 * time.Millisecond}
	}
	d.entered = append(d.entered, w)
	return func(err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.left = append(d.left, err)
	}, nil
}

const aStart = `{"endpoint":"SHOP","operation_id":"1"}`

// answering is Operations that answers each of the calls.
func answering() *fake {
	return &fake{created: true, state: someState("1"), many: someRedeliveries(), ping: somePing()}
}

// calls is one of each call and what it asks of Ringback.
var calls = map[string]struct {
	exchange
	work overload.Work
}{
	"a start":                    {exchange{method: "POST", path: "/v1/operations", body: aStart}, overload.Start},
	"a redelivery":               {exchange{method: "POST", path: operationPath + "/redelivery"}, overload.Start},
	"a bulk redelivery":          {exchange{method: "POST", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"SHOP"}}`}, overload.Start},
	"a dry run":                  {exchange{method: "POST", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"SHOP"},"dry_run":true}`}, overload.Search},
	"a list":                     {exchange{method: "GET", path: "/v1/operations"}, overload.Search},
	"a count":                    {exchange{method: "GET", path: "/v1/operations/count"}, overload.Search},
	"a list of redeliveries":     {exchange{method: "GET", path: "/v1/redeliveries"}, overload.Search},
	"a push":                     {exchange{method: "POST", path: operationPath + "/status"}, overload.Change},
	"a revocation":               {exchange{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user"}`}, overload.Change},
	"a withdrawal":               {exchange{method: "DELETE", path: operationPath}, overload.Change},
	"a bulk redelivery's stop":   {exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, overload.Change},
	"a bulk redelivery's resume": {exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/resume"}, overload.Change},
	"a ping":                     {exchange{method: "POST", path: "/v1/endpoints/SHOP/ping"}, overload.Change},
	"a state":                    {exchange{method: "GET", path: operationPath}, overload.Read},
	"details":                    {exchange{method: "GET", path: operationPath + "/details"}, overload.Read},
	"a bulk redelivery's state":  {exchange{method: "GET", path: "/v1/redeliveries/" + manyID}, overload.Read},
}

func TestEachCallIsLetInAsWhatItAsksFor(t *testing.T) {
	t.Parallel()
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d := answering(), &doorman{}
			answer, body := c.do(t, rest.New(rest.Options{Operations: f, Acquire: d.acquire}))
			require.Less(t, answer.StatusCode, 300, body)
			require.Equal(t, []overload.Work{overload.Request, c.work}, d.entered)
			require.Equal(t, []error{nil, nil}, d.left)
		})
	}
}

func TestACallThatIsNotLetInDoesNothingAndHearsWhenToComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range calls {
		for _, work := range []overload.Work{overload.Request, c.work} {
			t.Run(name+", refused as "+string(work), func(t *testing.T) {
				t.Parallel()
				f, d := &fake{}, &doorman{refuses: map[overload.Work]bool{work: true}}
				answer, body := c.do(t, rest.New(rest.Options{Operations: f, Acquire: d.acquire}))
				require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
				require.Equal(t, "2", answer.Header.Get("Retry-After"), "in whole seconds, rounded up")
				require.Contains(t, body, `"/problems/overloaded"`)
				require.Empty(t, f.questions())
				require.Len(t, d.left, len(d.entered), "who was let in has left")
			})
		}
	}
}

func TestChangesAreMadeWhileStartsAreShed(t *testing.T) {
	t.Parallel()
	d := &doorman{refuses: map[overload.Work]bool{overload.Start: true, overload.Search: true}}
	server := rest.New(rest.Options{Operations: answering(), Acquire: d.acquire})
	for name, c := range calls {
		answer, _ := c.do(t, server)
		shed := c.work == overload.Start || c.work == overload.Search
		require.Equal(t, shed, answer.StatusCode == http.StatusServiceUnavailable, name)
	}
}

func TestACallLeavesWithHowItEnded(t *testing.T) {
	t.Parallel()
	start := calls["a start"]
	d := &doorman{}
	failure := operation.Refuse(operation.ProblemConflict, "Other content.")
	_, _ = start.do(t, rest.New(rest.Options{Operations: &fake{err: failure}, Acquire: d.acquire}))
	require.Equal(t, []error{failure, failure}, d.left)

	d = &doorman{}
	panics := &fake{hook: func(context.Context) { panic("in the middle") }}
	answer, _ := start.do(t, rest.New(rest.Options{Operations: panics, Acquire: d.acquire}))
	require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	require.Len(t, d.left, 2, "who panics leaves too")
	require.Error(t, d.left[0])
}

func TestWhatIsNoStartTakesNoTurn(t *testing.T) {
	t.Parallel()
	d := &doorman{}
	bad := exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP"}`}
	answer, _ := bad.do(t, rest.New(rest.Options{Operations: &fake{}, Acquire: d.acquire}))
	require.Equal(t, http.StatusUnprocessableEntity, answer.StatusCode)
	require.Equal(t, []overload.Work{overload.Request}, d.entered)
}

func TestProbesAreAnsweredWhateverIsShed(t *testing.T) {
	t.Parallel()
	d := &doorman{refuses: map[overload.Work]bool{overload.Request: true}}
	server := rest.New(rest.Options{Operations: &fake{}, Acquire: d.acquire})
	for _, path := range []string{"/healthz", "/readyz"} {
		answer, _ := exchange{method: "GET", path: path}.do(t, server)
		require.Equal(t, http.StatusOK, answer.StatusCode, path)
	}
}
