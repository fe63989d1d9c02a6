package service

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ringback/internal/operation"
)

var key = operation.Key{Endpoint: "SHOP", OperationID: "17"}

// newService is a service that knows two endpoints: SHOP, whose operations bring their own URL, and
// BANK, which has one, takes one method and checks identifiers for card numbers.
func newService() *Service {
	endpoints := map[string]operation.Endpoint{
		"SHOP": {Name: "SHOP", PerOperationURL: true, Fields: []operation.FieldRule{
			{Field: "operation_id", Required: true, MaxLength: 32, Document: "a document"},
			{Field: "method", Refused: true},
			{Field: "known_status", Allowed: []string{"new", "done"}},
		}, Rules: operation.Rules{Delivered: []string{"new", "done"}}},
		"BANK": {Name: "BANK", Methods: []string{"payment"}, ScreenIdentifiers: true, Fields: []operation.FieldRule{
			{Field: "operation_id", Required: true, MaxLength: 32},
			{Field: "method", Required: true, Allowed: []string{"payment", "p2p_a2c"}},
			{Field: "reference.registered_at", Required: true},
			{Field: "reference.order_id", MaxLength: 36},
		}},
		"OFF":   {Name: "OFF", Disabled: true},
		"HOSTS": {Name: "HOSTS", PerOperationURL: true, Hosts: operation.AllowedHosts{"*.shop.example"}},
	}
	return &Service{
		Endpoint:      func(name string) (operation.Endpoint, bool) { e, ok := endpoints[name]; return e, ok },
		EndpointNames: func() []string { return []string{"BANK", "OFF", "SHOP"} },
		CheckURL: func(_ context.Context, address string) error {
			if strings.Contains(address, "private") {
				return errors.New("its address is not public")
			}
			return nil
		},
		Namespace: "default",
	}
}

func transfer(change func(*operation.StartRequest)) operation.StartRequest {
	r := operation.StartRequest{Endpoint: "SHOP", OperationID: "17", Callback: operation.Target{URL: "https://shop.example/hook"}}
	change(&r)
	return r
}

func payment(change func(*operation.StartRequest)) operation.StartRequest {
	registered := operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	r := operation.StartRequest{Endpoint: "BANK", OperationID: "A-1", Method: "payment", Reference: operation.Reference{RegisteredAt: &registered}}
	change(&r)
	return r
}

const cardNumber = "4111111111111111"

func TestAStartIsValidatedFieldByField(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request operation.StartRequest
		// fields are those at fault, in order; none: it is valid.
		fields []string
	}{
		"a transfer with its own URL is valid":         {transfer(func(*operation.StartRequest) {}), nil},
		"a payment of an allowed method is valid":      {payment(func(*operation.StartRequest) {}), nil},
		"an endpoint that is not registered":           {transfer(func(r *operation.StartRequest) { r.Endpoint = "SHAP" }), []string{"endpoint"}},
		"an endpoint that is disabled":                 {transfer(func(r *operation.StartRequest) { r.Endpoint = "OFF" }), []string{"endpoint"}},
		"no operation id":                              {transfer(func(r *operation.StartRequest) { r.OperationID = "" }), []string{"operation_id"}},
		"an operation id that is too long":             {transfer(func(r *operation.StartRequest) { r.OperationID = strings.Repeat("x", 33) }), []string{"operation_id"}},
		"a method where the documents have none":       {transfer(func(r *operation.StartRequest) { r.Method = "payment" }), []string{"method"}},
		"a method outside the documents is one fault":  {payment(func(r *operation.StartRequest) { r.Method = "gift" }), []string{"method"}},
		"a method that the endpoint does not take":     {payment(func(r *operation.StartRequest) { r.Method = "p2p_a2c" }), []string{"method"}},
		"no registration time":                         {payment(func(r *operation.StartRequest) { r.Reference.RegisteredAt = nil }), []string{"reference.registered_at"}},
		"a known status outside the vocabulary":        {transfer(func(r *operation.StartRequest) { r.KnownStatus = "old" }), []string{"known_status"}},
		"a filter with no status in it":                {transfer(func(r *operation.StartRequest) { r.Callback.Statuses = []string{""} }), []string{"callback.statuses"}},
		"a filter with a status that is not delivered": {transfer(func(r *operation.StartRequest) { r.Callback.Statuses = []string{"done", "old"} }), []string{"callback.statuses"}},
		"no URL where each operation brings one":       {transfer(func(r *operation.StartRequest) { r.Callback.URL = "" }), []string{"callback.url"}},
		"a URL where the endpoint has one":             {payment(func(r *operation.StartRequest) { r.Callback.URL = "https://x.example" }), []string{"callback.url"}},
		"a URL to which nothing may be sent":           {transfer(func(r *operation.StartRequest) { r.Callback.URL = "https://private.example" }), []string{"callback.url"}},
		"a URL at a host that is listed":               {transfer(func(r *operation.StartRequest) { r.Endpoint, r.Callback.URL = "HOSTS", "https://a.shop.example/" }), nil},
		"a URL at a host that is not listed":           {transfer(func(r *operation.StartRequest) { r.Endpoint = "HOSTS" }), []string{"callback.url"}},
		"a URL that is too long": {transfer(func(r *operation.StartRequest) {
			r.Callback.URL = "https://x.example/" + strings.Repeat("x", operation.URLRule.MaxLength)
		}), []string{"callback.url"}},
		"a card number as an identifier":                   {payment(func(r *operation.StartRequest) { r.OperationID = cardNumber }), []string{"operation_id"}},
		"a card number as an order id":                     {payment(func(r *operation.StartRequest) { r.Reference.OrderID = cardNumber }), []string{"reference.order_id"}},
		"an identifier that looks like one where it may":   {transfer(func(r *operation.StartRequest) { r.OperationID = cardNumber }), nil},
		"a card number in a URL, whatever the switch says": {transfer(func(r *operation.StartRequest) { r.Callback.URL = "https://x.example/" + cardNumber }), []string{"callback.url"}},
		"all faults are reported at once": {transfer(func(r *operation.StartRequest) { r.KnownStatus, r.Callback.URL = "old", "" }),
			[]string{"known_status", "callback.url"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newService().validate(t.Context(), tc.request)
			if tc.fields == nil {
				require.NoError(t, err)
				return
			}
			var refused *operation.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, operation.ProblemInvalid, refused.Problem)
			var fields []string
			for _, f := range refused.Fields {
				fields = append(fields, f.Field)
			}
			require.Equal(t, tc.fields, fields)
		})
	}
}

