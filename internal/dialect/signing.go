package dialect

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Outgoing is an attempt that is about to be sent: what a signature may cover.
type Outgoing struct {
	// ID is the callback's.
	ID string
	// At is the attempt's time.
	At time.Time
	// Request has its method, its URL and its Content-Type.
	Request *http.Request
	// Body are the exact bytes sent.
	Body []byte
}

func (o Outgoing) timestamp() string { return strconv.FormatInt(o.At.Unix(), 10) }

// Signer signs callbacks by one scheme. It is safe for concurrent use; a nil Signer
// signs nothing.
type Signer struct {
	sign func(Outgoing) (http.Header, error)
}

// Headers are webhook-id and webhook-timestamp, whatever the scheme (promise 11), and
// those of the signature.
func (s *Signer) Headers(o Outgoing) (http.Header, error) {
	headers := http.Header{}
	headers.Set(standardwebhooks.HeaderWebhookID, o.ID)
	headers.Set(standardwebhooks.HeaderWebhookTimestamp, o.timestamp())
	if s == nil {
		return headers, nil
	}
	signed, err := s.sign(o)
	maps.Copy(headers, signed)
	return headers, err
}

// keysOf reads each secret by read. Its errors say which secret is wrong, by its
// place, and none holds a secret.
func keysOf[K any](secrets []string, read func(string) (K, error)) ([]K, error) {
	keys := make([]K, len(secrets))
	for i, secret := range secrets {
		var err error
		if keys[i], err = read(secret); err != nil {
			return nil, fmt.Errorf("signing secret %d of %d %w", i+1, len(secrets), err)
		}
	}
	return keys, nil
}
