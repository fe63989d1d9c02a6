package rest

import (
	"context"
	"net/http"
	"time"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

// pingTimeout bounds one ping, which waits for a receiver: longer than a call
// that only Ringback works on, shorter than the server's limit for a response.
const pingTimeout = 22 * time.Second

func (s *Server) ping(r *request) (call, error) {
	endpoint, err := r.path("endpoint")
	if err != nil {
		return call{}, err
	}
	r.key.Endpoint = endpoint
	if err := operation.Validate(operation.EndpointRule.Check(endpoint)); err != nil {
		return call{}, err
	}
	if err := r.caller.requireEndpoint(endpoint); err != nil {
		return call{}, err
	}
	var body operation.PingRequest
	if err := r.decode(&body, true); err != nil {
		return call{}, err
	}
	r.noteHost(operation.HostPort(body.URL))
	return call{overload.Change, func(ctx context.Context) (response, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		ping, err := s.options.Operations.Ping(ctx, endpoint, body)
		if err == nil {
			r.key.OperationID = ping.OperationID
		}
		return response{http.StatusOK, ping}, err
	}}, operation.Validate(operation.URLRule.Check(body.URL))
}
