package workflows_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
	"ringback/workflows"
)

// histories are recorded on a real server (go -C dev run ./record), in a folder for each
// release; latest are those that the present code writes.
const (
	histories = "testdata/histories"
	latest    = histories + "/1.0.0"
)

// The folders of histories, by workflow.
const (
	ofOperations       = ""
	ofBulkRedeliveries = "redeliveries"
	ofNotices          = "notices"
	ofGates            = "gates"
)

func recorded(t *testing.T, folder string) map[string]*historypb.History {
	t.Helper()
	return recordedBy(t, latest, folder)
}

func recordedBy(t *testing.T, release, folder string) map[string]*historypb.History {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(release, folder, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, paths, "no history was recorded")
	all := map[string]*historypb.History{}
	for _, path := range paths {
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = recordedAt(t, path)
	}
	return all
}

func recordedAt(t *testing.T, path string) *historypb.History {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	require.NoError(t, err, path)
	require.NoError(t, file.Close())
	return history
}

func TestEveryRecordedHistoryReplays(t *testing.T) {
	t.Parallel()
	releases, err := filepath.Glob(filepath.Join(histories, "*"))
	require.NoError(t, err)
	require.Contains(t, releases, latest)
	for _, release := range releases {
		for _, folder := range []string{ofOperations, ofBulkRedeliveries, ofNotices, ofGates} {
			for name, history := range recordedBy(t, release, folder) {
				t.Run(filepath.Join(filepath.Base(release), folder, name), func(t *testing.T) {
					t.Parallel()
					require.NoError(t, replay(history, nil))
					for _, event := range history.Events {
						require.NotContains(t, event.String(), "@", "%s names a machine", event.EventType)
						require.NotContains(t, event.String(), "stack_trace", event.EventType)
					}
				})
			}
		}
	}
}

