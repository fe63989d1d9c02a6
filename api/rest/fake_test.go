package rest_test

import (
	"context"
	"sync"

	"ringback/internal/operation"
)

// fake is a hand-written Operations: it keeps its arguments and returns what the test
// sets.
type fake struct {
	mu      sync.Mutex
	calls   []any
	created bool
	started operation.StartRequest
	state   operation.State
	count   operation.OperationsCount
	many    operation.BulkRedelivery
	details map[string]any
	ping    operation.Ping
	err     error
	// hook, if set, runs inside every call.
	hook func(ctx context.Context)
}

func (f *fake) record(ctx context.Context, what ...any) error {
	f.mu.Lock()
	f.calls = append(f.calls, what...)
	f.mu.Unlock()
	if f.hook != nil {
		f.hook(ctx)
	}
	return f.err
}

// received are the arguments of all calls so far.
func (f *fake) received() []any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]any(nil), f.calls...)
}

func (f *fake) Start(ctx context.Context, r operation.StartRequest) (operation.State, bool, error) {
	err := f.record(ctx, r)
	return f.state, f.created, err
}

func (f *fake) State(ctx context.Context, k operation.Key) (operation.State, error) {
	return f.state, f.record(ctx, k)
}

func (f *fake) Started(context.Context, operation.Key) (operation.StartRequest, error) {
	return f.started, f.err
}

func (f *fake) List(ctx context.Context, q operation.ListQuery) (operation.Page, error) {
	return operation.Page{Operations: []operation.Summary{}}, f.record(ctx, q)
}

func (f *fake) Details(ctx context.Context, k operation.Key) (map[string]any, error) {
	return f.details, f.record(ctx, k)
}

func (f *fake) Push(ctx context.Context, k operation.Key, status string) error {
	return f.record(ctx, k, status)
}

func (f *fake) Revoke(ctx context.Context, k operation.Key, r operation.Revocation) (operation.State, error) {
	return f.state, f.record(ctx, k, r)
}

func (f *fake) Withdraw(ctx context.Context, k operation.Key) (operation.State, error) {
	return f.state, f.record(ctx, k)
}

func (f *fake) Redeliver(ctx context.Context, k operation.Key, r operation.RedeliveryRequest) (operation.State, error) {
	return f.state, f.record(ctx, k, r)
}

func (f *fake) Ping(ctx context.Context, endpoint string, r operation.PingRequest) (operation.Ping, error) {
	return f.ping, f.record(ctx, endpoint, r)
}

func (f *fake) Count(ctx context.Context, q operation.CountQuery) (operation.OperationsCount, error) {
	return f.count, f.record(ctx, q)
}

func (f *fake) StartBulkRedelivery(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.BulkRedelivery, error) {
	return f.many, f.record(ctx, r)
}

func (f *fake) DryRun(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.DryRun, error) {
	return operation.DryRun{Matched: 30, Exact: true, Sample: []operation.Summary{}}, f.record(ctx, r)
}

func (f *fake) BulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error) {
	return f.many, f.record(ctx, id)
}

func (f *fake) BulkRedeliveries(ctx context.Context, key string) ([]operation.BulkRedelivery, error) {
	return []operation.BulkRedelivery{f.many}, f.record(ctx, "recent", key)
}

func (f *fake) StopBulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error) {
	return f.many, f.record(ctx, "stop", id)
}

func (f *fake) ResumeBulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error) {
	return f.many, f.record(ctx, "resume", id)
}
