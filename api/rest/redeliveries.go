package rest

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/gorilla/mux"
	"go.uber.org/zap"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

// redeliveriesBody is operation.BulkRedeliveryRequest as it is read.
type redeliveriesBody struct {
	Filter struct {
		Endpoint string         `json:"endpoint"`
		Status   string         `json:"status"`
		Outcome  string         `json:"outcome"`
		Since    operation.Time `json:"since"`
		Until    operation.Time `json:"until"`
	} `json:"filter"`
	DryRun        bool     `json:"dry_run"`
	RatePerSecond *float64 `json:"rate_per_second"`
	Force         bool     `json:"force"`
	Reason        string   `json:"reason"`
}

func (b redeliveriesBody) request(by string) operation.BulkRedeliveryRequest {
	r := operation.BulkRedeliveryRequest{
		Filter: operation.Filter{
			Endpoint: b.Filter.Endpoint, Status: b.Filter.Status, Outcome: operation.Outcome(b.Filter.Outcome),
			Since: b.Filter.Since, Until: b.Filter.Until,
		},
		DryRun: b.DryRun, RatePerSecond: operation.DefaultRatePerSecond, Force: b.Force, Reason: b.Reason, By: by,
	}
	if b.RatePerSecond != nil {
		r.RatePerSecond = *b.RatePerSecond
	}
	return r
}

