package config

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
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
	// Kinds and Dialects are those of the file's own, Sources and Endpoints all, by name.
	Kinds     map[string]source.Definition  `yaml:"kinds,omitempty"`
	Dialects  map[string]dialect.Definition `yaml:"dialects,omitempty"`
	Sources   map[string]Source             `yaml:"sources,omitempty"`
	Endpoints map[string]Endpoint           `yaml:"endpoints,omitempty"`
	Telemetry Telemetry                     `yaml:"telemetry,omitzero"`
	Notices   Notices                       `yaml:"notices,omitzero"`
	Codec     Codec                         `yaml:"codec,omitzero"`
	Audit     Audit                         `yaml:"audit,omitzero"`
	// Guard is that of Egress, for all outgoing requests.
	Guard *egress.Guard `yaml:"-"`
	// Hash is 12 hexadecimal digits that differ between configurations, their secrets
	// and the contents of their files (promise 14).
	Hash string `yaml:"-"`
	// PageKey signs the tokens of a list's pages: all programs with this configuration
	// have the same, and no caller knows it.
	PageKey []byte `yaml:"-"`
	// Warnings are about certificates and files, each with file and line.
	Warnings []string `yaml:"-"`

	// kinds and dialects are compiled.
	kinds    map[string]source.Kind
	dialects map[string]dialect.Dialect
}

// Audit is where the API writes who changed what.
type Audit struct {
	// File is relative to the configuration's folder; empty: the log.
	File string `yaml:"file,omitzero"`
}

// API is the HTTP API: where it listens and who may use it.
type API struct {
	// Listen is host:port; 127.0.0.1:8080 unless set. Without Keys it is loopback.
	Listen string `yaml:"listen,omitzero"`
	Keys   []Key  `yaml:"keys,omitempty"`
	// Anonymous says that there are no Keys on purpose; see CheckReload.
	Anonymous bool      `yaml:"anonymous,omitzero"`
	RateLimit RateLimit `yaml:"rate_limit,omitzero"`
	// MaxStarts bounds the starts and redeliveries of this program that are in
	// Temporal at once; 0: as its latency allows.
	MaxStarts int        `yaml:"max_starts,omitzero"`
	TLS       *ServerTLS `yaml:"tls,omitzero"`
	// AuditReads audits reads as changes are.
	AuditReads bool `yaml:"audit_reads,omitzero"`
}

// Key is one bearer key of the API.
type Key struct {
	// Name is whose key it is; two keys may share it while one replaces the other.
	Name string `yaml:"name,omitzero"`
	// SHA256 is the key's digest; the key itself is in no file.
	SHA256 Digest `yaml:"sha256,omitzero"`
	// Scopes are some of operation.Scopes.
	Scopes []string `yaml:"scopes,omitempty"`
	// Endpoints are the only ones that the key may touch; empty: all.
	Endpoints []string `yaml:"endpoints,omitempty"`
	// Expires is when the key is refused; zero: never. In the file it is a time, or a
	// date: its first moment in UTC.
	Expires time.Time `yaml:"expires,omitzero"`
	// From are the only networks that the key may be used from; empty: all.
	From []netip.Prefix `yaml:"from,omitempty"`
}

// RateLimit bounds the calls of one key; without keys, of all callers together.
type RateLimit struct {
	// PerSecond and Burst are for reads; 200 and 400 unless set.
	PerSecond float64 `yaml:"per_second"`
	Burst     int     `yaml:"burst,omitzero"`
	// ChangesPerSecond and ChangesBurst are for all else; 2000 and 4000 unless set.
	ChangesPerSecond float64 `yaml:"changes_per_second"`
	ChangesBurst     int     `yaml:"changes_burst,omitzero"`
}

// Telemetry is how a program shows what it does.
type Telemetry struct {
	// Listen is host:port where each program serves /metrics, /healthz and /readyz;
	// 127.0.0.1:9464 unless set. Without API.Keys it is loopback.
	Listen string `yaml:"listen,omitzero"`
	Traces Traces `yaml:"traces,omitzero"`
}

