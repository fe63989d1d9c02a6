package config

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/loopback"
	"ringback/internal/nearest"
	"ringback/internal/operation"
	"ringback/internal/source"
)

const (
	// minPollInterval keeps a fixed interval from becoming a load test of a core.
	minPollInterval = 100 * time.Millisecond
	// minRate and maxRate bound a rate a second.
	minRate, maxRate = 0.001, 1_000_000
	// maxScheduleGaps bounds a poll schedule: it travels in the input of every workflow.
	maxScheduleGaps = 1000
)

// validator checks and completes what the decoder read, and adds to its faults.
type validator struct {
	*decoder
	config *Config
}

func (v *validator) validate() {
	v.egress("egress", v.config.Egress)
	v.api("api", &v.config.API)
	v.telemetry("telemetry", v.config.Telemetry)
	v.codec("codec", v.config.Codec)
	if v.present("audit.file") && v.config.Audit.File == "" {
		v.missing("audit.file", "the file that the audit is written to")
	}
	v.config.kinds = define[source.Kind](v, "kinds", v.config.Kinds, source.KindNames())
	v.config.dialects = define[dialect.Dialect](v, "dialects", v.config.Dialects, dialect.Names())
	for _, name := range slices.Sorted(maps.Keys(v.config.Sources)) {
		s := v.config.Sources[name]
		s.Name = name
		v.source(pathTo("sources", name), &s)
		v.config.Sources[name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(v.config.Endpoints)) {
		e := v.config.Endpoints[name]
		e.Name = name
		v.endpoint(pathTo("endpoints", name), &e)
		v.config.Endpoints[name] = e
	}
	v.notices("notices", v.config.Notices)
}

func (v *validator) egress(path string, e Egress) {
	var err error
	allowed := egress.NewOfNetworks(e.Allow)
	if v.config.Guard, err = allowed.ThroughProxy(e.Proxy); err != nil {
		v.fault(path+".proxy", "%w", err)
		v.config.Guard = allowed
	}
	if e.Proxy == "" && v.present(path+".proxy") {
		v.missing(path+".proxy", "the URL of a proxy such as http://10.0.0.5:3128")
	}
}

func (v *validator) api(path string, a *API) {
	v.listen(path+".listen", a.Listen)
	v.require(!a.Anonymous || len(a.Keys) == 0, path+".anonymous", "cannot be true together with keys")
	for i, key := range a.Keys {
		v.key(indexed(path+".keys", i), key, a.Keys[:i])
	}
	if a.TLS != nil {
		v.serverTLS(path+".tls", a.TLS)
	}
}

func (v *validator) telemetry(path string, t Telemetry) {
	v.listen(path+".listen", t.Listen)
	if !v.present(path + ".traces.endpoint") {
		return
	}
	if err := egress.CheckForm(t.Traces.Endpoint); err != nil {
		v.fault(path+".traces.endpoint", "%w; allowed: the base URL of an OTLP/HTTP receiver such as http://127.0.0.1:4318 (credentials belong in OTEL_EXPORTER_OTLP_HEADERS)", err)
	}
}

func (v *validator) notices(path string, n Notices) {
	if n.Endpoint == "" {
		if v.present(path + ".failing_after") {
			v.missing(path+".endpoint", "the endpoint that receives notices")
		}
		return
	}
	if v.unread("endpoints", len(v.config.Endpoints)) {
		return
	}
	v.oneOf(path+".endpoint", n.Endpoint, slices.Sorted(maps.Keys(v.config.Endpoints)))
	e, at := v.config.Endpoints[n.Endpoint], pathTo("endpoints", n.Endpoint)
	v.require(e.Dialect == "standard" && e.URL != "" || v.broken(at+".dialect") || v.broken(at+".url"), path+".endpoint",
		"%s cannot receive notices; allowed: an endpoint of the dialect standard with a url", quote(n.Endpoint))
}

func (v *validator) listen(path, address string) {
	a := v.config.API
	if v.unread("api.keys", len(a.Keys)) {
		a.Keys = make([]Key, 1) // there are some
	}
	if err := a.CheckListen(address); err != nil {
		v.fault(path, "%w", err)
	}
}

// CheckListen checks an address to listen on: without keys every caller is let in,
// so that it must be loopback.
func (a API) CheckListen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%s is not an address to listen on; allowed: host:port such as 127.0.0.1:8080", quote(address))
	}
	if len(a.Keys) == 0 && !loopback.IsHost(host) {
		return fmt.Errorf("%s can be reached from other machines, and api.keys is empty; allowed without keys: a loopback address such as 127.0.0.1:8080", quote(address))
	}
	return nil
}

