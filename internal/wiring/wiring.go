// Package wiring opens the sources and endpoints that a configuration describes.
package wiring

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"ringback/internal/accesstoken"
	"ringback/internal/config"
	"ringback/internal/receiver"
	"ringback/internal/source"
)

// Clients make the HTTP clients of an opened configuration, each behind the egress guard.
type Clients struct {
	Poll    func(tlsConfig *tls.Config, timeout time.Duration) *http.Client
	Attempt func(e config.Endpoint) *http.Client
	// Token is for the token endpoints of OAuth 2.0.
	Token func(tlsConfig *tls.Config, timeout time.Duration) *http.Client
}

// Source opens a source of c, whose base URLs share its access tokens.
func Source(c *config.Config, src config.Source, clients Clients) source.Source {
	kind, _ := c.Kind(src.Kind) // which the configuration checked
	poll := clients.Poll
	if src.Auth.OAuth2 != nil {
		tokens := clients.tokens(*src.Auth.OAuth2, src.TLS)
		poll = func(tlsConfig *tls.Config, timeout time.Duration) *http.Client {
			return tokens.Client(clients.Poll(tlsConfig, timeout), accesstoken.Repeat)
		}
	}
	return kind.Open(src.Open(poll))
}

// Endpoint opens an endpoint of c.
func Endpoint(c *config.Config, e config.Endpoint, clients Clients) (receiver.Endpoint, error) {
	endpoint := receiver.Endpoint{
		Name: e.Name, URL: e.URL, Hosts: e.Hosts(), Header: http.Header{},
		Client: clients.Attempt(e), HonorRetryAfter: e.HonorRetryAfter, MaxConcurrent: e.MaxConcurrent,
		OnHold: e.Enabled == config.EnabledHold,
	}
	for name, value := range e.Headers {
		endpoint.Header.Set(name, value.Reveal())
	}
	e.Auth.Apply(endpoint.Header)
	if e.Auth.OAuth2 != nil {
		// An attempt is made once (promise 5): its 401 counts.
		endpoint.Client = clients.tokens(*e.Auth.OAuth2, e.TLS).Client(endpoint.Client, accesstoken.NextTime)
	}
	return InDialect(c, endpoint, e.Dialect)
}

// InDialect is an endpoint of c as it gets callbacks of that dialect, or what its
// configuration lacks for them.
func InDialect(c *config.Config, e receiver.Endpoint, name string) (receiver.Endpoint, error) {
	configured := c.Endpoints[e.Name]
	spoken, ok := c.Dialect(name)
	if !ok {
		return e, fmt.Errorf("the dialect %s is not in the configuration", name)
	}
	e.Dialect, e.Secrets, e.Signer = spoken, map[string]string{}, nil
	for _, secret := range c.Dialects[name].Secrets {
		value, ok := configured.Secrets[secret]
		if !ok {
			return e, fmt.Errorf("the dialect %s needs the secret %s, which the endpoint %s has not", name, secret, e.Name)
		}
		e.Secrets[secret] = value.Reveal()
	}
	signer, err := spoken.Signer(configured.Signing.Reveal())
	if err != nil {
		return e, fmt.Errorf("the endpoint %s has no signing secrets for the dialect %s: %w", e.Name, name, err)
	}
	if len(configured.Signing.Secrets) > 0 {
		e.Signer = signer
	}
	return e, nil
}

// tokens are those of one endpoint or source, whose client certificate the token
// endpoint is shown, too.
func (c Clients) tokens(o config.OAuth2, shown config.ClientTLS) *accesstoken.Tokens {
	return accesstoken.New(accesstoken.Config{
		TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), Scopes: o.Scopes,
		Client: c.Token(shown.Config(), 0),
	})
}
