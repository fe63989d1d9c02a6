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

func (s *Server) startBulkRedelivery(r *request) (call, error) {
	bulk := operation.BulkRedeliveryRequest{RatePerSecond: operation.DefaultRatePerSecond, By: r.caller.Name, KeyID: r.caller.ID()}
	if err := r.decode(&bulk, false); err != nil {
		return call{}, err
	}
	r.key.Endpoint = bulk.Filter.Endpoint
	r.note(operation.ReasonRule, bulk.Reason)
	if err := r.checkBulkRedelivery(bulk); err != nil {
		return call{}, err
	}
	filter := bulk.Filter
	filter.Endpoint = "" // the audit has it in a field of its own
	r.fields = append(r.fields, zap.Any("filter", filter), zap.Float64("rate_per_second", bulk.RatePerSecond),
		zap.Bool("force", bulk.Force), zap.Bool("dry_run", bulk.DryRun))
	if bulk.DryRun {
		return call{overload.Search, func(ctx context.Context) (response, error) {
			found, err := s.options.Operations.DryRun(ctx, bulk)
			return response{http.StatusOK, found}, err
		}}, nil
	}
	// Its count may take seconds, which would read as slow starts.
	return call{overload.Search, func(ctx context.Context) (response, error) {
		started, err := s.options.Operations.StartBulkRedelivery(ctx, bulk)
		if err != nil {
			return response{}, err
		}
		r.fields = append(r.fields, zap.String("redeliveries_id", started.ID), zap.Int("matched", started.Matched))
		r.header.Set("Location", "/v1/redeliveries/"+started.ID)
		return response{http.StatusAccepted, started}, nil
	}}, nil
}

// checkBulkRedelivery checks the fields, and whether the caller's key may start
// such a bulk redelivery.
func (r *request) checkBulkRedelivery(b operation.BulkRedeliveryRequest) error {
	faults := append(checkFilter(b.Filter, b.Force), operation.Faults(
		checkRate(b.RatePerSecond), operation.ReasonRule.Check(b.Reason), r.requireBound("filter.endpoint", b.Filter.Endpoint))...)
	if len(faults) > 0 {
		return operation.Invalid(faults...)
	}
	if err := r.requireForce(b.Force); err != nil {
		return err
	}
	return r.caller.requireEndpoint(b.Filter.Endpoint)
}

func checkRate(perSecond float64) *operation.FieldError {
	if perSecond > 0 && perSecond <= operation.MaxRatePerSecond {
		return nil
	}
	return &operation.FieldError{Field: "rate_per_second",
		Detail: fmt.Sprintf("is not above 0 and at most %d operations per second", operation.MaxRatePerSecond)}
}

func checkFilter(f operation.Filter, force bool) []operation.FieldError {
	if f == (operation.Filter{}) {
		return []operation.FieldError{{Field: "filter",
			Detail: "needs at least one of endpoint, status, http_status, outcome, since, until: everything that ever failed is not redelivered by leaving them out"}}
	}
	endpoint := operation.EndpointRule.As("filter.endpoint")
	endpoint.Required = false
	faults := operation.Faults(endpoint.Check(f.Endpoint), operation.StatusRule.As("filter.status").Check(f.Status),
		operation.CheckHTTPStatus("filter.http_status", f.HTTPStatus))
	if detail := checkFilterOutcome(f, force); detail != "" {
		faults = append(faults, operation.FieldError{Field: "filter.outcome", Detail: detail})
	}
	if !f.Until.IsZero() && !f.Since.Before(f.Until) {
		faults = append(faults, operation.FieldError{Field: "filter.until", Detail: "is not after since"})
	}
	return faults
}

// withoutStatus are the outcomes of runs whose status visibility does not have.
var withoutStatus = []operation.Outcome{operation.OutcomeAcknowledged, operation.OutcomeTerminated}

