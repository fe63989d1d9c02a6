package config

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/operation"
	"ringback/internal/source"
)

// Config is a valid configuration, defaults filled in and secrets resolved.
// It is read-only and safe for concurrent use.
type Config struct {
	API    API    `yaml:"api,omitzero"`
	Egress Egress `yaml:"egress,omitzero"`
	// Sources and Endpoints are by name.
	Sources   map[string]Source   `yaml:"sources,omitempty"`
	Endpoints map[string]Endpoint `yaml:"endpoints,omitempty"`
	Telemetry Telemetry           `yaml:"telemetry,omitzero"`
	Notices   Notices             `yaml:"notices,omitzero"`
	Codec     Codec               `yaml:"codec,omitzero"`
	// Hash is 12 hexadecimal digits that differ between configurations, with their
	// secrets and certificates, wherever their files are (promise 14).
	Hash string `yaml:"-"`
	// Warnings are what should be seen to, each with its file and line.
	Warnings []string `yaml:"-"`
}

// API is how the HTTP API listens, and who may use it.
type API struct {
	// Listen is host:port; 127.0.0.1:8080 unless set. Without Keys it is loopback.
	Listen    string    `yaml:"listen,omitzero"`
	Keys      []Key     `yaml:"keys,omitempty"`
	RateLimit RateLimit `yaml:"rate_limit,omitzero"`
	// MaxStarts is how many starts and redeliveries of this program may be in
	// Temporal at once; 0: as its latency allows.
	MaxStarts int        `yaml:"max_starts,omitzero"`
	TLS       *ServerTLS `yaml:"tls,omitzero"`
}

// Key is one bearer key of the API.
type Key struct {
	// Name is whose key it is; two keys may share it while one replaces the other.
	Name string `yaml:"name,omitzero"`
	// SHA256 is that of the key; the key itself is in no file of ours.
	SHA256 Digest `yaml:"sha256,omitzero"`
	// Scopes are of Scopes.
	Scopes []string `yaml:"scopes,omitempty"`
	// Endpoints are the only ones that the key may touch; empty: all.
	Endpoints []string `yaml:"endpoints,omitempty"`
}

// Scopes are what a key may be allowed to do (README, "The API").
var Scopes = []string{"start", "read", "revoke", "redeliver", "force", "admin"}

// RateLimit bounds the calls of one key; without keys, of all callers together.
type RateLimit struct {
	// PerSecond is the steady rate of reads; 200 unless set.
	PerSecond float64 `yaml:"per_second"`
	// Burst is how many reads may come at once; 400 unless set.
	Burst int `yaml:"burst,omitzero"`
	// ChangesPerSecond is that of everything but reads; 2000 unless set.
	ChangesPerSecond float64 `yaml:"changes_per_second"`
	// ChangesBurst is how many changes may come at once; 4000 unless set.
	ChangesBurst int `yaml:"changes_burst,omitzero"`
}

// Telemetry is how a program shows what it does.
type Telemetry struct {
	// Listen is host:port where a program without the API serves /metrics,
	// /healthz and /readyz; 127.0.0.1:9464 unless set. Without API.Keys it is
	// loopback; with them /metrics asks for a key with the scope read.
	Listen string `yaml:"listen,omitzero"`
	Traces Traces `yaml:"traces,omitzero"`
}

// Traces say where spans go.
type Traces struct {
	// Endpoint is the base URL of an OTLP/HTTP receiver. Empty: that of the
	// standard's variables OTEL_EXPORTER_OTLP_…, or traces are off.
	Endpoint string `yaml:"endpoint,omitzero"`
	// Ratio is the share of traces recorded where the caller has not decided;
	// 1 unless set.
	Ratio float64 `yaml:"ratio"`
}

// Notices are callbacks about deliveries without an acknowledgement, and about
// endpoints that are failing or have recovered.
type Notices struct {
	// Endpoint is one of Config.Endpoints, of the dialect standard and with a URL
	// of its own; empty: no notices are sent. Without source and poll it takes no
	// operations. Deliveries to it cause no notices.
	Endpoint string `yaml:"endpoint,omitzero"`
	// FailingAfter is after how many unacknowledged attempts in a row, in one
	// worker, an endpoint is failing; 20 unless set.
	FailingAfter int `yaml:"failing_after,omitzero"`
}

// Egress is what may be called beyond public addresses.
type Egress struct {
	// Allow are networks; a link-local or metadata address opens only where it
	// is named alone, as 169.254.169.254/32.
	Allow []netip.Prefix `yaml:"allow,omitempty"`
	// Proxy is the URL of a CONNECT proxy, such as http://10.0.0.5:3128, through
	// which addresses that Allow does not cover are called; empty: none.
	Proxy string `yaml:"proxy,omitzero"`
}

