package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/workflows"
)

// pages stand for the activity of a bulk redelivery, and for visibility: so
// many runs matched, each of them is to be redelivered once.
type pages struct {
	matched     int
	redelivered map[int]int
	// calls counts the activities, inRun those of the run of the workflow in hand.
	calls, inRun int
	// at is what happens in the nth activity (counted from 1).
	at map[int]happening
	// env is of the run in hand; took is how long each activity takes.
	env  *testsuite.TestWorkflowEnvironment
	took time.Duration
}

// happening is what comes between.
type happening struct {
	// crash loses the activity after so many operations, with its record.
	crash bool
	// stop stops the run during the activity, which then ends early, after so many
	// operations.
	stop bool
	at   int
}

func (p *pages) redeliver(_ context.Context, in activities.RedeliverPageInput) (operation.BulkRedeliveryPosition, error) {
	p.calls++
	p.inRun++
	h := p.at[p.calls]
	from, _ := strconv.Atoi(in.Position.PageToken)
	to := min(from+in.PageSize, p.matched)
	place := in.Position
	after := from - 1
	if place.After != "" {
		after, _ = strconv.Atoi(place.After)
	}
	for i := after + 1; i < to; i++ {
		if (h.crash || h.stop) && i-from >= h.at {
			return p.leave(place, h)
		}
		p.take(i, &place)
	}
	return operation.BulkRedeliveryPosition{PageToken: strconv.Itoa(to), Progress: place.Progress, Over: to == p.matched}, nil
}

func (p *pages) take(i int, place *operation.BulkRedeliveryPosition) {
	// A run that was redelivered already is counted as done.
	if p.redelivered[i] == 0 {
		p.redelivered[i]++
	}
	place.After = strconv.Itoa(i)
	place.Progress.Done++
}

func (p *pages) leave(place operation.BulkRedeliveryPosition, h happening) (operation.BulkRedeliveryPosition, error) {
	if h.crash {
		return operation.BulkRedeliveryPosition{}, errors.New("the worker died")
	}
	p.env.SignalWorkflow(workflows.SignalStop, nil)
	return place, nil
}

// run plays one run of the workflow, and returns the input that it continues
// as new with; nil where it has ended.
func (p *pages) run(t require.TestingT, in workflows.BulkRedeliveryInput, prepare func(*testsuite.TestWorkflowEnvironment)) (*workflows.BulkRedeliveryInput, operation.BulkRedeliveryProgress) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(silent{})
	env := suite.NewTestWorkflowEnvironment()
	p.env, p.inRun = env, 0
	env.RegisterWorkflowWithOptions(workflows.BulkRedelivery, workflow.RegisterOptions{Name: workflows.BulkRedeliveryType})
	var acts *activities.Activities
	env.RegisterActivity(acts)
	env.OnActivity(acts.RedeliverPage, mock.Anything, mock.Anything).Return(p.redeliver).After(p.took)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.BulkRedeliveryWorkflowID(in.Job.ID), TaskQueue: workflows.TaskQueue})
	if prepare != nil {
		prepare(env)
	}
	env.ExecuteWorkflow(workflows.BulkRedeliveryType, in)
	require.True(t, env.IsWorkflowCompleted())
	var again *workflow.ContinueAsNewError
	if errors.As(env.GetWorkflowError(), &again) {
		next := new(workflows.BulkRedeliveryInput)
		require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(again.Input, next))
		return next, next.Position.Progress
	}
	var progress operation.BulkRedeliveryProgress
	if err := env.GetWorkflowError(); err != nil {
		require.True(t, temporal.IsCanceledError(err), "%v", err)
		return nil, progress
	}
	require.NoError(t, env.GetWorkflowResult(&progress))
	return nil, progress
}

func newPages(matched int) *pages {
	return &pages{matched: matched, redelivered: map[int]int{}, at: map[int]happening{}}
}

func many(matched, pageSize, pages int) workflows.BulkRedeliveryInput {
	return workflows.BulkRedeliveryInput{
		Job: operation.BulkRedelivery{
			ID: "rd_1", Filter: operation.Filter{Endpoint: "SHOP"}, RatePerSecond: 10, By: "ops", Reason: "repaired", Matched: matched,
		},
		PageSize: pageSize, Pages: pages,
	}
}

func TestABulkRedeliveryWorksOffEveryPageAndCounts(t *testing.T) {
	t.Parallel()
	p := newPages(25)
	next, progress := p.run(t, many(25, 10, 100), nil)
	require.Nil(t, next)
	require.Equal(t, operation.BulkRedeliveryProgress{Done: 25}, progress)
	require.Len(t, p.redelivered, 25)
	require.Equal(t, 3, p.calls)
}