// placeholder is the digest in deploy/ringback.example.yml.
var placeholder = Digest(bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 8))

func (v *validator) key(path string, key Key, before []Key) {
	owned, twice := 0, false
	for _, other := range before {
		twice = twice || other.SHA256 == key.SHA256
		if other.Name == key.Name {
			owned++
		}
	}
	v.require(owned != 2, path+".name", "%s has a third key; allowed: two keys of one name, while one replaces the other", quote(key.Name))
	v.require(key.SHA256 != placeholder, path+".sha256", "is the digest in deploy/ringback.example.yml, which no key has; make a key of your own with: starter keygen api-key")
	v.require(!twice, path+".sha256", "is the same as that of another key; keys must differ")
	v.once(path+".scopes", key.Scopes)
	v.expiry(path+".expires", key)
	v.require(len(key.From) > 0 || !v.present(path+".from"), path+".from", "must not be empty; leave it out for a key that may be used from everywhere")
	v.require(len(key.Endpoints) > 0 || !v.present(path+".endpoints"), path+".endpoints", "must not be empty; leave it out for a key that is for all endpoints")
	if !v.unread("endpoints", len(v.config.Endpoints)) {
		v.subset(path+".endpoints", key.Endpoints, slices.Sorted(maps.Keys(v.config.Endpoints)))
	}
}

// expiryWarning is how long before a key expires the configuration warns of it.
const expiryWarning = 14 * 24 * time.Hour

func (v *validator) expiry(path string, key Key) {
	left := time.Until(key.Expires)
	if key.Expires.IsZero() || left > expiryWarning {
		return
	}
	verb := "expires"
	if left <= 0 {
		verb = "expired"
	}
	v.warn(path, "the key %s %s at %s: give its caller another, and take this one out", key.Name, verb, key.Expires.UTC().Format(time.RFC3339))
}

func (v *validator) source(path string, s *Source) {
	v.clientTLS(path+".tls", &s.TLS)
	for i := range s.BaseURLs {
		at := indexed(path+".base_urls", i)
		v.clientTLS(at+".tls", &s.BaseURLs[i].TLS)
		v.require(!strings.Contains(s.BaseURLs[i].URL, "?"), at, "has a query; allowed: an http or https URL without one")
		v.url(at, s.BaseURLs[i].URL)
	}
	if v.present(path + ".registered_at_zone") {
		_, err := time.LoadLocation(s.RegisteredAtZone)
		v.require(err == nil && s.RegisteredAtZone != "" && s.RegisteredAtZone != "Local", // which depends on the machine
			path+".registered_at_zone", "%s is not an IANA time zone such as Europe/Kyiv", quote(s.RegisteredAtZone))
	}
	v.auth(path+".auth", s.Auth)
	if !v.unread("kinds", len(v.config.Kinds)) {
		v.oneOf(path+".kind", s.Kind, v.config.kindNames())
	}
	if kind, known := v.config.Kind(s.Kind); known {
		v.ofKind(path, s, kind)
	}
}

