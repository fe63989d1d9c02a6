package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/cardnumber"
	"ringback/internal/operation"
	"ringback/workflows"
)

// Start accepts an operation: true with its first state, or false with the
// state of the same operation started before, also once it is closed. The
// start is eager: a worker in this process runs the first workflow task at once.
func (s *Service) Start(ctx context.Context, r operation.StartRequest) (operation.State, bool, error) {
	normalise(&r)
	endpoint, err := s.validate(ctx, r)
	if err != nil {
		state, err := s.startedDespite(ctx, r, err)
		return state, false, err
	}
	input := s.input(endpoint, r)
	run, err := s.Client.ExecuteWorkflow(ctx, s.startOptions(input), workflows.OperationType, input)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &started):
		state, err := s.startedBefore(ctx, r, operation.Refuse(operation.ProblemConflict,
			"The operation %s was started before with other content; read it, or use another operation_id.", r.Key().WorkflowID()))
		return state, false, err
	case err != nil:
		return operation.State{}, false, operationError("starting", r.Key(), err)
	}
	return s.firstState(r, run.GetRunID()), true, nil
}

func (s *Service) startOptions(in workflows.Input) client.StartWorkflowOptions {
	r := in.Start
	options := client.StartWorkflowOptions{
		ID:                                       r.Key().WorkflowID(),
		TaskQueue:                                workflows.TaskQueue,
		EnableEagerStart:                         s.eager(),
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowTaskTimeout:                      workflows.WorkflowTaskTimeout,
		Memo:                                     map[string]any{workflows.MemoStart: r},
		TypedSearchAttributes:                    temporal.NewSearchAttributes(workflows.AttributeEndpoint.ValueSet(r.Endpoint)),
		StaticSummary:                            strings.TrimSpace(r.Endpoint + " " + r.OperationID + " " + r.Method),
	}
	if s.Build.Versioned() && !in.Pinned() {
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

// firstState is the state of an operation that was just accepted; nothing is read
// for it.
func (s *Service) firstState(r operation.StartRequest, runID string) operation.State {
	return operation.State{
		Key: r.Key(), Phase: operation.Watching, Deliveries: []operation.Delivery{},
		RunID: runID, UIURL: s.uiURL(r.Key().WorkflowID(), runID),
	}
}

// startedBefore is the state of an operation that was started with the same
// content; otherContent is the error where it was started with other content.
func (s *Service) startedBefore(ctx context.Context, r operation.StartRequest, otherContent error) (operation.State, error) {
	latest, err := s.describe(ctx, r.Key())
	if err != nil {
		return operation.State{}, err
	}
	if !sameContent(latest.start, r) {
		return operation.State{}, otherContent
	}
	return s.stateOf(ctx, latest)
}

// startedDespite is startedBefore for a request that is refused now: its endpoint
// may have been disabled, removed or changed since the start.
func (s *Service) startedDespite(ctx context.Context, r operation.StartRequest, refusal error) (operation.State, error) {
	endpoint, ok := s.Endpoint(r.Endpoint)
	if !ok {
		endpoint.ScreenIdentifiers = true
	}
	if len(r.Key().Check()) > 0 || len(checkCardNumbers(endpoint, r)) > 0 {
		return operation.State{}, refusal
	}
	state, err := s.startedBefore(ctx, r, refusal)
	failed, ok := errors.AsType[*operation.Error](err)
	if err == nil || ok && failed.Problem == operation.ProblemUnavailable {
		return state, err
	}
	return operation.State{}, refusal
}

// normalise writes a request as it is compared with another.
func normalise(r *operation.StartRequest) {
	slices.Sort(r.Callback.Statuses)
	r.Callback.Statuses = slices.Compact(r.Callback.Statuses)
}

// sameContent compares normalised requests as they are written: a list that is
// empty and one that is left out are the same.
func sameContent(a, b operation.StartRequest) bool {
	one, errOne := json.Marshal(a)
	other, errOther := json.Marshal(b)
	return errOne == nil && errOther == nil && string(one) == string(other)
}

// validate checks a request against its endpoint. The error names every field at
// fault.
func (s *Service) validate(ctx context.Context, r operation.StartRequest) (operation.Endpoint, error) {
	if err := operation.Validate(operation.EndpointRule.Check(r.Endpoint)); err != nil {
		return operation.Endpoint{}, err
	}
	endpoint, ok := s.Endpoint(r.Endpoint)
	switch {
	case !ok:
		return endpoint, operation.Invalid(s.notRegistered("endpoint"))
	case endpoint.Disabled:
		return endpoint, operation.Invalid(operation.FieldError{
			Field: "endpoint", Detail: "is disabled in the configuration; its open operations go on"})
	}
	cardNumbers := checkCardNumbers(endpoint, r)
	if len(cardNumbers) > 0 && s.CardNumberRefused != nil {
		s.CardNumberRefused(r.Endpoint)
	}
	faults := slices.Concat(checkFields(endpoint, r), s.checkTarget(ctx, endpoint, r.Callback), cardNumbers)
	if len(faults) > 0 {
		return endpoint, operation.Invalid(faults...)
	}
	return endpoint, nil
}

func (s *Service) notRegistered(field string) operation.FieldError {
	return operation.FieldError{Field: field, Detail: "is not registered; registered are " + strings.Join(s.EndpointNames(), ", ")}
}

func checkFields(e operation.Endpoint, r operation.StartRequest) []operation.FieldError {
	if r.OperationID == "" {
		return []operation.FieldError{{Field: "operation_id", Detail: "is required"}}
	}
	var faults []operation.FieldError
	for _, rule := range e.Fields {
		for _, value := range fieldValues(r, rule.Field) {
			faults = append(faults, operation.Faults(rule.Check(value))...)
		}
	}
	ofMethod := func(f operation.FieldError) bool { return f.Field == "method" }
	if len(e.Methods) > 0 && !slices.ContainsFunc(faults, ofMethod) && r.Method != "" && !slices.Contains(e.Methods, r.Method) {
		faults = append(faults, operation.FieldError{Field: "method",
			Detail: fmt.Sprintf("is not one of the endpoint's: %s", strings.Join(e.Methods, ", "))})
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

// checkTarget requires callback.url where the endpoint has none, and refuses it
// elsewhere.
func (s *Service) checkTarget(ctx context.Context, e operation.Endpoint, t operation.Target) []operation.FieldError {
	rule := operation.URLRule.As("callback.url")
	switch {
	case e.PerOperationURL && t.URL == "":
		return []operation.FieldError{{Field: rule.Field, Detail: "is required: the endpoint's URL is per operation"}}
	case !e.PerOperationURL && t.URL != "":
		return []operation.FieldError{{Field: rule.Field, Detail: "is refused: the endpoint has a URL of its own"}}
	case t.URL == "":
		return nil
	}
	if faults := operation.Faults(rule.Check(t.URL)); len(faults) > 0 {
		return faults
	}
	if err := s.CheckURL(ctx, t.URL); err != nil {
		return []operation.FieldError{{Field: rule.Field, Detail: err.Error()}}
	}
	return nil
}

// refuseCardNumber refuses an operation id that looks like a card number before
// the id gets anywhere, a log included.
func (s *Service) refuseCardNumber(key operation.Key) error {
	endpoint, ok := s.Endpoint(key.Endpoint)
	if ok && !endpoint.ScreenIdentifiers || !cardnumber.In(key.OperationID) {
		return nil
	}
	return operation.Invalid(operation.FieldError{Field: "operation_id", Detail: cardNumberDetail})
}

const cardNumberDetail = "looks like a card number (brand prefix, length and Luhn check); Ringback takes none. " +
	"If it is an identifier, set card_number_screen: false at the endpoint"

// checkCardNumbers finds what looks like a card number in any string. An endpoint
// may let its identifiers through: an order number can look like one.
func checkCardNumbers(e operation.Endpoint, r operation.StartRequest) []operation.FieldError {
	var faults []operation.FieldError
	check := func(field, value string) {
		if cardnumber.In(value) {
			faults = append(faults, operation.FieldError{Field: field, Detail: cardNumberDetail})
		}
	}
	if e.ScreenIdentifiers {
		check("operation_id", r.OperationID)
		check("reference.order_id", r.Reference.OrderID)
	}
	check("method", r.Method)
	check("known_status", r.KnownStatus)
	check("callback.url", r.Callback.URL)
	check("callback.statuses", strings.Join(r.Callback.Statuses, " "))
	return faults
}
