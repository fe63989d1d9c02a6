package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"go.uber.org/zap"

	"ringback/internal/operation"
)

// MaxReason is the most characters of a revocation's or redelivery's reason.
const MaxReason = 256

// maxPageToken bounds what is handed to the engine as a page's token.
const maxPageToken = 4096

func (s *Server) start(ctx context.Context, x *exchange) (answer, error) {
	var request operation.StartRequest
	if err := x.noQuery(); err != nil {
		return answer{}, err
	}
	if err := x.decode(&request, false); err != nil {
		return answer{}, err
	}
	if _, err := x.may(request.Key()); err != nil {
		return answer{}, err
	}
	var state operation.State
	var created bool
	err := s.begun(ctx, func() (err error) {
		state, created, err = s.options.Operations.Start(ctx, request)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		x.header.Set("Location", location(request.Key()))
	}
	return answer{status, shown(state)}, nil
}

func (s *Server) state(ctx context.Context, x *exchange) (answer, error) {
	key, err := x.plain()
	if err != nil {
		return answer{}, err
	}
	state, err := s.options.Operations.State(ctx, key)
	return answer{http.StatusOK, shown(state)}, err
}

func (s *Server) details(ctx context.Context, x *exchange) (answer, error) {
	key, err := x.plain()
	if err != nil {
		return answer{}, err
	}
	details, err := s.options.Operations.Details(ctx, key)
	if details == nil {
		details = map[string]any{}
	}
	return answer{http.StatusOK, details}, err
}

func (s *Server) withdraw(ctx context.Context, x *exchange) (answer, error) {
	key, err := x.plain()
	if err != nil {
		return answer{}, err
	}
	state, err := s.options.Operations.Withdraw(ctx, key)
	return answer{http.StatusOK, shown(state)}, err
}

// pushBody is the body of a push; without a status it means poll now.
type pushBody struct {
	Status string `json:"status"`
}

func (s *Server) push(ctx context.Context, x *exchange) (answer, error) {
	var body pushBody
	key, err := x.withBody(&body, true)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusAccepted}, s.options.Operations.Push(ctx, key, body.Status)
}

// revocationBody is operation.Revocation without the time, which is Ringback's.
type revocationBody struct {
	InitiatedBy string `json:"initiated_by"`
	Reason      string `json:"reason"`
}

func (s *Server) revoke(ctx context.Context, x *exchange) (answer, error) {
	var body revocationBody
	key, err := x.withBody(&body, false)
	if err != nil {
		return answer{}, err
	}
	faults := checkReason(body.Reason)
	switch {
	case body.InitiatedBy == "":
		faults = append(faults, operation.FieldError{Field: "initiated_by", Detail: "is required: " + strings.Join(operation.Initiators, ", ")})
	case !slices.Contains(operation.Initiators, body.InitiatedBy):
		faults = append(faults, operation.FieldError{Field: "initiated_by", Detail: "is not one of " + strings.Join(operation.Initiators, ", ")})
	}
	if len(faults) > 0 {
		return answer{}, operation.Invalid(faults...)
	}
	state, err := s.options.Operations.Revoke(ctx, key, operation.Revocation{InitiatedBy: body.InitiatedBy, Reason: body.Reason})
	return answer{http.StatusOK, shown(state)}, err
}

// redeliveryBody is operation.RedeliveryRequest, whose callback has a URL only.
type redeliveryBody struct {
	Repoll   bool   `json:"repoll"`
	Force    bool   `json:"force"`
	Reason   string `json:"reason"`
	Callback struct {
		URL string `json:"url"`
	} `json:"callback"`
}

func (s *Server) redeliver(ctx context.Context, x *exchange) (answer, error) {
	var body redeliveryBody
	key, err := x.withBody(&body, true)
	if err != nil {
		return answer{}, err
	}
	if faults := checkReason(body.Reason); len(faults) > 0 {
		return answer{}, operation.Invalid(faults...)
	}
	if body.Force {
		if err := x.caller.require(ScopeForce, x.header); err != nil {
			return answer{}, err
		}
	}
	var state operation.State
	err = s.begun(ctx, func() (err error) {
		state, err = s.options.Operations.Redeliver(ctx, key, operation.RedeliveryRequest{
			Repoll:   body.Repoll,
			Force:    body.Force,
			Reason:   body.Reason,
			Callback: operation.Target{URL: body.Callback.URL},
			By:       x.caller.Name,
		})
		return err
	})
	if err != nil {
		return answer{}, err
	}
	x.notes = append(x.notes, zap.String("reason", body.Reason), zap.Bool("force", body.Force))
	x.header.Set("Location", location(key))
	return answer{http.StatusCreated, shown(state)}, nil
}

func (s *Server) list(ctx context.Context, x *exchange) (answer, error) {
	parameters, err := query(x.Request, append(slices.Clone(listParameters), "page_token")...)
	if err != nil {
		return answer{}, err
	}
	q, err := x.listQuery(parameters)
	if err != nil {
		return answer{}, err
	}
	page, err := s.options.Operations.List(ctx, q)
	if page.Operations == nil {
		page.Operations = []operation.Summary{}
	}
	return answer{http.StatusOK, page}, err
}

