// Package plan says what happens in a campaign: which operations there are,
// what their cores will say about them, how their receivers will answer, and
// which faults are injected when. A plan follows from its options alone, so
// each process of a campaign makes it for itself, also after a restart.
//
// Payments go their way by the clock, whether or not Ringback was told of them:
// every time of an operation is counted from the campaign's beginning plus its
// StartAt, not from when its start was accepted. A start that comes late, since
// no API answered, finds a payment that has moved on. So a plan says what a core
// would answer at each moment, and not what Ringback must have asked: what must
// be delivered follows from the polls and pushes of the journal.
package plan

import "time"

// Options are what a plan follows from.
type Options struct {
	// Seed chooses everything that is left to chance.
	Seed uint64
	// Operations is how many are started over Length.
	Operations int
	// Length is how long operations are started and faults injected. What is
	// open then is left to end.
	Length time.Duration
	// Calm leaves the faults out.
	Calm bool `json:",omitempty"`
}

// Plan is a whole campaign. Its times are counted from the campaign's beginning.
type Plan struct {
	Options
	// Operations are in the order of their starts. No two share an ID, also not
	// of different endpoints.
	Operations []Operation
	// Faults are in the order of their beginnings. None begins while another is
	// meant to last, though what was broken may still be mending then.
	Faults []Fault
}

// Operation is one payment operation, as its core and its client live it. Its
// times are counted from StartAt, by the clock of the campaign.
type Operation struct {
	// Endpoint is a name of Endpoints.
	Endpoint, ID string
	// History is which of Histories it lives.
	History string
	// StartAt is when the core starts it in Ringback, Starts how often an
	// impatient one says so at once (1: once).
	StartAt time.Duration
	Starts  int
	// Method is Ukrcard's.
	Method string
	// KnownStatus and Wanted are known_status and callback.statuses of the start.
	KnownStatus string
	Wanted      []string
	// Steps are what the core answers to polls, the last one for good. They go
	// by the clock: how often it is asked changes nothing.
	Steps []Step
	// Latency is how long the core takes to answer a question. It answers what held
	// when the question came.
	Latency time.Duration
	// Page is what the front at the first of two base URLs answers instead of the
	// core; empty: the operation's source has no front.
	Page Page
	// Pushes are what the core tells by itself, in their order: one is made once
	// the one before is answered; a status is given up once the next one is due.
	Pushes []Push
	// Clashes says that the core, once the start was accepted, starts the same
	// operation with other content, which is to be refused.
	Clashes bool
	// Revocation and Withdrawal are calls that the core makes; nil: none.
	Revocation *Revocation
	Withdrawal *time.Duration
	Receiver   Receiver
}

// Push is what a core tells by itself: a status, or with an empty one that it is
// time to poll.
type Push struct {
	After  time.Duration
	Status string
}

// Step is a status that holds from a moment on.
type Step struct {
	After time.Duration
	// Status is in the source's vocabulary: Ukrcard's orderStatus as a decimal,
	// Paysera's status.
	Status string
	// Forbidden says that the core answers with 403 instead.
	Forbidden bool
}

// Page is an answer of something in front of a core, such as a proxy, which is
// none of the core's own.
type Page string

// The pages.
const (
	PageOK        Page = "HTML 200"
	PageNotFound  Page = "HTML 404"
	PageForbidden Page = "HTML 403"
	PageEmpty     Page = "empty 200"
	PageRedirect  Page = "302"
)

// Pages are all of them.
var Pages = []Page{PageOK, PageNotFound, PageForbidden, PageEmpty, PageRedirect}

// Revocation is the core's statement that the operation was revoked.
type Revocation struct {
	After       time.Duration
	InitiatedBy string
}

// Receiver is how an operation's callbacks are answered.
type Receiver struct {
	Manner Manner
	// First is how many requests about one callback are treated so, before
	// the others are acknowledged; Always makes it all of them.
	First int
	// Delay is before each answer.
	Delay time.Duration
}

// Always is a Receiver.First that no request gets past.
const Always = 1 << 20

// Manner is what a receiver does to a request.
type Manner string

// The manners.
const (
	Acknowledges Manner = "acknowledges"
	// Fails answers 503.
	Fails Manner = "fails"
	// HangsUp closes the connection in the middle of the answer, and has not
	// taken the callback.
	HangsUp Manner = "hangs up"
	// Gone answers 410.
	Gone Manner = "gone"
	// DropsAnswer takes the callback and closes the connection before its
	// acknowledgement: what follows is a duplicate that it explains itself.
	DropsAnswer Manner = "drops its answer"
	// Skewed refuses what its clock, which is ten minutes off while the fault
	// SkewedClock lasts, calls too old.
	Skewed Manner = "skewed"
)

// Fault is something that is broken for a while.
type Fault struct {
	Kind FaultKind
	// On is what it is done to: a program such as "worker-1", "api-0",
	// "temporal", "postgres", "cores", "receivers", or a link between two such
	// as "worker-1>temporal".
	On   string
	At   time.Duration
	Last time.Duration
}

// FaultKind is what is done.
type FaultKind string

// The kinds of fault.
const (
	// Kill is SIGKILL, Terminate SIGTERM; the program is started again after Last.
	Kill      FaultKind = "kill -9"
	Terminate FaultKind = "SIGTERM"
	// Freeze is SIGSTOP, and SIGCONT after Last.
	Freeze FaultKind = "SIGSTOP"
	// The network's, on links.
	Latency   FaultKind = "latency"
	Reset     FaultKind = "resets"
	Blackhole FaultKind = "blackhole"
	SlowClose FaultKind = "slow close"
	// CoreDown is a core that refuses connections.
	CoreDown FaultKind = "core down"
	// SkewedClock puts the receivers' clock ten minutes off.
	SkewedClock FaultKind = "skewed clock"
	// SlotsFull fills the workers' slots: receivers hold every answer.
	SlotsFull FaultKind = "slots full"
	// DatabaseRefuses is a database that takes no connection and has lost those it had.
	DatabaseRefuses FaultKind = "database refuses"
)
