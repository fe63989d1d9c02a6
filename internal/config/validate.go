package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/operation"
	"ringback/internal/source"
)

// minPollInterval keeps a fixed interval from becoming a load test of a core.
const minPollInterval = 100 * time.Millisecond

// maxListLength bounds lists such as a poll schedule: it travels in the input
// of every workflow.
const maxListLength = 1000

// validator checks what the decoder read, completes it, and adds to the
// decoder's faults.
type validator struct {
	*decoder
	config *Config
	guard  *egress.Guard
}

func (v *validator) validate() {
	v.egress("egress", v.config.Egress)
	v.api("api", &v.config.API)
	v.telemetry("telemetry", &v.config.Telemetry)
	v.notices("notices", v.config.Notices)
	v.codec("codec", v.config.Codec)
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
}

func (v *validator) egress(path string, e Egress) {
	var err error
	if v.guard, err = e.Guard(); err != nil {
		v.fault(path+".proxy", "%w", err)
		v.guard = egress.New(e.Allow)
	}
	if v.present(path+".proxy") && e.Proxy == "" {
		v.missing(path+".proxy", "the URL of a proxy such as http://10.0.0.5:3128")
	}
}

func (v *validator) api(path string, a *API) {
	v.listen(path+".listen", a.Listen, "127.0.0.1:8080")
	v.rate(path+".rate_limit.per_second", a.RateLimit.PerSecond)
	v.between(path+".rate_limit.burst", a.RateLimit.Burst, 1, 1_000_000)
	v.rate(path+".rate_limit.changes_per_second", a.RateLimit.ChangesPerSecond)
	v.between(path+".rate_limit.changes_burst", a.RateLimit.ChangesBurst, 1, 1_000_000)
	v.between(path+".max_starts", a.MaxStarts, 0, MaxStarts)
	v.keys(path+".keys", a.Keys)
	if a.TLS != nil {
		v.serverTLS(path+".tls", a.TLS)
	}
}

func (v *validator) rate(path string, perSecond float64) {
	if !(perSecond > 0 && perSecond <= 1e6) {
		v.fault(path, "%v is out of bounds: allowed is more than 0, up to 1000000", perSecond)
	}
}

func (v *validator) telemetry(path string, t *Telemetry) {
	v.listen(path+".listen", t.Listen, "127.0.0.1:9464")
	if v.present(path + ".traces.endpoint") {
		v.receiver(path+".traces.endpoint", t.Traces.Endpoint)
	}
	if !(t.Traces.Ratio >= 0 && t.Traces.Ratio <= 1) {
		v.fault(path+".traces.ratio", "%v is out of bounds: allowed is 0 to 1", t.Traces.Ratio)
	}
}

// notices checks who hears them; without an endpoint the rest says nothing.
func (v *validator) notices(path string, n Notices) {
	v.between(path+".failing_after", n.FailingAfter, 1, MaxAttempts)
	e, ok := v.config.Endpoints[n.Endpoint]
	switch {
	case n.Endpoint == "" && v.present(path+".failing_after"):
		v.missing(path+".endpoint", "the endpoint that hears notices")
	case n.Endpoint == "":
	case !ok:
		v.oneOf(path+".endpoint", n.Endpoint, slices.Sorted(maps.Keys(v.config.Endpoints)))
	case e.Dialect != "standard" || e.URL == "":
		v.fault(path+".endpoint", "%s can't hear notices: allowed is an endpoint of the dialect standard with a url", quote(n.Endpoint))
	}
}

// receiver is the base URL of a receiver of spans: an operator's own, which
// the egress guard does not judge.
func (v *validator) receiver(path, raw string) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" {
		v.fault(path, "is not the base URL of an OTLP/HTTP receiver: allowed is one such as http://127.0.0.1:4318, without credentials, which OTEL_EXPORTER_OTLP_HEADERS carries")
	}
}