func TestABulkRedeliveryThatMatchedNothingIsDone(t *testing.T) {
	t.Parallel()
	p := newPages(0)
	next, progress := p.run(t, many(0, 10, 100), nil)
	require.Nil(t, next)
	require.Zero(t, progress)
}

func TestABulkRedeliveryContinuesAsNewAndKeepsItsCounts(t *testing.T) {
	t.Parallel()
	p, runs := newPages(1000), 0
	in := many(1000, 10, 7)
	for next := &in; next != nil; runs++ {
		var progress operation.BulkRedeliveryProgress
		before := p.calls
		next, progress = p.run(t, *next, nil)
		require.LessOrEqual(t, p.calls-before, 7, "one run works off so many pages at most: its history is bounded")
		require.Equal(t, len(p.redelivered), progress.Done)
	}
	require.Equal(t, 15, runs)
	require.Len(t, p.redelivered, 1000)
}

func TestABulkRedeliveryIsStoppedAndResumed(t *testing.T) {
	t.Parallel()
	type reply struct {
		phase operation.BulkRedeliveryPhase
		err   error
	}
	for name, send := range map[string]func(env *testsuite.TestWorkflowEnvironment, name string, results *[]reply){
		"by Update": func(env *testsuite.TestWorkflowEnvironment, name string, results *[]reply) {
			env.UpdateWorkflow(name, fmt.Sprint(name, len(*results)), &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnReject: func(err error) { *results = append(*results, reply{err: err}) },
				OnComplete: func(result any, err error) {
					*results = append(*results, reply{result.(operation.BulkRedeliveryPhase), err})
				},
			})
		},
		"by Signal": func(env *testsuite.TestWorkflowEnvironment, name string, results *[]reply) {
			phase := map[string]operation.BulkRedeliveryPhase{workflows.SignalStop: operation.BulkRedeliveryStopped, workflows.SignalResume: operation.BulkRedeliveryRunning}
			*results = append(*results, reply{phase: phase[name]})
			env.SignalWorkflow(name, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPages(50)
			p.took = time.Minute
			var results []reply
			whileStopped := 0
			_, progress := p.run(t, many(50, 10, 100), func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() { send(env, workflows.UpdateStop, &results) }, 90*time.Second)
				env.RegisterDelayedCallback(func() { send(env, workflows.UpdateStop, &results) }, 100*time.Second)
				env.RegisterDelayedCallback(func() { whileStopped = p.calls }, 5*time.Minute)
				env.RegisterDelayedCallback(func() {
					require.Equal(t, whileStopped, p.calls, "nothing is begun while it is stopped")
					send(env, workflows.UpdateResume, &results)
				}, time.Hour)
			})
			require.Equal(t, []reply{{phase: operation.BulkRedeliveryStopped}, {phase: operation.BulkRedeliveryStopped}, {phase: operation.BulkRedeliveryRunning}}, results, "twice is once")
			require.Equal(t, 50, progress.Done)
			require.Less(t, whileStopped, 5)
			require.Equal(t, 6, p.calls, "it went on where it stopped")
			for i := range 50 {
				require.Equal(t, 1, p.redelivered[i])
			}
		})
	}
}

func TestABulkRedeliveryShowsItsProgressToAQueryAndInItsMemo(t *testing.T) {
	t.Parallel()
	p := newPages(30)
	p.took = time.Minute
	var kept []workflows.BulkRedeliveryMemo
	p.run(t, many(30, 10, 100), func(env *testsuite.TestWorkflowEnvironment) {
		env.OnUpsertMemo(mock.Anything).Return(nil).Run(func(arguments mock.Arguments) {
			memo := arguments.Get(0).(map[string]any)
			kept = append(kept, memo[workflows.MemoProgress].(workflows.BulkRedeliveryMemo))
		})
		env.RegisterDelayedCallback(func() {
			value, err := env.QueryWorkflow(workflows.QueryProgress)
			require.NoError(t, err)
			var progress operation.BulkRedeliveryProgress
			require.NoError(t, value.Get(&progress))
			require.Equal(t, 20, progress.Done)
		}, 150*time.Second)
	})
	memo := func(phase operation.BulkRedeliveryPhase, done int) workflows.BulkRedeliveryMemo {
		return workflows.BulkRedeliveryMemo{Phase: phase, BulkRedeliveryProgress: operation.BulkRedeliveryProgress{Done: done}}
	}
	require.Equal(t, []workflows.BulkRedeliveryMemo{
		memo(operation.BulkRedeliveryRunning, 10), memo(operation.BulkRedeliveryRunning, 20), memo(operation.BulkRedeliveryDone, 30),
	}, kept, "once a page, since each is a record in history and in visibility")
}

