// Package rest is Ringback's HTTP API, version 1: JSON in and out, errors as
// problem+json (RFC 9457), the contract in openapi.yaml, which it also serves.
//
// It knows the words of package callback and what an API needs of the rest of
// the program ([Operations]); it knows no Temporal and no configuration file.
// Every request under /v1 goes the same way: who asks, may they, is the body
// sound, then one call of Operations, then one answer.
package rest
