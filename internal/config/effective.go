package config

import (
	"fmt"
	"maps"

	"github.com/goccy/go-yaml"

	"ringback/internal/operation"
)

// Effective is c as a YAML file with defaults filled in. Each secret, and the query
// of each URL, which may hold one, is "[redacted]"; but for those it reads as c again.
func (c *Config) Effective() ([]byte, error) {
	shown := *c
	if shown.Notices.Endpoint == "" {
		shown.Notices = Notices{} // the rest of it has no effect then, and is refused
	}
	if len(c.Codec.Keys) == 0 && c.Codec.Required && len(c.Codec.Server.Origins) == 0 {
		shown.Codec = Codec{} // as above
	}
	shown.Telemetry.Traces.Endpoint = operation.WithoutQuery(c.Telemetry.Traces.Endpoint)
	shown.Sources, shown.Endpoints = maps.Clone(c.Sources), maps.Clone(c.Endpoints)
	for name, s := range shown.Sources {
		s.Auth = s.Auth.withoutQuery()
		if kind, _ := c.Kind(s.Kind); kind.Push != nil {
			s.Timeout = 0 // as above
		}
		shown.Sources[name] = s
	}
	for name, e := range shown.Endpoints {
		e.URL, e.Auth = operation.WithoutQuery(e.URL), e.Auth.withoutQuery()
		shown.Endpoints[name] = e
	}
	content, err := yaml.MarshalWithOptions(shown, append(treesAsJSON, yaml.Indent(2), yaml.IndentSequence(true))...)
	if err != nil {
		return nil, fmt.Errorf("write the configuration as YAML: %w", err)
	}
	return content, nil
}

// MarshalYAML implements [yaml.InterfaceMarshaler]: the URL alone where TLS is not set.
func (b BaseURL) MarshalYAML() (any, error) {
	if !b.TLS.isSet() {
		return b.URL, nil
	}
	type both BaseURL
	return both(b), nil
}

func (a Auth) withoutQuery() Auth {
	if a.OAuth2 != nil {
		shown := *a.OAuth2
		shown.TokenURL = operation.WithoutQuery(shown.TokenURL)
		a.OAuth2 = &shown
	}
	return a
}
