package config

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var (
	headerNames  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	headerValues = regexp.MustCompile(`^[ -~]+$`)
	// credentials are parts of the names of headers whose value is a secret.
	credentials = regexp.MustCompile(`(?i)auth|cookie|key|token|secret|password|credential|signature`)
	// reserved are the headers that HTTP, the dialect, the signature or the trace
	// sets: of two, some servers read the first and others the last.
	reserved = []string{
		"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect",
		"Host", "Keep-Alive", "Te", "Traceparent", "Tracestate", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
	}
	// repeating are the headers that let net/http send a request again by itself,
	// unrecorded, when a kept connection breaks under it (http.Transport).
	repeating = []string{"Idempotency-Key", "X-Idempotency-Key"}
)

func (v *validator) headers(path string, e *Endpoint) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		at := pathTo(path, name)
		canonical := http.CanonicalHeaderKey(name)
		header := e.Headers[name]
		switch {
		case !headerNames.MatchString(name):
			v.fault(at, "is not a valid header name; allowed: letters, digits and -")
		case slices.Contains(reserved, canonical) || strings.HasPrefix(canonical, "Webhook-") || strings.HasPrefix(canonical, "Proxy-"):
			v.fault(at, "is set by Ringback itself and cannot be replaced")
		case slices.Contains(repeating, canonical):
			v.fault(at, "would let one attempt be sent twice; use webhook-id, which Ringback sends, against duplicates")
		case canonical == "Authorization" && (e.Auth.Basic != nil || v.present(strings.TrimSuffix(path, "headers")+"auth.bearer")):
			v.fault(at, "cannot be set together with auth")
		case seen[canonical]:
			v.fault(at, "occurs twice: header names ignore case")
		case header.literal && credentials.MatchString(name):
			v.fault(at, literalFault)
		case !header.IsZero() && !headerValues.MatchString(header.Reveal()) || header.literal && header.IsZero():
			v.fault(at, "cannot be sent; allowed: printable ASCII")
		}
		seen[canonical] = true
	}
}
