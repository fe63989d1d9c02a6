package rest

import (
	"context"

	"ringback/internal/operation"
)

// Operations is what the API needs; internal/service implements it on
// Temporal. Errors are *operation.Error; anything else is answered with a 500
// that is logged with its cause and shown without.
//
// Every method screens its strings for card numbers before anything else, and
// refuses one as invalid: only what got further is written to the log.
type Operations interface {
	// Start accepts an operation, or finds the one that an equal request
	// started before: then created is false.
	Start(ctx context.Context, r operation.StartRequest) (state operation.State, created bool, err error)
	// State is the operation's state, also once it is closed.
	State(ctx context.Context, k operation.Key) (operation.State, error)
	// List is one page of operations, newest first.
	List(ctx context.Context, q operation.ListQuery) (operation.Page, error)
	// Details asks the source for its extended answer, now.
	Details(ctx context.Context, k operation.Key) (map[string]any, error)
	// Push hands over a status of the core; an empty one means poll now.
	Push(ctx context.Context, k operation.Key, status string) error
	// Revoke records that the operation itself was revoked.
	Revoke(ctx context.Context, k operation.Key, r operation.Revocation) (operation.State, error)
	// Withdraw says that the callback is no longer wanted.
	Withdraw(ctx context.Context, k operation.Key) (operation.State, error)
	// Redeliver starts an engineer's new run for a delivery that ended unacknowledged.
	Redeliver(ctx context.Context, k operation.Key, r operation.RedeliveryRequest) (operation.State, error)
	// Ping sends a test callback to a registered endpoint and shows the exchange.
	Ping(ctx context.Context, endpoint string, r operation.PingRequest) (operation.Ping, error)
	// Count counts operations, each by its latest run as far as they are few
	// enough to be looked at.
	Count(ctx context.Context, q operation.CountQuery) (operation.OperationsCount, error)
	Redeliveries
}

// Redeliveries are the bulk redeliveries.
type Redeliveries interface {
	// StartRedeliveries begins a bulk redelivery.
	StartRedeliveries(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.BulkRedelivery, error)
	// DryRun says what a bulk redelivery would be about.
	DryRun(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.DryRun, error)
	// RedeliveriesState is how far a bulk redelivery has come.
	RedeliveriesState(ctx context.Context, id string) (operation.BulkRedelivery, error)
	// RecentRedeliveries are the latest ones, newest first.
	RecentRedeliveries(ctx context.Context) ([]operation.BulkRedelivery, error)
	// StopRedeliveries makes it begin no further operation.
	StopRedeliveries(ctx context.Context, id string) (operation.BulkRedelivery, error)
	// ResumeRedeliveries makes a stopped one go on.
	ResumeRedeliveries(ctx context.Context, id string) (operation.BulkRedelivery, error)
}