// Traces are sent by OTLP/HTTP.
type Traces struct {
	// Endpoint is the receiver's base URL; empty: that of OTEL_EXPORTER_OTLP_…, or
	// traces are off.
	Endpoint string `yaml:"endpoint,omitzero"`
	// Ratio is the share recorded where the caller has not decided; 1 unless set.
	Ratio float64 `yaml:"ratio"`
}

// Notices are callbacks about deliveries without an acknowledgement, and about
// endpoints that are failing or have recovered.
type Notices struct {
	// Endpoint is a name in Config.Endpoints, of the dialect standard and with a URL;
	// empty: no notices. Without source and poll it takes no operations.
	Endpoint string `yaml:"endpoint,omitzero"`
	// FailingAfter is the number of unacknowledged attempts in a row, in one worker,
	// after which an endpoint is failing; 20 unless set.
	FailingAfter int `yaml:"failing_after,omitzero"`
}

// Egress says what may be called beyond public addresses.
type Egress struct {
	// Allow are networks; a link-local or metadata address must be named alone, as
	// 169.254.169.254/32. A port after it, as 10.20.0.0/16:443, opens that one alone.
	Allow []egress.Network `yaml:"allow,omitempty"`
	// Proxy is the URL of a CONNECT proxy for addresses that Allow does not cover;
	// empty: none.
	Proxy string `yaml:"proxy,omitzero"`
}

// Source is one configured core.
type Source struct {
	Name string `yaml:"-"`
	Kind string `yaml:"kind,omitzero"`
	// BaseURLs are tried in turn until one answers.
	BaseURLs    []BaseURL `yaml:"base_urls,omitempty"`
	ExtSystemID string    `yaml:"ext_system_id,omitzero"`
	Login       string    `yaml:"login,omitzero"`
	Password    Secret    `yaml:"password,omitzero"`
	// ClientDN replaces the common name of a base URL's client certificate.
	ClientDN string `yaml:"client_dn,omitzero"`
	// RegisteredAtZone is the zone of RegDate; the kind's own unless set.
	RegisteredAtZone string `yaml:"registered_at_zone,omitzero"`
	// FinalStatuses replace the kind's own set of final statuses.
	FinalStatuses []string `yaml:"final_statuses,omitempty"`
	MAC           MAC      `yaml:"mac,omitzero"`
	// Secrets are those that a kind of the file's own names. Auth is for such a kind, too.
	Secrets map[string]Secret `yaml:"secrets,omitempty"`
	Auth    Auth              `yaml:"auth,omitzero"`
	TLS     ClientTLS         `yaml:"tls,omitzero"`
	// Timeout bounds one poll; 10 s unless set, at most MaxTimeout.
	Timeout time.Duration `yaml:"timeout,omitzero"`
}

// BaseURL is one way to a core. In the file it is a URL, or url and tls.
type BaseURL struct {
	URL string `yaml:"url,omitzero"`
	// TLS replaces the source's TLS as a whole for this URL, if anything of it is set.
	TLS ClientTLS `yaml:"tls,omitzero"`
}

// MaxTimeout bounds one request: the watch and an operator's withdrawal wait for it.
const MaxTimeout = 2 * time.Minute

func (s *Source) defaults() { s.Timeout = 10 * time.Second }

