package actors

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// Key is the API key in Config, with every scope that a campaign needs.
const Key = "not-a-secret-of-a-campaign"

// Credentials of a campaign; none of them is a real secret.
const (
	extSystemID = "CAMPAIGN"
	login       = "campaign"
	clientDN    = "CAMPAIGN"
	macID       = "campaign"
	password    = "not-a-secret-1"
	macKey      = "not-a-secret-2"

	passwordVariable = "RINGBACK_CAMPAIGN_PASSWORD"
	macKeyVariable   = "RINGBACK_CAMPAIGN_MAC_KEY"
	signingVariable  = "RINGBACK_CAMPAIGN_SIGNING"
)

// signingKey signs the callbacks of endpoints that are Signed.
var signingKey = []byte("not-a-secret-of-a-campaign-3")

// Config is the configuration of all of Ringback's programs in a campaign. Their
// addresses are set by flags, its secrets by Environment.
func Config(urls URLs) string {
	var b strings.Builder
	fmt.Fprintf(&b, `api:
  listen: 127.0.0.1:0
  keys: [{name: campaign, sha256: %x, scopes: [start, push, withdraw, revoke, read, redeliver]}]
  rate_limit: {per_second: 2000, burst: 4000}
telemetry: {listen: "127.0.0.1:0"}
egress: {allow: [127.0.0.0/8]}
sources:
`, sha256.Sum256([]byte(Key)))
	for _, s := range plan.Sources {
		fmt.Fprintf(&b, "  %s: {kind: %s, base_urls: [%s], %s, timeout: %s}\n", s.Name, s.Kind, urls.baseURLs(s), credentials[s.Kind], pollTimeout)
	}
	b.WriteString("endpoints:\n")
	for _, e := range plan.Endpoints {
		fmt.Fprintf(&b, "  %s: {dialect: %s, source: %s, %s, poll: {%s}, delivery: {%s}, supersede: %s, push: trust%s}\n",
			e.Name, e.Dialect, e.SourceName(), target(e, urls), poll(e.Policy.Poll), delivery(e.Policy.Delivery), e.Policy.Supersede, signing(e))
	}
	return b.String()
}

// credentials are Ringback's at each kind of core, as YAML.
var credentials = map[string]string{
	"ukrcard": fmt.Sprintf(`ext_system_id: %s, login: %s, client_dn: %s, password: "${env:%s}"`, extSystemID, login, clientDN, passwordVariable),
	"paysera": fmt.Sprintf(`mac: {id: %s, key: "${env:%s}"}`, macID, macKeyVariable),
}

// baseURLs are those of a source, as members of a YAML list.
func (u URLs) baseURLs(s plan.Source) string {
	urls := fmt.Sprintf("%q", u.WSGate)
	if s.Kind == "paysera" {
		urls = fmt.Sprintf("%q", u.Paysera)
	}
	if s.BehindGateway {
		return fmt.Sprintf("%q, ", u.Gateway) + urls
	}
	return urls
}

// pollTimeout bounds one poll.
const pollTimeout = 4 * time.Second

// Environment are the variables, NAME=value, that Config refers to.
func Environment() []string {
	return []string{
		passwordVariable + "=" + password,
		macKeyVariable + "=" + macKey,
		signingVariable + "=whsec_" + base64.StdEncoding.EncodeToString(signingKey),
	}
}

func target(e plan.Endpoint, urls URLs) string {
	if e.PerOperationURL {
		return "callback_url: per_operation"
	}
	return fmt.Sprintf("url: %q", callbackURL(e, urls))
}

// callbackURL is where the callbacks of an endpoint go.
func callbackURL(e plan.Endpoint, urls URLs) string {
	return urls.Receivers + "/" + e.Dialect + "/" + e.Name
}

func poll(p operation.PollPolicy) string {
	text := fmt.Sprintf("lifetime: %dms", p.LifetimeMS)
	if p.MaxPolls > 0 {
		text += fmt.Sprintf(", max_polls: %d", p.MaxPolls)
	}
	if p.IntervalMS > 0 {
		return text + fmt.Sprintf(", interval: %dms", p.IntervalMS)
	}
	var gaps []string
	for _, gap := range p.ScheduleMS {
		gaps = append(gaps, fmt.Sprintf("%dms", gap))
	}
	return text + ", schedule: [" + strings.Join(gaps, ", ") + "]"
}

func delivery(p operation.DeliveryPolicy) string {
	return fmt.Sprintf("interval: %dms, attempts: %d, timeout: %dms", p.IntervalMS, p.Attempts, p.TimeoutMS)
}

func signing(e plan.Endpoint) string {
	if !e.Signed {
		return ""
	}
	return fmt.Sprintf(`, signing: {secrets: ["${env:%s}"]}`, signingVariable)
}
