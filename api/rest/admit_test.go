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
)

// doorman lets in all work but some, and keeps what entered and how it left.
type doorman struct {
	refuses map[rest.Work]bool

	mu      sync.Mutex
	entered []rest.Work
	left    []error
}

func (d *doorman) admit(_ context.Context, w rest.Work) (func(error), error) {
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
	work rest.Work
}{
	"a start":                    {exchange{method: "POST", path: "/v1/operations", body: aStart}, rest.WorkStart},
	"a redelivery":               {exchange{method: "POST", path: operationPath + "/redelivery"}, rest.WorkStart},
	"a bulk redelivery":          {exchange{method: "POST", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"SHOP"}}`}, rest.WorkStart},
	"a dry run":                  {exchange{method: "POST", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"SHOP"},"dry_run":true}`}, rest.WorkSearch},
	"a list":                     {exchange{method: "GET", path: "/v1/operations"}, rest.WorkSearch},
	"a count":                    {exchange{method: "GET", path: "/v1/operations/count"}, rest.WorkSearch},
	"a list of redeliveries":     {exchange{method: "GET", path: "/v1/redeliveries"}, rest.WorkSearch},
	"a push":                     {exchange{method: "POST", path: operationPath + "/status"}, rest.WorkChange},
	"a revocation":               {exchange{method: "POST", path: operationPath + "/revocation", body: `{"initiated_by":"user"}`}, rest.WorkChange},
	"a withdrawal":               {exchange{method: "DELETE", path: operationPath}, rest.WorkChange},
	"a bulk redelivery's stop":   {exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, rest.WorkChange},
	"a bulk redelivery's resume": {exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/resume"}, rest.WorkChange},
	"a ping":                     {exchange{method: "POST", path: "/v1/endpoints/SHOP/ping"}, rest.WorkChange},
	"a state":                    {exchange{method: "GET", path: operationPath}, rest.WorkRead},
	"details":                    {exchange{method: "GET", path: operationPath + "/details"}, rest.WorkRead},
	"a bulk redelivery's state":  {exchange{method: "GET", path: "/v1/redeliveries/" + manyID}, rest.WorkRead},
}

func TestEachCallIsLetInAsWhatItAsksFor(t *testing.T) {
	t.Parallel()
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d := answering(), &doorman{}
			answer, body := c.do(t, rest.New(rest.Options{Operations: f, Admit: d.admit}))
			require.Less(t, answer.StatusCode, 300, body)
			require.Equal(t, []rest.Work{rest.WorkRequest, c.work}, d.entered)
			require.Equal(t, []error{nil, nil}, d.left)
		})
	}
}

func TestACallThatIsNotLetInDoesNothingAndHearsWhenToComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range calls {
		for _, work := range []rest.Work{rest.WorkRequest, c.work} {
			t.Run(name+", refused as "+string(work), func(t *testing.T) {
				t.Parallel()
				f, d := &fake{}, &doorman{refuses: map[rest.Work]bool{work: true}}
				answer, body := c.do(t, rest.New(rest.Options{Operations: f, Admit: d.admit}))
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
	d := &doorman{refuses: map[rest.Work]bool{rest.WorkStart: true, rest.WorkSearch: true}}
	server := rest.New(rest.Options{Operations: answering(), Admit: d.admit})
	for name, c := range calls {
		answer, _ := c.do(t, server)
		shed := c.work == rest.WorkStart || c.work == rest.WorkSearch
		require.Equal(t, shed, answer.StatusCode == http.StatusServiceUnavailable, name)
	}
}

func TestACallLeavesWithHowItEnded(t *testing.T) {
	t.Parallel()
	start := calls["a start"]
	d := &doorman{}
	failure := operation.Refuse(operation.ProblemConflict, "Other content.")
	_, _ = start.do(t, rest.New(rest.Options{Operations: &fake{err: failure}, Admit: d.admit}))
	require.Equal(t, []error{failure, failure}, d.left)

	d = &doorman{}
	panics := &fake{hook: func(context.Context) { panic("in the middle") }}
	answer, _ := start.do(t, rest.New(rest.Options{Operations: panics, Admit: d.admit}))
	require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	require.Len(t, d.left, 2, "who panics leaves too")
	require.Error(t, d.left[0])
}

func TestWhatIsNoStartTakesNoTurn(t *testing.T) {
	t.Parallel()
	d := &doorman{}
	bad := exchange{method: "POST", path: "/v1/operations", body: `{"endpoint":"SHOP"}`}
	answer, _ := bad.do(t, rest.New(rest.Options{Operations: &fake{}, Admit: d.admit}))
	require.Equal(t, http.StatusUnprocessableEntity, answer.StatusCode)
	require.Equal(t, []rest.Work{rest.WorkRequest}, d.entered)
}

func TestProbesAreAnsweredWhateverIsShed(t *testing.T) {
	t.Parallel()
	d := &doorman{refuses: map[rest.Work]bool{rest.WorkRequest: true}}
	server := rest.New(rest.Options{Operations: &fake{}, Admit: d.admit})
	for _, path := range []string{"/healthz", "/readyz"} {
		answer, _ := exchange{method: "GET", path: path}.do(t, server)
		require.Equal(t, http.StatusOK, answer.StatusCode, path)
	}
}
