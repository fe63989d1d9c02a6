package egress

import (
	"net/http"
	"sync"
	"time"
)

// maxConnectionAge is how long a kept connection may be used from its dial on,
// and how long it is kept unused: a receiver that moved is found within it, and
// the addressCheck of an address holds no longer.
const maxConnectionAge = time.Minute

// transports are one for each scheme, since a dialler does not know whether TLS
// will follow.
type transports struct{ http, https *http.Transport }

// transport sends by transports that it replaces when they have reached maxAge:
// net/http itself uses a connection for as long as there is something to send.
// What is under way on the old ones goes on to its end.
type transport struct {
	build  func() transports
	maxAge time.Duration

	mu   sync.Mutex
	kept transports
	from time.Time
}

// RoundTrip sends r by a transport that is younger than maxAge. An answer 101 is given no
// body: net/http's would be the connection itself, which no context and no timeout ends.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	kept := t.current()
	by := kept.http
	if r.URL.Scheme == "https" {
		by = kept.https
	}
	response, err := by.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusSwitchingProtocols {
		_ = response.Body.Close()
		response.Body = http.NoBody
	}
	return response, err
}

func (t *transport) current() transports {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.from) < t.maxAge {
		return t.kept
	}
	if !t.from.IsZero() {
		// Not awaited: closing takes seconds where a TLS peer does not read.
		go t.kept.closeIdle()
	}
	t.kept, t.from = t.build(), time.Now()
	return t.kept
}

// CloseIdleConnections serves [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() { t.current().closeIdle() }

func (t transports) closeIdle() {
	t.http.CloseIdleConnections()
	t.https.CloseIdleConnections()
}
