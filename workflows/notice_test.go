package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/workflows"
)

var recipient = operation.Recipient{Endpoint: "OPS", Policy: operation.DeliveryPolicy{IntervalMS: 1000, Attempts: 3, TimeoutMS: 1000}}

func withNotices(in *workflows.Input) { in.Notices = &recipient }

func TestANoticeIsSentForEachDeliveryThatEndsUnacknowledged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		row
		notices []string
	}{
		{row: row{name: "acknowledged: none", in: paysera(withNotices), core: says("done"), ends: operation.OutcomeAcknowledged}},
		{row: row{name: "exhausted", in: paysera(withNotices, k(2)), core: says("done"), receiver: []receiverReply{fails}, ends: operation.OutcomeExhausted},
			notices: []string{"delivery.exhausted done HTTP 500"}},
		{row: row{name: "gone", in: paysera(withNotices), core: says("done"), receiver: []receiverReply{gone}, ends: operation.OutcomeGone},
			notices: []string{"delivery.gone done HTTP 410"}},
		{row: row{name: "exhausted about an intermediate status, while the watch goes on", in: paysera(withNotices, k(2)),
			core: says("reserved", "reserved", "done"), receiver: []receiverReply{fails, fails, ack}, ends: operation.OutcomeAcknowledged},
			notices: []string{"delivery.exhausted reserved HTTP 500"}},
		{row: row{name: "withdrawn: none", in: paysera(withNotices), core: says("done"), receiver: []receiverReply{fails},
			acts: []act{{after: 90 * time.Second, kind: withdraw, bySignal: true}}, ends: operation.OutcomeWithdrawn}},
		{row: row{name: "no recipient: none", in: paysera(k(2)), core: says("done"), receiver: []receiverReply{fails}, ends: operation.OutcomeExhausted}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, ending := tt.run(t)
			require.Equal(t, tt.ends, ending.State.Outcome)
			var notices []string
			for _, in := range m.notices {
				require.Equal(t, recipient, in.Recipient)
				d := in.Notice.Data
				require.Equal(t, tt.in.Start.Endpoint+"/"+tt.in.Start.OperationID, d.Endpoint+"/"+d.OperationID)
				require.Equal(t, operation.CallbackID(tt.in.Start.Key(), d.Status), d.CallbackID)
				require.Equal(t, ending.State.RunID, d.RunID)
				require.Equal(t, "shop.example", d.Host)
				notices = append(notices, in.Notice.Type+" "+d.Status+" "+d.Reason)
			}
			require.Equal(t, tt.notices, notices)
		})
	}
}

// noticing serves notices whose deliveries end as outcomes say, in turn; the
// last repeats. It returns what is delivered.
func noticing(outcomes ...operation.DeliveryOutcome) (*testsuite.TestWorkflowEnvironment, *[]activities.DeliverInput) {
	env := environment()
	env.RegisterWorkflowWithOptions(workflows.Notice, workflow.RegisterOptions{Name: workflows.NoticeType})
	env.RegisterWorkflowWithOptions(workflows.Outage, workflow.RegisterOptions{Name: workflows.OutageType})
	env.RegisterActivity(&activities.Activities{})
	var delivered []activities.DeliverInput
	env.OnActivity(workflows.ActivityDeliver, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.DeliverInput) (activities.DeliverResult, error) {
			delivered = append(delivered, in)
			at := in.Record
			at.Made++
			at.Delivery.Outcome = turn(outcomes, len(delivered)-1)
			if at.Delivery.Outcome == operation.DeliveryExhausted || at.Delivery.Outcome == operation.DeliveryGone {
				return activities.DeliverResult{}, temporal.NewNonRetryableApplicationError("not acknowledged", activities.TypeExhausted, nil, at)
			}
			return activities.DeliverResult{Record: at}, nil
		})
	return env, &delivered
}

func exhaustedNotice() operation.Notice {
	return operation.Notice{Type: operation.NoticeExhausted, Timestamp: accepted, Data: operation.NoticeData{
		Endpoint: "SHOP", OperationID: "1", CallbackID: "cb_1", Status: "done", Attempts: 3, Reason: "HTTP 500", RunID: "r",
	}}
}

