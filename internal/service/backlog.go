package service

import (
	"context"
	"fmt"
	"time"

	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"ringback/internal/overload"
	"ringback/workflows"
)

// SeeBacklog asks the server how long the task queue's oldest tasks wait for a
// worker. Bulk redeliveries, which may wait, are left out. Where no worker takes tasks off the
// queue, nothing is said to wait: that is not too much to do, but nobody to do it.
//
// Where builds are named, what waits for others is left out: a run that was left
// to a build whose workers are gone waits for as long as it is left there, and is
// no reason to hold back what others do.
func SeeBacklog(ctx context.Context, c client.Client, namespace string, builds ...Build) (overload.Backlog, error) {
	all, err := wholeBacklog(ctx, c, namespace)
	if err != nil || all == (overload.Backlog{}) || len(builds) == 0 {
		return all, err
	}
	var seen overload.Backlog
	for _, build := range builds {
		of, err := backlogOfBuild(ctx, c, namespace, build)
		if err != nil {
			// A server that is too busy to say what waits for whom has enough to do.
			return all, nil //nolint:nilerr // the whole is known
		}
		seen.Callbacks, seen.Polls = max(seen.Callbacks, of.Callbacks), max(seen.Polls, of.Polls)
	}
	return seen, nil
}

// wholeBacklog is that of all builds together.
func wholeBacklog(ctx context.Context, c client.Client, namespace string) (overload.Backlog, error) {
	tasks, err := describeQueue(ctx, c, namespace, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return overload.Backlog{}, err
	}
	acts, err := describeQueue(ctx, c, namespace, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return overload.Backlog{}, err
	}
	return readBacklog(tasks, acts), nil
}

// backlogOfBuild asks about one build, for which the server asks a workflow of
// its own. A build that it has not heard of yet has no backlog.
func backlogOfBuild(ctx context.Context, c client.Client, namespace string, b Build) (overload.Backlog, error) {
	response, err := c.WorkflowService().DescribeWorkerDeploymentVersion(ctx, &workflowservice.DescribeWorkerDeploymentVersionRequest{
		Namespace: namespace, ReportTaskQueueStats: true,
		DeploymentVersion: &deploymentpb.WorkerDeploymentVersion{DeploymentName: b.Deployment, BuildId: b.ID},
	})
	switch {
	case isNotFound(err):
		return overload.Backlog{}, nil
	case err != nil:
		return overload.Backlog{}, fmt.Errorf("asking how much waits for the build %s: %w", b, err)
	}
	var tasks, acts queueStats
	for _, queue := range response.GetVersionTaskQueues() {
		switch {
		case queue.GetName() != workflows.TaskQueue:
		case queue.GetType() == enumspb.TASK_QUEUE_TYPE_WORKFLOW:
			tasks = queue
		case queue.GetType() == enumspb.TASK_QUEUE_TYPE_ACTIVITY:
			acts = queue
		}
	}
	return readBacklog(tasks, acts), nil
}

// queueStats are a task queue's, of all builds or of one; nil where that one
// never asked for its tasks.
type queueStats interface {
	GetStats() *taskqueuepb.TaskQueueStats
	GetStatsByPriorityKey() map[int32]*taskqueuepb.TaskQueueStats
}

func describeQueue(ctx context.Context, c client.Client, namespace string, of enumspb.TaskQueueType) (queueStats, error) {
	response, err := c.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace: namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: workflows.TaskQueue}, TaskQueueType: of, ReportStats: true,
	})
	if err != nil {
		return nil, fmt.Errorf("asking how much waits in the task queue %s: %w", workflows.TaskQueue, err)
	}
	return response, nil
}

func readBacklog(tasks, acts queueStats) overload.Backlog {
	var b overload.Backlog
	for priority, stats := range waiting(tasks) {
		if priority != workflows.PriorityBulkRedelivery {
			b.Callbacks = max(b.Callbacks, age(stats))
		}
	}
	for priority, stats := range waiting(acts) {
		switch priority {
		case workflows.PriorityDelivery:
			b.Callbacks = max(b.Callbacks, age(stats))
		case workflows.PriorityWatch:
			b.Polls = max(b.Polls, age(stats))
		}
	}
	return b
}

// waiting is the backlog by priority. An older server tells no priorities: then
// all of it is of the least urgent kind that it may be.
func waiting(q queueStats) map[int32]*taskqueuepb.TaskQueueStats {
	if q == nil || q.GetStats().GetTasksDispatchRate() == 0 {
		return nil
	}
	if byPriority := q.GetStatsByPriorityKey(); len(byPriority) > 0 {
		return byPriority
	}
	return map[int32]*taskqueuepb.TaskQueueStats{workflows.PriorityWatch: q.GetStats()}
}

func age(s *taskqueuepb.TaskQueueStats) time.Duration {
	if s.GetApproximateBacklogCount() == 0 {
		return 0
	}
	return s.GetApproximateBacklogAge().AsDuration()
}