func checkFilterOutcome(f operation.Filter, force bool) string {
	redeliverable := slices.Contains(operation.Redeliverable, f.Outcome)
	switch {
	case f.Outcome == operation.OutcomeNone:
		return ""
	case f.Outcome == operation.OutcomeAcknowledged && !force:
		return "is acknowledged, which is delivered again only with force: true, and that needs the scope force"
	case !redeliverable && f.Outcome != operation.OutcomeAcknowledged:
		return "is not one of exhausted, gone, expired, terminated, or with force acknowledged"
	}
	return checkOutcome(f.Outcome, f.Status, f.HTTPStatus)
}

// checkOutcome is why no operation with that outcome has the statuses, or "".
func checkOutcome(o operation.Outcome, status, httpStatus string) string {
	switch {
	case o == operation.OutcomeNone:
		return ""
	case status != "" && slices.Contains(withoutStatus, o):
		return "can't go with status, which is not kept of acknowledged and terminated runs"
	case httpStatus != "" && !slices.Contains(operation.WithHTTPStatus, o):
		return "can't go with http_status, which is kept of exhausted and gone runs alone"
	}
	return ""
}

// keyRule is the name of a key, or its id.
var keyRule = operation.EndpointRule.As("key")

func (s *Server) listBulkRedeliveries(r *request) (call, error) {
	parameters, err := r.query(keyRule)
	return call{overload.Search, func(ctx context.Context) (response, error) {
		recent, err := s.options.Operations.BulkRedeliveries(ctx, parameters[keyRule.Field])
		page := operation.BulkRedeliveryPage{Redeliveries: []operation.BulkRedelivery{}}
		for _, b := range recent {
			if r.caller.requireEndpoint(b.Filter.Endpoint) == nil {
				page.Redeliveries = append(page.Redeliveries, b)
			}
		}
		return response{http.StatusOK, page}, err
	}}, err
}

func (s *Server) bulkRedelivery(r *request) (call, error) {
	id, err := r.bulkRedeliveryID()
	return call{overload.Read, func(ctx context.Context) (response, error) {
		found, err := s.findBulkRedelivery(ctx, r, id)
		return response{http.StatusOK, found}, err
	}}, err
}

func (s *Server) stopBulkRedelivery(r *request) (call, error) {
	id, err := r.bulkRedeliveryID()
	return call{overload.Change, func(ctx context.Context) (response, error) {
		if _, err := s.findBulkRedelivery(ctx, r, id); err != nil {
			return response{}, err
		}
		stopped, err := s.options.Operations.StopBulkRedelivery(ctx, id)
		return response{http.StatusOK, stopped}, err
	}}, err
}

// resumeBulkRedelivery needs the scope that starting it did.
func (s *Server) resumeBulkRedelivery(r *request) (call, error) {
	id, err := r.bulkRedeliveryID()
	return call{overload.Change, func(ctx context.Context) (response, error) {
		found, err := s.findBulkRedelivery(ctx, r, id)
		if err != nil {
			return response{}, err
		}
		if err := r.requireForce(found.Force); err != nil {
			return response{}, err
		}
		resumed, err := s.options.Operations.ResumeBulkRedelivery(ctx, id)
		return response{http.StatusOK, resumed}, err
	}}, err
}

var bulkRedeliveryID = regexp.MustCompile(`^rd_[a-z2-7]{26}$`)

// bulkRedeliveryID reads the id in a path without query and body.
func (r *request) bulkRedeliveryID() (string, error) {
	if err := r.noBody(); err != nil {
		return "", err
	}
	id := mux.Vars(r.Request)["id"]
	if !bulkRedeliveryID.MatchString(id) {
		return "", operation.Invalid(operation.FieldError{
			Field: "id", Detail: "is not the id of a bulk redelivery: rd_ and 26 letters and digits"})
	}
	r.fields = append(r.fields, zap.String("redeliveries_id", id))
	return id, nil
}

// findBulkRedelivery reads one, for a key that is for its endpoint.
func (s *Server) findBulkRedelivery(ctx context.Context, r *request, id string) (operation.BulkRedelivery, error) {
	found, err := s.options.Operations.BulkRedelivery(ctx, id)
	if err != nil {
		return operation.BulkRedelivery{}, err
	}
	return found, r.caller.requireEndpoint(found.Filter.Endpoint)
}
