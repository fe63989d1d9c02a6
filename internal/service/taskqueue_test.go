package service

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"ringback/internal/operation"
	"ringback/internal/overload"
	"ringback/workflows"
)

func stats(count int64, age time.Duration, rate float32) *taskqueuepb.TaskQueueStats {
	return &taskqueuepb.TaskQueueStats{
		ApproximateBacklogCount: count, ApproximateBacklogAge: durationpb.New(age), TasksDispatchRate: rate,
	}
}

func queue(all *taskqueuepb.TaskQueueStats, byPriority map[int32]*taskqueuepb.TaskQueueStats) *workflowservice.DescribeTaskQueueResponse {
	return &workflowservice.DescribeTaskQueueResponse{Stats: all, StatsByPriorityKey: byPriority}
}

func TestTheBacklogIsReadByTheKindOfTask(t *testing.T) {
	t.Parallel()
	busy, none := stats(9, 9*time.Second, 5), queue(stats(0, 0, 0), nil)
	for name, tt := range map[string]struct {
		tasks, acts *workflowservice.DescribeTaskQueueResponse
		want        overload.Backlog
	}{
		"nothing waits": {none, none, overload.Backlog{}},
		"deliveries and watches are distinguished by their priority": {
			none, queue(busy, map[int32]*taskqueuepb.TaskQueueStats{1: stats(1, 2*time.Second, 1), 3: stats(8, 9*time.Second, 4)}),
			overload.Backlog{Callbacks: 2 * time.Second, Polls: 9 * time.Second}},
		"workflow tasks of operations wait, those of bulk redeliveries may": {
			queue(busy, map[int32]*taskqueuepb.TaskQueueStats{3: stats(1, 3*time.Second, 1), 5: stats(8, 9*time.Second, 4)}), none,
			overload.Backlog{Callbacks: 3 * time.Second}},
		"activities of bulk redeliveries may wait": {
			none, queue(busy, map[int32]*taskqueuepb.TaskQueueStats{5: stats(8, 9*time.Second, 4)}), overload.Backlog{}},
		"an age without a task is none": {
			none, queue(busy, map[int32]*taskqueuepb.TaskQueueStats{1: stats(0, 2*time.Second, 1)}), overload.Backlog{}},
		"without priorities all is of the least urgent kind": {
			queue(busy, nil), queue(stats(8, 7*time.Second, 4), nil), overload.Backlog{Callbacks: 9 * time.Second, Polls: 7 * time.Second}},
		"without a worker nothing is too much to do": {
			queue(stats(9, time.Hour, 0), nil), queue(stats(9, time.Hour, 0), map[int32]*taskqueuepb.TaskQueueStats{1: stats(9, time.Hour, 0)}), overload.Backlog{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, backlogOf(tt.tasks, tt.acts))
		})
	}
}

var firstBuild, secondBuild = Build{"ringback", "1"}, Build{"ringback", "2"}

// queueClient is a client of a server that knows the task queue.
type queueClient struct {
	client.Client
	server queueServer
}

func (c queueClient) WorkflowService() workflowservice.WorkflowServiceClient { return c.server }

// queueServer knows the routing, and how long the oldest delivery waits for each
// build; below zero: the server is too busy to tell.
type queueServer struct {
	workflowservice.WorkflowServiceClient
	routing Routing
	waits   map[Build]time.Duration
}

func (q queueServer) DescribeTaskQueue(context.Context, *workflowservice.DescribeTaskQueueRequest, ...grpc.CallOption) (*workflowservice.DescribeTaskQueueResponse, error) {
	response := queue(stats(1, time.Hour, 1), map[int32]*taskqueuepb.TaskQueueStats{1: stats(1, time.Hour, 1)})
	response.VersioningInfo = &taskqueuepb.TaskQueueVersioningInfo{
		CurrentDeploymentVersion: &deploymentpb.WorkerDeploymentVersion{DeploymentName: q.routing.Current.Deployment, BuildId: q.routing.Current.ID},
	}
	if q.routing.Ramping {
		response.VersioningInfo.RampingVersionPercentage = 5
	}
	return response, nil
}