func TestABulkRedeliveryThatCouldNeverEndIsRefused(t *testing.T) {
	t.Parallel()
	unpaced := many(1, 1, 1)
	unpaced.Job.RatePerSecond = 0
	for name, in := range map[string]workflows.BulkRedeliveryInput{
		"pages of nothing": many(1, 0, 1), "runs of no page": many(1, 1, 0), "no rate": unpaced,
	} {
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(silent{})
		env := suite.NewTestWorkflowEnvironment()
		env.ExecuteWorkflow(workflows.BulkRedelivery, in)
		var refused *temporal.ApplicationError
		require.ErrorAs(t, env.GetWorkflowError(), &refused, name)
		require.Equal(t, activities.TypeBadInput, refused.Type())
	}
}

func TestABulkRedeliveryShowsItsProgressInTheUI(t *testing.T) {
	t.Parallel()
	p := newPages(30)
	p.took = time.Minute
	in := many(30, 10, 100)
	in.Job.Force, in.Job.Reason = true, "receiver | repaired"
	in.Job.StartedAt, in.Job.Filter.Until = accepted, accepted
	in.Position.Progress = operation.BulkRedeliveryProgress{Failed: 1, Failures: []operation.Failure{{Key: operation.Key{Endpoint: "SHOP", OperationID: "order 1"}, Detail: "no `endpoint`"}}}
	var metadata sdkpb.WorkflowMetadata
	p.run(t, in, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			value, err := env.QueryWorkflow("__temporal_workflow_metadata")
			require.NoError(t, err)
			require.NoError(t, value.Get(&metadata))
		}, 90*time.Second)
	})
	require.Equal(t, "**running** · 11 of 30 runs processed · asked for by `ops` at 2026-11-21T09:00:00.000Z: `receiver ¦ repaired`\n\n"+
		"| done\u00A0 | failed\u00A0 | skipped |\n|--:|--:|--:|\n| 10\u00A0 | 1\u00A0 | 0 |\n\n"+
		"At most 10 a second, acknowledged ones as well, where the endpoint is `SHOP`, it closed before 2026-11-21T09:00:00.000Z.\n"+
		"\nThe latest that failed:\n\n| operation\u00A0 | why |\n|---|---|\n| `SHOP/order 1`\u00A0 | `no 'endpoint'` |\n"+
		"\nSignal `stop` to redeliver no further operation, `resume` to continue. Redeliveries that were started continue.\n", metadata.GetCurrentDetails())
}

func TestABulkRedeliveryThatAnOperatorCancelsEnds(t *testing.T) {
	t.Parallel()
	p := newPages(50)
	p.took = time.Minute
	p.run(t, many(50, 10, 100), func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(env.CancelWorkflow, 90*time.Second)
	})
	require.Less(t, p.calls, 5)
}

// TestEachRunIsRedeliveredOnceHoweverABulkRedeliveryIsInterrupted holds the workflow to
// a tiny model: so many runs, each redelivered once, all counted, whatever the pages'
// size, however often a page is lost or the whole is stopped and resumed.
func TestEachRunIsRedeliveredOnceHoweverABulkRedeliveryIsInterrupted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPages(rapid.IntRange(0, 40).Draw(t, "matched"))
		for n := range 15 {
			switch at := rapid.IntRange(0, 5).Draw(t, "at"); rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				p.at[n+1] = happening{crash: true, at: at}
			case 1:
				p.at[n+1] = happening{stop: true, at: at}
			}
		}
		in := many(p.matched, rapid.IntRange(1, 7).Draw(t, "page size"), rapid.IntRange(1, 4).Draw(t, "pages in a run"))
		var progress operation.BulkRedeliveryProgress
		for next := &in; next != nil; {
			next, progress = p.run(t, *next, resumesEachHour)
		}
		require.Equal(t, p.matched, progress.Done)
		require.Len(t, p.redelivered, p.matched)
	})
}

func resumesEachHour(env *testsuite.TestWorkflowEnvironment) {
	for hour := range 20 {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalResume, nil) }, time.Duration(hour+1)*time.Hour)
	}
}
