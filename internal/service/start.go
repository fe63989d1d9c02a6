package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/workflows"
)

// Start accepts an operation: true with its first state, or false with the
// state of the same operation started before, also once it is closed. The
// start is eager: a worker in this process runs the first workflow task at once.
func (s *Service) Start(ctx context.Context, r operation.StartRequest) (operation.State, bool, error) {
	normalise(&r)
	endpoint, err := s.admit(ctx, r)
	if err != nil {
		state, err := s.startedDespite(ctx, r, err)
		return state, false, err
	}
	input := s.input(endpoint, r)
	run, err := s.Client.ExecuteWorkflow(ctx, s.startOptions(input), workflows.OperationType, input)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &started):
		state, err := s.startedBefore(ctx, r)
		return state, false, err
	case err != nil:
		return operation.State{}, false, engineError("starting", r.Key(), err)
	}
	return s.accepted(r, run.GetRunID()), true, nil
}

func (s *Service) startOptions(in workflows.Input) client.StartWorkflowOptions {
	r := in.Start
	options := client.StartWorkflowOptions{
		ID:                                       r.Key().WorkflowID(),
		TaskQueue:                                workflows.TaskQueue,
		EnableEagerStart:                         s.Eager == nil || s.Eager(),
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowTaskTimeout:                      workflows.WorkflowTaskTimeout,
		Memo:                                     map[string]any{workflows.MemoStart: r},
		TypedSearchAttributes:                    temporal.NewSearchAttributes(workflows.AttributeEndpoint.ValueSet(r.Endpoint)),
		StaticSummary:                            strings.TrimSpace(r.Endpoint + " " + r.OperationID + " " + r.Method),
	}
	if s.Versioned && !in.Pinned() {
		options.VersioningOverride = &client.AutoUpgradeVersioningOverride{}
	}
	return options
}

func (s *Service) input(e operation.Endpoint, r operation.StartRequest) workflows.Input {
	wanted := r.Callback.Statuses
	if len(wanted) == 0 {
		wanted = e.Statuses
	}
	return workflows.Input{Start: r, Source: e.Source, Dialect: e.Dialect, Rules: e.Rules, Policy: e.Policy, Wanted: wanted, Notices: e.Notices}
}

// accepted is the state of an operation that was just accepted: nothing is read
// for it.
func (s *Service) accepted(r operation.StartRequest, runID string) operation.State {
	return operation.State{
		Key: r.Key(), Phase: operation.Watching, Deliveries: []operation.Delivery{},
		RunID: runID, UIURL: s.uiURL(r.Key().WorkflowID(), runID),
	}
}

func (s *Service) startedBefore(ctx context.Context, r operation.StartRequest) (operation.State, error) {
	latest, err := s.describe(ctx, r.Key())
	if err != nil {
		return operation.State{}, err
	}
	if canonical(latest.start) != canonical(r) {
		return operation.State{}, operation.Refuse(operation.ProblemConflict,
			"The operation %s was started before with other content; read it, or use another operation_id.", r.Key().WorkflowID())
	}
	return s.stateOf(ctx, latest)
}

// startedDespite is the state of an operation that was started with the same
// content before its endpoint was disabled, removed or changed; else refusal,
// also where the operation was started with other content.
func (s *Service) startedDespite(ctx context.Context, r operation.StartRequest, refusal error) (operation.State, error) {
	screened := operation.Endpoint{ScreenIdentifiers: true}
	if endpoint, ok := s.Endpoint(r.Endpoint); ok {
		screened = endpoint
	}
	if operation.EndpointRule.Check(r.Endpoint) != nil || r.OperationID == "" || len(r.OperationID) > maxOperationID ||
		len(checkCardNumbers(screened, r)) > 0 {
		return operation.State{}, refusal
	}
	latest, err := s.describe(ctx, r.Key())
	var unread *operation.Error
	switch {
	case errors.As(err, &unread) && unread.Problem == operation.ProblemUnavailable:
		return operation.State{}, err
	case err != nil:
		// There is none, or the server takes no such id.
		return operation.State{}, refusal
	case canonical(latest.start) != canonical(r):
		return operation.State{}, refusal
	}
	return s.stateOf(ctx, latest)
}

// maxOperationID bounds the ids that are looked up, in bytes: with an endpoint's
// name before it, the server takes no longer workflow id (limit.maxIDLength).
const maxOperationID = 900

// normalise writes a request as it is compared with another.
func normalise(r *operation.StartRequest) {
	slices.Sort(r.Callback.Statuses)
	r.Callback.Statuses = slices.Compact(r.Callback.Statuses)
}

