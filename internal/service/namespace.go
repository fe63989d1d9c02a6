package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc/codes"

	"ringback/workflows"
)

// attributesDelay is how long every service of a server takes to know new search
// attributes, each by itself every 2 seconds. Until then history refuses a workflow
// task that writes one, and forgets the attempt made in it.
const attributesDelay = 3 * time.Second

// ErrAttributesMissing says that the namespace lacks search attributes, and that this
// program may not add them.
var ErrAttributesMissing = errors.New("search attributes are missing, and this program may not add them")

// PrepareNamespace adds the search attributes that Ringback writes, where one is
// missing, and returns the namespace's retention: for so long a start is known to be a
// duplicate, and a redelivery is possible (promise 1). Where the attributes are there,
// it needs no right to list or add any.
func (s *Service) PrepareNamespace(ctx context.Context) (retention time.Duration, err error) {
	// First: the calls below hide from the caller that there is no such namespace.
	response, err := s.Client.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.Namespace})
	if err != nil {
		return 0, fmt.Errorf("reading the retention of the namespace %s: %w", s.Namespace, err)
	}
	why := s.searchByAttributes(ctx)
	if _, missing := errors.AsType[*serviceerror.InvalidArgument](why); missing {
		if err := s.addAttributes(ctx); err != nil {
			return 0, fmt.Errorf("%w (%w)", err, why)
		}
	} else if why != nil {
		return 0, why
	}
	return response.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(), nil
}

// searchByAttributes is an InvalidArgument where a search attribute is missing or of
// another type. It reads no runs: there is none of that id.
func (s *Service) searchByAttributes(ctx context.Context) error {
	terms := []string{idTerm([]string{"ringback"})}
	for _, key := range workflows.Attributes {
		value := "'ringback'"
		if key.GetValueType() == enumspb.INDEXED_VALUE_TYPE_INT {
			value = "0"
		}
		terms = append(terms, key.GetName()+" = "+value)
	}
	if _, err := s.countRuns(ctx, allOf(terms)); err != nil {
		return fmt.Errorf("searching the namespace %s by Ringback's search attributes: %w", s.Namespace, err)
	}
	return nil
}

// addAttributes adds those that are missing; the server leaves alone those that are there.
func (s *Service) addAttributes(ctx context.Context) error {
	types := map[string]enumspb.IndexedValueType{}
	for _, key := range workflows.Attributes {
		types[key.GetName()] = key.GetValueType()
	}
	_, err := s.Client.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: s.Namespace, SearchAttributes: types})
	switch code := serviceerror.ToStatus(err).Code(); {
	case code == codes.PermissionDenied || code == codes.Unimplemented:
		return fmt.Errorf("%w to the namespace %s: %w", ErrAttributesMissing, s.Namespace, err)
	case err != nil:
		return fmt.Errorf("adding search attributes to the namespace %s: %w", s.Namespace, err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(attributesDelay):
	}
	return s.searchByAttributes(ctx) // the frontend takes a moment, too
}
