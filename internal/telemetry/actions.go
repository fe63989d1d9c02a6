package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	commandpb "go.temporal.io/api/command/v1"
	enumspb "go.temporal.io/api/enums/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
)

// Actions counts what Temporal Cloud bills, by the names of its own metrics:
// https://docs.temporal.io/evaluate/cloud/actions, read on 2026-11-30. The server's metric
// "action" counts by the same rules, for all its clients.
type Actions struct{ total *prometheus.CounterVec }

// NewActions registers the metric.
func NewActions(r prometheus.Registerer) Actions {
	a := Actions{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ringback_temporal_actions_total", Help: "Calls of this program that Temporal Cloud would bill, by kind of action.",
	}, []string{"action"})}
	r.MustRegister(a.total)
	return a
}

// Intercept counts the calls to Temporal that succeed.
func (a Actions) Intercept(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, call grpc.UnaryInvoker, o ...grpc.CallOption) error {
	err := call(ctx, method, request, reply, c, o...)
	if err == nil {
		a.count(request, reply)
	}
	return err
}

func (a Actions) add(action string, n int) { a.total.WithLabelValues(action).Add(float64(n)) }

func (a Actions) count(request, reply any) {
	switch r := request.(type) {
	case *workflowservice.StartWorkflowExecutionRequest:
		// A start that found its run there is free.
		if started, ok := reply.(*workflowservice.StartWorkflowExecutionResponse); ok && started.GetStarted() {
			a.add("start_workflow", 1)
		}
	case *workflowservice.SignalWithStartWorkflowExecutionRequest:
		a.add("signal_workflow_with_start", 1)
	case *workflowservice.SignalWorkflowExecutionRequest:
		a.add("signal_workflow", 1)
	case *workflowservice.QueryWorkflowRequest:
		if r.GetQuery().GetQueryType() != "__temporal_workflow_metadata" {
			a.add("query_workflow", 1)
		}
	case *workflowservice.RecordActivityTaskHeartbeatRequest:
		a.add("record_activity_heartbeat", 1)
	case *workflowservice.RecordActivityTaskHeartbeatByIdRequest:
		a.add("record_activity_heartbeat_by_id", 1)
	case *workflowservice.PollActivityTaskQueueRequest:
		if task, ok := reply.(*workflowservice.PollActivityTaskQueueResponse); ok && task.GetAttempt() > 1 {
			a.add("retry_activity", 1)
		}
	case *workflowservice.RespondWorkflowTaskCompletedRequest:
		a.countWorkflowTask(r)
	}
}

// commandActions are the commands that are billed, besides the markers of a workflow
// task, which are one action together. A child is two: it is recorded, and started.
var commandActions = map[enumspb.CommandType]struct {
	action string
	n      int
}{
	enumspb.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:             {"schedule_activity", 1},
	enumspb.COMMAND_TYPE_START_TIMER:                        {"start_timer", 1},
	enumspb.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:  {"upsert_workflow_search_attributes", 1},
	enumspb.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: {"continue_as_new_workflow", 1},
	enumspb.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: {"signal_external_workflow", 1},
	enumspb.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:     {"start_child_workflow", 2},
}

func (a Actions) countWorkflowTask(r *workflowservice.RespondWorkflowTaskCompletedRequest) {
	markers := false
	for _, command := range r.GetCommands() {
		markers = markers || command.GetCommandType() == enumspb.COMMAND_TYPE_RECORD_MARKER
		if billed, ok := commandActions[command.GetCommandType()]; ok && !marksVersion(command) {
			a.add(billed.action, billed.n)
		}
	}
	if markers {
		a.add("record_activity_markers", 1)
	}
	if r.GetForceCreateNewWorkflowTask() {
		a.add("record_workflow_heartbeat", 1)
	}
	for _, message := range r.GetMessages() {
		switch {
		case message.GetBody().MessageIs(&updatepb.Acceptance{}):
			a.add("accept_workflow_update", 1)
		case message.GetBody().MessageIs(&updatepb.Rejection{}):
			a.add("reject_workflow_update", 1)
		}
	}
}

// marksVersion reports whether a command writes the SDK's own search attribute for
// versions of workflow code, which is free.
func marksVersion(command *commandpb.Command) bool {
	written := command.GetUpsertWorkflowSearchAttributesCommandAttributes().GetSearchAttributes().GetIndexedFields()
	return len(written) == 1 && written["TemporalChangeVersion"] != nil
}
