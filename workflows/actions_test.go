package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
)

// TestAPathCostsSoManyActions holds what a history shows of Temporal Cloud's actions. It
// shows no heartbeats, queries and refused Updates: ringback_temporal_actions_total does.
func TestAPathCostsSoManyActions(t *testing.T) {
	t.Parallel()
	happy := actions{"start_workflow": 1, "record_activity_markers": 1}
	for name, path := range map[string]struct {
		history string
		actions actions
	}{
		"final at the first poll, acknowledged at the first attempt": {"acknowledged", happy},
		"redelivered with a poll":                                    {"redelivered-with-repoll", happy},
		"polled again in the worker, until the lifetime was over": {"expired",
			actions{"start_workflow": 1, "record_activity_markers": 1, "schedule_activity": 1, "upsert_workflow_search_attributes": 1}},
		"polled again in the worker, then acknowledged at the first attempt": {"polls-used-up",
			actions{"start_workflow": 1, "record_activity_markers": 2, "schedule_activity": 1}},
		"attempts in the worker, until all were made": {"exhausted",
			actions{"start_workflow": 1, "record_activity_markers": 1, "schedule_activity": 1, "upsert_workflow_search_attributes": 2, "start_child_workflow": 2}},
		"polled again and attempted again on the server, until all were made": {"exhausted-through-the-server",
			actions{"start_workflow": 1, "record_activity_markers": 2, "schedule_activity": 2, "retry_activity": 2, "upsert_workflow_search_attributes": 2, "start_child_workflow": 2}},
		"revoked by its client, and nothing was delivered": {"revoked-by-the-client",
			actions{"start_workflow": 1, "record_activity_markers": 2, "schedule_activity": 1, "accept_workflow_update": 1, "upsert_workflow_search_attributes": 1}},
		"a page of a bulk redelivery, continued as new": {"redeliveries/continued-as-new",
			actions{"continue_as_new_workflow": 1, "schedule_activity": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, path.actions, actionsOf(recordedAt(t, latest+"/"+path.history+".json")))
		})
	}
}

// actions are counts by the names of Temporal Cloud's metrics.
type actions map[string]int

// eventActions are the events that are one action each. The others are in actionsOf.
var eventActions = map[enumspb.EventType]string{
	enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:            "schedule_activity",
	enumspb.EVENT_TYPE_TIMER_STARTED:                      "start_timer",
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:        "signal_workflow",
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: "accept_workflow_update",
	enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:  "upsert_workflow_search_attributes",
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED: "update_workflow_options",
}

// actionsOf counts the actions of a history by the rules of
// https://docs.temporal.io/evaluate/cloud/actions, read on 2026-11-30.
func actionsOf(history *historypb.History) actions {
	counted, markers := actions{}, map[int64]bool{}
	for _, event := range history.GetEvents() {
		switch event.GetEventType() { // the rest is free, or one action each
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
			if event.GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId() != "" {
				counted["continue_as_new_workflow"]++
			} else {
				counted["start_workflow"]++
			}
		case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
			counted["start_child_workflow"] += 2
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
			if retries := int(event.GetActivityTaskStartedEventAttributes().GetAttempt()) - 1; retries > 0 {
				counted["retry_activity"] += retries
			}
		case enumspb.EVENT_TYPE_MARKER_RECORDED:
			// Those of one workflow task are one action together.
			markers[event.GetMarkerRecordedEventAttributes().GetWorkflowTaskCompletedEventId()] = true
			counted["record_activity_markers"] = len(markers)
		default:
			if action, billed := eventActions[event.GetEventType()]; billed {
				counted[action]++
			}
		}
	}
	return counted
}
