package operation

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// HostPort is the host of a URL, with its port if it has one, as it is recorded and shown;
// empty where it has none. It is ASCII: what is not is percent-encoded.
func HostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if !isASCII(u.Host) {
		return url.PathEscape(u.Host)
	}
	return strings.ToLower(u.Host)
}

// WithoutQuery is a URL as it is shown: its query, which may be a secret as a whole, reads
// "[redacted]".
func WithoutQuery(address string) string {
	before, query, _ := strings.Cut(address, "?")
	if query == "" {
		return address
	}
	return before + "?[redacted]"
}

// AllowedHosts are those that callbacks of one endpoint may be sent to (callback_hosts): names,
// addresses, and names whose first label is *, which stands for exactly one label, as in
// TLS certificates (RFC 9525, 6.3). Any port of a host is meant. None: any host.
type AllowedHosts []string

// Check is what is wrong with a URL for a callback, or "".
func (h AllowedHosts) Check(address string) string {
	host := hostname(address)
	if len(h) == 0 || isASCII(host) && slices.ContainsFunc(h, func(listed string) bool { return covers(strings.ToLower(listed), host) }) {
		return ""
	}
	if host == "" {
		return "is not a URL with a host"
	}
	if !isASCII(host) {
		return "has a host that is not written in ASCII; write it as xn--…"
	}
	return "has the host " + host + ", which the endpoint's callback_hosts do not list"
}

func covers(listed, host string) bool {
	if parent, wildcard := strings.CutPrefix(listed, "*."); wildcard {
		label, rest, _ := strings.Cut(host, ".")
		return label != "" && rest == parent
	}
	return host != "" && host == listed
}

// hostname is the host of a URL as it is compared: without its port, in lower case, and
// an IP address in its one short form.
func hostname(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String()
	}
	if !isASCII(host) {
		return host // in lower case some letters would be ASCII, such as İ, and not the host that is called
	}
	return strings.ToLower(host)
}

// OnlyHostOf allows the host of that URL alone.
func OnlyHostOf(address string) AllowedHosts { return AllowedHosts{hostname(address)} }

var hostPattern = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// IsHostPattern reports whether a host is written as AllowedHosts take it.
func IsHostPattern(listed string) bool {
	if addr, err := netip.ParseAddr(listed); err == nil {
		return addr.String() == listed
	}
	last := listed[strings.LastIndexByte(listed, '.')+1:]
	return hostPattern.MatchString(listed) && strings.Trim(last, "0123456789") != ""
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > '~' })
}