func TestEachStartRefusedForACardNumberIsCountedOnce(t *testing.T) {
	t.Parallel()
	s := newService()
	var refused []string
	s.CardNumberRefused = func(endpoint string) { refused = append(refused, endpoint) }
	for _, request := range []operation.StartRequest{
		payment(func(r *operation.StartRequest) { r.OperationID, r.Reference.OrderID = cardNumber, cardNumber }),
		payment(func(*operation.StartRequest) {}),
		transfer(func(r *operation.StartRequest) { r.Callback.URL = "https://x.example/" + cardNumber }),
		payment(func(r *operation.StartRequest) { r.Method = cardNumber }),
		transfer(func(r *operation.StartRequest) { r.Callback.Statuses = []string{"done", cardNumber} }),
	} {
		_, _ = s.validate(t.Context(), request)
	}
	require.Equal(t, []string{"BANK", "SHOP", "BANK", "SHOP"}, refused)
}

func TestEqualRequestsAreTheSameContentInAnyOrder(t *testing.T) {
	t.Parallel()
	one := transfer(func(r *operation.StartRequest) { r.Callback.Statuses = []string{"done", "new", "done"} })
	other := transfer(func(r *operation.StartRequest) { r.Callback.Statuses = []string{"new", "done"} })
	normalise(&one)
	normalise(&other)
	require.True(t, sameContent(one, other))
	other.KnownStatus = "new"
	require.False(t, sameContent(one, other))
}

