package app

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"ringback/activities"
	"ringback/api/rest"
	"ringback/internal/codec"
	"ringback/internal/config"
	"ringback/internal/receiver"
	"ringback/internal/telemetry"
	"ringback/internal/wiring"
)

// liveConfig is the configuration in force, which a reload replaces as a whole.
type liveConfig struct {
	current atomic.Pointer[snapshot]
	pings   rest.Limiter
	traces  *telemetry.Traces
	codec   codec.Codec
	// uiURL is Options.UIURL, whose pages may use the codec.
	uiURL string
}

// snapshot is one configuration: endpoints and sources with their HTTP clients.
type snapshot struct {
	config    *config.Config
	traces    *telemetry.Traces
	endpoints map[string]receiver.Endpoint
	sources   map[string]activities.Source
	settings  rest.Settings
	// tls is that of the listener, nil without api.tls; one for each configuration, so
	// that no session outlives the certificates that began it.
	tls *tls.Config
}

func (l *liveConfig) newSnapshot(c *config.Config) (*snapshot, error) {
	s := &snapshot{
		config: c, traces: l.traces, settings: apiSettings(c, l.uiURL),
		endpoints: map[string]receiver.Endpoint{}, sources: map[string]activities.Source{},
	}
	if s.tls = c.API.TLS.Config(); s.tls != nil {
		s.tls.NextProtos = []string{"h2", "http/1.1"}
	}
	for name, e := range c.Endpoints {
		endpoint, err := wiring.Endpoint(c, e, s.clients())
		if err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", name, err)
		}
		s.endpoints[name] = endpoint
	}
	for name, src := range c.Sources {
		kind, _ := c.Kind(src.Kind) // which the configuration checked
		s.sources[name] = activities.Source{Source: wiring.Source(c, src, s.clients()), Vocabulary: kind.Vocabulary}
	}
	return s, nil
}

// clients are behind the guard of the configuration, and traced.
func (s *snapshot) clients() wiring.Clients {
	guard := s.config.Guard
	return wiring.Clients{
		Poll: func(tlsConfig *tls.Config, timeout time.Duration) *http.Client {
			return s.traces.Client(guard.Client(tlsConfig, timeout), "poll", false)
		},
		Attempt: func(e config.Endpoint) *http.Client {
			return s.traces.Client(guard.Client(e.TLS.Config(), 0), "attempt", e.Traceparent)
		},
		Token: guard.Client,
	}
}

// use puts c, read from path, in force.
func (l *liveConfig) use(path string, c *config.Config) error {
	s, err := l.newSnapshot(c)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	l.put(s)
	return nil
}

// put puts s in force.
func (l *liveConfig) put(s *snapshot) {
	l.codec.Use(codecKeys(s.config.Codec.Keys), s.config.Codec.Migrating)
	l.current.Store(s)
}

func (l *liveConfig) file() *config.Config { return l.current.Load().config }

func (l *liveConfig) hash() string { return l.file().Hash }

func (l *liveConfig) settings() rest.Settings { return l.current.Load().settings }

func (l *liveConfig) endpoint(name string) (receiver.Endpoint, bool) {
	e, ok := l.current.Load().endpoints[name]
	return e, ok
}

// inDialect is the endpoint as the configuration in force now has it: a reload may have
// come since the caller got e, and one's secrets must not go to the other's URL.
func (l *liveConfig) inDialect(e receiver.Endpoint, dialect string) (receiver.Endpoint, error) {
	s := l.current.Load()
	now, ok := s.endpoints[e.Name]
	if !ok {
		return e, fmt.Errorf("the endpoint %s is not in the configuration", e.Name)
	}
	return wiring.InDialect(s.config, now, dialect)
}

func (l *liveConfig) source(name string) (activities.Source, bool) {
	s, ok := l.current.Load().sources[name]
	return s, ok
}

// failingAfter is the number of unacknowledged attempts in a row after which an endpoint
// is failing; 0 without a recipient of notices.
func (l *liveConfig) failingAfter(endpoint string) int {
	c := l.file()
	if c.NoticeRecipient(endpoint) == nil {
		return 0
	}
	return c.Notices.FailingAfter
}

func (l *liveConfig) endpointNames() []string {
	return slices.Sorted(maps.Keys(l.current.Load().endpoints))
}

// longestAttempt bounds an attempt or a poll.
func (l *liveConfig) longestAttempt() time.Duration {
	longest := time.Second
	for _, e := range l.file().Endpoints {
		longest = max(longest, e.Delivery.Timeout)
	}
	for _, s := range l.file().Sources {
		longest = max(longest, s.Timeout)
	}
	return longest
}

// apiSettings let pages of the Temporal UI at uiURL use the codec as well.
func apiSettings(c *config.Config, uiURL string) rest.Settings {
	limit := c.API.RateLimit
	s := rest.Settings{
		ReadLimit:   rest.Limit{PerSecond: limit.PerSecond, Burst: limit.Burst},
		ChangeLimit: rest.Limit{PerSecond: limit.ChangesPerSecond, Burst: limit.ChangesBurst},
		AuditReads:  c.API.AuditReads, CodecOrigins: slices.Clone(c.Codec.Server.Origins), ConfigHash: c.Hash,
	}
	if ui, err := url.Parse(uiURL); err == nil && ui.Host != "" {
		s.CodecOrigins = append(s.CodecOrigins, ui.Scheme+"://"+ui.Host)
	}
	for _, k := range c.API.Keys {
		s.Keys = append(s.Keys, rest.Key{Name: k.Name, SHA256: k.SHA256, Scopes: k.Scopes, Endpoints: k.Endpoints, Expires: k.Expires, From: k.From})
	}
	return s
}

func codecKeys(keys []config.CodecKey) []codec.Key {
	made := make([]codec.Key, len(keys))
	for i, k := range keys {
		made[i] = codec.Key{ID: k.ID, Secret: k.Bytes()}
	}
	return made
}
