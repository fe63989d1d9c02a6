package source

import (
	"context"

	"ringback/internal/operation"
)

// pushed is a core that pushes and is never polled.
type pushed struct{ name string }

// Poll gives an error: there is nothing to ask.
func (p pushed) Poll(context.Context, operation.Query) (operation.Observation, error) {
	return operation.Observation{}, p.failure()
}

// Details gives an error, as Poll does.
func (p pushed) Details(context.Context, operation.Query) (map[string]any, error) {
	return nil, p.failure()
}

func (p pushed) failure() error {
	return &Error{Kind: Malformed, Source: p.name, Detail: "this core pushes, and can't be asked"}
}
