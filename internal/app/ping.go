package app

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"ringback/api/rest"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

const (
	// pingTimeout bounds a ping, since a person waits for it.
	pingTimeout = 20 * time.Second
	// pingIDLength keeps a ping's operation id within Ukrcard's 32 characters.
	pingIDLength = 10
)

// pingLimit bounds the pings of each endpoint, to protect receivers.
var pingLimit = rest.Limit{PerSecond: 0.5, Burst: 5}

// Ping sends a test callback to an endpoint, even a disabled one, just as an attempt is
// sent, but past its bulkhead and breaker. Nothing is stored.
func (s apiService) Ping(ctx context.Context, name string, r operation.PingRequest) (operation.Ping, error) {
	current := s.config.current.Load()
	endpoint, ok := current.endpoints[name]
	if !ok {
		return operation.Ping{}, operation.Invalid(s.NotRegistered("endpoint", name))
	}
	if err := s.config.checkPing(ctx, endpoint, r); err != nil {
		return operation.Ping{}, err
	}
	callback := testCallback(name)
	if _, err := endpoint.Dialect.Ping(callback, endpoint.Secrets); err != nil {
		return operation.Ping{}, operation.Invalid(operation.FieldError{Field: "endpoint", Detail: "can't be sent a test callback: " + err.Error()})
	}
	if err := s.config.pings.Allow(name, pingLimit, "This endpoint was pinged more often than every 2 seconds; wait as Retry-After says."); err != nil {
		return operation.Ping{}, err
	}
	ping := receiver.Ping(ctx, endpoint, receiver.Request{
		Callback: callback, URL: r.URL,
		TimeoutMS: min(current.config.Endpoints[name].Delivery.Timeout, pingTimeout).Milliseconds(),
	})
	if ping.Connection != nil && ping.Connection.TLSVersion != "" {
		ping.Connection.ClientCertificate = current.clientCertificate(name)
	}
	return ping, nil
}

func (l *liveConfig) checkPing(ctx context.Context, e receiver.Endpoint, request operation.PingRequest) error {
	if fault := operation.CheckCardNumber("url", request.URL); fault != nil {
		return operation.Invalid(*fault)
	}
	fault := ""
	switch {
	case e.URL != "" && request.URL != "":
		fault = "is not used here and must be left out: the endpoint's URL is fixed"
	case e.URL == "" && request.URL == "":
		fault = "is required: this endpoint's URL comes with each operation"
	case request.URL != "":
		if fault = e.Hosts.Check(request.URL); fault != "" {
			break
		}
		if err := l.file().Guard.CheckURL(ctx, request.URL); err != nil {
			fault = err.Error()
		}
	}
	if fault == "" {
		return nil
	}
	return operation.Invalid(operation.FieldError{Field: "url", Detail: fault})
}

// testCallback belongs to no operation.
func testCallback(endpoint string) operation.Callback {
	now := operation.At(time.Now())
	id := strings.ToLower(rand.Text()[:pingIDLength])
	return operation.Callback{
		ID:          "cb_ping_" + id,
		Key:         operation.Key{Endpoint: endpoint, OperationID: operation.PingPrefix + id},
		Observation: operation.Observation{BegunAt: now, ObservedAt: now},
	}
}

// clientCertificate is the subject of the endpoint's client certificate.
func (s *snapshot) clientCertificate(endpoint string) string {
	c := s.config.Endpoints[endpoint].TLS.Config()
	if c == nil || len(c.Certificates) == 0 || c.Certificates[0].Leaf == nil {
		return ""
	}
	return c.Certificates[0].Leaf.Subject.String()
}
