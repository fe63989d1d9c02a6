// Package plan says what happens in a campaign: its operations, their statuses at
// the core, how their receivers answer, and the faults. A plan depends on its
// options alone, so that each process of a campaign can make it again.
//
// Payments change by the clock, whether or not Ringback knows of them: an operation's
// times count from the campaign's beginning plus its StartAt, not from when its start
// was accepted. What must be delivered therefore depends on the recorded polls and
// pushes, not on the plan.
package plan

import "time"

// Options determine a plan.
type Options struct {
	// Seed is that of the random numbers.
	Seed uint64
	// Operations is how many are started over Length.
	Operations int
	// Length is how long operations are started and faults injected. Operations that
	// are open then may still end.
	Length time.Duration
	// Calm means no faults.
	Calm bool `json:",omitempty"`
}

// Plan is a whole campaign. Its times count from the campaign's beginning.
type Plan struct {
	Options
	// Operations are ordered by StartAt. Their IDs are unique, also across endpoints.
	Operations []Operation
	// Faults are ordered by their beginnings. None is to begin while another lasts,
	// although a program may still be starting again then.
	Faults []Fault
}

// Operation is one payment operation. Its times count from StartAt.
type Operation struct {
	// Endpoint is a name of Endpoints.
	Endpoint, ID string
	// History is one of Histories.
	History string
	// StartAt is when the core starts it in Ringback, Starts how many times at once.
	StartAt time.Duration
	Starts  int
	// Method is Ukrcard's.
	Method string
	// KnownStatus and Wanted are known_status and callback.statuses of the start.
	KnownStatus string
	Wanted      []string
	// Steps are its statuses at the core; the last one stays.
	Steps []Step
	// Latency is how long the core takes to answer a poll. It answers with the status
	// that held when the poll came.
	Latency time.Duration
	// Page is what the gateway at the first of two base URLs answers; empty: the
	// source has no gateway.
	Page Page
	// Pushes are made in order, each once the one before is answered. A status is
	// skipped once the next push is due.
	Pushes []Push
	// Clashes means that the core also starts the accepted operation with other
	// content, which must be refused.
	Clashes bool
	// Revocation and Withdrawal are calls of the core; nil: none.
	Revocation *Revocation
	Withdrawal *time.Duration
	Receiver   Receiver
}

// Push is a status, or with an empty one a request to poll.
type Push struct {
	After  time.Duration
	Status string
}

// Step is a status that holds from After on.
type Step struct {
	After time.Duration
	// Status is in the source's vocabulary: Ukrcard's orderStatus as a decimal,
	// Paysera's status.
	Status string
	// Forbidden means that the core answers with 403 instead.
	Forbidden bool
}

// Page is an answer of a gateway in front of a core, which is not the core's own.
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
	Behaviour Behaviour
	// First is how many requests about one callback get this behaviour before the
	// others are acknowledged, or Always.
	First int
	// Delay is before each answer.
	Delay time.Duration
}

// Always is a Receiver.First that no request exceeds.
const Always = 1 << 20

// Behaviour is how a receiver answers a request.
type Behaviour string

// The behaviours.
const (
	Acknowledges Behaviour = "acknowledges"
	// Fails answers 503.
	Fails Behaviour = "fails"
	// HangsUp closes the connection in the middle of the answer and does not accept
	// the callback.
	HangsUp Behaviour = "hangs up"
	// Gone answers 410.
	Gone Behaviour = "gone"
	// DropsAnswer accepts the callback and closes the connection before answering, so
	// that a duplicate follows.
	DropsAnswer Behaviour = "drops its answer"
	// Skewed refuses requests that are too old by its clock, which is ten minutes fast
	// during the fault SkewedClock.
	Skewed Behaviour = "skewed"
)

// Fault is one fault to inject.
type Fault struct {
	Kind FaultKind
	// On is one of Programs, or a link between two such as "worker-1>temporal".
	On   string
	At   time.Duration
	Last time.Duration
}

// FaultKind is a kind of fault.
type FaultKind string

// The kinds of fault.
const (
	// Kill is SIGKILL, Terminate SIGTERM; the program is started again after Last.
	Kill      FaultKind = "kill -9"
	Terminate FaultKind = "SIGTERM"
	// Freeze is SIGSTOP, and SIGCONT after Last.
	Freeze FaultKind = "SIGSTOP"
	// On links.
	Latency   FaultKind = "latency"
	Reset     FaultKind = "resets"
	Blackhole FaultKind = "blackhole"
	SlowClose FaultKind = "slow close"
	// CoreDown is a core that refuses connections.
	CoreDown FaultKind = "core down"
	// SkewedClock sets the receivers' clock ten minutes fast.
	SkewedClock FaultKind = "skewed clock"
	// SlotsFull occupies the workers' slots: receivers hold every answer.
	SlotsFull FaultKind = "slots full"
	// DatabaseRefuses closes the database's connections and refuses new ones.
	DatabaseRefuses FaultKind = "database refuses"
)
