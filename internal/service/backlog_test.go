package service

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"ringback/internal/overload"
)

func stats(count int64, age time.Duration, rate float32) *taskqueuepb.TaskQueueStats {
	return &taskqueuepb.TaskQueueStats{
		ApproximateBacklogCount: count, ApproximateBacklogAge: durationpb.New(age), TasksDispatchRate: rate,
	}
}

func queue(all *taskqueuepb.TaskQueueStats, byPriority map[int32]*taskqueuepb.TaskQueueStats) *workflowservice.DescribeTaskQueueResponse {
	return &workflowservice.DescribeTaskQueueResponse{Stats: all, StatsByPriorityKey: byPriority}
}

func TestTheBacklogIsToldByWhoWaits(t *testing.T) {
	t.Parallel()
	busy, none := stats(9, 9*time.Second, 5), queue(stats(0, 0, 0), nil)
	for name, tt := range map[string]struct {
		tasks, acts *workflowservice.DescribeTaskQueueResponse
		want        overload.Backlog
	}{
		"nothing waits": {none, none, overload.Backlog{}},
		"deliveries and watches are told apart by their priority": {
			none, queue(busy, map[int32]*taskqueuepb.TaskQueueStats{1: stats(1, 2*time.Second, 1), 3: stats(8, 9*time.Second, 4)}),
			overload.Backlog{Callbacks: 2 * time.Second, Polls: 9 * time.Second}},
		"workflow tasks of operations wait, those of bulk redeliveries may": {
			queue(busy, map[int32]*taskqueuepb.TaskQueueStats{3: stats(1, 3*time.Second, 1), 5: stats(8, 9*time.Second, 4)}), none,
			overload.Backlog{Callbacks: 3 * time.Second}},
		"activities of bulk redeliveries may wait": {
			none, queue(busy, map[int32]*taskqueuepb.TaskQueueStats{5: stats(8, 9*time.Second, 4)}), overload.Backlog{}},
		"an age without a task is none": {
			none, queue(busy, map[int32]*taskqueuepb.TaskQueueStats{1: stats(0, 2*time.Second, 1)}), overload.Backlog{}},
		"a server without priorities tells of the least urgent": {
			queue(busy, nil), queue(stats(8, 7*time.Second, 4), nil), overload.Backlog{Callbacks: 9 * time.Second, Polls: 7 * time.Second}},
		"without a worker nothing is too much to do": {
			queue(stats(9, time.Hour, 0), nil), queue(stats(9, time.Hour, 0), map[int32]*taskqueuepb.TaskQueueStats{1: stats(9, time.Hour, 0)}), overload.Backlog{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, readBacklog(tt.tasks, tt.acts))
		})
	}
}