// listParameters are those of a list and of a count.
var listParameters = []string{"endpoint", "outcome", "time", "since", "until"}

// listQuery reads them, and whether the caller's key is for what they ask.
func (x *exchange) listQuery(parameters map[string]string) (operation.ListQuery, error) {
	q, faults := listQuery(parameters)
	faults = append(faults, x.checkBound("endpoint", q.Endpoint)...)
	if len(faults) > 0 {
		return q, operation.Invalid(faults...)
	}
	if q.Endpoint == "" {
		return q, nil
	}
	return q, x.caller.requireEndpoint(q.Endpoint)
}

// checkBound wants an endpoint to be named by a key that is bound to some.
func (x *exchange) checkBound(field, endpoint string) []operation.FieldError {
	if endpoint != "" || len(x.caller.Endpoints) == 0 {
		return nil
	}
	return []operation.FieldError{{Field: field, Detail: "is required with this key, which is for " + strings.Join(x.caller.Endpoints, ", ")}}
}

func (s *Server) count(ctx context.Context, x *exchange) (answer, error) {
	parameters, err := query(x.Request, append(slices.Clone(listParameters), "group_by")...)
	if err != nil {
		return answer{}, err
	}
	groupBy, given := parameters["group_by"]
	if given && groupBy != operation.GroupByEndpoint && groupBy != operation.GroupByOutcome {
		return answer{}, operation.Invalid(operation.FieldError{Field: "group_by", Detail: "is not one of endpoint, outcome"})
	}
	q, err := x.listQuery(parameters)
	if err != nil {
		return answer{}, err
	}
	count, err := s.options.Operations.Count(ctx, operation.CountQuery{ListQuery: q, GroupBy: groupBy})
	return answer{http.StatusOK, count}, err
}

// undelivered is the outcome parameter's value for what never arrived.
const undelivered = "undelivered"

// The values of the time parameter.
const (
	byStart = "started"
	byClose = "closed"
)

func listQuery(parameters map[string]string) (operation.ListQuery, []operation.FieldError) {
	q := operation.ListQuery{
		Endpoint:  parameters["endpoint"],
		Outcome:   operation.Outcome(parameters["outcome"]),
		ByClose:   parameters["time"] == byClose,
		PageToken: parameters["page_token"],
	}
	if q.Undelivered = q.Outcome == undelivered; q.Undelivered {
		q.Outcome = operation.OutcomeNone
	}
	var faults []operation.FieldError
	fault := func(field, detail string) {
		faults = append(faults, operation.FieldError{Field: field, Detail: detail})
	}
	if _, given := parameters["endpoint"]; given && !endpointName.MatchString(q.Endpoint) {
		fault("endpoint", notAName)
	}
	if _, given := parameters["outcome"]; given && !q.Undelivered && !slices.Contains(operation.Outcomes, q.Outcome) {
		fault("outcome", "is not one of "+outcomes()+", "+undelivered)
	}
	if value, given := parameters["time"]; given && value != byStart && value != byClose {
		fault("time", "is not one of "+byStart+", "+byClose)
	}
	if len(q.PageToken) > maxPageToken {
		fault("page_token", "is not one that a list gave")
	}
	for field, into := range map[string]*operation.Time{"since": &q.Since, "until": &q.Until} {
		if text, given := parameters[field]; given && into.UnmarshalText([]byte(text)) != nil {
			fault(field, "is not an RFC 3339 time such as 2026-11-21T07:30:00Z (a + is written %2B in a query)")
		}
	}
	if len(faults) == 0 && !q.Until.IsZero() && q.Until.Before(q.Since) {
		fault("until", "is before since")
	}
	slices.SortFunc(faults, func(a, b operation.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return q, faults
}

func outcomes() string {
	names := make([]string, 0, len(operation.Outcomes))
	for _, o := range operation.Outcomes {
		names = append(names, string(o))
	}
	return strings.Join(names, ", ")
}

// plain reads a request that is its path alone.
func (x *exchange) plain() (operation.Key, error) {
	if err := x.noQuery(); err != nil {
		return operation.Key{}, err
	}
	if err := x.noBody(); err != nil {
		return operation.Key{}, err
	}
	return x.operation()
}

// withBody reads a request that is its path and a body.
func (x *exchange) withBody(into any, optional bool) (operation.Key, error) {
	if err := x.noQuery(); err != nil {
		return operation.Key{}, err
	}
	key, err := x.operation()
	if err != nil {
		return operation.Key{}, err
	}
	return key, x.decode(into, optional)
}

func checkReason(reason string) []operation.FieldError {
	if utf8.RuneCountInString(reason) <= MaxReason {
		return nil
	}
	return []operation.FieldError{{Field: "reason", Detail: fmt.Sprintf("is longer than %d characters", MaxReason)}}
}

// location is the operation's own path.
func location(k operation.Key) string {
	return "/v1/operations/" + url.PathEscape(k.Endpoint) + "/" + url.PathEscape(k.OperationID)
}

// shown is state with lists where JSON would say null.
func shown(state operation.State) operation.State {
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