func TestARedeliveryIsAllowedByHowTheLatestRunEnded(t *testing.T) {
	t.Parallel()
	plain, repoll, force := operation.RedeliveryRequest{}, operation.RedeliveryRequest{Repoll: true}, operation.RedeliveryRequest{Force: true}
	for name, tc := range map[string]struct {
		outcome operation.Outcome
		final   bool
		owed    bool
		request operation.RedeliveryRequest
		// advice is what a refusal says; "": it is allowed.
		advice string
	}{
		"exhausted":                             {operation.OutcomeExhausted, true, true, plain, ""},
		"gone":                                  {operation.OutcomeGone, true, true, plain, ""},
		"expired, which goes on with the watch": {operation.OutcomeExpired, false, false, plain, ""},
		"terminated":                            {operation.OutcomeTerminated, false, true, plain, ""},
		"acknowledged is not":                   {operation.OutcomeAcknowledged, true, true, plain, "again use force"},
		"acknowledged, by force":                {operation.OutcomeAcknowledged, true, true, force, ""},
		"acknowledged while not final, by repoll":       {operation.OutcomeAcknowledged, false, true, repoll, ""},
		"acknowledged and final is not by repoll":       {operation.OutcomeAcknowledged, true, true, repoll, "again use force"},
		"withdrawn is not":                              {operation.OutcomeWithdrawn, true, true, plain, "again use force"},
		"withdrawn, by force":                           {operation.OutcomeWithdrawn, true, true, force, ""},
		"revoked with nothing owed is not":              {operation.OutcomeRevoked, true, false, plain, "owes no callback."},
		"withdrawn before anything was owed is not":     {operation.OutcomeWithdrawn, false, false, plain, "again use repoll"},
		"force delivers nothing where nothing was owed": {operation.OutcomeRevoked, true, false, force, "owes no callback."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ending := operation.Record{State: operation.State{Outcome: tc.outcome, Status: &operation.Status{Value: "x", Final: tc.final}}}
			if tc.owed {
				ending.Callbacks = []operation.Callback{{ID: "cb_1", Final: tc.final}}
			}
			err := redeliverable(key, ending, tc.request)
			if tc.advice == "" {
				require.NoError(t, err)
				return
			}
			var refused *operation.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, operation.ProblemNotRedeliverable, refused.Problem)
			require.Contains(t, refused.Detail, tc.advice)
		})
	}
}

func TestForceDeliversNothingOlderThanAFinalStatus(t *testing.T) {
	t.Parallel()
	ending := operation.Record{
		State:     operation.State{Outcome: operation.OutcomeAcknowledged, Status: &operation.Status{Value: "revoked", Final: true}},
		Callbacks: []operation.Callback{{ID: "cb_1", Observation: operation.Observation{Status: "waiting_funds"}}},
	}
	require.Error(t, redeliverable(key, ending, operation.RedeliveryRequest{Force: true}))
}

func TestAFailedRunIsRedeliveredOnlyWhileItIsTheLatest(t *testing.T) {
	t.Parallel()
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY, reusePolicy(enumspb.WORKFLOW_EXECUTION_STATUS_FAILED))
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY, reusePolicy(enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED))
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, reusePolicy(enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED))
}

