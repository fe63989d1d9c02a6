package operations

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"ringback/workflows"
)

// Backlog is how long the task queue's oldest tasks wait on the server for a
// worker, 0 where none does. Bulk redeliveries, which may wait, are left out.
type Backlog struct {
	// WorkflowTasks, Deliveries and Watches are the three kinds of task.
	WorkflowTasks, Deliveries, Watches time.Duration
}

// SeeBacklog asks the server how much waits. Where no worker takes tasks off the
// queue, nothing is said to wait: that is not too much to do, but nobody to do it.
func SeeBacklog(ctx context.Context, c client.Client, namespace string) (Backlog, error) {
	tasks, err := backlogOf(ctx, c, namespace, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return Backlog{}, err
	}
	acts, err := backlogOf(ctx, c, namespace, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return Backlog{}, err
	}
	return readBacklog(tasks, acts), nil
}

func backlogOf(ctx context.Context, c client.Client, namespace string, of enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	response, err := c.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace: namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: workflows.TaskQueue}, TaskQueueType: of, ReportStats: true,
	})
	if err != nil {
		return nil, fmt.Errorf("asking how much waits in the task queue %s: %w", workflows.TaskQueue, err)
	}
	return response, nil
}

func readBacklog(tasks, acts *workflowservice.DescribeTaskQueueResponse) Backlog {
	var b Backlog
	for priority, stats := range waiting(tasks) {
		if priority != workflows.PriorityRedeliveries {
			b.WorkflowTasks = max(b.WorkflowTasks, age(stats))
		}
	}
	for priority, stats := range waiting(acts) {
		switch priority {
		case workflows.PriorityDelivery:
			b.Deliveries = max(b.Deliveries, age(stats))
		case workflows.PriorityWatch:
			b.Watches = max(b.Watches, age(stats))
		}
	}
	return b
}

// waiting is the backlog by priority. An older server tells no priorities: then
// all of it is of the least urgent kind that it may be.
func waiting(r *workflowservice.DescribeTaskQueueResponse) map[int32]*taskqueuepb.TaskQueueStats {
	if r.GetStats().GetTasksDispatchRate() == 0 {
		return nil
	}
	if byPriority := r.GetStatsByPriorityKey(); len(byPriority) > 0 {
		return byPriority
	}
	return map[int32]*taskqueuepb.TaskQueueStats{workflows.PriorityWatch: r.GetStats()}
}

func age(s *taskqueuepb.TaskQueueStats) time.Duration {
	if s.GetApproximateBacklogCount() == 0 {
		return 0
	}
	return s.GetApproximateBacklogAge().AsDuration()
}
