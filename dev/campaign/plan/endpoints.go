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
	// Dialect and SourceKind are Ringback's names.
	Dialect, SourceKind string
	// Source is the configured source; empty: the one named as its kind.
	Source string
	// PerOperationURL means that each start brings its URL.
	PerOperationURL bool
	// Signed means that callbacks are signed and receivers verify them.
	Signed    bool
	Policy    operation.Policy
	Receivers ReceiverKind
}

// ReceiverKind is the kind of receivers that an endpoint has.
type ReceiverKind string

// The kinds of receivers.
const (
	// Healthy ones acknowledge at once.
	Healthy ReceiverKind = "healthy"
	// Mixed are healthy and unhealthy ones at one endpoint.
	Mixed ReceiverKind = "mixed"
	// Unhealthy ones fail, hang up, drop their answers or are slow.
	Unhealthy ReceiverKind = "unhealthy"
	// Slow ones acknowledge within a second, Failing ones after some failures.
	Slow    ReceiverKind = "slow"
	Failing ReceiverKind = "failing"
)

// Source is a configured source, with its own limiter and breaker.
type Source struct {
	Name, Kind string
	// BehindGateway means two base URLs, of which the first one answers with pages.
	BehindGateway bool
}

// Sources are all of a campaign's. Forbidden polls and gateways have sources of their
// own, since they affect every operation of their source.
var Sources = []Source{
	{Name: ukrcard, Kind: ukrcard},
	{Name: paysera, Kind: paysera},
	{Name: forbidding, Kind: paysera},
	{Name: "ukrcard-gateway", Kind: ukrcard, BehindGateway: true},
	{Name: "paysera-gateway", Kind: paysera, BehindGateway: true},
}

const forbidding = "paysera-forbidding"

// Intervals that are short enough for the worker to wait, or are left to the server.
const (
	workerInterval = 700 * time.Millisecond
	serverInterval = 6 * time.Second
)

// timeout bounds every attempt. It is longer than every Receiver.Delay.
const timeout = 5 * time.Second

// Endpoints are all of a campaign's: every dialect, h below one second and far above,
// k of 4 to 8, and poll gaps that the worker and the server wait for. Watches last
// longer than faults, except where operations are to end without a final status.
var Endpoints = []Endpoint{
	{Name: "GOLD", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Healthy,
		Policy: policy(schedule(60, 500*time.Millisecond, time.Second, 2*time.Second, 6*time.Second, 7*time.Second, 8*time.Second), workerInterval, 5)},
	{Name: "SILVER", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Mixed,
		Policy: policy(schedule(120, time.Second, 2*time.Second, 3*time.Second), serverInterval, 4)},
	{Name: "COPPER", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Unhealthy,
		Policy: policy(schedule(120, time.Second, 2*time.Second, 3*time.Second), workerInterval, 6)},
	{Name: "LAPSING", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Healthy,
		Policy: policy(operation.PollPolicy{ScheduleMS: []int64{1000, 2000, 6000}, LifetimeMS: 60_000}, workerInterval, 4)},
	{Name: "SHOP", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Healthy,
		Policy: policy(every(time.Second, 10*time.Minute), workerInterval, 5)},
	{Name: "MARKET", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Mixed,
		Policy: queueEvery(policy(every(3*time.Second, 10*time.Minute), serverInterval, 4))},
	{Name: "BAZAAR", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Unhealthy,
		Policy: policy(every(2*time.Second, 10*time.Minute), workerInterval, 8)},
	{Name: "TILL", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Healthy,
		Policy: queueEvery(policy(every(30*time.Second, 10*time.Minute), workerInterval, 5))},
	{Name: "FLEETING", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Healthy,
		Policy: policy(every(3*time.Second, 15*time.Second), workerInterval, 5)},
	{Name: "LEDGER", Dialect: "standard", SourceKind: "paysera", Signed: true, Receivers: Mixed,
		Policy: queueEvery(policy(every(2*time.Second, 10*time.Minute), workerInterval, 6))},
	{Name: "BOOKS", Dialect: "standard", SourceKind: "ukrcard", Signed: true, Receivers: Unhealthy,
		Policy: policy(schedule(120, time.Second, 2*time.Second, 3*time.Second), 8*time.Second, 4)},

	// Polled on request every second and less, without and with max_polls.
	{Name: "BELL", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Slow,
		Policy: policy(every(time.Second, 10*time.Minute), serverInterval, 4)},
	{Name: "RATION", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Slow,
		Policy: policy(withMaxPolls(8, every(time.Second, 10*time.Minute)), workerInterval, 4)},
	{Name: "KIOSK", Dialect: "ukrcard", SourceKind: "ukrcard", Receivers: Healthy,
		Policy: policy(schedule(10, time.Second), workerInterval, 4)},
	{Name: "LASTPOLL", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Healthy,
		Policy: policy(withMaxPolls(lastPolls, every(time.Second, 10*time.Minute)), workerInterval, 4)},
	// h is long enough for a newer status to supersede a failing one.
	{Name: "FLICKER", Dialect: "paysera", SourceKind: "paysera", PerOperationURL: true, Receivers: Failing,
		Policy: policy(every(time.Second, 10*time.Minute), 1500*time.Millisecond, 8)},
	{Name: "GUARDED", Dialect: "paysera", SourceKind: "paysera", Source: forbidding, PerOperationURL: true, Receivers: Healthy,
		Policy: policy(every(time.Second, 10*time.Minute), workerInterval, 4)},
	{Name: "FACADE", Dialect: "paysera", SourceKind: "paysera", Source: "paysera-gateway", PerOperationURL: true, Receivers: Healthy,
		Policy: policy(every(2*time.Second, 40*time.Second), workerInterval, 4)},
	{Name: "LOBBY", Dialect: "ukrcard", SourceKind: "ukrcard", Source: "ukrcard-gateway", Receivers: Healthy,
		Policy: policy(operation.PollPolicy{ScheduleMS: []int64{2000}, LifetimeMS: 40_000}, workerInterval, 4)},
}

// lastPolls is the max_polls of the endpoint at which a push meets the last poll.
const lastPolls = 3

// SourceName is the name of the endpoint's source.
func (e Endpoint) SourceName() string { return cmp.Or(e.Source, e.SourceKind) }

// EndpointByName finds an endpoint; false if there is none.
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

func queueEvery(p operation.Policy) operation.Policy {
	p.Supersede = operation.SupersedeEvery
	return p
}

func schedule(polls int, gaps ...time.Duration) operation.PollPolicy {
	p := operation.PollPolicy{MaxPolls: polls, LifetimeMS: (10 * time.Minute).Milliseconds()}
	for _, gap := range gaps {
		p.ScheduleMS = append(p.ScheduleMS, gap.Milliseconds())
	}
	return p
}

func withMaxPolls(polls int, p operation.PollPolicy) operation.PollPolicy {
	p.MaxPolls = polls
	return p
}

func every(gap, lifetime time.Duration) operation.PollPolicy {
	return operation.PollPolicy{IntervalMS: gap.Milliseconds(), LifetimeMS: lifetime.Milliseconds()}
}
