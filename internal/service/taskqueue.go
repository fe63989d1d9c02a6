package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"ringback/internal/overload"
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

// Routing is to which build the server sends new runs, and runs that go on with the
// current build.
type Routing struct {
	Current Build
	// Ramping says that a share of them goes to another build.
	Ramping bool
}

// SendsAllTo reports whether b is the current build and no other has a share.
func (r Routing) SendsAllTo(b Build) bool { return r.Current == b && !r.Ramping }

// TaskQueue is what the server knows of the task queue.
type TaskQueue struct {
	Routing Routing
	// Backlog is how long the oldest tasks wait for a worker. Bulk redeliveries,
	// which may wait, are left out. Zero where no worker takes tasks: then the
	// workers are missing, not overloaded.
	Backlog overload.Backlog
	// OwnBacklog is what of it this program's build takes.
	OwnBacklog overload.Backlog
}

// ReadTaskQueue reads it from the server. Of a versioned program the backlog is that of the
// current build, to which its starts go, and of its own: a run that was left to a
// build whose workers are gone waits for as long as it is left there.
func (s *Service) ReadTaskQueue(ctx context.Context) (TaskQueue, error) {
	tasks, err := s.describeQueue(ctx, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return TaskQueue{}, err
	}
	acts, err := s.describeQueue(ctx, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return TaskQueue{}, err
	}
	versions := tasks.GetVersioningInfo()
	current := versions.GetCurrentDeploymentVersion()
	whole := backlogOf(tasks, acts)
	queue := TaskQueue{
		Routing: Routing{Current: Build{current.GetDeploymentName(), current.GetBuildId()}, Ramping: versions.GetRampingVersionPercentage() > 0},
		Backlog: whole, OwnBacklog: whole,
	}
	s.routing.Store(&queue.Routing)
	if whole != (overload.Backlog{}) && s.Build.Versioned() && queue.Routing.Current.Versioned() {
		queue.Backlog, queue.OwnBacklog = s.backlogOfBuilds(ctx, slices.Compact([]Build{queue.Routing.Current, s.Build}), whole)
	}
	return queue, nil
}

// Routing is as the server reported it last; ok is false where it has not yet.
func (s *Service) Routing() (r Routing, ok bool) {
	if known := s.routing.Load(); known != nil {
		return *known, true
	}
	return Routing{}, false
}

// eager reports whether the first workflow task of a run may go to this process
// without asking the server which build is to have it.
func (s *Service) eager() bool {
	routing, ok := s.Routing()
	return !s.Build.Versioned() || ok && routing.SendsAllTo(s.Build)
}

// backlogOfBuilds is the longest of those of the builds, and that of the last; that of the
// whole queue where the server, which starts a workflow for the answer, is too busy for it.
func (s *Service) backlogOfBuilds(ctx context.Context, builds []Build, whole overload.Backlog) (longest, last overload.Backlog) {
	for _, build := range builds {
		response, err := s.Client.WorkflowService().DescribeWorkerDeploymentVersion(ctx, &workflowservice.DescribeWorkerDeploymentVersionRequest{
			Namespace: s.Namespace, ReportTaskQueueStats: true,
			DeploymentVersion: &deploymentpb.WorkerDeploymentVersion{DeploymentName: build.Deployment, BuildId: build.ID},
		})
		if err != nil && !isNotFound(err) { // the server may not know the build yet
			return whole, whole
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
		last = backlogOf(tasks, acts)
		longest.Callbacks, longest.Polls = max(longest.Callbacks, last.Callbacks), max(longest.Polls, last.Polls)
	}
	return longest, last
}

func (s *Service) describeQueue(ctx context.Context, kind enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	response, err := s.Client.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace: s.Namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: workflows.TaskQueue}, TaskQueueType: kind, ReportStats: true,
	})
	if err != nil {
		return nil, fmt.Errorf("describing the task queue %s: %w", workflows.TaskQueue, err)
	}
	return response, nil
}

// queueStats are a task queue's, of all builds or of one; nil where that one
// never polled it.
type queueStats interface {
	GetStats() *taskqueuepb.TaskQueueStats
	GetStatsByPriorityKey() map[int32]*taskqueuepb.TaskQueueStats
}

func backlogOf(tasks, acts queueStats) overload.Backlog {
	var b overload.Backlog
	for priority, stats := range byPriority(tasks) {
		if priority != workflows.PriorityBulkRedelivery {
			b.Callbacks = max(b.Callbacks, age(stats))
		}
	}
	for priority, stats := range byPriority(acts) {
		switch priority {
		case workflows.PriorityDelivery:
			b.Callbacks = max(b.Callbacks, age(stats))
		case workflows.PriorityWatch:
			b.Polls = max(b.Polls, age(stats))
		}
	}
	return b
}

// byPriority are the stats of a queue from which workers take tasks. An older
// server reports no priorities: all of it is of the least urgent kind then.
func byPriority(q queueStats) map[int32]*taskqueuepb.TaskQueueStats {
	if q == nil || q.GetStats().GetTasksDispatchRate() == 0 {
		return nil
	}
	if stats := q.GetStatsByPriorityKey(); len(stats) > 0 {
		return stats
	}
	return map[int32]*taskqueuepb.TaskQueueStats{workflows.PriorityWatch: q.GetStats()}
}

func age(s *taskqueuepb.TaskQueueStats) time.Duration {
	if s.GetApproximateBacklogCount() == 0 {
		return 0
	}
	return s.GetApproximateBacklogAge().AsDuration()
}
