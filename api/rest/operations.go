package rest

import (
	"context"

	"ringback/internal/operation"
)

// Operations is what the API needs; internal/service implements it on
// Temporal. Errors are *operation.Error; any other becomes a 500, whose cause is
// in the log alone.
//
// The API has checked each field by the rules of package operation. A method checks
// what only the configuration knows, and first of all whether an id is a card number:
// an operation of which it returns no error may be named in the log.
type Operations interface {
	// Start returns created false for an operation that an equal request started before.
	Start(ctx context.Context, r operation.StartRequest) (state operation.State, created bool, err error)
	State(ctx context.Context, k operation.Key) (operation.State, error)
	// Started is the request that started the operation.
	Started(ctx context.Context, k operation.Key) (operation.StartRequest, error)
	List(ctx context.Context, q operation.ListQuery) (operation.Page, error)
	// Details are the source's own, requested now.
	Details(ctx context.Context, k operation.Key) (map[string]any, error)
	// Push takes a status of the core; an empty one means poll now.
	Push(ctx context.Context, k operation.Key, status string) error
	Revoke(ctx context.Context, k operation.Key, r operation.Revocation) (operation.State, error)
	Withdraw(ctx context.Context, k operation.Key) (operation.State, error)
	Redeliver(ctx context.Context, k operation.Key, r operation.RedeliveryRequest) (operation.State, error)
	Ping(ctx context.Context, endpoint string, r operation.PingRequest) (operation.Ping, error)
	Count(ctx context.Context, q operation.CountQuery) (operation.OperationsCount, error)

	StartBulkRedelivery(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.BulkRedelivery, error)
	DryRun(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.DryRun, error)
	BulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error)
	// BulkRedeliveries are the latest; with a key, its name or its id, all that it started.
	BulkRedeliveries(ctx context.Context, key string) ([]operation.BulkRedelivery, error)
	StopBulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error)
	ResumeBulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error)
}
