package main

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api/client"
	"ringback/internal/operation"
)

// story is an operation from its first look to its end.
func story(o client.Outcome) []*client.State {
	accepted := watching()
	first := accepted
	first.Polls, first.Status = 1, &client.OperationStatus{Value: "1", ObservedAt: at(10)}
	final := first
	final.Polls, final.Status, final.Phase = 2, &client.OperationStatus{Value: "2", Final: true, ObservedAt: at(15)}, client.PhaseDelivering
	final.Deliveries = []client.Delivery{{
		CallbackID: "cb_two", Status: "2", Outcome: client.DeliveryPending, Attempts: []client.Attempt{{Number: 1, At: at(15)}},
	}}
	again := final
	again.Deliveries = []client.Delivery{{
		CallbackID: "cb_two", Status: "2", Outcome: client.DeliveryPending, Attempts: []client.Attempt{
			{Number: 1, At: at(15), TookMS: 12, HTTPStatus: 500, Verdict: client.Unacknowledged, Reason: "\x1b[31mHTTP 500"},
		},
	}}
	ended := again
	ended.Phase, ended.Outcome = client.PhaseClosed, o
	ended.Deliveries = []client.Delivery{{
		CallbackID: "cb_two", Status: "2", Outcome: client.DeliveryOutcome(o), Attempts: append(again.Deliveries[0].Attempts,
			client.Attempt{Number: 2, At: at(18), TookMS: 3, HTTPStatus: 200, Verdict: client.Acknowledged}),
	}}
	return []*client.State{&accepted, &accepted, &first, nil, &final, &again, &ended}
}

func TestWatchPrintsEachChangeOnce(t *testing.T) {
	t.Parallel()
	got := place{}.at(t, &fake{states: story(client.OutcomeAcknowledged)}).run(context.Background(), "watch", "SHOP", "a/b#c%", "--every", "10ms")
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.err, "HTTP 503 unavailable: Temporal does not answer.", "temporary errors are noted")
	require.Equal(t, 1, strings.Count(got.err, "\n"))
	// What the state has no time of has that of the read.
	now := regexp.MustCompile(`(?m)^\S+  (run|callback|ended) `)
	golden(t, "watch", now.ReplaceAllString(got.out, "NOW                       $1 "))
}

func TestWatchInJSONWritesOneStateALine(t *testing.T) {
	t.Parallel()
	got := place{}.at(t, &fake{states: story(client.OutcomeAcknowledged)}).run(context.Background(), "watch", "SHOP/1", "--every", "10ms", "-o", "json")
	require.Equal(t, exitOK, got.code, got.err)
	var phases []string
	for line := range strings.Lines(got.out) {
		var s client.State
		require.NoError(t, json.Unmarshal([]byte(line), &s))
		phases = append(phases, string(s.Phase))
	}
	require.Equal(t, []string{"watching", "watching", "delivering", "delivering", "closed"}, phases)
}

func TestWatchRedrawsTheStateOnATerminal(t *testing.T) {
	t.Parallel()
	p := place{terminal: true}.at(t, &fake{states: story(client.OutcomeAcknowledged)})
	got := p.run(context.Background(), "watch", "SHOP/1", "--every", "10ms")
	require.Equal(t, exitOK, got.code, got.err)
	frames := strings.Split(got.out, clearTerminal)
	require.Len(t, frames, 6, "five changes")
	for _, frame := range frames[1:5] {
		require.Contains(t, frame, "Press Ctrl-C to stop following")
	}
	require.Contains(t, frames[5], "Outcome    acknowledged")
	require.NotContains(t, frames[5], "Ctrl-C")
	require.NotContains(t, got.out, "\x1b[31m", "what others wrote can't steer the terminal")
}

func TestWatchExitsByTheOutcome(t *testing.T) {
	t.Parallel()
	for _, outcome := range client.Outcomes {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			state := closedAs(outcome)
			got := place{}.at(t, &fake{state: state}).run(context.Background(), "watch", "SHOP/1")
			code, known := exitOutcome[outcome]
			require.True(t, known, "every outcome has its exit code")
			require.Equal(t, code, got.code)
			require.Equal(t, outcome != client.OutcomeAcknowledged, strings.Contains(got.err, "ended: "+string(outcome)))
		})
	}
}