func TestAListIsAQueryToVisibility(t *testing.T) {
	t.Parallel()
	since := operation.At(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC))
	for name, tc := range map[string]struct {
		query operation.ListQuery
		want  string
	}{
		"all":             {operation.ListQuery{}, "WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew'"},
		"of one endpoint": {operation.ListQuery{Endpoint: "SHOP"}, "WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackEndpoint = 'SHOP'"},
		"acknowledged ones carry no outcome": {operation.ListQuery{Outcome: operation.OutcomeAcknowledged},
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND (ExecutionStatus = 'Completed' AND RingbackOutcome IS NULL)"},
		"exhausted ones do":     {operation.ListQuery{Outcome: operation.OutcomeExhausted}, "WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackOutcome = 'exhausted'"},
		"terminated ones can't": {operation.ListQuery{Outcome: operation.OutcomeTerminated}, "WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND ExecutionStatus = 'Terminated'"},
		"of a time": {operation.ListQuery{Since: since, Until: since.Add(time.Hour)},
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND StartTime >= '2026-11-20T00:00:00.000Z' AND StartTime < '2026-11-20T01:00:00.000Z'"},
		"on hold": {operation.ListQuery{Phase: operation.OnHold}, "WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND ExecutionStatus = 'Running' AND RingbackPhase = 'on_hold'"},
		"watching ones may have no phase": {operation.ListQuery{Phase: operation.Watching},
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND ExecutionStatus = 'Running' AND (RingbackPhase IS NULL OR RingbackPhase = 'watching')"},
		"of a status": {operation.ListQuery{Status: "done"}, "WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackStatus = 'done'"},
		"of an HTTP status, which exhausted and gone ones have": {operation.ListQuery{HTTPStatus: "5xx"},
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND (RingbackOutcome = 'exhausted' OR RingbackOutcome = 'gone') AND RingbackHTTPStatus = '5xx'"},
		"of an HTTP status and an outcome": {operation.ListQuery{HTTPStatus: "none", Outcome: operation.OutcomeGone},
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackOutcome = 'gone' AND RingbackHTTPStatus = 'none'"},
		"a quote can't leave its string": {operation.ListQuery{Endpoint: "x' OR '1'='1"}, `WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackEndpoint = 'x\' OR \'1\'=\'1'`},
		"a backslash can't free a quote": {operation.ListQuery{Endpoint: `x\' OR 1=1`}, `WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackEndpoint = 'x\\\' OR 1=1'`},
		"what never arrived, by when it closed": {operation.ListQuery{Undelivered: true, ByClose: true, Since: since},
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND (RingbackOutcome = 'exhausted' OR RingbackOutcome = 'gone' OR RingbackOutcome = 'expired' OR ExecutionStatus = 'Terminated' OR RingbackUndelivered > 0)" +
				" AND ExecutionStatus != 'Running' AND CloseTime >= '2026-11-20T00:00:00.000Z'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, listQuery(tc.query))
		})
	}
}

func TestATimeoutIsRecognisedWhereverItIsReported(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	going := t.Context()
	late := serviceerror.NewDeadlineExceeded("context deadline exceeded")
	for name, tc := range map[string]struct {
		ctx, bounded context.Context
		err          error
		want         bool
	}{
		"the server reported it first":          {going, going, late, true},
		"the SDK reported it for an Update":     {going, going, client.NewWorkflowUpdateServiceTimeoutOrCanceledError(late), true},
		"a time-out inside an error for a user": {going, going, engineError("listing operations", late, nil), true},
		"its own time was over first":           {going, ended, serviceerror.NewCanceled("no"), true},
		"the caller's was over: no":             {ended, ended, late, false},
		"another error: no":                     {going, going, serviceerror.NewUnavailable("no"), false},
		"it ended in time, if barely: no":       {going, ended, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, timedOut(tc.ctx, tc.bounded, tc.err))
		})
	}
}

func TestAnErrorOfTemporalBecomesAProblem(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err     error
		problem operation.Problem
	}{
		"an unknown run is not found":                  {serviceerror.NewNotFound("no"), operation.ProblemNotFound},
		"a server that is away is unavailable":         {serviceerror.NewUnavailable("no"), operation.ProblemUnavailable},
		"a server that is too busy, too":               {serviceerror.NewResourceExhausted(enumspb.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, "no"), operation.ProblemUnavailable},
		"a server that is too slow, too":               {context.DeadlineExceeded, operation.ProblemUnavailable},
		"one that reports it itself, too":              {serviceerror.NewDeadlineExceeded("no"), operation.ProblemUnavailable},
		"a wrong request is our own fault: no problem": {serviceerror.NewInvalidArgument("no"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newService().operationError("reading", key, tc.err)
			var refused *operation.Error
			if tc.problem == "" {
				require.NotErrorAs(t, err, &refused)
				require.ErrorContains(t, err, "reading SHOP/17")
				return
			}
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tc.problem, refused.Problem)
			require.Equal(t, tc.problem == operation.ProblemUnavailable, refused.RetryAfter > 0)
			require.Equal(t, isTimeout(tc.err), errors.Is(err, context.DeadlineExceeded), "a time-out is the standard library's")
			require.Equal(t, tc.problem == operation.ProblemUnavailable, errors.Is(err, tc.err), "its cause is kept for the log")
		})
	}
}

func TestARunIsLinkedInTheUI(t *testing.T) {
	t.Parallel()
	s := newService()
	require.Empty(t, s.uiURL("SHOP/17", "r"), "without a UI there is no link")
	s.UIURL = "http://127.0.0.1:8233/"
	require.Equal(t, "http://127.0.0.1:8233/namespaces/default/workflows/SHOP%2F17/r/history", s.uiURL("SHOP/17", "r"))
}

func TestEachCloseEventCarriesItsEnding(t *testing.T) {
	t.Parallel()
	want, err := converter.GetDefaultDataConverter().ToPayloads(operation.Record{})
	require.NoError(t, err)
	require.Nil(t, endingPayloads(&historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_WorkflowExecutionTerminatedEventAttributes{}}))
	require.Equal(t, want, endingPayloads(&historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_WorkflowExecutionCompletedEventAttributes{
		WorkflowExecutionCompletedEventAttributes: &historypb.WorkflowExecutionCompletedEventAttributes{Result: want},
	}}))
	require.Equal(t, want, endingPayloads(&historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_WorkflowExecutionCanceledEventAttributes{
		WorkflowExecutionCanceledEventAttributes: &historypb.WorkflowExecutionCanceledEventAttributes{Details: want},
	}}))
}

