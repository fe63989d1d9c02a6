package config

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"ringback/internal/headername"
)

// sendable refuses a secret that no header can hold.
func (v *validator) sendable(path string, s Secret) {
	v.require(s.IsZero() || headername.IsValue(s.Reveal()), path, "cannot be sent; allowed: "+headername.ValueWords)
}

func (v *validator) headers(path string, e *Endpoint) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		at := pathTo(path, name)
		canonical := http.CanonicalHeaderKey(name)
		header := e.Headers[name]
		switch fault := headername.Fault(name); {
		case fault != "":
			v.fault(at, "%s", fault)
		case canonical == "Authorization" && (e.Auth.Basic != nil || e.Auth.OAuth2 != nil || v.present(strings.TrimSuffix(path, "headers")+"auth.bearer")):
			v.fault(at, "cannot be set together with auth")
		case v.config.Dialects[e.Dialect].Sets(name):
			v.fault(at, "cannot be set: the dialect %s sets this header itself", e.Dialect)
		case seen[canonical]:
			v.fault(at, "occurs twice: header names ignore case")
		case header.literal && headername.IsCredential(name):
			v.fault(at, literalFault)
		case !header.IsZero() && !headername.IsValue(header.Reveal()) || header.literal && header.IsZero():
			v.fault(at, "cannot be sent; allowed: "+headername.ValueWords)
		}
		seen[canonical] = true
	}
}