// ofKind checks what depends on a source's kind.
func (v *validator) ofKind(path string, s *Source, kind source.Kind) {
	v.namedSecrets(path+".secrets", s.Secrets, "the kind "+s.Kind, v.config.Kinds[s.Kind].Secrets, kind.SignsWith)
	v.settings(path, s, kind)
	v.subset(path+".final_statuses", s.FinalStatuses, kind.Vocabulary)
	if kind.Push != nil {
		return
	}
	if len(s.BaseURLs) == 0 {
		v.missing(path+".base_urls", "a list with at least one URL")
	}
	for _, wrong := range kind.Check(s.Open(func(*tls.Config, time.Duration) *http.Client { return nil })) {
		v.fault(path+"."+wrong.Setting, "%s", wrong.Detail)
	}
}

func (v *validator) endpoint(path string, e *Endpoint) {
	v.dialect(path, e)
	if !v.receivesOnlyNotices(path, e) {
		v.watched(path, e)
		// Also that of a kind with a mistake.
		if push := v.config.Kinds[v.config.Sources[e.Source].Kind].Push; push != nil {
			v.pushed(path, e, push.LifetimeStatus)
		} else {
			v.poll(path+".poll", e.Poll)
		}
	}
	v.target(path, e)
	v.delivery(path+".delivery", e.Delivery)
	v.clientTLS(path+".tls", &e.TLS)
	v.auth(path+".auth", e.Auth)
	v.headers(path+".headers", e)
}

// receivesOnlyNotices reports whether an endpoint takes notices and no operations.
func (v *validator) receivesOnlyNotices(path string, e *Endpoint) bool {
	return e.Name == v.config.Notices.Endpoint && !slices.ContainsFunc([]string{".source", ".poll", ".methods", ".statuses"},
		func(key string) bool { return v.present(path + key) })
}

// watched checks what depends on the endpoint's source, and fills in its methods.
func (v *validator) watched(path string, e *Endpoint) {
	if v.unread("sources", len(v.config.Sources)) {
		return
	}
	v.oneOf(path+".source", e.Source, slices.Sorted(maps.Keys(v.config.Sources)))
	kind, known := v.config.Kind(v.config.Sources[e.Source].Kind)
	if !known {
		return
	}
	_, ofCore := source.KindByName(e.Dialect)
	v.require(!ofCore || e.Dialect == kind.Name, path+".dialect",
		"%s cannot be used with %s, a %s source; allowed: %s", quote(e.Dialect), quote(e.Source), kind.Name, listed(v.dialectsFor(kind)))
	if ping := v.config.Dialects[e.Dialect].PingStatus; ping != "" && !slices.Contains(kind.Vocabulary, ping) {
		v.warn(pathTo("dialects", e.Dialect)+".ping_status", "%s is no status of %s, which %s watches%s: is a test callback to say that?",
			quote(ping), kind.Name, e.Name, nearest.Hint(ping, kind.Vocabulary))
	}
	v.require(len(kind.Methods) > 0 || len(e.Methods) == 0, path+".methods", "must be left out: a %s source has no methods", kind.Name)
	v.subset(path+".methods", e.Methods, kind.Methods)
	v.subset(path+".statuses", e.Statuses, kind.Vocabulary)
	v.ringing(path+".statuses", e, kind)
	if len(e.Methods) == 0 {
		e.Methods = kind.Methods
	}
}

// ringing warns of each status of an endpoint that is never delivered. A start that asks
// for one is refused.
func (v *validator) ringing(path string, e *Endpoint, kind source.Kind) {
	spoken, known := v.config.Dialect(e.Dialect)
	if !known {
		return
	}
	rules := deliverable(kind.Rules(v.config.Sources[e.Source].FinalStatuses), spoken)
	for i, status := range e.Statuses {
		if !rules.Delivers(status) {
			v.warn(indexed(path, i), "%s does not ring in the kind %s, and has no effect here", quote(status), kind.Name)
		}
	}
}

// dialectsFor are the dialects that a source of that kind can be used with: its core's,
// standard, and those of the file.
func (v *validator) dialectsFor(kind source.Kind) []string {
	names := []string{"standard"}
	if _, ok := dialect.ByName(kind.Name); ok {
		names = []string{kind.Name, "standard"}
	}
	return append(names, slices.Sorted(maps.Keys(v.config.Dialects))...)
}