func TestANoticeIsDeliveredLikeACallback(t *testing.T) {
	t.Parallel()
	env, delivered := noticing(operation.DeliveryPending, operation.DeliveryAcknowledged)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.NoticeID("cb_1", "r"), TaskQueue: workflows.TaskQueue})
	env.ExecuteWorkflow(workflows.NoticeType, workflows.NoticeInput{Recipient: recipient, Notice: exhaustedNotice()})
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, *delivered, 2, "one that the server counted to its end is taken up")
	require.Equal(t, 1, (*delivered)[1].Record.Made, "where it was")
	c := (*delivered)[0].Callback
	require.Equal(t, "OPS", c.Key.Endpoint)
	require.Equal(t, exhaustedNotice(), *c.Notice)
	require.Regexp(t, "^nt_[a-z2-7]{26}$", c.ID)
	require.Equal(t, recipient.Policy, (*delivered)[0].Policy, "the recipient's h and k")
}

func TestANoticeThatIsNotAcknowledgedFails(t *testing.T) {
	t.Parallel()
	env, _ := noticing(operation.DeliveryExhausted)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.NoticeID("cb_1", "r"), TaskQueue: workflows.TaskQueue})
	env.ExecuteWorkflow(workflows.NoticeType, workflows.NoticeInput{Recipient: recipient, Notice: exhaustedNotice()})
	var failure *temporal.ApplicationError
	require.ErrorAs(t, env.GetWorkflowError(), &failure)
	require.Equal(t, workflows.TypeExhausted, failure.Type())
	require.Contains(t, failure.Error(), "the notice delivery.exhausted about SHOP at OPS is exhausted")
}

func TestAnOutageIsReportedOnceAndInOrder(t *testing.T) {
	t.Parallel()
	type report struct {
		after   time.Duration
		failing bool
	}
	for name, tt := range map[string]struct {
		reports  []report
		outcomes []operation.DeliveryOutcome
		notices  []string
		fails    bool
	}{
		"failing, then recovered": {[]report{{0, true}, {time.Hour, false}}, nil, []string{"endpoint.failing", "endpoint.recovered"}, false},
		"three workers report the same": {[]report{{0, true}, {time.Second, true}, {time.Minute, true}, {time.Hour, false}}, nil,
			[]string{"endpoint.failing", "endpoint.recovered"}, false},
		"failing again before it is over": {[]report{{0, true}, {time.Hour, false}, {time.Hour, true}, {2 * time.Hour, false}}, nil,
			[]string{"endpoint.failing", "endpoint.recovered", "endpoint.failing", "endpoint.recovered"}, false},
		"recovered before a notice was delivered": {[]report{{0, true}, {0, false}}, nil, nil, false},
		"the notice that it is failing is not acknowledged": {[]report{{0, true}, {time.Hour, false}},
			[]operation.DeliveryOutcome{operation.DeliveryExhausted, operation.DeliveryAcknowledged}, []string{"endpoint.failing", "endpoint.recovered"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcomes := tt.outcomes
			if outcomes == nil {
				outcomes = []operation.DeliveryOutcome{operation.DeliveryAcknowledged}
			}
			env, delivered := noticing(outcomes...)
			for _, s := range tt.reports {
				env.RegisterDelayedCallback(func() {
					env.SignalWorkflow(workflows.SignalHealth, operation.Health{Failing: s.failing, At: accepted, Attempts: 20, Reason: "HTTP 503"})
				}, s.after)
			}
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.OutageID("SHOP"), TaskQueue: workflows.TaskQueue})
			env.ExecuteWorkflow(workflows.OutageType, workflows.OutageInput{Recipient: recipient, Endpoint: "SHOP"})
			require.True(t, env.IsWorkflowCompleted())
			require.Equal(t, tt.fails, env.GetWorkflowError() != nil)
			var notices []string
			for _, in := range *delivered {
				require.Equal(t, "SHOP", in.Callback.Notice.Data.Endpoint)
				notices = append(notices, in.Callback.Notice.Type)
			}
			require.Equal(t, tt.notices, notices)
		})
	}
}
