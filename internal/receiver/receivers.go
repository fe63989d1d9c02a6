package receiver

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"ringback/internal/bulkhead"
)

const (
	// breakerTrips is how many attempts in a row that waited in vain open a
	// host's breaker: more than one delivery alone usually makes.
	breakerTrips = 32
	// breakerOpens is how long it stays open before one attempt tries again.
	breakerOpens = 5 * time.Second
	// hostShare is which part of an endpoint's bulkhead one host may take where
	// the URLs come with the operations: 1/hostShare.
	hostShare = 4
	// hostsKept is how many hosts of one endpoint are known at a time; those with
	// attempts in flight are always among them.
	hostsKept = 1024
)

// ErrBreakerOpen holds an attempt back: the last ones waited for this host in
// vain.
var ErrBreakerOpen = errors.New("the breaker is open")

var (
	// errInVain counts against a breaker: a slot was held and no answer came.
	errInVain = errors.New("no answer")
	// errNotMade marks an attempt that was not made after all: it says nothing of
	// the receiver.
	errNotMade = errors.New("not made")
)

// Receivers isolates receivers from one another: by endpoint, and within one
// whose URLs come with the operations by host. The zero value is ready for use,
// also concurrently.
type Receivers struct {
	mu    sync.Mutex
	byKey map[key]*isolated
}

// key has the limit and whether the URL is fixed, so that a configuration that
// changes either holds at once.
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
	// uses counts, for which host was used longest ago.
	uses uint64
}

type host struct {
	bulkhead *bulkhead.Bulkhead
	breaker  *gobreaker.TwoStepCircuitBreaker[any]
	inFlight int
	lastUse  uint64
}

// Permit lets one attempt be made. It is given back once, by Release or Cancel.
type Permit struct {
	receivers *Receivers
	host      *host
	slot      *bulkhead.Slot
	settle    func(error)
}

// Acquire lets one attempt be made at e, for an operation that brought url or
// none; or the error says in words why it is held back: [ErrBreakerOpen] or one
// of package bulkhead's.
func (r *Receivers) Acquire(e Endpoint, url string) (*Permit, error) {
	return r.acquire(e, url, (*bulkhead.Bulkhead).Acquire)
}

// AcquireLocal is [Receivers.Acquire] for an attempt inside a workflow task:
// only where this host answered fast lately, and only up to a small share.
func (r *Receivers) AcquireLocal(e Endpoint, url string) (*Permit, error) {
	return r.acquire(e, url, (*bulkhead.Bulkhead).AcquireLocal)
}

func (r *Receivers) acquire(e Endpoint, url string, take func(*bulkhead.Bulkhead) (*bulkhead.Slot, error)) (*Permit, error) {
	h := r.enter(e, url)
	slot, err := take(h.bulkhead)
	if err != nil {
		r.leave(h)
		return nil, err
	}
	settle, err := h.breaker.Allow()
	if err != nil {
		slot.Cancel()
		r.leave(h)
		return nil, ErrBreakerOpen
	}
	return &Permit{receivers: r, host: h, slot: slot, settle: settle}, nil
}

// Release ends an attempt that was made.
func (p *Permit) Release(r Result) {
	p.slot.Release(r.Took)
	p.settle(inVain(r))
	p.receivers.leave(p.host)
}

// Cancel gives the permit back where no attempt was made.
func (p *Permit) Cancel() {
	p.slot.Cancel()
	p.settle(errNotMade)
	p.receivers.leave(p.host)
}

// inVain counts what held a slot and brought nothing. A connection refused at
// once costs nobody anything, and h is kept there.
func inVain(r Result) error {
	if r.Attempt.HTTPStatus == 0 && r.Ended == "" && r.Took > bulkhead.FastWithin {
		return errInVain
	}
	return nil
}

// enter finds the host and keeps it from being forgotten until leave.
func (r *Receivers) enter(e Endpoint, url string) *host {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.endpoint(e).host(hostOf(e.address(url)))
	h.inFlight++
	return h
}

func (r *Receivers) leave(h *host) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.inFlight--
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

// host is the one of that name; to make room for a new one, the one that was
// used longest ago is forgotten: the payment cores choose them.
func (i *isolated) host(name string) *host {
	i.uses++
	h := i.hosts[name]
	if h == nil {
		if len(i.hosts) >= hostsKept {
			i.forget()
		}
		h = &host{bulkhead: i.bulkhead.Part(i.hostLimit), breaker: newBreaker(name)}
		i.hosts[name] = h
	}
	h.lastUse = i.uses
	return h
}

func (i *isolated) forget() {
	oldest := ""
	for name, h := range i.hosts {
		if h.inFlight == 0 && (oldest == "" || h.lastUse < i.hosts[oldest].lastUse) {
			oldest = name
		}
	}
	delete(i.hosts, oldest)
}

func newBreaker(name string) *gobreaker.TwoStepCircuitBreaker[any] {
	return gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name: name, Timeout: breakerOpens,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerTrips },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNotMade) },
	})
}

// hostOf is the host and port of an address as they are dialled, so that one
// host has one name; what is no URL has a name of its own, "-".
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

// State is how an endpoint stands.
type State struct {
	// Limit is how many attempts may be in flight.
	Limit int
	// Breaker is the worst of its hosts': open, half-open or closed.
	Breaker gobreaker.State
}

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
			state.Breaker = worse(state.Breaker, h.breaker.State())
		}
		states[k.name] = state
	}
	return states
}

func worse(a, b gobreaker.State) gobreaker.State {
	if a == gobreaker.StateOpen || b == gobreaker.StateClosed {
		return a
	}
	return b
}