func (s *Server) redeliverMany(ctx context.Context, x *exchange) (answer, error) {
	request, err := x.redeliveriesRequest()
	if err != nil {
		return answer{}, err
	}
	if request.DryRun {
		var found operation.DryRun
		err := s.admitted(ctx, overload.Search, func() (err error) {
			found, err = s.options.Operations.DryRun(ctx, request)
			return err
		})
		if found.Sample == nil {
			found.Sample = []operation.Summary{}
		}
		return answer{http.StatusOK, found}, err
	}
	var begun operation.BulkRedelivery
	err = s.begun(ctx, func() (err error) {
		begun, err = s.options.Operations.StartRedeliveries(ctx, request)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	x.notes = append(x.notes, zap.String("redeliveries_id", begun.ID), zap.Int("matched", begun.Matched),
		zap.Any("filter", begun.Filter), zap.Float64("rate_per_second", begun.RatePerSecond),
		zap.Bool("force", begun.Force), zap.String("reason", begun.Reason))
	x.header.Set("Location", "/v1/redeliveries/"+begun.ID)
	return answer{http.StatusAccepted, begun}, nil
}

// redeliveriesRequest reads a bulk redelivery, and whether the caller's key may
// ask for it.
func (x *exchange) redeliveriesRequest() (operation.BulkRedeliveryRequest, error) {
	var body redeliveriesBody
	if err := x.noQuery(); err != nil {
		return operation.BulkRedeliveryRequest{}, err
	}
	if err := x.decode(&body, false); err != nil {
		return operation.BulkRedeliveryRequest{}, err
	}
	request := body.request(x.caller.Name)
	x.asked.Endpoint = request.Filter.Endpoint
	if faults := append(checkRedeliveries(request), x.checkBound("filter.endpoint", request.Filter.Endpoint)...); len(faults) > 0 {
		return operation.BulkRedeliveryRequest{}, operation.Invalid(faults...)
	}
	return request, x.mayRedeliver(request.Filter.Endpoint, request.Force)
}

// mayRedeliver holds the caller's key to the endpoint and to the scope of force.
func (x *exchange) mayRedeliver(endpoint string, force bool) error {
	if force {
		if err := x.caller.require(ScopeForce, x.header); err != nil {
			return err
		}
	}
	return x.caller.requireEndpoint(endpoint)
}

func checkRedeliveries(r operation.BulkRedeliveryRequest) []operation.FieldError {
	faults := checkFilter(r.Filter, r.Force)
	if r.RatePerSecond <= 0 || r.RatePerSecond > operation.MaxRatePerSecond {
		faults = append(faults, operation.FieldError{Field: "rate_per_second",
			Detail: fmt.Sprintf("is not above 0 and at most %d operations per second", operation.MaxRatePerSecond)})
	}
	return append(faults, checkReason(r.Reason)...)
}

func checkFilter(f operation.Filter, force bool) []operation.FieldError {
	var faults []operation.FieldError
	fault := func(field, detail string) {
		faults = append(faults, operation.FieldError{Field: field, Detail: detail})
	}
	if f == (operation.Filter{}) {
		fault("filter", "needs at least one of endpoint, status, outcome, since, until: everything that ever failed is not redelivered by leaving them out")
	}
	if f.Endpoint != "" && !endpointName.MatchString(f.Endpoint) {
		fault("filter.endpoint", notAName)
	}
	if len(f.Status) > maxStatus {
		fault("filter.status", fmt.Sprintf("is longer than %d bytes", maxStatus))
	}
	if detail := checkFilterOutcome(f, force); detail != "" {
		fault("filter.outcome", detail)
	}
	if !f.Until.IsZero() && !f.Since.Before(f.Until) {
		fault("filter.until", "is not after since")
	}
	return faults
}

// maxStatus is longer than any status of any source.
const maxStatus = 64

// unkept are the outcomes of runs whose status visibility does not keep.
var unkept = []operation.Outcome{operation.OutcomeAcknowledged, operation.OutcomeTerminated}

func checkFilterOutcome(f operation.Filter, force bool) string {
	redeliverable := slices.Contains(operation.Redeliverable, f.Outcome)
	switch {
	case f.Outcome == operation.OutcomeNone:
		return ""
	case f.Outcome == operation.OutcomeAcknowledged && !force:
		return "is acknowledged, which is rung again only with force: true, and that needs the scope force"
	case !redeliverable && f.Outcome != operation.OutcomeAcknowledged:
		return "is not one of exhausted, gone, expired, terminated, or with force acknowledged"
	case f.Status != "" && slices.Contains(unkept, f.Outcome):
		return "can't go with status, which is not kept of acknowledged and terminated runs"
	}
	return ""
}

func (s *Server) listRedeliveries(ctx context.Context, x *exchange) (answer, error) {
	if err := x.noQuery(); err != nil {
		return answer{}, err
	}
	recent, err := s.options.Operations.RecentRedeliveries(ctx)
	page := operation.BulkRedeliveryPage{Redeliveries: []operation.BulkRedelivery{}}
	for _, r := range recent {
		if x.caller.requireEndpoint(r.Filter.Endpoint) == nil {
			page.Redeliveries = append(page.Redeliveries, r)
		}
	}
	return answer{http.StatusOK, page}, err
}

func (s *Server) seeRedeliveries(ctx context.Context, x *exchange) (answer, error) {
	found, err := s.redeliveries(ctx, x)
	return answer{http.StatusOK, found}, err
}

func (s *Server) stopRedeliveries(ctx context.Context, x *exchange) (answer, error) {
	return s.tellRedeliveries(ctx, x, s.options.Operations.StopRedeliveries, false)
}

func (s *Server) resumeRedeliveries(ctx context.Context, x *exchange) (answer, error) {
	return s.tellRedeliveries(ctx, x, s.options.Operations.ResumeRedeliveries, true)
}

// tellRedeliveries tells a bulk redelivery something. To let one go on that rings
// what was acknowledged takes the scope that beginning it took.
func (s *Server) tellRedeliveries(ctx context.Context, x *exchange,
	tell func(ctx context.Context, id string) (operation.BulkRedelivery, error), goesOn bool,
) (answer, error) {
	found, err := s.redeliveries(ctx, x)
	if err == nil {
		err = x.mayRedeliver(found.Filter.Endpoint, found.Force && goesOn)
	}
	if err != nil {
		return answer{}, err
	}
	found, err = tell(ctx, found.ID)
	return answer{http.StatusOK, found}, err
}

var redeliveriesID = regexp.MustCompile(`^rd_[a-z2-7]{26}$`)

// redeliveries reads the one that the path names, for a key that is for its
// endpoint.
func (s *Server) redeliveries(ctx context.Context, x *exchange) (operation.BulkRedelivery, error) {
	if err := x.noQuery(); err != nil {
		return operation.BulkRedelivery{}, err
	}
	if err := x.noBody(); err != nil {
		return operation.BulkRedelivery{}, err
	}
	id := mux.Vars(x.Request)["id"]
	if !redeliveriesID.MatchString(id) {
		return operation.BulkRedelivery{}, operation.Invalid(operation.FieldError{
			Field: "id", Detail: "is not the id of a bulk redelivery: rd_ and 26 letters and digits"})
	}
	x.about = append(x.about, zap.String("redeliveries_id", id))
	found, err := s.options.Operations.RedeliveriesState(ctx, id)
	if err != nil {
		return operation.BulkRedelivery{}, err
	}
	return found, x.caller.requireEndpoint(found.Filter.Endpoint)
}