func TestWatchEndsBeforeTheOperationDoes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		states []*client.State
		err    error
		args   []string
		stop   bool
		code   int
		says   string
	}{
		"where no such operation is":          {nil, operation.Refuse(client.ProblemNotFound, "None."), nil, false, exitNotFound, "None."},
		"where the first look gets no answer": {[]*client.State{nil}, nil, nil, false, exitUnavailable, "Temporal does not answer"},
		"when its time is over":               {nil, nil, []string{"--for", "50ms"}, false, exitStillRunning, "still running"},
		"when it is interrupted":              {nil, nil, nil, true, exitInterrupted, "interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if tt.stop {
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			f := &fake{state: watching(), states: tt.states, err: tt.err}
			got := place{}.at(t, f).run(ctx, append([]string{"watch", "SHOP/1", "--every", "10ms"}, tt.args...)...)
			require.Equal(t, tt.code, got.code, got.err)
			require.Contains(t, got.err, tt.says)
		})
	}
}

func TestWatchSkipsAStateThatIsOlderThanTheLast(t *testing.T) {
	t.Parallel()
	all := story(client.OutcomeAcknowledged)
	accepted, polled, ended := all[0], all[2], all[6]
	got := place{}.at(t, &fake{states: []*client.State{polled, accepted, ended}}).run(context.Background(), "watch", "SHOP/1", "--every", "10ms")
	require.Equal(t, exitOK, got.code, got.err)
	require.Equal(t, 1, strings.Count(got.out, "poll 1 "), got.out)
	require.NotContains(t, got.out, "0 polls")
}

func TestWatchSaysWhyAPollHadNoAnswer(t *testing.T) {
	t.Parallel()
	all := story(client.OutcomeAcknowledged)
	accepted, ended := all[0], all[6]
	failed := *accepted
	failed.Polls, failed.PollFailure = 1, "no answer: connection refused"
	got := place{}.at(t, &fake{states: []*client.State{accepted, &failed, ended}}).run(context.Background(), "watch", "SHOP/1", "--every", "10ms")
	require.Contains(t, got.out, "poll 1      no status: no answer: connection refused", got.out)
	shown := place{}.at(t, &fake{states: []*client.State{&failed}, state: failed}).run(context.Background(), "state", "SHOP/1")
	require.Contains(t, shown.out, "1, the latest without a status: no answer: connection refused")
}

func TestWatchShowsARedeliveryFromItsBeginning(t *testing.T) {
	t.Parallel()
	before := *story(client.OutcomeExhausted)[5]
	after := before
	after.RunID = "another"
	after.StartedAt = pointer(at(10))
	require.Equal(t, []string{"run", "status", "callback", "attempt 1"}, told(changes(&before, after)))
	require.Empty(t, changes(&after, after))
}

func told(all []change) []string {
	var what []string
	for _, c := range all {
		what = append(what, c.what)
	}
	return what
}

func TestWatchShowsChangesInTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	missed := client.Attempt{Number: 1, At: at(11), TookMS: 500, Verdict: client.Unacknowledged}
	arrived := client.Attempt{Number: 1, At: at(21), TookMS: 5, Verdict: client.Acknowledged}
	state := client.State{
		Key: shop, RunID: "0193f1d2", Phase: client.PhaseClosed, Outcome: client.OutcomeRevoked, Polls: 3,
		StartedAt: pointer(at(12)), ClosedAt: pointer(at(22)),
		Status:     &client.OperationStatus{Value: "revoked", Final: true, ObservedAt: at(20)},
		Revocation: &client.Revocation{InitiatedBy: "user", At: at(20)},
		Deliveries: []client.Delivery{
			{CallbackID: "cb_one", Status: "1", Outcome: client.DeliveryExhausted, Attempts: []client.Attempt{missed}},
			{CallbackID: "cb_two", Status: "revoked", Outcome: client.DeliveryAcknowledged, Attempts: []client.Attempt{arrived}},
		},
	}
	all := changes(nil, state)
	require.Equal(t, []string{"callback", "attempt 1", "callback", "run", "status", "revocation", "callback", "attempt 1", "ended"}, told(all),
		"a redelivery begins after the attempts before it")
	require.True(t, slices.IsSortedFunc(all, func(a, b change) int { return a.at.Compare(b.at.Time) }))
	require.Equal(t, at(12), all[3].at)
	require.Equal(t, at(22), all[len(all)-1].at)
}

func TestOpenShowsTheLinkInABrowserIfAsked(t *testing.T) {
	t.Parallel()
	var browsed []string
	p := place{browsed: &browsed}.at(t, &fake{state: delivering()})
	got := p.run(context.Background(), "open", "SHOP/1", "--browser")
	require.Equal(t, exitOK, got.code, got.err)
	require.Equal(t, "http://127.0.0.1:8233/x\n", got.out)
	require.Equal(t, []string{"http://127.0.0.1:8233/x"}, browsed)

	odd := delivering()
	odd.UIURL = "file:///etc/passwd"
	got = place{browsed: &browsed}.at(t, &fake{state: odd}).run(context.Background(), "open", "SHOP/1", "--browser")
	require.Equal(t, exitFailed, got.code)
	require.Len(t, browsed, 1, "what is no page is not opened")
}
