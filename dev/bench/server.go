package main

import (
	"context"
	"encoding/json"
	"fmt"

	"ringback/dev/temporalserver"
)

// serverSetup says how the Temporal server's process keeps its state.
type serverSetup struct {
	Dir      string                  `json:"dir,omitempty"`
	Postgres string                  `json:"postgres,omitempty"`
	Stock    bool                    `json:"stock,omitempty"`
	Without  []temporalserver.Tuning `json:"without,omitempty"`
}

// openServer starts a Temporal server in this process; its value is the address.
func openServer(ctx context.Context, setup json.RawMessage) (handler, any, error) {
	var s serverSetup
	if err := json.Unmarshal(setup, &s); err != nil {
		return nil, nil, err
	}
	o := temporalserver.Options{DataDir: s.Dir, Stock: s.Stock, Without: s.Without}
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
	return func(_ context.Context, o order) (any, error) {
		if o.Do == stopping {
			return nil, server.Stop()
		}
		return nil, fmt.Errorf("the server knows no order %q", o.Do)
	}, server.FrontendAddr(), nil
}
