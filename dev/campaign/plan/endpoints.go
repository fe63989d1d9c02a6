package plan

import (
	"cmp"
	"slices"
	"time"

	"ringback/internal/operation"
)

// Endpoint is one registered receiver of a campaign.
type Endpoint struct {
	Name string
	// Dialect and SourceKind are names of Ringback's.
	Dialect, SourceKind string
	// Source is the configured source; empty: the one named as its kind.
	Source string
	// PerOperationURL asks each start for its URL.
	PerOperationURL bool
	// Signed callbacks carry a signature that the receiver verifies.
	Signed bool
	Policy operation.Policy
	// Receivers say which operations it has.
	Receivers Receivers
}

// Receivers are which sort of receivers stand behind an endpoint.
type Receivers string

// The sorts of receivers.
const (
	// Healthy ones acknowledge at once.
	Healthy Receivers = "healthy"
	// Mixed ones share an endpoint, some healthy and some not.
	Mixed Receivers = "mixed"
	// Troubled ones fail, hang up, drop their answers or are slow.
	Troubled Receivers = "troubled"
	// Slow ones acknowledge within a second, Failing ones after some failures.
	Slow    Receivers = "slow"
	Failing Receivers = "failing"
)

// Source is a configured source: one of a core's interfaces, with a limiter and
// a breaker of its own.
type Source struct {
	Name, Kind string
	// Fronted ones have two base URLs, of which the first answers with pages only.
	Fronted bool
}

// Sources are all of a campaign's. One kind is there several times, so that what
// one operation's core does can harm only the operations that are there to show it.
var Sources = []Source{
	{Name: ukrcard, Kind: ukrcard},
	{Name: paysera, Kind: paysera},
	{Name: forbidding, Kind: paysera},
	{Name: "ukrcard-fronted", Kind: ukrcard, Fronted: true},
	{Name: "paysera-fronted", Kind: paysera, Fronted: true},
}

const forbidding = "paysera-forbidding"

// h is short enough for the worker to wait, and long enough for the server to.
const (
	waitedByWorker = 700 * time.Millisecond
	waitedByServer = 6 * time.Second
)

// timeout bounds one attempt everywhere: longer than every Receiver.Delay.
const timeout = 5 * time.Second

