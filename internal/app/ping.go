package app

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ringback/api/rest"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

const (
	// pingTimeout bounds a ping whose endpoint would wait longer: somebody
	// waits for it.
	pingTimeout = 20 * time.Second
	// pingEvery and pingBurst bound the pings of one endpoint.
	pingEvery = 2 * time.Second
	pingBurst = 5
	// pingIDLength keeps a ping's operation id within Ukrcard's 32 characters.
	pingIDLength = 10
)

// Ping sends a test callback to a registered endpoint, also to one that is
// switched off: through its guard, dialect, signer and client certificate, as
// an attempt is made, and beside its bulkhead and breaker. Nothing is kept.
func (s apiService) Ping(ctx context.Context, name string, r operation.PingRequest) (operation.Ping, error) {
	current := s.registry.current.Load()
	endpoint, ok := current.endpoints[name]
	if !ok {
		return operation.Ping{}, operation.Invalid(operation.FieldError{
			Field: "endpoint", Detail: "is not registered; registered are " + strings.Join(s.registry.endpointNames(), ", ")})
	}
	if err := s.registry.checkPing(ctx, endpoint, r); err != nil {
		return operation.Ping{}, err
	}
	if err := s.registry.pings.take(name); err != nil {
		return operation.Ping{}, err
	}
	ping := receiver.Ping(ctx, endpoint, receiver.Request{
		Callback: testCallback(name), URL: r.URL,
		TimeoutMS: min(current.config.Endpoints[name].Delivery.Timeout, pingTimeout).Milliseconds(),
	})
	if ping.Connection != nil && ping.Connection.TLSVersion != "" {
		ping.Connection.ClientCertificate = current.clientCertificate(name)
	}
	return ping, nil
}

func (r *registry) checkPing(ctx context.Context, e receiver.Endpoint, request operation.PingRequest) error {
	fault := ""
	switch {
	case e.URL != "" && request.URL != "":
		fault = "is not used here and must be left out: the endpoint's URL is fixed"
	case e.URL == "" && request.URL == "":
		fault = "is required: this endpoint's URL comes with each operation"
	case operation.LooksLikeCardNumber(request.URL):
		fault = "looks like a card number, and Ringback takes none"
	case request.URL != "":
		if err := r.checkURL(ctx, request.URL); err != nil {
			fault = err.Error()
		}
	}
	if fault == "" {
		return nil
	}
	return operation.Invalid(operation.FieldError{Field: "url", Detail: fault})
}

// testCallback is a callback that no operation owes.
func testCallback(endpoint string) operation.Callback {
	now := operation.At(time.Now())
	id := strings.ToLower(rand.Text()[:pingIDLength])
	return operation.Callback{
		ID:          "cb_ping_" + id,
		Key:         operation.Key{Endpoint: endpoint, OperationID: operation.PingPrefix + id},
		Observation: operation.Observation{BegunAt: now, ObservedAt: now},
	}
}

// clientCertificate is the subject of what the endpoint's client shows.
func (s *settings) clientCertificate(endpoint string) string {
	c := s.config.Endpoints[endpoint].TLS.Config()
	if c == nil || len(c.Certificates) == 0 || c.Certificates[0].Leaf == nil {
		return ""
	}
	return c.Certificates[0].Leaf.Subject.String()
}

// pings bounds the test callbacks of each endpoint: a key of the API is no
// reason to hammer a receiver.
type pings struct {
	mu     sync.Mutex
	byName map[string]*rate.Limiter
}

func (p *pings) take(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byName == nil {
		p.byName = map[string]*rate.Limiter{}
	}
	if p.byName[name] == nil {
		p.byName[name] = rate.NewLimiter(rate.Every(pingEvery), pingBurst)
	}
	booked := p.byName[name].Reserve()
	wait := booked.Delay()
	if wait == 0 {
		return nil
	}
	booked.Cancel()
	return &operation.Error{
		Problem: rest.ProblemTooManyRequests, RetryAfter: wait,
		Detail: "This endpoint was pinged more often than every 2 seconds; wait as Retry-After says.",
	}
}