func (q queueServer) DescribeWorkerDeploymentVersion(_ context.Context, r *workflowservice.DescribeWorkerDeploymentVersionRequest, _ ...grpc.CallOption) (*workflowservice.DescribeWorkerDeploymentVersionResponse, error) {
	waits, ok := q.waits[Build{r.GetDeploymentVersion().GetDeploymentName(), r.GetDeploymentVersion().GetBuildId()}]
	if !ok {
		return nil, serviceerror.NewNotFound("no such build")
	}
	if waits < 0 {
		return nil, serviceerror.NewResourceExhausted(enumspb.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT, "busy")
	}
	return &workflowservice.DescribeWorkerDeploymentVersionResponse{
		VersionTaskQueues: []*workflowservice.DescribeWorkerDeploymentVersionResponse_VersionTaskQueue{{
			Name: workflows.TaskQueue, Type: enumspb.TASK_QUEUE_TYPE_ACTIVITY, Stats: stats(1, waits, 1),
			StatsByPriorityKey: map[int32]*taskqueuepb.TaskQueueStats{1: stats(1, waits, 1)},
		}},
	}, nil
}

func TestTheBacklogOfOtherBuildsIsLeftOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		build   Build
		routing Routing
		waits   map[Build]time.Duration
		// own is that for which more workers of this build would help.
		want, own time.Duration
	}{
		"of a program that is not versioned all counts":  {Build{}, Routing{Current: firstBuild}, nil, time.Hour, time.Hour},
		"while no build is current all counts":           {firstBuild, Routing{}, nil, time.Hour, time.Hour},
		"the current build's counts":                     {firstBuild, Routing{Current: secondBuild}, map[Build]time.Duration{firstBuild: 1, secondBuild: 2}, 2, 1},
		"the program's own counts":                       {firstBuild, Routing{Current: secondBuild}, map[Build]time.Duration{firstBuild: 3, secondBuild: 2}, 3, 3},
		"a program's own may be the current one":         {firstBuild, Routing{Current: firstBuild}, map[Build]time.Duration{firstBuild: 2, secondBuild: 3}, 2, 2},
		"a build that the server does not know has none": {firstBuild, Routing{Current: secondBuild}, map[Build]time.Duration{secondBuild: 2}, 2, 0},
		"where the server is too busy all counts":        {firstBuild, Routing{Current: firstBuild}, map[Build]time.Duration{firstBuild: -1}, time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &Service{Client: queueClient{server: queueServer{routing: tc.routing, waits: tc.waits}}, Build: tc.build}
			got, err := s.ReadTaskQueue(t.Context())
			require.NoError(t, err)
			require.Equal(t, tc.want, got.Backlog.Callbacks)
			require.Equal(t, tc.own, got.OwnBacklog.Callbacks)
			require.Equal(t, tc.routing, got.Routing)
		})
	}
}

func TestAStartIsEagerUnlessTheServerMustChooseTheBuild(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		build Build
		// routing is what the server reported; nil: nothing yet.
		routing *Routing
		eager   bool
	}{
		"a program that is not versioned":           {Build{}, nil, true},
		"nothing is known of the routing":           {firstBuild, nil, false},
		"its build is current":                      {firstBuild, &Routing{Current: firstBuild}, true},
		"another build has a share":                 {firstBuild, &Routing{Current: firstBuild, Ramping: true}, false},
		"another build is current":                  {firstBuild, &Routing{Current: secondBuild}, false},
		"another deployment's build of the same id": {firstBuild, &Routing{Current: Build{"other", "1"}}, false},
		"no build is current":                       {firstBuild, &Routing{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &Service{Build: tc.build}
			s.routing.Store(tc.routing)
			require.Equal(t, tc.eager, s.startOptions(workflows.Input{}).EnableEagerStart)
		})
	}
}

func TestALongOperationGoesOnWithTheCurrentBuild(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		build    Build
		lifetime time.Duration
		override client.VersioningOverride
	}{
		"a short one stays with the build in which it began": {firstBuild, 20 * time.Minute, nil},
		"one of thirty days does not":                        {firstBuild, 720 * time.Hour, &client.AutoUpgradeVersioningOverride{}},
		"without versions there is nothing to go on with":    {Build{}, 720 * time.Hour, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &Service{Build: tc.build}
			in := workflows.Input{Policy: operation.Policy{
				Poll:     operation.PollPolicy{IntervalMS: 60_000, LifetimeMS: tc.lifetime.Milliseconds()},
				Delivery: operation.DeliveryPolicy{IntervalMS: 1000, Attempts: 10, TimeoutMS: 5000},
			}}
			require.Equal(t, tc.override, s.startOptions(in).VersioningOverride)
		})
	}
}
