// Package headername says which headers a configuration may set, and to what.
package headername

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Names are the names that a header may have.
var Names = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// Values are the values that arrive as they are sent. HTTP/1 drops a space at either end
// (RFC 9110, 5.5); HTTP/2 refuses the request (RFC 9113, 8.2.1).
var Values = regexp.MustCompile(`^[!-~]([ -~]*[!-~])?$`)

// ValueWords say what Values allow.
const ValueWords = "printable ASCII without a space at either end"

var (
	// reserved are the headers that HTTP, the dialect, the signature or the trace
	// sets: of two, some servers read the first and others the last.
	reserved = []string{
		"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect",
		"Host", "Keep-Alive", "Te", "Traceparent", "Tracestate", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
	}
	// repeating are the headers that let net/http send a request again by itself,
	// unrecorded, when a kept connection breaks under it (http.Transport).
	repeating = []string{"Idempotency-Key", "X-Idempotency-Key"}
	// credentials are parts of the names of headers whose value is a secret.
	credentials = regexp.MustCompile(`(?i)auth|cookie|key|token|secret|password|credential|signature`)
)

// SecretWritten is what is wrong with a secret that the file holds.
const SecretWritten = "a secret must not be written in this file"

// IsCredential reports whether the value of the header of that name is a secret, which
// must not be written in the file.
func IsCredential(name string) bool { return credentials.MatchString(name) }

// Fault says why the header of that name may not be set for callbacks; empty if it may.
func Fault(name string) string {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !Names.MatchString(name):
		return "is not a valid header name; allowed: letters, digits and -"
	case slices.Contains(reserved, canonical) || strings.HasPrefix(canonical, "Webhook-") || strings.HasPrefix(canonical, "Proxy-"):
		return "is set by Ringback itself and cannot be replaced"
	case slices.Contains(repeating, canonical):
		return "would let one attempt be sent twice; use webhook-id, which Ringback sends, against duplicates"
	}
	return ""
}

// IsValue reports whether a value can be sent.
func IsValue(value string) bool { return Values.MatchString(value) }
