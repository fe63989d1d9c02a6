package service

import (
	"context"
	"fmt"

	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"ringback/workflows"
)

// Build is one build of Ringback's programs within a worker deployment of
// Temporal. The zero Build is that of programs that are not versioned.
type Build struct {
	// Deployment is the name that all builds of one installation share, ID what
	// tells them apart.
	Deployment, ID string
}

// Versioned reports whether there is such a build, and not the zero one.
func (b Build) Versioned() bool { return b != Build{} }

// String is the build as Temporal's search attributes write it.
func (b Build) String() string {
	if !b.Versioned() {
		return "programs that are not versioned"
	}
	return b.Deployment + ":" + b.ID
}

// Routing is where the server sends what has no build of its own: new runs, and
// those that go on with the current build.
type Routing struct {
	Current Build
	// Ramping says that a share of them goes elsewhere.
	Ramping bool
}

// ReadRouting asks the server, by one call that reads no database.
func ReadRouting(ctx context.Context, c client.Client, namespace string) (Routing, error) {
	response, err := c.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace: namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: workflows.TaskQueue},
		TaskQueueType: enumspb.TASK_QUEUE_TYPE_WORKFLOW,
	})
	if err != nil {
		return Routing{}, fmt.Errorf("reading which build is current on the task queue %s: %w", workflows.TaskQueue, err)
	}
	versions := response.GetVersioningInfo()
	return Routing{Current: buildOf(versions.GetCurrentDeploymentVersion()), Ramping: versions.GetRampingVersionPercentage() > 0}, nil
}

func buildOf(v *deploymentpb.WorkerDeploymentVersion) Build {
	return Build{Deployment: v.GetDeploymentName(), ID: v.GetBuildId()}
}

// SendsAllTo reports whether whatever has no build of its own goes to b. Only
// then may b begin a run eagerly, which asks nobody.
func (r Routing) SendsAllTo(b Build) bool { return r.Current == b && !r.Ramping }