func TestTheRecordsOfPendingActivitiesAreDecoded(t *testing.T) {
	t.Parallel()
	c := converter.GetDefaultDataConverter()
	details := func(v any) *commonpb.Payloads {
		p, err := c.ToPayloads(v)
		require.NoError(t, err)
		return p
	}
	watching := &workflowpb.PendingActivityInfo{ActivityType: &commonpb.ActivityType{Name: "Watch"}, HeartbeatDetails: details(operation.WatchRecord{Polls: 3})}
	delivering := &workflowpb.PendingActivityInfo{ActivityType: &commonpb.ActivityType{Name: "Deliver"}, HeartbeatDetails: details(operation.DeliveryRecord{Made: 2})}
	silent := &workflowpb.PendingActivityInfo{ActivityType: &commonpb.ActivityType{Name: "Deliver"}}

	s := &Service{Converter: c}
	progress, err := s.pendingRecords("SHOP/1", []*workflowpb.PendingActivityInfo{watching, delivering})
	require.NoError(t, err)
	require.Equal(t, 3, progress.Watch.Polls)
	require.Equal(t, 2, progress.Delivery.Made)
	require.True(t, progress.Complete())

	progress, err = s.pendingRecords("SHOP/1", []*workflowpb.PendingActivityInfo{watching, silent})
	require.NoError(t, err)
	require.False(t, progress.Complete(), "the run has to be queried for an activity that recorded nothing yet")

	started := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	by, scheduled := operation.At(started.Add(5*time.Second)), operation.At(started.Add(time.Minute))
	for name, tt := range map[string]struct {
		state    enumspb.PendingActivityState
		run      int32
		recorded *operation.DeliveryRecord
		want     operation.Time
	}{
		"a run that recorded nothing may be at an attempt that its start records": {enumspb.PENDING_ACTIVITY_STATE_STARTED, 1, nil, by},
		"so may one whose record is an earlier run's":                             {enumspb.PENDING_ACTIVITY_STATE_STARTED, 2, &operation.DeliveryRecord{Run: 1}, by},
		"not one whose record is its own":                                         {enumspb.PENDING_ACTIVITY_STATE_STARTED, 2, &operation.DeliveryRecord{Run: 2}, operation.Time{}},
		"nor one that the server has not started yet":                             {enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, 1, nil, operation.Time{}},
		"nor one that waits for its next run, and has recorded the latest":        {enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, 2, &operation.DeliveryRecord{Run: 1}, operation.Time{}},
		"one that waits after a run that recorded nothing has made one":           {enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, 2, nil, scheduled},
		"so has one whose record is of a run before the latest":                   {enumspb.PENDING_ACTIVITY_STATE_PAUSED, 4, &operation.DeliveryRecord{Run: 2}, scheduled},
		"an attempt of one that the workflow cancels may still be on its way":     {enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED, 1, nil, by},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &workflowpb.PendingActivityInfo{
				ActivityType: &commonpb.ActivityType{Name: "Deliver"}, State: tt.state, Attempt: tt.run,
				LastStartedTime: timestamppb.New(started), ScheduledTime: timestamppb.New(scheduled.Time),
			}
			if tt.recorded != nil {
				p.HeartbeatDetails = details(tt.recorded)
			}
			records, err := s.pendingRecords("SHOP/1", []*workflowpb.PendingActivityInfo{p})
			require.NoError(t, err)
			require.Equal(t, tt.want, records.AttemptBy)
		})
	}

	watching.HeartbeatDetails = details("nonsense")
	_, err = s.pendingRecords("SHOP/1", []*workflowpb.PendingActivityInfo{watching})
	require.ErrorContains(t, err, "the record of Watch")
}

func TestNoChangeAcceptsACardNumber(t *testing.T) {
	t.Parallel()
	asID := operation.Key{Endpoint: "BANK", OperationID: cardNumber}
	for name, tc := range map[string]struct {
		field string
		do    func(ctx context.Context, s *Service) error
	}{
		"an id that is pushed to": {"operation_id", func(ctx context.Context, s *Service) error { return s.Push(ctx, asID, "") }},
		"an id that is revoked": {"operation_id", func(ctx context.Context, s *Service) error {
			_, err := s.Revoke(ctx, asID, operation.Revocation{InitiatedBy: "core"})
			return err
		}},
		"an id that is withdrawn": {"operation_id", func(ctx context.Context, s *Service) error { _, err := s.Withdraw(ctx, asID); return err }},
		"a redelivery's URL": {"callback.url", func(ctx context.Context, s *Service) error {
			_, err := s.Redeliver(ctx, key, operation.RedeliveryRequest{Callback: operation.Target{URL: "https://x.example/" + cardNumber}})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The service has no client: a call that is not refused panics.
			var refused *operation.Error
			require.ErrorAs(t, tc.do(t.Context(), newService()), &refused)
			require.Equal(t, operation.ProblemInvalid, refused.Problem)
			require.Len(t, refused.Fields, 1)
			require.Equal(t, tc.field, refused.Fields[0].Field)
			require.NotContains(t, refused.Error(), cardNumber)
		})
	}
}