// listen checks an address to listen on; without keys it must be loopback.
func (v *validator) listen(path, address, example string) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		v.fault(path, "%s is not an address to listen on: allowed is host:port such as %s", quote(address), example)
		return
	}
	if len(v.config.API.Keys) == 0 && !isLoopback(host) {
		v.fault(path, "%s can be reached from outside and api.keys names no key: allowed without keys are loopback addresses such as %s", quote(address), example)
	}
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func (v *validator) keys(path string, keys []Key) {
	owners := map[string]int{}
	digests := map[Digest]int{}
	for i, key := range keys {
		at := fmt.Sprintf("%s[%d]", path, i)
		v.name(at+".name", key.Name)
		if owners[key.Name]++; owners[key.Name] == 3 {
			v.fault(at+".name", "%s has a third key: allowed are two of one name, while one replaces the other", quote(key.Name))
		}
		v.digest(at+".sha256", key.SHA256)
		if first, twice := digests[key.SHA256]; twice && key.SHA256 != (Digest{}) {
			v.fault(at+".sha256", "is that of %s[%d], too: allowed is each key once", path, first)
		}
		digests[key.SHA256] = i
		if len(key.Scopes) == 0 {
			v.missing(at+".scopes", "some of "+strings.Join(Scopes, ", "))
		}
		v.subset(at+".scopes", key.Scopes, Scopes)
		v.subset(at+".endpoints", key.Endpoints, slices.Sorted(maps.Keys(v.config.Endpoints)))
	}
}

func (v *validator) digest(path string, digest Digest) {
	if digest == (Digest{}) {
		v.missing(path, "the key's SHA-256 in 64 hexadecimal digits")
	}
}

func (v *validator) source(path string, s *Source) {
	v.name(path, s.Name)
	v.timeout(path+".timeout", s.Timeout)
	v.clientTLS(path+".tls", &s.TLS)
	for i := range s.BaseURLs {
		v.clientTLS(fmt.Sprintf("%s.base_urls[%d].tls", path, i), &s.BaseURLs[i].TLS)
	}
	kind, known := source.KindByName(s.Kind)
	if !known {
		v.oneOf(path+".kind", s.Kind, source.KindNames())
		return
	}
	v.subset(path+".final_statuses", s.FinalStatuses, kind.Vocabulary)
	v.kindCheck(path, kind.Check(s.Open(func(*tls.Config, time.Duration) *http.Client { return nil })))
	for i, base := range s.BaseURLs {
		v.address(fmt.Sprintf("%s.base_urls[%d]", path, i), base.URL)
	}
}

// kindCheck shows what the kind says of a source, each error at the key that
// it begins with.
func (v *validator) kindCheck(path string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			v.kindCheck(path, err)
		}
		return
	}
	if err == nil {
		return
	}
	key, detail, _ := strings.Cut(err.Error(), " ")
	if !strings.HasPrefix(detail, "must ") {
		detail = err.Error()
	}
	v.fault(path+"."+key, "%s", detail)
}

func (v *validator) endpoint(path string, e *Endpoint) {
	v.name(path, e.Name)
	v.oneOf(path+".dialect", e.Dialect, dialect.Names())
	if !v.hearsAlone(path, e) {
		v.watched(path, e)
		v.poll(path+".poll", e.Poll)
	}
	v.target(path, e)
	v.oneOf(path+".supersede", e.Supersede, []string{operation.SupersedeLatest, operation.SupersedeEvery})
	v.delivery(path+".delivery", e.Delivery)
	v.signing(path+".signing.secrets", e.Signing)
	v.clientTLS(path+".tls", &e.TLS)
	v.auth(path+".auth", e.Auth)
	v.headers(path+".headers", e)
	if v.present(path + ".max_concurrent") {
		v.between(path+".max_concurrent", e.MaxConcurrent, 1, 1000)
	}
}

// hearsAlone reports whether an endpoint hears notices and takes no operations.
func (v *validator) hearsAlone(path string, e *Endpoint) bool {
	return e.Name == v.config.Notices.Endpoint && !v.present(path+".source") && !v.present(path+".poll") &&
		!v.present(path+".methods") && !v.present(path+".statuses")
}

// watched checks what depends on the endpoint's source, and fills in its methods.
func (v *validator) watched(path string, e *Endpoint) {
	s, ok := v.config.Sources[e.Source]
	if !ok {
		v.oneOf(path+".source", e.Source, slices.Sorted(maps.Keys(v.config.Sources)))
		return
	}
	kind, ok := source.KindByName(s.Kind)
	if !ok {
		return
	}
	if _, ofCore := source.KindByName(e.Dialect); ofCore && e.Dialect != kind.Name {
		v.fault(path+".dialect", "%s is that core's own language and %s is a %s source: allowed are %s and dialects of no core",
			quote(e.Dialect), quote(e.Source), kind.Name, kind.Name)
	}
	if len(kind.Methods) == 0 && len(e.Methods) > 0 {
		v.fault(path+".methods", "a %s source knows no methods: allowed is to leave this out", kind.Name)
	}
	v.subset(path+".methods", e.Methods, kind.Methods)
	v.subset(path+".statuses", e.Statuses, kind.Vocabulary)
	if len(e.Methods) == 0 {
		e.Methods = kind.Methods
	}
}