// Endpoints are all of a campaign's. The two cores' own dialects and the
// standard one are there, h below one second and far above it, k of 4 to 8, and
// polls that the worker and that the server waits for. Polls last for longer
// than faults do, but where an operation is to end without a final status.
var Endpoints = []Endpoint{
	{Name: "GOLD", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Healthy,
		Policy: policy(often(60, 500*time.Millisecond, time.Second, 2*time.Second, 6*time.Second, 7*time.Second, 8*time.Second), waitedByWorker, 5)},
	{Name: "SILVER", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Mixed,
		Policy: policy(often(120, time.Second, 2*time.Second, 3*time.Second), waitedByServer, 4)},
	{Name: "COPPER", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Troubled,
		Policy: policy(often(120, time.Second, 2*time.Second, 3*time.Second), waitedByWorker, 6)},
	{Name: "LAPSING", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Healthy,
		Policy: policy(operation.PollPolicy{ScheduleMS: []int64{1000, 2000, 6000}, LifetimeMS: 60_000}, waitedByWorker, 4)},
	{Name: "SHOP", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Healthy,
		Policy: policy(every(time.Second, 10*time.Minute), waitedByWorker, 5)},
	{Name: "MARKET", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Mixed,
		Policy: queueing(policy(every(3*time.Second, 10*time.Minute), waitedByServer, 4))},
	{Name: "BAZAAR", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Troubled,
		Policy: policy(every(2*time.Second, 10*time.Minute), waitedByWorker, 8)},
	{Name: "TILL", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Healthy,
		Policy: queueing(policy(every(30*time.Second, 10*time.Minute), waitedByWorker, 5))},
	{Name: "FLEETING", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Healthy,
		Policy: policy(every(3*time.Second, 15*time.Second), waitedByWorker, 5)},
	{Name: "LEDGER", Dialect: "standard", SourceKind: "paysera", Signed: true, Receivers: Mixed,
		Policy: queueing(policy(every(2*time.Second, 10*time.Minute), waitedByWorker, 6))},
	{Name: "BOOKS", Dialect: "standard", SourceKind: "ukrcard", Signed: true, Receivers: Troubled,
		Policy: policy(often(120, time.Second, 2*time.Second, 3*time.Second), 8*time.Second, 4)},

	// Pushed at a second and less, without a limit of polls and with one.
	{Name: "BELL", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Slow,
		Policy: policy(every(time.Second, 10*time.Minute), waitedByServer, 4)},
	{Name: "RATION", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Slow,
		Policy: policy(limited(8, every(time.Second, 10*time.Minute)), waitedByWorker, 4)},
	{Name: "KIOSK", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Healthy,
		Policy: policy(often(10, time.Second), waitedByWorker, 4)},
	{Name: "LASTPOLL", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Healthy,
		Policy: policy(limited(lastPolls, every(time.Second, 10*time.Minute)), waitedByWorker, 4)},
	// h leaves a newer status the time to supersede one that fails.
	{Name: "FLICKER", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Failing,
		Policy: policy(every(time.Second, 10*time.Minute), 1500*time.Millisecond, 8)},
	{Name: "GUARDED", Dialect: "paysera", SourceKind: "paysera", Source: forbidding, PerOperationURL: true, Receivers: Healthy,
		Policy: policy(every(time.Second, 10*time.Minute), waitedByWorker, 4)},
	{Name: "FACADE", Dialect: "paysera", SourceKind: "paysera", Source: "paysera-fronted", PerOperationURL: true, Receivers: Healthy,
		Policy: policy(every(2*time.Second, 40*time.Second), waitedByWorker, 4)},
	{Name: "LOBBY", Dialect: "ukrcard", SourceKind: "ukrcard", Source: "ukrcard-fronted", Receivers: Healthy,
		Policy: policy(operation.PollPolicy{ScheduleMS: []int64{2000}, LifetimeMS: 40_000}, waitedByWorker, 4)},
}

// lastPolls is the max_polls of the endpoint whose last poll is pushed.
const lastPolls = 3

// SourceName is the source that the endpoint's operations are asked at.
func (e Endpoint) SourceName() string { return cmp.Or(e.Source, e.SourceKind) }

// EndpointByName is the endpoint of that name; false if there is none.
func EndpointByName(name string) (Endpoint, bool) {
	at := slices.IndexFunc(Endpoints, func(e Endpoint) bool { return e.Name == name })
	if at < 0 {
		return Endpoint{}, false
	}
	return Endpoints[at], true
}

func policy(poll operation.PollPolicy, h time.Duration, k int) operation.Policy {
	return operation.Policy{
		Poll:      poll,
		Delivery:  operation.DeliveryPolicy{IntervalMS: h.Milliseconds(), Attempts: k, TimeoutMS: timeout.Milliseconds()},
		Supersede: operation.SupersedeLatest,
	}
}

func queueing(p operation.Policy) operation.Policy {
	p.Supersede = operation.SupersedeEvery
	return p
}

func often(polls int, gaps ...time.Duration) operation.PollPolicy {
	p := operation.PollPolicy{MaxPolls: polls, LifetimeMS: (10 * time.Minute).Milliseconds()}
	for _, gap := range gaps {
		p.ScheduleMS = append(p.ScheduleMS, gap.Milliseconds())
	}
	return p
}

func limited(polls int, p operation.PollPolicy) operation.PollPolicy {
	p.MaxPolls = polls
	return p
}

func every(gap, lifetime time.Duration) operation.PollPolicy {
	return operation.PollPolicy{IntervalMS: gap.Milliseconds(), LifetimeMS: lifetime.Milliseconds()}
}