// dialect checks what depends on an endpoint's dialect.
func (v *validator) dialect(path string, e *Endpoint) {
	if !v.unread("dialects", len(v.config.Dialects)) {
		v.oneOf(path+".dialect", e.Dialect, v.config.DialectNames())
	}
	spoken, known := v.config.Dialect(e.Dialect)
	if !known {
		return
	}
	signsWith := func(string) bool { return false }
	if own, ok := spoken.(interface{ SignsWith(secret string) bool }); ok {
		signsWith = own.SignsWith
	}
	v.namedSecrets(path+".secrets", e.Secrets, "the dialect "+e.Dialect, v.config.Dialects[e.Dialect].Secrets, signsWith)
	v.signing(path+".signing.secrets", e.Signing, spoken)
	v.authorizedOnce([]string{path + ".auth"}, "the dialect "+e.Dialect, v.config.Dialects[e.Dialect])
}

func (v *validator) target(path string, e *Endpoint) {
	if v.present(path + ".callback_url") {
		v.require(!v.present(path+".url"), path+".url", "cannot be set together with callback_url")
		v.callbackHosts(path+".callback_hosts", e)
		return
	}
	v.require(!v.present(path+".callback_hosts"), path+".callback_hosts", "must be left out: it goes with callback_url: per_operation")
	if e.URL == "" {
		v.missing(path+".url", "an http or https URL, or callback_url: per_operation instead")
	}
	v.url(path+".url", e.URL)
}

const hostsWords = `hosts such as pay.example.com, or "*.shop.example" for exactly one label more`

// callbackHosts requires the hosts of those who may receive the endpoint's credentials:
// the URLs come from callers of the API.
func (v *validator) callbackHosts(path string, e *Endpoint) {
	switch {
	case len(e.CallbackHosts) > 0:
		for i, host := range e.CallbackHosts {
			v.require(operation.IsHostPattern(host), indexed(path, i), "%s is not a host; allowed: %s", quote(host), hostsWords)
		}
	case v.present(path):
		v.missing(path, hostsWords)
	case e.sendsCredentials():
		v.fault(path, "is missing: auth, tls and secret headers would be sent to any URL that a caller brings; allowed: %s", hostsWords)
	}
}

// url checks a URL and, where its host is an address, that address. The URL itself
// may hold a credential and is not shown.
func (v *validator) url(path, raw string) {
	check := v.config.Guard.CheckLiteral
	if v.broken("egress") {
		check = egress.CheckForm
	}
	if err := check(raw); err != nil {
		v.fault(path, "%w; allowed: public addresses by https, and addresses that egress.allow covers", err)
	}
}

// pushed checks an endpoint whose source is never polled: what it pushes is the status,
// and atEnd is sent when the lifetime is over.
func (v *validator) pushed(path string, e *Endpoint, atEnd string) {
	v.require(atEnd == "" || len(e.Statuses) == 0 || slices.Contains(e.Statuses, atEnd), path+".statuses",
		"leaves out %s, which is sent when the lifetime is over (push.lifetime_status): it would not be delivered", quote(atEnd))
	v.complete(reflect.ValueOf(e.Poll), path+".poll")
	for _, key := range []string{"schedule", "interval", "max_polls", "initial_delay"} {
		v.require(!v.present(path+".poll."+key), path+".poll."+key, "must be left out: %s is never polled", quote(e.Source))
	}
	if !v.present(path + ".push") {
		e.Push = operation.PushTrust
	}
	v.require(e.Push == operation.PushTrust, path+".push", "must be %s, or left out: %s is never polled", operation.PushTrust, quote(e.Source))
}