// Guard is the guard of all outgoing requests; its error is about Proxy.
func (e Egress) Guard() (*egress.Guard, error) { return egress.New(e.Allow).ThroughProxy(e.Proxy) }

// Source is one configured core.
type Source struct {
	Name string `yaml:"-"`
	// Kind is a name of source.KindNames.
	Kind string `yaml:"kind,omitzero"`
	// BaseURLs are tried in turn until one answers.
	BaseURLs    []BaseURL `yaml:"base_urls,omitempty"`
	ExtSystemID string    `yaml:"ext_system_id,omitzero"`
	Login       string    `yaml:"login,omitzero"`
	Password    Secret    `yaml:"password,omitzero"`
	// ClientDN replaces the common name of a base URL's client certificate; empty:
	// that name.
	ClientDN string `yaml:"client_dn,omitzero"`
	// RegisteredAtZone is the zone that RegDate is written in; the kind's own unless set.
	RegisteredAtZone Zone `yaml:"registered_at_zone,omitzero"`
	// FinalStatuses replace the kind's own set of final statuses.
	FinalStatuses []string  `yaml:"final_statuses,omitempty"`
	MAC           MAC       `yaml:"mac,omitzero"`
	TLS           ClientTLS `yaml:"tls,omitzero"`
	// Timeout bounds one poll; 10 s unless set, at most MaxTimeout.
	Timeout time.Duration `yaml:"timeout,omitzero"`
}

// BaseURL is one way to a core. In the file it is a URL, or url and tls.
type BaseURL struct {
	URL string `yaml:"url,omitzero"`
	// TLS replaces the source's TLS as a whole for this URL, if anything of it is set.
	TLS ClientTLS `yaml:"tls,omitzero"`
}

// MaxTimeout is the longest that one request may take: the watch and an
// operator's withdrawal wait for it.
const MaxTimeout = 2 * time.Minute

func (s *Source) defaults() { s.Timeout = 10 * time.Second }

// Open is the configuration of the source's adapter, secrets revealed. client
// makes a client for each base URL, such as [egress.Guard.Client].
func (s Source) Open(client func(tlsConfig *tls.Config, timeout time.Duration) *http.Client) source.Config {
	opened := source.Config{
		Name: s.Name, ExtSystemID: s.ExtSystemID, Login: s.Login, Password: s.Password.Reveal(),
		RegisteredAtZone: s.RegisteredAtZone.Location,
		MACID:            s.MAC.ID, MACKey: s.MAC.Key.Reveal(),
	}
	for _, base := range s.BaseURLs {
		shown := s.TLS
		if base.TLS.isSet() {
			shown = base.TLS
		}
		opened.Bases = append(opened.Bases, source.Base{
			URL: base.URL, Client: client(shown.Config(), s.Timeout), ClientDN: cmp.Or(s.ClientDN, shown.commonName),
		})
	}
	return opened
}

// MAC is Paysera's MAC authentication.
type MAC struct {
	ID  string `yaml:"id,omitzero"`
	Key Secret `yaml:"key,omitzero"`
}

// Endpoint is one registered receiver.
type Endpoint struct {
	Name string `yaml:"-"`
	// Dialect is a name of dialect.Names, Source one of Config.Sources.
	Dialect string `yaml:"dialect,omitzero"`
	Source  string `yaml:"source,omitzero"`
	// URL is where callbacks are sent; empty where each operation has its own.
	URL string `yaml:"url,omitzero"`
	// CallbackURL is PerOperation, or empty.
	CallbackURL string `yaml:"callback_url,omitzero"`
	// Methods are the allowed values of a start's method: all of the source
	// kind's unless set.
	Methods []string `yaml:"methods,omitempty"`
	// Statuses are the only ones that are delivered; empty: all that the source's
	// rules name.
	Statuses []string `yaml:"statuses,omitempty"`
	// Enabled is true unless set; false refuses starts.
	Enabled bool `yaml:"enabled"`
	// Supersede is operation.SupersedeLatest unless set.
	Supersede string   `yaml:"supersede,omitzero"`
	Poll      Poll     `yaml:"poll,omitzero"`
	Delivery  Delivery `yaml:"delivery,omitzero"`
	Signing   Signing  `yaml:"signing,omitzero"`
	// HonorRetryAfter lets a receiver's Retry-After lengthen the interval (promise 5).
	HonorRetryAfter bool `yaml:"honor_retry_after"`
	// CardNumberScreen refuses identifiers that look like a card number; true unless set.
	CardNumberScreen bool      `yaml:"card_number_screen"`
	TLS              ClientTLS `yaml:"tls,omitzero"`
	Auth             Auth      `yaml:"auth,omitzero"`
	// Headers are sent with each attempt. Those that carry a credential are
	// references in the file; all are kept as secrets.
	Headers map[string]Header `yaml:"headers,omitempty"`
	// Traceparent sends an attempt's trace in a header, where traces are on.
	Traceparent bool `yaml:"traceparent"`
	// MaxConcurrent is the most attempts under way at once from one worker;
	// 0: the worker's own share.
	MaxConcurrent int `yaml:"max_concurrent,omitzero"`
}

