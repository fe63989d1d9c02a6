package service

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"ringback/internal/nearest"
	"ringback/internal/operation"
)

// validate checks a start against its endpoint in the configuration. The error names
// every field at fault. What needs no configuration, the API has checked.
func (s *Service) validate(ctx context.Context, r operation.StartRequest) (operation.Endpoint, error) {
	endpoint, ok := s.Endpoint(r.Endpoint)
	switch {
	case !ok:
		return endpoint, operation.Invalid(s.NotRegistered("endpoint", r.Endpoint))
	case endpoint.Disabled:
		return endpoint, operation.Invalid(operation.FieldError{
			Field: "endpoint", Detail: "is disabled in the configuration; its open operations go on"})
	}
	faults := slices.Concat(checkFields(endpoint, r), checkStatuses(endpoint, r.Callback.Statuses), s.checkTarget(ctx, endpoint, r.Callback))
	if slices.ContainsFunc(faults, operation.FieldError.IsOfCardNumber) && s.CardNumberRefused != nil {
		s.CardNumberRefused(r.Endpoint)
	}
	if len(faults) > 0 {
		return endpoint, operation.Invalid(faults...)
	}
	return endpoint, nil
}

// NotRegistered says which endpoints there are, to callers who may see them: a key for
// some endpoints is for registered ones, and never comes so far.
func (s *Service) NotRegistered(field, endpoint string) operation.FieldError {
	names := s.EndpointNames()
	hint := cmp.Or(nearest.Hint(endpoint, names), "; registered are "+strings.Join(names, ", "))
	return operation.FieldError{Field: field, Detail: "is not registered" + hint}
}

func checkFields(e operation.Endpoint, r operation.StartRequest) []operation.FieldError {
	var faults []operation.FieldError
	for _, rule := range e.Fields {
		rule.MayLookLikeCardNumber = !e.ScreenIdentifiers && (rule.Field == "operation_id" || rule.Field == "reference.order_id")
		for _, value := range fieldValues(r, rule.Field) {
			fault := rule.Check(value)
			if fault == nil && rule.Field == "method" {
				fault = operation.FieldRule{Field: rule.Field, Allowed: e.Methods}.Check(value)
			}
			faults = append(faults, operation.Faults(fault)...)
		}
	}
	return faults
}

// checkStatuses refuses a wanted status that the endpoint never delivers: the operation
// would end without a callback.
func checkStatuses(e operation.Endpoint, wanted []string) (faults []operation.FieldError) {
	rule := operation.FieldRule{Field: "callback.statuses", Required: true, Allowed: e.Rules.Delivered, Document: "what this endpoint delivers"}
	for _, status := range wanted {
		faults = append(faults, operation.Faults(rule.Check(status))...)
	}
	return faults
}

// fieldValues are the values of a field, by its JSON path; one empty value where it is
// absent.
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
	case "callback.url":
		return []string{r.Callback.URL}
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
	if fault := rule.Check(t.URL); fault != nil {
		return []operation.FieldError{*fault}
	}
	if fault := e.Hosts.Check(t.URL); fault != "" {
		return []operation.FieldError{{Field: rule.Field, Detail: fault}}
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
	if ok && !endpoint.ScreenIdentifiers {
		return nil
	}
	return operation.Validate(operation.CheckCardNumber("operation_id", key.OperationID))
}

// checkPushed checks a pushed status against the vocabulary of the endpoint's source.
func (s *Service) checkPushed(key operation.Key, status string) error {
	if err := s.refuseCardNumber(key); err != nil {
		return err
	}
	var rules []operation.FieldRule
	if endpoint, ok := s.Endpoint(key.Endpoint); ok {
		rules = endpoint.Fields
	} else {
		rules = []operation.FieldRule{{Field: "known_status", Allowed: s.Vocabulary()}}
	}
	i := slices.IndexFunc(rules, func(rule operation.FieldRule) bool { return rule.Field == "known_status" })
	if i < 0 {
		return nil
	}
	return operation.Validate(rules[i].As("status").Check(status))
}
