package rest

import (
	"context"
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

func (s *Server) start(r *request) (call, error) {
	var body operation.StartRequest
	if err := r.decode(&body, false); err != nil {
		return call{}, err
	}
	r.noteHost(operation.HostPort(body.Callback.URL))
	return call{overload.Start, func(ctx context.Context) (response, error) {
		state, created, err := s.options.Operations.Start(ctx, body)
		if err != nil || !created {
			return response{http.StatusOK, withLists(state)}, err
		}
		if body.Callback.URL == "" {
			r.noteHost(state.Host)
		}
		r.header.Set("Location", location(body.Key()))
		return response{http.StatusCreated, withLists(state)}, nil
	}}, r.checkKey(body.Key())
}

func (s *Server) state(r *request) (call, error) {
	key, err := r.operation()
	return call{overload.Read, func(ctx context.Context) (response, error) {
		state, err := s.options.Operations.State(ctx, key)
		return response{http.StatusOK, withLists(state)}, err
	}}, err
}

func (s *Server) details(r *request) (call, error) {
	key, err := r.operation()
	return call{overload.Read, func(ctx context.Context) (response, error) {
		details, err := s.options.Operations.Details(ctx, key)
		if details == nil {
			details = map[string]any{}
		}
		return response{http.StatusOK, details}, err
	}}, err
}

func (s *Server) withdraw(r *request) (call, error) {
	key, err := r.operation()
	return call{overload.Change, func(ctx context.Context) (response, error) {
		state, err := s.options.Operations.Withdraw(ctx, key)
		return response{http.StatusOK, withLists(state)}, err
	}}, err
}

// push takes a status of the core; without one it means poll now.
func (s *Server) push(r *request) (call, error) {
	var body struct {
		Status string `json:"status"`
	}
	key, err := r.operationWithBody(&body, true)
	if err != nil {
		return call{}, err
	}
	r.note(operation.StatusRule, body.Status)
	return call{overload.Change, func(ctx context.Context) (response, error) {
		return response{status: http.StatusAccepted}, s.options.Operations.Push(ctx, key, body.Status)
	}}, operation.Validate(operation.StatusRule.Check(body.Status))
}

func (s *Server) revoke(r *request) (call, error) {
	// The time of an operation.Revocation is Ringback's to set.
	var body struct {
		InitiatedBy string `json:"initiated_by"`
		Reason      string `json:"reason"`
	}
	key, err := r.operationWithBody(&body, false)
	if err != nil {
		return call{}, err
	}
	r.note(operation.InitiatorRule, body.InitiatedBy)
	r.note(operation.ReasonRule, body.Reason)
	return call{overload.Change, func(ctx context.Context) (response, error) {
		state, err := s.options.Operations.Revoke(ctx, key, operation.Revocation{InitiatedBy: body.InitiatedBy, Reason: body.Reason})
		return response{http.StatusOK, withLists(state)}, err
	}}, operation.Validate(operation.InitiatorRule.Check(body.InitiatedBy), operation.ReasonRule.Check(body.Reason))
}

func (s *Server) redeliver(r *request) (call, error) {
	var body struct {
		Repoll   bool   `json:"repoll"`
		Force    bool   `json:"force"`
		Reason   string `json:"reason"`
		Callback struct {
			URL string `json:"url"`
		} `json:"callback"`
	}
	key, err := r.operationWithBody(&body, true)
	if err != nil {
		return call{}, err
	}
	r.note(operation.ReasonRule, body.Reason)
	r.noteHost(operation.HostPort(body.Callback.URL))
	if err := operation.Validate(operation.ReasonRule.Check(body.Reason), operation.URLRule.As("callback.url").Check(body.Callback.URL)); err != nil {
		return call{}, err
	}
	r.fields = append(r.fields, zap.Bool("force", body.Force))
	return call{overload.Start, func(ctx context.Context) (response, error) {
		if err := s.requireRedirect(ctx, r, body.Callback.URL); err != nil {
			return response{}, err
		}
		state, err := s.options.Operations.Redeliver(ctx, key, operation.RedeliveryRequest{
			Repoll:   body.Repoll,
			Force:    body.Force,
			Reason:   body.Reason,
			Callback: operation.Target{URL: body.Callback.URL},
			By:       r.caller.Name,
			KeyID:    r.caller.ID(),
		})
		if err != nil {
			return response{}, err
		}
		if body.Callback.URL == "" {
			r.noteHost(state.Host)
		}
		r.header.Set("Location", location(key))
		return response{http.StatusCreated, withLists(state)}, nil
	}}, r.requireForce(body.Force)
}

func (s *Server) list(r *request) (call, error) {
	q, _, err := r.listQuery(operation.PageTokenRule, reasonsRule)
	return call{overload.Search, func(ctx context.Context) (response, error) {
		page, err := s.options.Operations.List(ctx, q)
		return response{http.StatusOK, page}, err
	}}, err
}

func (s *Server) count(r *request) (call, error) {
	q, parameters, err := r.listQuery(groupByRule)
	return call{overload.Search, func(ctx context.Context) (response, error) {
		count, err := s.options.Operations.Count(ctx, operation.CountQuery{ListQuery: q, GroupBy: parameters[groupByRule.Field]})
		return response{http.StatusOK, count}, err
	}}, err
}

const (
	// undelivered is the outcome parameter's value for operations with a callback
	// that was never acknowledged.
	undelivered = "undelivered"
	// The values of the time parameter.
	byStart = "started"
	byClose = "closed"
)

// The parameters of a list and of a count.
var (
	listRules = []operation.FieldRule{
		operation.EndpointRule,
		{Field: "outcome", Allowed: append(outcomeNames(), undelivered)},
		operation.PhaseRule,
		operation.StatusRule,
		{Field: "http_status"},
		{Field: "time", Allowed: []string{byStart, byClose}},
		{Field: "since", MayLookLikeCardNumber: true},
		{Field: "until", MayLookLikeCardNumber: true},
	}
	reasonsRule = operation.FieldRule{Field: "reasons", Allowed: []string{"true", "false"}}
	groupByRule = operation.FieldRule{Field: "group_by", Allowed: []string{operation.GroupByEndpoint, operation.GroupByOutcome}}
)

func outcomeNames() []string {
	var names []string
	for _, o := range operation.Outcomes {
		names = append(names, string(o))
	}
	return names
}

// listQuery reads the parameters of a list or a count and some more, and checks
// whether the caller's key is for the endpoint.
func (r *request) listQuery(extra ...operation.FieldRule) (operation.ListQuery, map[string]string, error) {
	parameters, err := r.query(append(listRules[:len(listRules):len(listRules)], extra...)...)
	if err != nil {
		return operation.ListQuery{}, nil, err
	}
	q := operation.ListQuery{
		Endpoint:    parameters["endpoint"],
		Undelivered: parameters["outcome"] == undelivered,
		Phase:       operation.Phase(parameters["phase"]),
		Status:      parameters["status"],
		HTTPStatus:  parameters["http_status"],
		ByClose:     parameters["time"] == byClose,
		PageToken:   parameters["page_token"],
		Reasons:     parameters[reasonsRule.Field] == "true",
	}
	if !q.Undelivered {
		q.Outcome = operation.Outcome(parameters["outcome"])
	}
	faults := operation.Faults(
		operation.CheckHTTPStatus("http_status", q.HTTPStatus), checkEnding(q, parameters["outcome"]),
		parseTime("since", parameters, &q.Since), parseTime("until", parameters, &q.Until), r.requireBound("endpoint", q.Endpoint))
	if len(faults) == 0 && !q.Until.IsZero() && q.Until.Before(q.Since) {
		faults = append(faults, operation.FieldError{Field: "until", Detail: "is before since"})
	}
	if len(faults) > 0 {
		return q, nil, operation.Invalid(faults...)
	}
	if q.Endpoint == "" {
		return q, parameters, nil
	}
	return q, parameters, r.caller.requireEndpoint(q.Endpoint)
}

// checkEnding refuses filters that nothing could match.
func checkEnding(q operation.ListQuery, outcome string) *operation.FieldError {
	ended := outcome + q.Status + q.HTTPStatus
	if q.Phase != "" && ended != "" {
		return &operation.FieldError{Field: "phase", Detail: "is for open operations; outcome, status and http_status are for closed ones"}
	}
	if detail := checkOutcome(q.Outcome, q.Status, q.HTTPStatus); detail != "" {
		return &operation.FieldError{Field: "outcome", Detail: detail}
	}
	return nil
}

func parseTime(field string, parameters map[string]string, into *operation.Time) *operation.FieldError {
	if text := parameters[field]; text != "" && into.UnmarshalText([]byte(text)) != nil {
		return &operation.FieldError{Field: field, Detail: "is not an RFC 3339 time such as 2026-11-21T07:30:00Z (a + is written %2B in a query)"}
	}
	return nil
}

// location is the operation's own path.
func location(k operation.Key) string {
	return "/v1/operations/" + url.PathEscape(k.Endpoint) + "/" + url.PathEscape(k.OperationID)
}

// withLists is state with empty lists where JSON would have null.
func withLists(state operation.State) operation.State {
	deliveries := make([]operation.Delivery, 0, len(state.Deliveries))
	for _, d := range state.Deliveries {
		if d.Attempts == nil {
			d.Attempts = []operation.Attempt{}
		}
		deliveries = append(deliveries, d)
	}
	state.Deliveries = deliveries
	return state
}