func (v *validator) poll(path string, p Poll) {
	v.complete(reflect.ValueOf(p), path)
	switch interval := v.present(path + ".interval"); {
	case interval && v.present(path+".schedule"):
		v.fault(path+".interval", "cannot be set together with schedule")
	case !interval && len(p.Schedule) == 0:
		v.missing(path+".schedule", "a list of gaps such as [5s, 10s, 15s], or interval instead")
	}
	var total time.Duration
	for _, gap := range p.Schedule {
		total = min(total+min(gap, MaxSpan), MaxSpan+1)
	}
	if total > MaxSpan && slices.Max(p.Schedule) <= MaxSpan {
		v.fault(path+".schedule", "has gaps that add up to more than %s", MaxSpan)
	}
	longest := min(p.Lifetime, MaxSpan)
	if v.broken(path + ".lifetime") {
		longest = MaxSpan
	}
	v.check(span(0, longest), reflect.ValueOf(p.InitialDelay), path+".initial_delay")
}

func (v *validator) delivery(path string, d Delivery) {
	each := max(min(d.Interval, MaxSpan)+min(d.Timeout, MaxTimeout), time.Millisecond)
	most := int(MaxSpan / each)
	v.require(d.Attempts <= most || d.Interval > MaxSpan, path+".attempts",
		"%d attempts, each with interval and timeout, last longer than %s; allowed: 1 to %d", d.Attempts, MaxSpan, most)
}

func (v *validator) signing(path string, s Signing, d dialect.Dialect) {
	allowed := ""
	if _, own := v.config.Dialects[d.Name()]; !own {
		allowed = "; allowed: a reference to whsec_ and the base64 of 24 to 64 bytes, or whsk_ and the base64 of an ed25519 private key; make one: starter keygen whsec"
	}
	if _, err := d.Signer(nil); err != nil && len(s.Secrets) == 0 {
		v.missing(path, "the secrets that the dialect "+d.Name()+" signs with")
	}
	for i, secret := range s.Secrets {
		if _, err := d.Signer([]string{secret.Reveal()}); err != nil {
			v.fault(indexed(path, i), "%s%s", strings.TrimPrefix(err.Error(), "signing secret 1 of 1 "), allowed)
			continue
		}
		if weakness := v.config.Dialects[d.Name()].Signature.Weakness(secret.Reveal()); weakness != "" {
			v.warn(indexed(path, i), "%s", weakness)
		}
	}
}

func (v *validator) auth(path string, a Auth) {
	ways := []string{"bearer", "basic", "oauth2"}
	set := slices.DeleteFunc(slices.Clone(ways), func(way string) bool { return !v.present(path + "." + way) })
	for i, way := range set {
		v.require(i == 0, path+"."+way, "cannot be set together with %s", set[0])
	}
	v.sendable(path+".bearer", a.Bearer)
	if a.OAuth2 != nil {
		v.url(path+".oauth2.token_url", a.OAuth2.TokenURL)
	}
}

func (v *validator) oneOf(path, value string, allowed []string) {
	if value == "" {
		v.missing(path, listed(allowed))
	}
	v.require(slices.Contains(allowed, value), path, "%s", unknown(value, allowed))
}

// subset checks that every value is one of allowed and occurs once.
func (v *validator) subset(path string, values, allowed []string) {
	for i, value := range values {
		v.require(slices.Contains(allowed, value), indexed(path, i), "%s", unknown(value, allowed))
	}
	v.once(path, values)
}

func (v *validator) once(path string, values []string) {
	for i, value := range values {
		v.require(slices.Index(values, value) == i, indexed(path, i), "%s occurs twice", quote(value))
	}
}

func unknown(word string, allowed []string) string {
	return fmt.Sprintf("%s is unknown%s; allowed: %s", quote(word), nearest.Hint(word, allowed), listed(allowed))
}

func listed(words []string) string {
	return cmp.Or(strings.Join(words, ", "), "none, because none is configured")
}

// unread reports whether a list or mapping is empty because what the file has there is
// none: what refers to it is not judged.
func (v *validator) unread(path string, length int) bool { return length == 0 && v.broken(path) }
