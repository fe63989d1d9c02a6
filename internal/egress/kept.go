package egress

import (
	"net/http"
	"sync"
	"time"
)

// maxConnectionAge is how long a kept connection may be used from its dial on,
// and how long it is kept unused: a receiver that moved is found within it, and
// the judgement of an address holds no longer.
const maxConnectionAge = time.Minute

// renewed sends by an [http.Transport] that it replaces when that has reached
// maxAge: net/http itself uses a connection for as long as there is something to
// send. What is under way on the old one goes on to its end.
type renewed struct {
	build  func() *http.Transport
	maxAge time.Duration

	mu      sync.Mutex
	current *http.Transport
	since   time.Time
}

// RoundTrip sends r by a transport that is younger than maxAge.
func (k *renewed) RoundTrip(r *http.Request) (*http.Response, error) {
	return k.transport().RoundTrip(r)
}

func (k *renewed) transport() *http.Transport {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != nil && time.Since(k.since) < k.maxAge {
		return k.current
	}
	if k.current != nil {
		// Not awaited: saying goodbye to a TLS peer that does not read takes seconds.
		go k.current.CloseIdleConnections()
	}
	k.current, k.since = k.build(), time.Now()
	return k.current
}

// CloseIdleConnections serves [http.Client.CloseIdleConnections].
func (k *renewed) CloseIdleConnections() {
	k.mu.Lock()
	current := k.current
	k.mu.Unlock()
	if current != nil {
		current.CloseIdleConnections()
	}
}
