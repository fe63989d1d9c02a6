package rest

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"

	"ringback/internal/operation"
)

// pingWait bounds one ping, which waits for a receiver: longer than a call that
// only Ringback works on, shorter than the server takes to write an answer.
const pingWait = 22 * time.Second

// maxURL is the most bytes of a URL that a ping is sent to.
const maxURL = 2048

func (s *Server) ping(ctx context.Context, x *exchange) (answer, error) {
	var request operation.PingRequest
	endpoint, err := x.endpoint(&request)
	if err != nil {
		return answer{}, err
	}
	if len(request.URL) > maxURL {
		return answer{}, operation.Invalid(operation.FieldError{Field: "url", Detail: "is longer than 2048 bytes"})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingWait)
	defer cancel()
	ping, err := s.options.Operations.Ping(ctx, endpoint, request)
	if err != nil {
		return answer{}, err
	}
	x.key = operation.Key{Endpoint: endpoint, OperationID: ping.OperationID}
	return answer{http.StatusOK, ping}, nil
}

// endpoint reads a request that is an endpoint's path and, if it has one, a body.
func (x *exchange) endpoint(body any) (string, error) {
	if err := x.noQuery(); err != nil {
		return "", err
	}
	name, err := url.PathUnescape(mux.Vars(x.Request)["endpoint"])
	if err != nil || checkEndpoint(name) != "" {
		return "", operation.Invalid(operation.FieldError{Field: "endpoint", Detail: notAName})
	}
	x.asked.Endpoint = name
	if err := x.caller.requireEndpoint(name); err != nil {
		return "", err
	}
	return name, x.decode(body, true)
}
