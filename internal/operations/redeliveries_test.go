package operations

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"ringback/internal/callback"
)

func TestABulkRedeliveryIsAskedInVisibilitysWords(t *testing.T) {
	t.Parallel()
	since := callback.At(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC))
	for name, tc := range map[string]struct {
		filter callback.Filter
		force  bool
		want   string
	}{
		"without an outcome, all that may be redelivered": {callback.Filter{Endpoint: "SHOP"}, false,
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackEndpoint = 'SHOP' AND (RingbackOutcome = 'exhausted' OR RingbackOutcome = 'gone' OR RingbackOutcome = 'expired' OR ExecutionStatus = 'Terminated')"},
		"with force, the acknowledged ones as well": {callback.Filter{Endpoint: "SHOP"}, true,
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackEndpoint = 'SHOP' AND ((ExecutionStatus = 'Completed' AND RingbackOutcome IS NULL) OR RingbackOutcome = 'exhausted' OR RingbackOutcome = 'gone' OR RingbackOutcome = 'expired' OR ExecutionStatus = 'Terminated')"},
		"with a status, those of which it is kept, also with force": {callback.Filter{Status: "do'ne"}, true,
			`WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND (RingbackOutcome = 'exhausted' OR RingbackOutcome = 'gone' OR RingbackOutcome = 'expired') AND RingbackStatus = 'do\'ne'`},
		"the period is when the run closed": {callback.Filter{Outcome: callback.OutcomeGone, Since: since, Until: since.Add(time.Hour)}, false,
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND (RingbackOutcome = 'gone') AND CloseTime >= '2026-11-20T00:00:00.000Z' AND CloseTime < '2026-11-20T01:00:00.000Z'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, filterQuery(tc.filter, tc.force))
		})
	}
}

func TestAFilterIsHeldToTheConfigurationAndToTheMoment(t *testing.T) {
	t.Parallel()
	now := callback.At(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	admit := func(r callback.RedeliveriesRequest) (callback.Filter, error) { return desk().admitFilter(r, now) }
	for name, until := range map[string]callback.Time{"no end": {}, "an end to come": now.Add(time.Hour)} {
		f, err := admit(callback.RedeliveriesRequest{Filter: callback.Filter{Endpoint: "SHOP", Until: until}})
		require.NoError(t, err, name)
		require.Equal(t, now, f.Until, "%s becomes now, so that nothing feeds itself", name)
	}
	f, err := admit(callback.RedeliveriesRequest{Filter: callback.Filter{Until: now.Add(-time.Hour)}})
	require.NoError(t, err)
	require.Equal(t, now.Add(-time.Hour), f.Until, "an end in the past stays")
	for field, r := range map[string]callback.RedeliveriesRequest{
		"filter.endpoint": {Filter: callback.Filter{Endpoint: "NOBODY"}},
		"filter.since":    {Filter: callback.Filter{Since: now}},
		"filter.status":   {Filter: callback.Filter{Status: "4111111111111111"}},
		"reason":          {Filter: callback.Filter{Endpoint: "SHOP"}, Reason: "card 4111111111111111"},
	} {
		_, err := admit(r)
		var refused *callback.Error
		require.ErrorAs(t, err, &refused, field)
		require.Equal(t, callback.ProblemInvalid, refused.Problem)
		require.Equal(t, field, refused.Fields[0].Field)
	}
}

func TestARunIsTakenUpOnceByOneBulkRedelivery(t *testing.T) {
	t.Parallel()
	ref := callback.RunRef{Key: key, RunID: "first"}
	asks := callback.RedeliveryRequest{RedeliveriesID: "rd_mine"}
	for name, tc := range map[string]struct {
		note *callback.RedeliveryNote
		want callback.RedeliveryVerdict
	}{
		"the newer run is its own: the work is done":         {&callback.RedeliveryNote{RedeliveriesID: "rd_mine", PreviousRunID: "first"}, callback.RedeliveryDone},
		"its own, which took up another run":                 {&callback.RedeliveryNote{RedeliveriesID: "rd_mine", PreviousRunID: "second"}, callback.RedeliverySkipped},
		"another bulk redelivery's":                          {&callback.RedeliveryNote{RedeliveriesID: "rd_yours", PreviousRunID: "first"}, callback.RedeliverySkipped},
		"a redelivery of that one alone":                     {&callback.RedeliveryNote{By: "ops", PreviousRunID: "first"}, callback.RedeliverySkipped},
		"an operator's reset, which is no redelivery at all": {nil, callback.RedeliverySkipped},
	} {
		require.Equal(t, tc.want, overtaken(run{key: key, id: "newer", note: tc.note}, ref, asks).Verdict, name)
	}
}

func TestWhatPassesIsNoVerdict(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want callback.RedeliveryVerdict
	}{
		"none: done":                        {nil, callback.RedeliveryDone},
		"open, or acknowledged: skipped":    {notRedeliverable("no"), callback.RedeliverySkipped},
		"gone with the retention: skipped":  {notFoundError(key), callback.RedeliverySkipped},
		"a URL that is refused now: failed": {callback.Invalid(callback.FieldError{Field: "callback.url", Detail: "no"}), callback.RedeliveryFailed},
		"terminated and untold: failed":     {&callback.Error{Problem: callback.ProblemUnavailable, Err: errUntold}, callback.RedeliveryFailed},
		"a server that is away: to repeat":  {engineError("reading", key, serviceerror.NewUnavailable("no")), ""},
		"out of time: to repeat":            {context.DeadlineExceeded, ""},
		"what nobody thought of: to repeat": {errors.New("surprise"), ""},
	} {
		got, err := verdict(tc.err)
		require.Equal(t, tc.want, got.Verdict, name)
		require.Equal(t, tc.want == "", err != nil, name)
	}
}
