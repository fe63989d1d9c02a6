package service

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"

	"ringback/workflows"
)

// attributesDelay is how long every service of a server takes to know new search
// attributes, each by itself every 2 seconds. Until then history refuses a workflow
// task that writes one, and forgets the attempt made in it.
const attributesDelay = 3 * time.Second

// PrepareNamespace registers the search attributes that Ringback writes, and
// returns the namespace's retention: for so long a start is known to be a duplicate,
// and a redelivery is possible (promise 1).
func (s *Service) PrepareNamespace(ctx context.Context) (retention time.Duration, err error) {
	// First: the calls below hide from the caller that there is no such namespace.
	response, err := s.Client.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.Namespace})
	if err != nil {
		return 0, fmt.Errorf("reading the retention of the namespace %s: %w", s.Namespace, err)
	}
	if err := s.registerAttributes(ctx); err != nil {
		return 0, err
	}
	// The frontend takes a moment, too, and refuses starts until then.
	var known []string
	for _, key := range workflows.Attributes {
		known = append(known, key.GetName()+" IS NULL")
	}
	if _, err := s.countRuns(ctx, allOf(known)); err != nil {
		return 0, fmt.Errorf("waiting for the search attributes of the namespace %s: %w", s.Namespace, err)
	}
	return response.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(), nil
}

func (s *Service) registerAttributes(ctx context.Context) error {
	operator := s.Client.OperatorService()
	known, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: s.Namespace})
	if err != nil {
		return fmt.Errorf("listing the search attributes of the namespace %s: %w", s.Namespace, err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, key := range workflows.Attributes {
		if _, ok := known.GetCustomAttributes()[key.GetName()]; !ok {
			missing[key.GetName()] = key.GetValueType()
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: s.Namespace, SearchAttributes: missing})
	if err != nil {
		return fmt.Errorf("registering search attributes in the namespace %s: %w", s.Namespace, err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(attributesDelay):
	}
	return nil
}
