package receiver

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"ringback/internal/bulkhead"
	"ringback/internal/operation"
)

const (
	// breakerTrips is how many attempts in a row without an answer open a host's
	// breaker: more than one delivery alone usually makes.
	breakerTrips = 32
	// breakerOpens is how long it stays open before one attempt tries again.
	breakerOpens = 5 * time.Second
	// hostShare is which part of an endpoint's bulkhead one host may take where
	// the URLs come with the operations: 1/hostShare.
	hostShare = 4
	// hostsKept is how many hosts of one endpoint are known at a time, beside
	// those with attempts in flight.
	hostsKept = 1024
)

// ErrBreakerOpen holds an attempt back: this host did not answer the last ones.
var ErrBreakerOpen = errors.New("the breaker is open")

var (
	errNoAnswer = errors.New("no answer")
	// errNotMade marks an attempt that was not made: the breaker does not count it.
	errNotMade = errors.New("not made")
)

// Receivers isolates receivers from one another: by endpoint, and within one
// whose URLs come with the operations by host. The zero value is ready for use,
// also concurrently.
type Receivers struct {
	mu    sync.Mutex
	byKey map[key]*isolated
	// bad is which part of an endpoint's latest attempts were not acknowledged within
	// bulkhead.FastWithin, by its name.
	bad map[string]float64
}

// key has the limit and whether the URL is fixed, so that a configuration that
// changes either takes effect at once.
type key struct {
	name  string
	limit int
	fixed bool
}

// isolated is one endpoint.
type isolated struct {
	bulkhead *bulkhead.Bulkhead
	// hostLimit is how many attempts one host may have in flight.
	hostLimit int
	hosts     map[string]*host
}

type host struct {
	bulkhead *bulkhead.Bulkhead
	breaker  *gobreaker.TwoStepCircuitBreaker[any]
}

// Permit lets one attempt be made. It is given back once, by Release or Cancel.
type Permit struct {
	slot   *bulkhead.Slot
	settle func(error)
	count  func(well bool)
}

// Acquire lets one attempt be made at e, for an operation that brought url or
// none; or the error says why it is held back: [ErrBreakerOpen] or one of package
// bulkhead's. From inside a workflow task only hosts that answered fast lately
// may be called.
func (r *Receivers) Acquire(e Endpoint, url string, from bulkhead.From) (*Permit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.endpoint(e).host(hostOf(e.address(url)))
	slot, err := h.bulkhead.Acquire(from)
	if err != nil {
		return nil, err
	}
	settle, err := h.breaker.Allow()
	if err != nil {
		slot.Cancel()
		return nil, ErrBreakerOpen
	}
	return &Permit{slot: slot, settle: settle, count: func(well bool) { r.count(e.Name, well) }}, nil
}

// Send makes the attempt at e and gives the permit back.
func (p *Permit) Send(ctx context.Context, e Endpoint, in Request) Result {
	p.slot.Begin()
	// One in flight is known to be slow before it ends.
	slow := time.AfterFunc(bulkhead.FastWithin, func() { p.count(false) })
	result := Send(ctx, e, in)
	if slow.Stop() {
		p.count(result.Attempt.Verdict == operation.Acknowledged)
	}
	p.Release(result)
	return result
}

// Release ends an attempt that was made.
func (p *Permit) Release(r Result) {
	p.slot.Release(r.Took)
	// What is refused at once holds no slot, so it does not count.
	if r.Attempt.HTTPStatus == 0 && r.Ended == "" && r.Took > bulkhead.FastWithin {
		p.settle(errNoAnswer)
		return
	}
	p.settle(nil)
}

// Cancel gives the permit back where no attempt was made.
func (p *Permit) Cancel() {
	p.slot.Cancel()
	p.settle(errNotMade)
}

// latestWeight is that of one attempt among the latest of its endpoint: about eight count.
const latestWeight = 1.0 / 8

func (r *Receivers) count(endpoint string, well bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bad == nil {
		r.bad = map[string]float64{}
	}
	r.bad[endpoint] *= 1 - latestWeight
	if !well {
		r.bad[endpoint] += latestWeight
	}
}

// Troubled reports whether most of an endpoint's latest attempts failed or were slow.
func (r *Receivers) Troubled(endpoint string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bad[endpoint] > 0.5
}

func (r *Receivers) endpoint(e Endpoint) *isolated {
	k := key{e.Name, e.MaxConcurrent, e.URL != ""}
	if found := r.byKey[k]; found != nil {
		return found
	}
	whole := bulkhead.New(e.MaxConcurrent)
	made := &isolated{bulkhead: whole, hostLimit: whole.Limit(), hosts: map[string]*host{}}
	if !k.fixed {
		made.hostLimit = max(whole.Limit()/hostShare, 1)
	}
	if r.byKey == nil {
		r.byKey = map[key]*isolated{}
	}
	r.byKey[k] = made
	return made
}

// host finds or makes the host of that name. The payment cores choose the hosts:
// where there are too many, those without an attempt in flight are forgotten.
func (i *isolated) host(name string) *host {
	if found := i.hosts[name]; found != nil {
		return found
	}
	if len(i.hosts) >= hostsKept {
		maps.DeleteFunc(i.hosts, func(_ string, h *host) bool { return h.bulkhead.Idle() })
	}
	made := &host{i.bulkhead.Part(i.hostLimit), gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name: name, Timeout: breakerOpens,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerTrips },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNotMade) },
	})}
	i.hosts[name] = made
	return made
}

// hostOf is the host and port of an address as they are dialled, so that one
// host has one name. Whatever is no URL shares the name "-".
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return "-"
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".") + ":" + port
}

// State is an endpoint's isolation as it stands.
type State struct {
	// Limit is how many attempts may be in flight.
	Limit int
	// Open is the worst of its hosts' breakers: 1 open, 0.5 half-open, 0 closed.
	Open float64
}

var openness = map[gobreaker.State]float64{gobreaker.StateOpen: 1, gobreaker.StateHalfOpen: 0.5}

// States are those of the endpoints used so far, by name. After a changed limit
// the larger one is shown, and the worse breaker.
func (r *Receivers) States() map[string]State {
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make(map[string]State, len(r.byKey))
	for k, endpoint := range r.byKey {
		state := states[k.name]
		state.Limit = max(state.Limit, endpoint.bulkhead.Limit())
		for _, h := range endpoint.hosts {
			state.Open = max(state.Open, openness[h.breaker.State()])
		}
		states[k.name] = state
	}
	return states
}
