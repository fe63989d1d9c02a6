package activities

import (
	"context"

	"go.temporal.io/sdk/temporal"

	"ringback/internal/bulkhead"
)

// AwaitEndpointInput names the endpoint that a delivery waits for.
type AwaitEndpointInput struct {
	Endpoint string `json:"endpoint"`
	// URL is the one that the operation's start brought; empty: the endpoint's.
	URL string `json:"url,omitempty"`
}

// AwaitEndpoint fails, and is retried, until the endpoint is configured and may be called.
func (a *Activities) AwaitEndpoint(_ context.Context, in AwaitEndpointInput) error {
	endpoint, missing := a.endpointFor(in.Endpoint, "", in.URL)
	if missing != "" {
		return stillHeldBack(missing)
	}
	permit, err := a.receivers.Acquire(endpoint, in.URL, bulkhead.Activity)
	if err != nil {
		return stillHeldBack(err.Error())
	}
	permit.Cancel()
	return nil
}

func stillHeldBack(why string) error {
	return temporal.NewApplicationErrorWithOptions(why, TypeHeldBack,
		temporal.ApplicationErrorOptions{Category: temporal.ApplicationErrorCategoryBenign})
}
