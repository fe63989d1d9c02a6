package app

import (
	"context"
	"errors"

	"ringback/internal/operation"
	"ringback/internal/service"
	"ringback/internal/source"
)

// apiService adds to the operations on Temporal what this program knows: whether
// Temporal is there, and the sources.
type apiService struct {
	*service.Service
	registry *registry
	// absent says that Temporal is away, or nil.
	absent func() error
}

// Start refuses at once while Temporal is away.
func (s apiService) Start(ctx context.Context, r operation.StartRequest) (operation.State, bool, error) {
	if err := s.absent(); err != nil {
		return operation.State{}, false, err
	}
	return s.Service.Start(ctx, r)
}

// Details asks the operation's source for its extended answer, now. Nothing of
// it is stored.
func (s apiService) Details(ctx context.Context, key operation.Key) (map[string]any, error) {
	start, err := s.Started(ctx, key)
	if err != nil {
		return nil, err
	}
	endpoint, ok := s.registry.start(key.Endpoint)
	if !ok {
		return nil, operation.Refuse(operation.ProblemNotFound, "The endpoint %s is not registered any more.", key.Endpoint)
	}
	src, ok := s.registry.source(endpoint.Source)
	if !ok {
		return nil, operation.Refuse(operation.ProblemNotFound, "The source %s is not registered any more.", endpoint.Source)
	}
	details, err := src.Details(ctx, operation.Query{
		OperationID: start.OperationID, Method: start.Method, Reference: start.Reference,
	})
	if err != nil {
		return nil, sourceError(endpoint.Source, err)
	}
	return details, nil
}

// vocabulary are the statuses of all kinds of source.
func vocabulary() []string {
	var words []string
	for _, kind := range source.Kinds {
		words = append(words, kind.Vocabulary...)
	}
	return words
}

func sourceError(name string, err error) error {
	var failure *source.Error
	if errors.As(err, &failure) && failure.Kind == source.NotFound {
		return operation.Refuse(operation.ProblemNotFound, "The source %s knows no such operation.", name)
	}
	refused := operation.Refuse(operation.ProblemUnavailable, "The source %s did not answer as documented; try again later.", name)
	refused.Err = err
	if failure != nil {
		refused.RetryAfter = failure.RetryAfter
	}
	return refused
}
