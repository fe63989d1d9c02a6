package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/temporal"

	"ringback/internal/bulkhead"
)

// AwaitEndpointInput names the endpoint that a delivery waits for.
type AwaitEndpointInput struct {
	Endpoint string `json:"endpoint"`
	// Dialect is the callback's; empty, in runs that began without it: the endpoint's.
	Dialect string `json:"dialect,omitempty"`
	// URL is the one that the operation's start brought; empty: the endpoint's.
	URL string `json:"url,omitempty"`
	// Hold waits only until the endpoint is not on hold, for HoldTimeout in one run.
	Hold bool `json:"hold,omitempty"`
}

// AwaitEndpoint fails, and is retried, until the endpoint is configured, and may be called
// or is on hold.
func (a *Activities) AwaitEndpoint(ctx context.Context, in AwaitEndpointInput) error {
	endpoint, missing := a.endpointFor(in.Endpoint, in.Dialect, in.URL)
	switch {
	case missing != "":
		return stillHeldBack(missing, 0)
	case endpoint.OnHold && in.Hold:
		return a.waitOnHold(ctx, in.Endpoint)
	case endpoint.OnHold || in.Hold:
		return nil // to the delivery, which finds whether it is on hold
	}
	permit, err := a.receivers.Acquire(endpoint, in.URL, bulkhead.Activity)
	if err != nil {
		return stillHeldBack(err.Error(), 0)
	}
	permit.Cancel()
	return nil
}

// stillHeldBack has the server retry the activity after retry; 0: by its retry policy.
func stillHeldBack(why string, retry time.Duration) error {
	return temporal.NewApplicationErrorWithOptions(why, TypeHeldBack, temporal.ApplicationErrorOptions{
		NextRetryDelay: retry, Category: temporal.ApplicationErrorCategoryBenign})
}
