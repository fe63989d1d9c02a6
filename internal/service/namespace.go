package service

import (
	"context"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"ringback/workflows"
)

// Prepare registers the search attributes that Ringback writes, on any server,
// and returns the namespace's retention: for so long a start is known to be a
// duplicate, and a redelivery is possible (promise 1).
func Prepare(ctx context.Context, c client.Client, namespace string) (retention time.Duration, err error) {
	if err := registerAttributes(ctx, c, namespace); err != nil {
		return 0, err
	}
	// A server takes a moment to know new attributes; until then it refuses starts.
	var known []string
	for _, key := range workflows.Attributes {
		known = append(known, key.GetName()+" IS NULL")
	}
	_, err = c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: namespace, Query: strings.Join(known, " AND "),
	})
	if err != nil {
		return 0, fmt.Errorf("waiting for the search attributes of the namespace %s: %w", namespace, err)
	}
	response, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return 0, fmt.Errorf("reading the retention of the namespace %s: %w", namespace, err)
	}
	return response.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(), nil
}

func registerAttributes(ctx context.Context, c client.Client, namespace string) error {
	operator := c.OperatorService()
	known, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("listing the search attributes of the namespace %s: %w", namespace, err)
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
	_, err = operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: missing,
	})
	if err != nil {
		return fmt.Errorf("registering search attributes in the namespace %s: %w", namespace, err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(attributesSpread):
	}
	return nil
}

// attributesSpread is how long every service of a server takes to know new
// attributes, each by itself every 2 seconds: history refuses a workflow task
// that writes one that it does not know, and forgets the attempt made in it.
const attributesSpread = 3 * time.Second
