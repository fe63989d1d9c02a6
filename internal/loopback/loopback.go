// Package loopback protects programs that listen on loopback and ask for no key: any
// web page can make a browser of the same machine call them.
package loopback

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// CheckRequest refuses a request that a page of another origin made a browser send,
// unless allowed has that origin. A page's own name may lead to loopback (DNS
// rebinding), so that Host has to be a loopback name or address with the port that
// the request came to.
func CheckRequest(r *http.Request, allowed ...string) error {
	if !isOwnHost(r) {
		return fmt.Errorf("the header Host must be a loopback name or address with this program's port, such as %s", localAddress(r))
	}
	if !isOwnPage(r, allowed) && !isNavigation(r) {
		return errors.New("no page of another origin may call; only programs and this program's own pages may")
	}
	return nil
}

// IsHost reports whether a host, a name or an address without a zone, is this machine
// alone.
func IsHost(host string) bool {
	ip, _ := netip.ParseAddr(host)
	return host == "localhost" || ip.Zone() == "" && ip.Unmap().IsLoopback()
}

func isOwnHost(r *http.Request) bool {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = strings.Trim(r.Host, "[]"), "80"
		if r.TLS != nil {
			port = "443"
		}
	}
	_, own, err := net.SplitHostPort(localAddress(r))
	return err == nil && port == own && IsHost(strings.ToLower(host))
}

// localAddress is where the request came to.
func localAddress(r *http.Request) string {
	return fmt.Sprint(r.Context().Value(http.LocalAddrContextKey))
}

// isOwnPage reports whether no other page sent the request. A browser sends Origin with
// each change, and newer ones Sec-Fetch-Site with each request.
func isOwnPage(r *http.Request, allowed []string) bool {
	origin := r.Header.Get("Origin")
	if slices.Contains(allowed, origin) {
		return true
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return (origin == "" || origin == scheme+r.Host) && r.Header.Get("Sec-Fetch-Site") != "cross-site"
}

// isNavigation reports whether somebody followed a link: what comes back is shown to
// them and cannot be read by the page that they came from.
func isNavigation(r *http.Request) bool {
	h := r.Header
	return r.Method == http.MethodGet && h.Get("Origin") == "" && h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document"
}