// Header is the value of a header that an endpoint's attempts carry.
type Header struct {
	Secret
	// literal: written in the file itself.
	literal bool
}

// PerOperation is the value of callback_url that lets each start bring its URL.
const PerOperation = "per_operation"

func (e *Endpoint) defaults() {
	e.Enabled = true
	e.CardNumberScreen = true
	e.Supersede = operation.SupersedeLatest
	e.Delivery.Timeout = 10 * time.Second
}

// Poll is when the source is polled (promise 2); exactly one of Schedule and
// Interval is set. All durations are whole milliseconds of at most MaxSpan, the
// gaps of Schedule together.
type Poll struct {
	Schedule     []time.Duration `yaml:"schedule,omitempty"`
	Interval     time.Duration   `yaml:"interval,omitzero"`
	MaxPolls     int             `yaml:"max_polls,omitzero"`
	Lifetime     time.Duration   `yaml:"lifetime,omitzero"`
	InitialDelay time.Duration   `yaml:"initial_delay,omitzero"`
}

// Delivery is h and k (promise 5).
type Delivery struct {
	// Interval is h, in whole milliseconds. Attempts times Interval and Timeout
	// are at most MaxSpan.
	Interval time.Duration `yaml:"interval,omitzero"`
	// Attempts is k, 1 to MaxAttempts.
	Attempts int `yaml:"attempts,omitzero"`
	// Timeout bounds one attempt; 10 s unless set, at most MaxTimeout.
	Timeout time.Duration `yaml:"timeout,omitzero"`
}

// MaxStarts is the most starts of a program that may be in Temporal at once.
const MaxStarts = 10_000

// MaxAttempts is the greatest k.
const MaxAttempts = 1000

// MaxSpan is the longest that an operation may be watched, that a delivery may
// last, and that either may wait for what comes next: ten years. What the worker
// and the server add to it stays far below the 250 years that a timer of the
// server holds.
const MaxSpan = 10 * 365 * 24 * time.Hour

// Signing is how callbacks are signed (Standard Webhooks).
type Signing struct {
	// Secrets sign each callback, all of them: two while one replaces the other.
	Secrets []Secret `yaml:"secrets,omitempty"`
}

// Reveal is the secrets' values, in their order.
func (s Signing) Reveal() []string {
	values := make([]string, len(s.Secrets))
	for i, secret := range s.Secrets {
		values[i] = secret.Reveal()
	}
	return values
}

// Auth is the Authorization header of an attempt: at most one of both.
type Auth struct {
	Bearer Secret `yaml:"bearer,omitzero"`
	Basic  *Basic `yaml:"basic,omitzero"`
}

// Basic is HTTP basic authentication.
type Basic struct {
	Username string `yaml:"username,omitzero"`
	Password Secret `yaml:"password,omitzero"`
}

// Apply sets the Authorization header of h, if there is anything to set.
func (a Auth) Apply(h http.Header) {
	switch {
	case !a.Bearer.IsZero():
		h.Set("Authorization", "Bearer "+a.Bearer.Reveal())
	case a.Basic != nil:
		r := http.Request{Header: h}
		r.SetBasicAuth(a.Basic.Username, a.Basic.Password.Reveal())
	}
}

// Digest is a SHA-256.
type Digest [32]byte

// MarshalText is the digest in hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%x", d[:]), nil }

// Zone is a time zone, nil unless set.
type Zone struct{ *time.Location }

// MarshalText is the zone's name, empty if unset.
func (z Zone) MarshalText() ([]byte, error) {
	if z.Location == nil {
		return nil, nil
	}
	return []byte(z.Location.String()), nil
}

// ClientTLS is our certificate for a server, and which servers we trust.
// Cert and Key, or CA, or all of them are set; or nothing is.
type ClientTLS struct {
	// Cert and Key are PEM files of our client certificate.
	Cert string `yaml:"cert,omitzero"`
	Key  string `yaml:"key,omitzero"`
	// CA is a PEM file with the authorities trusted instead of the system's.
	CA string `yaml:"ca,omitzero"`

	config     *tls.Config
	commonName string
}

