package rest

import (
	"context"

	"ringback/internal/callback"
)

// Operations is what the API needs; internal/operations implements it on
// Temporal. Errors are *callback.Error; anything else is answered with a 500
// that is logged with its cause and shown without.
//
// Every method screens its strings for card numbers before anything else, and
// refuses one as invalid: only what got further is written to the log.
type Operations interface {
	// Start accepts an operation, or finds the one that an equal request
	// started before: then created is false.
	Start(ctx context.Context, r callback.StartRequest) (state callback.State, created bool, err error)
	// State is the operation's state, also once it is closed.
	State(ctx context.Context, k callback.Key) (callback.State, error)
	// List is one page of operations, newest first.
	List(ctx context.Context, q callback.ListQuery) (callback.Page, error)
	// Details asks the source for its extended answer, now.
	Details(ctx context.Context, k callback.Key) (map[string]any, error)
	// Push hands over a status of the core; an empty one means poll now.
	Push(ctx context.Context, k callback.Key, status string) error
	// Revoke records that the operation itself was revoked.
	Revoke(ctx context.Context, k callback.Key, r callback.Revocation) (callback.State, error)
	// Withdraw says that the callback is no longer wanted.
	Withdraw(ctx context.Context, k callback.Key) (callback.State, error)
	// Redeliver starts an engineer's new run for a delivery that ended unacknowledged.
	Redeliver(ctx context.Context, k callback.Key, r callback.RedeliveryRequest) (callback.State, error)
	// Ping sends a test callback to a registered endpoint and shows the exchange.
	Ping(ctx context.Context, endpoint string, r callback.PingRequest) (callback.Ping, error)
	// Count counts operations, each by its latest run as far as they are few
	// enough to be looked at.
	Count(ctx context.Context, q callback.CountQuery) (callback.OperationsCount, error)
	Redeliveries
}

// Redeliveries are the bulk redeliveries.
type Redeliveries interface {
	// StartRedeliveries begins a bulk redelivery.
	StartRedeliveries(ctx context.Context, r callback.RedeliveriesRequest) (callback.Redeliveries, error)
	// DryRun says what a bulk redelivery would be about.
	DryRun(ctx context.Context, r callback.RedeliveriesRequest) (callback.DryRun, error)
	// RedeliveriesState is how far a bulk redelivery has come.
	RedeliveriesState(ctx context.Context, id string) (callback.Redeliveries, error)
	// RecentRedeliveries are the latest ones, newest first.
	RecentRedeliveries(ctx context.Context) ([]callback.Redeliveries, error)
	// StopRedeliveries makes it begin no further operation.
	StopRedeliveries(ctx context.Context, id string) (callback.Redeliveries, error)
	// ResumeRedeliveries makes a stopped one go on.
	ResumeRedeliveries(ctx context.Context, id string) (callback.Redeliveries, error)
}
