package outside

import (
	"context"

	"ringback/dev/torture/plan"
)

// Cores are both cores: wsGate at the first address of o.Listen, Paysera's
// Transfers API at the second. They answer by the plan's steps and the clock,
// and are as strict about what they are asked as the documents are. ready is
// called once they listen; they end with ctx, which is no error.
func Cores(ctx context.Context, o Options, ready func()) error { panic("comes next") }

// Receivers are the receivers of all endpoints, at the only address of o.Listen.
// They answer by the plan, and know from their journal what they had answered
// before they were started again. ready is called once they listen; they end
// with ctx, which is no error.
//
// What is done to all of them is told at their own address (not through a link):
// PUT /faults/{kind} begins a fault and DELETE /faults/{kind} ends it, where kind
// is the path-escaped plan.SkewedClock or plan.SlotsFull; both answer 204. A
// receiver that is started again knows of none. See SetFault.
func Receivers(ctx context.Context, o Options, ready func()) error { panic("comes next") }

// SetFault begins or ends a fault of the receivers that listen on address.
func SetFault(ctx context.Context, address string, kind plan.FaultKind, on bool) error { panic("comes next") }

// Starters are the payment cores as callers of Ringback's API: they start, push,
// revoke and withdraw by the plan, and try again at the other API until they are
// answered. They return nil once everything in the plan is said and answered, or
// an error where ctx ends before. Started again, they go on where their journal
// ends.
func Starters(ctx context.Context, o Options) error { panic("comes next") }

// Config is the configuration of every program of Ringback in a campaign. Where
// they listen is told to each by its flags -listen and -telemetry-listen. Its
// secrets are in the environment: see Environment.
func Config(w World) string { panic("comes next") }

// Environment are the variables, NAME=value, that Config refers to.
func Environment() []string { panic("comes next") }

// Key is the bearer key that Config lets in, with every scope that a campaign needs.
const Key = "not-a-secret-of-a-campaign"