// admit checks a request against its endpoint. Bad input is a
// operation.ProblemInvalid that names every field at fault.
func (s *Service) admit(ctx context.Context, r operation.StartRequest) (operation.Endpoint, error) {
	if err := operation.Validate(operation.EndpointRule.Check(r.Endpoint)); err != nil {
		return operation.Endpoint{}, err
	}
	endpoint, ok := s.Endpoint(r.Endpoint)
	if !ok {
		return operation.Endpoint{}, operation.Invalid(operation.FieldError{
			Field: "endpoint", Detail: "is not registered; registered are " + strings.Join(s.EndpointNames(), ", ")})
	}
	if endpoint.Disabled {
		return operation.Endpoint{}, operation.Invalid(operation.FieldError{
			Field: "endpoint", Detail: "is disabled in the configuration; its open operations go on"})
	}
	faults := checkFields(endpoint, r)
	if !slices.ContainsFunc(faults, func(f operation.FieldError) bool { return f.Field == "method" }) {
		faults = append(faults, checkMethod(endpoint, r.Method)...)
	}
	faults = append(faults, s.checkTarget(ctx, endpoint, r.Callback)...)
	cardNumbers := checkCardNumbers(endpoint, r)
	if len(cardNumbers) > 0 && s.CardNumber != nil {
		s.CardNumber(r.Endpoint)
	}
	faults = append(faults, cardNumbers...)
	if len(faults) > 0 {
		return operation.Endpoint{}, operation.Invalid(faults...)
	}
	return endpoint, nil
}

func checkFields(e operation.Endpoint, r operation.StartRequest) []operation.FieldError {
	if r.OperationID == "" {
		return []operation.FieldError{{Field: "operation_id", Detail: "is required"}}
	}
	var faults []operation.FieldError
	for _, rule := range e.Fields {
		for _, value := range fieldValues(r, rule.Field) {
			if fault := rule.Check(value); fault != nil {
				faults = append(faults, *fault)
			}
		}
	}
	return faults
}

// fieldValues are the values of the field that a rule names; one empty value
// where it is absent.
func fieldValues(r operation.StartRequest, field string) []string {
	switch field {
	case "operation_id":
		return []string{r.OperationID}
	case "method":
		return []string{r.Method}
	case "reference.order_id":
		return []string{r.Reference.OrderID}
	case "reference.registered_at":
		if r.Reference.RegisteredAt == nil {
			return []string{""}
		}
		return []string{r.Reference.RegisteredAt.String()}
	case "known_status":
		return []string{r.KnownStatus}
	case "callback.statuses":
		return r.Callback.Statuses
	}
	return nil
}

func checkMethod(e operation.Endpoint, method string) []operation.FieldError {
	if method == "" || slices.Contains(e.Methods, method) || len(e.Methods) == 0 {
		return nil
	}
	return []operation.FieldError{{Field: "method",
		Detail: fmt.Sprintf("is not one of the endpoint's: %s", strings.Join(e.Methods, ", "))}}
}

// checkTarget wants callback.url where the endpoint has none, and only there.
func (s *Service) checkTarget(ctx context.Context, e operation.Endpoint, t operation.Target) []operation.FieldError {
	switch {
	case e.PerOperationURL && t.URL == "":
		return []operation.FieldError{{Field: "callback.url", Detail: "is required: the endpoint's URL is per operation"}}
	case !e.PerOperationURL && t.URL != "":
		return []operation.FieldError{{Field: "callback.url", Detail: "is refused: the endpoint has a URL of its own"}}
	case t.URL == "":
		return nil
	}
	if faults := operation.Faults(operation.URLRule.As("callback.url").Check(t.URL)); len(faults) > 0 {
		return faults
	}
	if err := s.CheckURL(ctx, t.URL); err != nil {
		return []operation.FieldError{{Field: "callback.url", Detail: err.Error()}}
	}
	return nil
}

// screen refuses an operation id that looks like a card number before it gets
// anywhere, a log included.
func (s *Service) screen(key operation.Key) error {
	endpoint, ok := s.Endpoint(key.Endpoint)
	if ok && !endpoint.ScreenIdentifiers || !operation.LooksLikeCardNumber(key.OperationID) {
		return nil
	}
	return operation.Invalid(operation.FieldError{Field: "operation_id", Detail: cardNumberDetail})
}

const cardNumberDetail = "looks like a card number (brand prefix, length and Luhn check); Ringback takes none. " +
	"If it is an identifier, set card_number_screen: false at the endpoint"

// checkCardNumbers refuses what looks like a card number in any string. An
// endpoint may let its identifiers through: an order number can look like one.
func checkCardNumbers(e operation.Endpoint, r operation.StartRequest) []operation.FieldError {
	fields := []struct {
		name, value string
		identifier  bool
	}{
		{"operation_id", r.OperationID, true},
		{"reference.order_id", r.Reference.OrderID, true},
		{"method", r.Method, false},
		{"known_status", r.KnownStatus, false},
		{"callback.url", r.Callback.URL, false},
		{"callback.statuses", strings.Join(r.Callback.Statuses, " "), false},
	}
	var faults []operation.FieldError
	for _, f := range fields {
		if f.identifier && !e.ScreenIdentifiers {
			continue
		}
		if operation.LooksLikeCardNumber(f.value) {
			faults = append(faults, operation.FieldError{Field: f.name, Detail: cardNumberDetail})
		}
	}
	return faults
}
