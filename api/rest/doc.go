// Package rest is Ringback's HTTP API, version 1: JSON in and out, errors as
// problem+json (RFC 9457), the contract in openapi.yaml, which it also serves.
//
// It knows the types of package operation and what an API needs of the rest of
// the program ([Operations]); it knows no Temporal and no configuration file.
// routes.go shows the way of a request from its route to Operations: auth.go says who
// may call, limit.go how often, drain.go and package overload how much at once.
package rest
