package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"ringback/activities"
	"ringback/api/rest"
	"ringback/internal/codec"
	"ringback/internal/config"
	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/operation"
	"ringback/internal/receiver"
	"ringback/internal/source"
	"ringback/internal/telemetry"
)

// registry is the configuration in force, made ready for use. A reload replaces
// it whole, so that no request sees half of it.
type registry struct {
	current atomic.Pointer[settings]
	pings   pings
	// traces are put around what is called; nil: off.
	traces *telemetry.Traces
	// codec seals what goes to Temporal, with the keys of the latest load.
	codec codec.Codec
}

// settings are one configuration: endpoints and sources with their clients.
type settings struct {
	config    *config.Config
	traces    *telemetry.Traces
	guard     *egress.Guard
	endpoints map[string]receiver.Endpoint
	sources   map[string]activities.Source
	keys      []rest.Key
	// tls is that of the listener, nil without api.tls. One for each
	// configuration, so that no session outlives the certificates that began it.
	tls *tls.Config
}

func newSettings(c *config.Config, traces *telemetry.Traces) (*settings, error) {
	guard, err := c.Egress.Guard()
	if err != nil {
		return nil, fmt.Errorf("egress.proxy: %w", err)
	}
	s := &settings{
		config: c, traces: traces, guard: guard, keys: apiKeys(c.API.Keys),
		endpoints: map[string]receiver.Endpoint{}, sources: map[string]activities.Source{},
	}
	if s.tls = c.API.TLS.Config(); s.tls != nil {
		s.tls.NextProtos = []string{"h2", "http/1.1"}
	}
	for name, e := range c.Endpoints {
		endpoint, err := s.endpoint(e)
		if err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", name, err)
		}
		s.endpoints[name] = endpoint
	}
	for name, src := range c.Sources {
		kind, ok := source.KindByName(src.Kind)
		if !ok {
			return nil, fmt.Errorf("source %s: there is no kind %q", name, src.Kind)
		}
		opened := kind.Open(src.Open(func(tlsConfig *tls.Config, timeout time.Duration) *http.Client {
			return traces.Client(s.guard.Client(tlsConfig, timeout), "poll", false)
		}))
		s.sources[name] = activities.Source{Source: opened, Vocabulary: kind.Vocabulary}
	}
	return s, nil
}

func (s *settings) endpoint(e config.Endpoint) (receiver.Endpoint, error) {
	written, ok := dialect.ByName(e.Dialect)
	if !ok {
		return receiver.Endpoint{}, fmt.Errorf("there is no dialect %q", e.Dialect)
	}
	endpoint := receiver.Endpoint{
		Name: e.Name, Dialect: written, URL: e.URL, Header: http.Header{},
		Client: s.traces.Client(s.guard.Client(e.TLS.Config(), 0), "attempt", e.Traceparent), HonorRetryAfter: e.HonorRetryAfter, MaxConcurrent: e.MaxConcurrent,
	}
	for name, value := range e.Headers {
		endpoint.Header.Set(name, value.Reveal())
	}
	e.Auth.Apply(endpoint.Header)
	if len(e.Signing.Secrets) == 0 {
		return endpoint, nil
	}
	signer, err := dialect.NewSigner(e.Signing.Reveal())
	endpoint.Signer = signer
	return endpoint, err
}

func apiKeys(keys []config.Key) []rest.Key {
	made := make([]rest.Key, 0, len(keys))
	for _, k := range keys {
		key := rest.Key{Name: k.Name, SHA256: k.SHA256, Endpoints: k.Endpoints}
		for _, scope := range k.Scopes {
			key.Scopes = append(key.Scopes, rest.Scope(scope))
		}
		made = append(made, key)
	}
	return made
}

// use puts c, which was read from path, in force.
func (r *registry) use(path string, c *config.Config) error {
	s, err := newSettings(c, r.traces)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := r.codec.Use(codecKeys(c.Codec.Keys)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.current.Store(s)
	return nil
}

func codecKeys(keys []config.CodecKey) []codec.Key {
	made := make([]codec.Key, len(keys))
	for i, k := range keys {
		made[i] = codec.Key{ID: k.ID, Secret: k.Bytes()}
	}
	return made
}

func (r *registry) config() *config.Config { return r.current.Load().config }

func (r *registry) hash() string { return r.config().Hash }

func (r *registry) keys() []rest.Key { return r.current.Load().keys }

func (r *registry) readLimit() rest.Limit {
	limit := r.config().API.RateLimit
	return rest.Limit{PerSecond: limit.PerSecond, Burst: limit.Burst}
}

func (r *registry) changeLimit() rest.Limit {
	limit := r.config().API.RateLimit
	return rest.Limit{PerSecond: limit.ChangesPerSecond, Burst: limit.ChangesBurst}
}

func (r *registry) endpoint(name string) (receiver.Endpoint, bool) {
	e, ok := r.current.Load().endpoints[name]
	return e, ok
}

func (r *registry) source(name string) (activities.Source, bool) {
	s, ok := r.current.Load().sources[name]
	return s, ok
}

func (r *registry) start(name string) (operation.Endpoint, bool) { return r.config().Endpoint(name) }

// failingAfter is after how many unacknowledged attempts in a row an endpoint is
// failing; 0 where nobody hears of it.
func (r *registry) failingAfter(endpoint string) int {
	c := r.config()
	if c.NoticeRecipient(endpoint) == nil {
		return 0
	}
	return c.Notices.FailingAfter
}

func (r *registry) endpointNames() []string {
	names := make([]string, 0, len(r.current.Load().endpoints))
	for name := range r.current.Load().endpoints {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r *registry) sourceNames() []string {
	return slices.Sorted(maps.Keys(r.current.Load().sources))
}

func (r *registry) checkURL(ctx context.Context, address string) error {
	return r.current.Load().guard.CheckURL(ctx, address)
}

// longestAttempt is the longest that an attempt or poll may take: what a stop
// waits for.
func (r *registry) longestAttempt() time.Duration {
	longest := time.Second
	for _, e := range r.config().Endpoints {
		longest = max(longest, e.Delivery.Timeout)
	}
	for _, s := range r.config().Sources {
		longest = max(longest, s.Timeout)
	}
	return longest
}