func (v *validator) target(path string, e *Endpoint) {
	perOperation := v.present(path + ".callback_url")
	if perOperation {
		v.oneOf(path+".callback_url", e.CallbackURL, []string{PerOperation})
	}
	switch {
	case perOperation && v.present(path+".url"):
		v.fault(path+".url", "stands beside callback_url: allowed is one of them")
	case !perOperation && e.URL == "":
		v.missing(path+".url", "an http or https URL, or callback_url: per_operation instead")
	case !perOperation:
		v.url(path+".url", e.URL)
	}
}

// url checks the form of a URL without ever showing it: it may hold a
// credential.
func (v *validator) url(path, raw string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		v.fault(path, "is not a URL with a host: allowed is an http or https URL")
	case u.User != nil:
		v.fault(path, "holds a user name or a password: allowed are credentials under auth only")
	case u.Fragment != "":
		v.fault(path, "holds a fragment, which is never sent: allowed is an http or https URL without one")
	default:
		v.address(path, raw)
	}
}

// address asks the egress guard about a URL whose host is an address. A name
// is judged when it is dialled, by what it is then: a configuration must not
// be valid or not by the weather of the DNS. What is plain http can never be
// dialled while egress.allow is empty, though.
func (v *validator) address(path, raw string) {
	u, err := url.Parse(raw)
	if err != nil {
		return
	}
	if err := egress.CheckForm(raw); err != nil {
		v.fault(path, "%w: allowed is an http or https URL with a host", err)
		return
	}
	literal := u.Hostname()
	if literal == "localhost" {
		literal = "127.0.0.1"
	}
	if _, err := netip.ParseAddr(literal); err != nil {
		if u.Scheme == "http" && len(v.config.Egress.Allow) == 0 {
			v.fault(path, "is plain http and egress.allow is empty: allowed are https, and http to addresses that egress.allow covers")
		}
		return
	}
	u.Host = net.JoinHostPort(literal, u.Port())
	if u.Port() == "" {
		u.Host = strings.TrimSuffix(u.Host, ":")
	}
	if err := v.guard.CheckURL(context.Background(), u.String()); err != nil {
		v.fault(path, "%w: allowed are public addresses by https, and those that egress.allow covers", err)
	}
}

func (v *validator) poll(path string, p Poll) {
	schedule, interval := v.present(path+".schedule"), v.present(path+".interval")
	switch {
	case schedule && interval:
		v.fault(path+".interval", "stands beside schedule: allowed is one of them")
	case interval:
		v.duration(path+".interval", p.Interval, minPollInterval, MaxSpan)
	case len(p.Schedule) == 0:
		v.missing(path+".schedule", "a list of gaps such as [5s, 10s, 15s], or interval instead")
	}
	if len(p.Schedule) > maxListLength {
		v.fault(path+".schedule", "holds %d gaps: allowed are at most %d", len(p.Schedule), maxListLength)
	}
	for i, gap := range p.Schedule {
		v.duration(fmt.Sprintf("%s.schedule[%d]", path, i), gap, time.Millisecond, MaxSpan)
	}
	v.span(path+".schedule", p.Schedule)
	if v.present(path + ".max_polls") {
		v.between(path+".max_polls", p.MaxPolls, 1, 1_000_000_000)
	}
	v.required(path+".lifetime", p.Lifetime, time.Millisecond, MaxSpan)
	if v.present(path + ".initial_delay") {
		v.duration(path+".initial_delay", p.InitialDelay, 0, min(p.Lifetime, MaxSpan))
	}
}

func (v *validator) delivery(path string, d Delivery) {
	v.required(path+".interval", d.Interval, time.Millisecond, MaxSpan)
	if !v.present(path + ".attempts") {
		v.missing(path+".attempts", fmt.Sprintf("1 to %d", MaxAttempts))
	}
	v.between(path+".attempts", d.Attempts, 1, MaxAttempts)
	v.timeout(path+".timeout", d.Timeout)
	each := min(d.Interval, MaxSpan) + min(d.Timeout, MaxTimeout)
	if most := int(MaxSpan / max(each, time.Millisecond)); d.Attempts > most && d.Attempts <= MaxAttempts && d.Interval <= MaxSpan {
		v.fault(path+".attempts", "%d, each with interval and timeout, last longer than %s: allowed are 1 to %d", d.Attempts, MaxSpan, most)
	}
}

