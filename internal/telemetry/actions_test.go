package telemetry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	commandpb "go.temporal.io/api/command/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	protocolpb "go.temporal.io/api/protocol/v1"
	querypb "go.temporal.io/api/query/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"ringback/internal/telemetry"
)

func TestACallIsCountedAsTemporalCloudBillsIt(t *testing.T) {
	t.Parallel()
	type bill map[string]float64
	for name, tt := range map[string]struct {
		request, reply any
		fails          error
		bill           bill
	}{
		"a start":                      {request: &workflowservice.StartWorkflowExecutionRequest{}, reply: &workflowservice.StartWorkflowExecutionResponse{Started: true}, bill: bill{"start_workflow": 1}},
		"a start that was there":       {request: &workflowservice.StartWorkflowExecutionRequest{}, reply: &workflowservice.StartWorkflowExecutionResponse{}},
		"a call that failed":           {request: &workflowservice.SignalWorkflowExecutionRequest{}, fails: errors.New("no such run")},
		"a Signal":                     {request: &workflowservice.SignalWorkflowExecutionRequest{}, bill: bill{"signal_workflow": 1}},
		"a Signal with start":          {request: &workflowservice.SignalWithStartWorkflowExecutionRequest{}, bill: bill{"signal_workflow_with_start": 1}},
		"a Query":                      {request: query("state"), bill: bill{"query_workflow": 1}},
		"the UI's Query":               {request: query("__temporal_workflow_metadata")},
		"a heartbeat":                  {request: &workflowservice.RecordActivityTaskHeartbeatRequest{}, bill: bill{"record_activity_heartbeat": 1}},
		"a heartbeat by id":            {request: &workflowservice.RecordActivityTaskHeartbeatByIdRequest{}, bill: bill{"record_activity_heartbeat_by_id": 1}},
		"a poll without a task":        {request: &workflowservice.PollActivityTaskQueueRequest{}, reply: &workflowservice.PollActivityTaskQueueResponse{}},
		"a first run of an activity":   {request: &workflowservice.PollActivityTaskQueueRequest{}, reply: &workflowservice.PollActivityTaskQueueResponse{Attempt: 1}},
		"a further run of an activity": {request: &workflowservice.PollActivityTaskQueueRequest{}, reply: &workflowservice.PollActivityTaskQueueResponse{Attempt: 7}, bill: bill{"retry_activity": 1}},
		"what is free":                 {request: &workflowservice.DescribeWorkflowExecutionRequest{}},
		"a workflow task with two local activities": {bill: bill{"record_activity_markers": 1}, request: &workflowservice.RespondWorkflowTaskCompletedRequest{
			Commands: commands(enumspb.COMMAND_TYPE_RECORD_MARKER, enumspb.COMMAND_TYPE_RECORD_MARKER, enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)}},
		"a workflow task with commands": {bill: bill{"schedule_activity": 2, "start_timer": 1, "start_child_workflow": 2, "upsert_workflow_search_attributes": 1},
			request: &workflowservice.RespondWorkflowTaskCompletedRequest{Commands: append(commands(enumspb.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
				enumspb.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, enumspb.COMMAND_TYPE_START_TIMER, enumspb.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION),
				upsert("RingbackPhase"), upsert("TemporalChangeVersion"))}},
		"a workflow task that goes on, with two Updates": {bill: bill{"record_workflow_heartbeat": 1, "accept_workflow_update": 1, "reject_workflow_update": 1},
			request: &workflowservice.RespondWorkflowTaskCompletedRequest{ForceCreateNewWorkflowTask: true,
				Messages: messages(t, &updatepb.Acceptance{}, &updatepb.Response{}, &updatepb.Rejection{})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := prometheus.NewPedanticRegistry()
			err := telemetry.NewActions(r).Intercept(t.Context(), "", tt.request, tt.reply, nil,
				func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return tt.fails })
			require.Equal(t, tt.fails, err)
			families, err := r.Gather()
			require.NoError(t, err)
			counted := bill{}
			for _, family := range families {
				require.Equal(t, "ringback_temporal_actions_total", family.GetName())
				for _, m := range family.GetMetric() {
					counted[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
				}
			}
			if tt.bill == nil {
				tt.bill = bill{}
			}
			require.Equal(t, tt.bill, counted)
		})
	}
}

func query(name string) any {
	return &workflowservice.QueryWorkflowRequest{Query: &querypb.WorkflowQuery{QueryType: name}}
}

func commands(types ...enumspb.CommandType) []*commandpb.Command {
	var all []*commandpb.Command
	for _, each := range types {
		all = append(all, &commandpb.Command{CommandType: each})
	}
	return all
}

func upsert(attribute string) *commandpb.Command {
	return &commandpb.Command{
		CommandType: enumspb.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
		Attributes: &commandpb.Command_UpsertWorkflowSearchAttributesCommandAttributes{
			UpsertWorkflowSearchAttributesCommandAttributes: &commandpb.UpsertWorkflowSearchAttributesCommandAttributes{
				SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{attribute: {}}},
			},
		},
	}
}

func messages(t *testing.T, bodies ...proto.Message) []*protocolpb.Message {
	t.Helper()
	var all []*protocolpb.Message
	for _, body := range bodies {
		packed, err := anypb.New(body)
		require.NoError(t, err)
		all = append(all, &protocolpb.Message{Body: packed})
	}
	return all
}