var releaseHeading = regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\]`)

func TestEveryReleaseHasItsHistories(t *testing.T) {
	t.Parallel()
	changes, err := os.ReadFile("../CHANGELOG.md")
	require.NoError(t, err)
	releases := releaseHeading.FindAllSubmatch(changes, -1)
	require.NotEmpty(t, releases)
	for _, release := range releases {
		require.DirExists(t, filepath.Join(histories, string(release[1])), "CONTRIBUTING.md says how a release is recorded")
	}
}

// replay replays the history with the current code, or with what was changed of it.
func replay(history *historypb.History, changed map[string]any) error {
	replayer := worker.NewWorkflowReplayer()
	code := map[string]any{
		workflows.OperationType: workflows.Operation, workflows.BulkRedeliveryType: workflows.BulkRedelivery,
		workflows.NoticeType: workflows.Notice, workflows.OutageType: workflows.Outage, workflows.GateType: workflows.Gate,
	}
	maps.Copy(code, changed)
	for name, code := range code {
		replayer.RegisterWorkflowWithOptions(code, workflow.RegisterOptions{Name: name})
	}
	id := history.Events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowId()
	return replayer.ReplayWorkflowHistoryWithOptions(silent{}, history, worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: id}})
}

// TestALostWatchOf100Replays has a history that was written by hand: the watch was lost with
// its worker before its first poll was due, a pushed status ended it, and "poll now" came
// while the next one ran in another worker. 1.0.0 counted a poll for the lost one.
func TestALostWatchOf100Replays(t *testing.T) {
	t.Parallel()
	require.NoError(t, replay(recordedAt(t, "testdata/lost-watch-of-1.0.0.json"), nil))
}

// TestAChangedWorkflowDoesNotReplay shows that the replays can fail.
func TestAChangedWorkflowDoesNotReplay(t *testing.T) {
	t.Parallel()
	changed := map[string]any{
		workflows.OperationType: func(ctx workflow.Context, in workflows.Input) (operation.Record, error) {
			if err := workflow.Sleep(ctx, 1); err != nil {
				return operation.Record{}, err
			}
			return workflows.Operation(ctx, in)
		},
		workflows.BulkRedeliveryType: func(ctx workflow.Context, in workflows.BulkRedeliveryInput) (operation.BulkRedeliveryProgress, error) {
			if err := workflow.Sleep(ctx, 1); err != nil {
				return operation.BulkRedeliveryProgress{}, err
			}
			return workflows.BulkRedelivery(ctx, in)
		},
		workflows.GateType: func(ctx workflow.Context) error {
			if err := workflow.Sleep(ctx, 1); err != nil {
				return err
			}
			return workflows.Gate(ctx)
		},
	}
	require.Error(t, replay(recorded(t, ofOperations)["acknowledged"], changed))
	require.Error(t, replay(recorded(t, ofBulkRedeliveries)["done"], changed))
	require.Error(t, replay(recorded(t, ofGates)["passed"], changed))
}

func TestEveryEndingIsRecorded(t *testing.T) {
	t.Parallel()
	endings := map[operation.Outcome]bool{}
	for name, history := range recorded(t, ofOperations) {
		ending := closed(t, name, history.Events[len(history.Events)-1])
		require.Equal(t, operation.Closed, ending.State.Phase, name)
		endings[ending.State.Outcome] = true
	}
	for _, outcome := range operation.Outcomes {
		// A terminated run does not end itself.
		if outcome != operation.OutcomeTerminated {
			require.True(t, endings[outcome], "no history ends as %s", outcome)
		}
	}
	for _, way := range []string{
		"acknowledged-after-failures", "polls-used-up", "polls-unanswered", "revoked-and-delivered", "revoked-by-the-client",
		"revoked-by-signal", "withdrawn-while-delivering", "withdrawn-and-acknowledged", "superseded", "queued", "redelivered",
		"redelivered-with-repoll", "pushed", "pushed-to-poll-now", "exhausted-through-the-server", "statuses-delivered-in-turn",
		"first-attempt-failed-in-an-activity", "exhausted-on-the-way", "pushed-by-signal-before-an-update",
	} {
		require.FileExists(t, filepath.Join(latest, way+".json"))
	}
}

// closed is the ending that a close event carries.
func closed(t *testing.T, name string, event *historypb.HistoryEvent) (ending operation.Record) {
	t.Helper()
	var carried *commonpb.Payloads
	switch {
	case event.GetWorkflowExecutionCompletedEventAttributes() != nil:
		carried = event.GetWorkflowExecutionCompletedEventAttributes().GetResult()
	case event.GetWorkflowExecutionFailedEventAttributes() != nil:
		carried = event.GetWorkflowExecutionFailedEventAttributes().GetFailure().GetApplicationFailureInfo().GetDetails()
	case event.GetWorkflowExecutionCanceledEventAttributes() != nil:
		carried = event.GetWorkflowExecutionCanceledEventAttributes().GetDetails()
	}
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(carried, &ending), "%s closes with %s", name, event.EventType)
	return ending
}

// TestAHistoryIsAsLongForManyAsForFew: what is repeated costs no event.
func TestAHistoryIsAsLongForManyAsForFew(t *testing.T) {
	t.Parallel()
	all := recorded(t, ofOperations)
	for _, tt := range []struct {
		name, few, many string
		count           func(operation.State) int
	}{
		{"attempts", "exhausted", "exhausted-after-many", func(s operation.State) int { return len(s.Deliveries[0].Attempts) }},
		{"polls", "polls-used-up", "polls-used-up-after-many", func(s operation.State) int { return s.Polls }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			few, many := all[tt.few].GetEvents(), all[tt.many].GetEvents()
			require.NotEmpty(t, few)
			require.NotEmpty(t, many)
			less := tt.count(closed(t, tt.few, few[len(few)-1]).State)
			require.Greater(t, tt.count(closed(t, tt.many, many[len(many)-1]).State), 5*less)
			require.Len(t, many, len(few))
		})
	}
}

func TestADeliveryThatNobodyAcknowledgedFailsItsActivity(t *testing.T) {
	t.Parallel()
	events := recorded(t, ofOperations)["exhausted"].GetEvents()
	require.True(t, slices.ContainsFunc(events, func(event *historypb.HistoryEvent) bool {
		return event.GetActivityTaskFailedEventAttributes().GetFailure().GetApplicationFailureInfo().GetType() == workflows.TypeExhausted
	}))
	require.Len(t, closed(t, "exhausted", events[len(events)-1]).State.Deliveries[0].Attempts, 4)
}

// TestTheHappyPathIsOneWorkflowTask: the price of an empty workflow (design
// section 3), with two local activities' markers.
func TestTheHappyPathIsOneWorkflowTask(t *testing.T) {
	t.Parallel()
	var types []string
	for _, event := range recorded(t, ofOperations)["acknowledged"].GetEvents() {
		types = append(types, event.EventType.String())
	}
	require.Equal(t, []string{
		"WorkflowExecutionStarted", "WorkflowTaskScheduled", "WorkflowTaskStarted", "WorkflowTaskCompleted",
		"MarkerRecorded", "MarkerRecorded", "WorkflowExecutionCompleted",
	}, types)
}

func TestEveryWayOfABulkRedeliveryIsRecorded(t *testing.T) {
	t.Parallel()
	all := recorded(t, ofBulkRedeliveries)
	for _, way := range []string{
		"done", "nothing-matched", "several-pages", "continues-as-new", "continued-as-new",
		"stopped-and-resumed", "stopped-and-resumed-by-signal", "cancelled",
	} {
		require.Contains(t, all, way)
	}
	require.Len(t, all["several-pages"].GetEvents(), len(all["done"].GetEvents())+2*7, "a page costs seven events: five operations in pages of two are three pages")
	require.Len(t, recorded(t, ofNotices), 2)
}