// span checks that gaps which are each within bounds are so together.
func (v *validator) span(path string, gaps []time.Duration) {
	total := time.Duration(0)
	for _, gap := range gaps {
		if gap > MaxSpan {
			return
		}
		if total += gap; total > MaxSpan {
			v.fault(path, "is longer than %s: allowed are gaps of that together", MaxSpan)
			return
		}
	}
}

func (v *validator) signing(path string, s Signing) {
	for i, secret := range s.Secrets {
		if _, err := dialect.NewSigner([]string{secret.Reveal()}); err != nil {
			v.fault(fmt.Sprintf("%s[%d]", path, i), "%s: allowed is a reference to whsec_ and the base64 of 24 to 64 bytes, or whsk_ and the base64 of an ed25519 private key",
				strings.TrimPrefix(err.Error(), "signing secret 1 of 1 "))
		}
	}
}

func (v *validator) auth(path string, a Auth) {
	if a.Basic == nil {
		return
	}
	if v.present(path + ".bearer") {
		v.fault(path+".basic", "stands beside bearer: allowed is one of them")
	}
	if a.Basic.Username == "" || strings.Contains(a.Basic.Username, ":") {
		v.fault(path+".basic.username", "is missing or holds a colon: allowed is a name without one")
	}
	if !a.Basic.Password.IsSet() {
		v.missing(path+".basic.password", "a reference, ${env:NAME} or ${file:PATH}")
	}
}

// name is the name of an endpoint, a source or a key.
func (v *validator) name(path, name string) {
	if rule := operation.EndpointRule; rule.Check(name) != nil {
		v.fault(path, "%s is not a name: allowed are 1 to %d %s", quote(name), rule.MaxLength, rule.Alphabet)
	}
}

func (v *validator) timeout(path string, d time.Duration) {
	v.duration(path, d, time.Millisecond, MaxTimeout)
}

// required is a duration that has no default.
func (v *validator) required(path string, d, least, most time.Duration) {
	if !v.present(path) {
		v.missing(path, "a Go duration such as 500ms, 3s or 10m")
		return
	}
	v.duration(path, d, least, most)
}

// duration checks least <= d <= most (0: no upper limit) and that nothing of
// it is lost when it travels as milliseconds.
func (v *validator) duration(path string, d, least, most time.Duration) {
	allowed := fmt.Sprintf("%s or more", least)
	if most > 0 {
		allowed = fmt.Sprintf("%s to %s", least, most)
	}
	switch {
	case d < least:
		v.fault(path, "%s is too short: allowed is %s", d, allowed)
	case most > 0 && d > most:
		v.fault(path, "%s is too long: allowed is %s", d, allowed)
	case d%time.Millisecond != 0:
		v.fault(path, "%s is not a whole number of milliseconds: allowed is %s", d, allowed)
	}
}

func (v *validator) between(path string, n, least, most int) {
	switch {
	case n < least:
		v.fault(path, "%d is below %d: allowed are %d to %d", n, least, least, most)
	case n > most:
		v.fault(path, "%d is above %d: allowed are %d to %d", n, most, least, most)
	}
}

func (v *validator) oneOf(path, value string, allowed []string) {
	switch {
	case value == "":
		v.missing(path, listed(allowed))
	case !slices.Contains(allowed, value):
		v.fault(path, "%s is not known: allowed are %s", quote(value), listed(allowed))
	}
}

// subset checks that every value is one of allowed and that none is there twice.
func (v *validator) subset(path string, values, allowed []string) {
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case !slices.Contains(allowed, value):
			v.fault(at, "%s is not known: allowed are %s", quote(value), listed(allowed))
		case slices.Index(values, value) < i:
			v.fault(at, "%s is there twice: allowed is each value once", quote(value))
		}
	}
}

func listed(values []string) string {
	if len(values) == 0 {
		return "none, since none is configured"
	}
	return strings.Join(values, ", ")
}

func (v *validator) missing(path, allowed string) {
	if !v.present(path) {
		v.fault(path, "is missing: allowed is %s", allowed)
		return
	}
	v.fault(path, "is empty: allowed is %s", allowed)
}

// present reports whether the file sets the value at path.
func (v *validator) present(path string) bool {
	_, ok := v.places[path]
	return ok
}
