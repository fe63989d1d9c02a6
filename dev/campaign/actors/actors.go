// Package actors is the world around Ringback in a campaign: the cores that it
// asks, the receivers that it sends callbacks to and the payment cores' own calls of its API.
// Each is a role for a process of its own. It lives by the plan, which it makes
// for itself, and by the clock, so that it may be killed and started again at any
// moment; what it saw is in its journal.
package actors

import (
	"time"

	"ringback/dev/campaign/plan"
)

// Options are what a role is told: as JSON, so that they can be handed to a
// process. Each role takes what concerns it.
type Options struct {
	Plan plan.Options `json:"plan"`
	// Began is the campaign's beginning, which all times of the plan count from.
	Began time.Time `json:"began"`
	// Journal is the file that this role appends to, and no other; a role that is
	// started again is given the same one.
	Journal string `json:"journal"`
	// Listen is where this role listens, host:port: Cores at three addresses,
	// wsGate's, Paysera's and their fronts', Receivers at one. Starters listen nowhere.
	Listen []string `json:"listen,omitempty"`
	// World is how Ringback reaches the cores and the receivers: through links.
	World World `json:"world,omitzero"`
	// APIs are how Starters reach Ringback.
	APIs []API `json:"apis,omitempty"`
}

// World are the base URLs that Ringback is given.
type World struct {
	// WSGate and Paysera are the cores' base URLs, which are tried in turn.
	WSGate  []string `json:"wsgate"`
	Paysera []string `json:"paysera"`
	// Front is the first base URL of sources that are fronted.
	Front string `json:"front"`
	// Receivers is the one of all receivers.
	Receivers string `json:"receivers"`
}

// API is one of Ringback's.
type API struct {
	// Name is the program's, such as "api-0".
	Name string `json:"name"`
	// URL is its base URL.
	URL string `json:"url"`
}
