package rest

import (
	"context"

	"ringback/internal/operation"
)

// Operations is what the API needs; internal/service implements it on
// Temporal. Errors are *operation.Error; any other becomes a 500, whose cause is
// in the log alone.
//
// Every method refuses a card number in its strings as invalid before anything
// else: an operation of which it returns no error may be named in the log.
type Operations interface {
	// Start accepts an operation, or finds the one that an equal request
	// started before: then created is false.
	Start(ctx context.Context, r operation.StartRequest) (state operation.State, created bool, err error)
	// State is the operation's state, also once it is closed.
	State(ctx context.Context, k operation.Key) (operation.State, error)
	// List is one page of operations, newest first.
	List(ctx context.Context, q operation.ListQuery) (operation.Page, error)
	// Details are the source's own, requested now.
	Details(ctx context.Context, k operation.Key) (map[string]any, error)
	// Push takes a status of the core; an empty one means poll now.
	Push(ctx context.Context, k operation.Key, status string) error
	// Revoke records that the operation itself was revoked.
	Revoke(ctx context.Context, k operation.Key, r operation.Revocation) (operation.State, error)
	// Withdraw ends the operation without a callback.
	Withdraw(ctx context.Context, k operation.Key) (operation.State, error)
	// Redeliver starts a new run for a delivery that ended unacknowledged.
	Redeliver(ctx context.Context, k operation.Key, r operation.RedeliveryRequest) (operation.State, error)
	// Ping sends a test callback to a registered endpoint and shows what was sent
	// and received.
	Ping(ctx context.Context, endpoint string, r operation.PingRequest) (operation.Ping, error)
	// Count counts operations, each by its latest run where they are few enough.
	Count(ctx context.Context, q operation.CountQuery) (operation.OperationsCount, error)

	// StartBulkRedelivery starts a bulk redelivery.
	StartBulkRedelivery(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.BulkRedelivery, error)
	// DryRun counts what a bulk redelivery would redeliver, and shows a sample.
	DryRun(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.DryRun, error)
	// BulkRedelivery is the progress of a bulk redelivery.
	BulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error)
	// BulkRedeliveries are the latest ones, newest first.
	BulkRedeliveries(ctx context.Context) ([]operation.BulkRedelivery, error)
	// StopBulkRedelivery makes it start no further operation.
	StopBulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error)
	// ResumeBulkRedelivery makes a stopped one go on.
	ResumeBulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error)
}
