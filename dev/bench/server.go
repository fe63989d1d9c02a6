package main

import (
	"context"
	"encoding/json"

	"ringback/dev/temporalserver"
)

// serverSetup are the Temporal server's settings: its directory or PostgreSQL's URL.
type serverSetup struct {
	Dir      string `json:"dir,omitempty"`
	Postgres string `json:"postgres,omitempty"`
	// Stock leaves out every tuning.
	Stock bool `json:"stock,omitempty"`
}

// openServer starts a Temporal server and returns its address.
func openServer(ctx context.Context, setup json.RawMessage) (handler, any, error) {
	var s serverSetup
	if err := json.Unmarshal(setup, &s); err != nil {
		return nil, nil, err
	}
	o := temporalserver.Options{DataDir: s.Dir, Stock: s.Stock}
	if s.Postgres != "" {
		p, err := temporalserver.ParsePostgres(s.Postgres)
		if err != nil {
			return nil, nil, err
		}
		o.Postgres = &p
	}
	server, err := temporalserver.Start(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	return func(_ context.Context, r request) (any, error) {
		if r.Do == stopping {
			return nil, server.Stop()
		}
		return nil, unknownRequest(r)
	}, server.FrontendAddr(), nil
}
