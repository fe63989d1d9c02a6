package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"ringback/internal/operation"
)

// api calls Ringback's HTTP API as a payment core would.
type api struct {
	base string
	key  string
	http *http.Client
}

func newAPI(base, key string) *api { return &api{base: base, key: key, http: keepAlive()} }

// startRequest is what a core sends for an Ukrcard operation.
func startRequest(endpoint, id string) operation.StartRequest {
	registered := operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	return operation.StartRequest{
		Endpoint: endpoint, OperationID: id, Method: "payment",
		Reference: operation.Reference{RegisteredAt: &registered},
	}
}

func (a *api) start(ctx context.Context, endpoint, id string) error {
	return a.call(ctx, http.MethodPost, "/v1/operations", startRequest(endpoint, id), http.StatusCreated)
}

// startAt starts an operation that brings its own URL.
func (a *api) startAt(ctx context.Context, endpoint, id, address string) error {
	return a.call(ctx, http.MethodPost, "/v1/operations",
		operation.StartRequest{Endpoint: endpoint, OperationID: id, Callback: operation.Target{URL: address}}, http.StatusCreated)
}

func (a *api) state(ctx context.Context, endpoint, id string) error {
	return a.call(ctx, http.MethodGet, path(endpoint, id, ""), nil, http.StatusOK)
}

func (a *api) push(ctx context.Context, endpoint, id string) error {
	return a.call(ctx, http.MethodPost, path(endpoint, id, "/status"), map[string]string{"status": "2"}, http.StatusAccepted)
}

func (a *api) revoke(ctx context.Context, endpoint, id string) error {
	return a.call(ctx, http.MethodPost, path(endpoint, id, "/revocation"), map[string]string{"initiated_by": "core"}, http.StatusOK)
}

func path(endpoint, id, what string) string {
	return "/v1/operations/" + endpoint + "/" + url.PathEscape(id) + what
}

func (a *api) call(ctx context.Context, method, path string, body any, want int) error {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("write the body of %s %s: %w", method, path, err)
		}
		content = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, method, a.base+path, content)
	if err != nil {
		return fmt.Errorf("make the request %s %s: %w", method, path, err)
	}
	r.Header.Set("Authorization", "Bearer "+a.key)
	r.Header.Set("Content-Type", "application/json")
	response, err := a.http.Do(r)
	if err != nil {
		return fmt.Errorf("call Ringback: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(io.LimitReader(response.Body, bodyCap))
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if response.StatusCode != want {
		return fmt.Errorf("%s %s answered %s: %s", method, path, response.Status, got)
	}
	return nil
}