func (t ClientTLS) isSet() bool { return t.Cert != "" || t.Key != "" || t.CA != "" }

// Config is the TLS configuration, nil where nothing is set. It is a copy.
func (t ClientTLS) Config() *tls.Config { return t.config.Clone() }

// ServerTLS is the API's own certificate.
type ServerTLS struct {
	Cert string `yaml:"cert,omitzero"`
	Key  string `yaml:"key,omitzero"`
	// ClientCA is a PEM file: clients must show a certificate of one of its authorities.
	ClientCA string `yaml:"client_ca,omitzero"`

	config *tls.Config
}

// Config is the TLS configuration of the listener. It is a copy.
func (t *ServerTLS) Config() *tls.Config {
	if t == nil {
		return nil
	}
	return t.config.Clone()
}

// Load reads the file at path. Its error is a joined list of *Fault, one a
// line, or says that the file can't be read.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("read configuration: %s is larger than %d bytes", path, maxFileBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse reads data as if it was the file called name, which errors show and
// which relative paths in it are relative to.
func Parse(name string, data []byte) (*Config, error) {
	d := newDecoder(name)
	c := &Config{API: API{
		Listen:    "127.0.0.1:8080",
		RateLimit: RateLimit{PerSecond: 200, Burst: 400, ChangesPerSecond: 2000, ChangesBurst: 4000},
	}, Telemetry: Telemetry{Listen: "127.0.0.1:9464", Traces: Traces{Ratio: 1}}, Notices: Notices{FailingAfter: 20}}
	if d.decode(data, c) {
		v := &validator{decoder: d, config: c}
		v.validate()
	}
	if err := join(d.faults); err != nil {
		return nil, err
	}
	hash, err := hashOf(c, d.secrets)
	if err != nil {
		return nil, err
	}
	c.Hash, c.Warnings = hash, d.warnings
	return c, nil
}

// Endpoint is the endpoint of that name as a start needs it, without secrets;
// false if there is none.
func (c *Config) Endpoint(name string) (operation.Endpoint, bool) {
	e, ok := c.Endpoints[name]
	if !ok {
		return operation.Endpoint{}, false
	}
	s := c.Sources[e.Source]
	kind, known := source.KindByName(s.Kind)
	var rules operation.Rules
	if known {
		rules = e.rules(kind.Rules(s.FinalStatuses))
	}
	return operation.Endpoint{
		Name: name, Disabled: !e.Enabled || e.Source == "",
		Dialect: e.Dialect, Source: e.Source, SourceKind: s.Kind,
		PerOperationURL:   e.CallbackURL == PerOperation,
		Methods:           e.Methods,
		Statuses:          e.Statuses,
		Fields:            kind.Fields,
		Rules:             rules,
		Policy:            e.policy(),
		ScreenIdentifiers: e.CardNumberScreen,
		Notices:           c.NoticeRecipient(name),
	}, true
}

// NoticeRecipient is where notices about the endpoint of that name go, or nil.
func (c *Config) NoticeRecipient(about string) *operation.Recipient {
	name := c.Notices.Endpoint
	if name == "" || name == about {
		return nil
	}
	return &operation.Recipient{Endpoint: name, Policy: c.Endpoints[name].policy().Delivery}
}

// rules are the source's, and deliver a revocation wherever the dialect has a
// status for it (promise 7).
func (e Endpoint) rules(r operation.Rules) operation.Rules {
	d, ok := dialect.ByName(e.Dialect)
	if ok && d.Knows(r.Revoked) && !r.Delivers(r.Revoked) {
		r.Delivered = append(slices.Clone(r.Delivered), r.Revoked)
	}
	return r
}

func (e Endpoint) policy() operation.Policy {
	var schedule []int64
	for _, gap := range e.Poll.Schedule {
		schedule = append(schedule, gap.Milliseconds())
	}
	return operation.Policy{
		Poll: operation.PollPolicy{
			ScheduleMS:     schedule,
			IntervalMS:     e.Poll.Interval.Milliseconds(),
			MaxPolls:       e.Poll.MaxPolls,
			LifetimeMS:     e.Poll.Lifetime.Milliseconds(),
			InitialDelayMS: e.Poll.InitialDelay.Milliseconds(),
		},
		Delivery: operation.DeliveryPolicy{
			IntervalMS: e.Delivery.Interval.Milliseconds(),
			Attempts:   e.Delivery.Attempts,
			TimeoutMS:  e.Delivery.Timeout.Milliseconds(),
		},
		Supersede: e.Supersede,
	}
}