// Open is the configuration of the source's adapter, with its secrets. client makes
// the client of each base URL.
func (s Source) Open(client func(tlsConfig *tls.Config, timeout time.Duration) *http.Client) source.Config {
	opened := source.Config{
		Name: s.Name, ExtSystemID: s.ExtSystemID, Login: s.Login, Password: s.Password.Reveal(),
		MACID: s.MAC.ID, MACKey: s.MAC.Key.Reveal(), Secrets: revealed(s.Secrets), Header: http.Header{},
	}
	s.Auth.Apply(opened.Header)
	if s.RegisteredAtZone != "" {
		opened.RegisteredAtZone, _ = time.LoadLocation(s.RegisteredAtZone)
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
	Name    string `yaml:"-"`
	Dialect string `yaml:"dialect,omitzero"`
	Source  string `yaml:"source,omitzero"`
	// URL is where callbacks are sent; empty where each operation has its own.
	URL string `yaml:"url,omitzero"`
	// CallbackURL is PerOperation or empty.
	CallbackURL string `yaml:"callback_url,omitzero"`
	// CallbackHosts are the only hosts that operations may bring URLs of; empty: any.
	CallbackHosts operation.AllowedHosts `yaml:"callback_hosts,omitempty"`
	// Methods are the allowed methods of a start; all of the source kind's unless set.
	Methods []string `yaml:"methods,omitempty"`
	// Statuses are the only ones delivered; empty: all that the source's rules name.
	Statuses []string `yaml:"statuses,omitempty"`
	// Enabled is EnabledTrue unless set.
	Enabled Enabled `yaml:"enabled"`
	// Supersede is operation.SupersedeLatest unless set.
	Supersede string `yaml:"supersede,omitzero"`
	// Push is operation.PushHint unless set.
	Push     string   `yaml:"push,omitzero"`
	Poll     Poll     `yaml:"poll,omitzero"`
	Delivery Delivery `yaml:"delivery,omitzero"`
	Signing  Signing  `yaml:"signing,omitzero"`
	// HonorRetryAfter lets a receiver's Retry-After lengthen the interval (promise 5).
	HonorRetryAfter bool `yaml:"honor_retry_after"`
	// CardNumberScreen refuses identifiers like a card number; true unless set.
	CardNumberScreen bool              `yaml:"card_number_screen"`
	TLS              ClientTLS         `yaml:"tls,omitzero"`
	Auth             Auth              `yaml:"auth,omitzero"`
	Headers          map[string]Header `yaml:"headers,omitempty"`
	// Secrets are those that a dialect of the file's own names.
	Secrets map[string]Secret `yaml:"secrets,omitempty"`
	// Traceparent sends an attempt's trace in a header, where traces are on.
	Traceparent bool `yaml:"traceparent"`
	// MaxConcurrent is the most attempts under way at once from one worker;
	// 0: the worker's own share.
	MaxConcurrent int `yaml:"max_concurrent,omitzero"`
}

// Header is the value of a header of an endpoint's attempts.
type Header struct {
	Secret
	literal bool // not a reference
}

// sendsCredentials reports whether attempts carry what only the configured receivers
// may see. A signature is none: it is good for its own message alone.
func (e Endpoint) sendsCredentials() bool {
	secret := func(h Header) bool { return !h.literal }
	return !e.Auth.Bearer.IsZero() || e.Auth.Basic != nil || e.Auth.OAuth2 != nil || len(e.Secrets) > 0 || e.TLS.isSet() || slices.ContainsFunc(slices.Collect(maps.Values(e.Headers)), secret)
}

// Hosts are those to which callbacks may be sent at the URLs that operations brought,
// also before the endpoint had a URL of its own.
func (e Endpoint) Hosts() operation.AllowedHosts {
	if e.URL != "" && e.sendsCredentials() {
		return operation.OnlyHostOf(e.URL)
	}
	return e.CallbackHosts
}

// Enabled is what an endpoint is used for.
type Enabled string

const (
	// EnabledTrue takes starts, and sends callbacks.
	EnabledTrue Enabled = "true"
	// EnabledFalse refuses starts. Open operations go on.
	EnabledFalse Enabled = "false"
	// EnabledHold takes starts and watches, and sends no callback until it is changed.
	EnabledHold Enabled = "hold"
)

// MarshalYAML implements [yaml.InterfaceMarshaler]: true and false are not quoted.
func (e Enabled) MarshalYAML() (any, error) {
	if e == EnabledHold {
		return string(e), nil
	}
	return e == EnabledTrue, nil
}

// PerOperation is the value of callback_url that lets each start bring its URL.
const PerOperation = "per_operation"

func (e *Endpoint) defaults() {
	e.Enabled = EnabledTrue
	e.CardNumberScreen = true
	e.Supersede = operation.SupersedeLatest
	e.Push = operation.PushHint
	e.Delivery.Timeout = 10 * time.Second
}

// Poll is when the source is polled (promise 2); exactly one of Schedule and
// Interval is set. Durations are whole milliseconds of at most MaxSpan.
type Poll struct {
	Schedule     []time.Duration `yaml:"schedule,omitempty"`
	Interval     time.Duration   `yaml:"interval,omitzero"`
	MaxPolls     int             `yaml:"max_polls,omitzero"`
	Lifetime     time.Duration   `yaml:"lifetime,omitzero"`
	InitialDelay time.Duration   `yaml:"initial_delay,omitzero"`
}

// Delivery is h and k (promise 5).
type Delivery struct {
	// Interval is h, in whole milliseconds. The attempts last at most MaxSpan.
	Interval time.Duration `yaml:"interval,omitzero"`
	// Attempts is k, 1 to MaxAttempts.
	Attempts int `yaml:"attempts,omitzero"`
	// Timeout bounds one attempt; 10 s unless set, at most MaxTimeout.
	Timeout time.Duration `yaml:"timeout,omitzero"`
}

const (
	// MaxStarts is the greatest API.MaxStarts.
	MaxStarts = 10_000
	// MaxAttempts is the greatest k.
	MaxAttempts = 1000
	// MaxSpan bounds how long an operation may be watched and a delivery may last: ten
	// years, far below the 250 years of the server's timers.
	MaxSpan = 10 * 365 * 24 * time.Hour
)

// Signing is how callbacks are signed (Standard Webhooks).
type Signing struct {
	// Secrets all sign each callback: two while one replaces the other.
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

// Auth is the Authorization header of an attempt; at most one field is set.
type Auth struct {
	Bearer Secret  `yaml:"bearer,omitzero"`
	Basic  *Basic  `yaml:"basic,omitzero"`
	OAuth2 *OAuth2 `yaml:"oauth2,omitzero"`
}

// OAuth2 is an access token by client credentials (RFC 6749, 4.4), which is fetched
// when it is needed and renewed before it expires.
type OAuth2 struct {
	// TokenURL is called through the egress guard, as all else.
	TokenURL     string   `yaml:"token_url,omitzero"`
	ClientID     string   `yaml:"client_id,omitzero"`
	ClientSecret Secret   `yaml:"client_secret,omitzero"`
	Scopes       []string `yaml:"scopes,omitempty"`
}

// Basic is HTTP basic authentication.
type Basic struct {
	Username string `yaml:"username,omitzero"`
	Password Secret `yaml:"password,omitzero"`
}

// Apply sets the Authorization header of h, if there is anything to set that does not
// change: an access token is not.
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

// Endpoint is the endpoint of that name as a start needs it, without secrets.
func (c *Config) Endpoint(name string) (operation.Endpoint, bool) {
	e, ok := c.Endpoints[name]
	if !ok {
		return operation.Endpoint{}, false
	}
	s := c.Sources[e.Source]
	var rules operation.Rules
	kind, known := c.Kind(s.Kind)
	if known {
		spoken, _ := c.Dialect(e.Dialect)
		rules = deliverable(kind.Rules(s.FinalStatuses), spoken)
	}
	return operation.Endpoint{
		Name: name, Disabled: e.Enabled == EnabledFalse || e.Source == "",
		Dialect: e.Dialect, Source: e.Source, SourceKind: s.Kind,
		PerOperationURL:   e.CallbackURL == PerOperation,
		Host:              operation.HostPort(e.URL),
		Hosts:             e.Hosts(),
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

// deliverable are the source's rules, which deliver a revocation wherever the dialect
// has a status for it (promise 7).
func deliverable(r operation.Rules, d dialect.Dialect) operation.Rules {
	if d.Knows(r.Revoked) && !r.Delivers(r.Revoked) {
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
		Push:      e.Push,
	}
}
