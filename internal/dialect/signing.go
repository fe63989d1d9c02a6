package dialect

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// What a signing secret must be (Standard Webhooks, "Symmetric (HMAC)").
const (
	secretPrefix   = "whsec_"
	shortestSecret = 24
	longestSecret  = 64
)

// Signer signs callbacks as Standard Webhooks v1, with every secret it has, so
// that a receiver may change over from one to the next. It is safe for
// concurrent use; a nil Signer signs nothing.
type Signer struct{ keys []*standardwebhooks.Webhook }

// NewSigner builds a signer from secrets of the form "whsec_" + base64 of 24 to
// 64 bytes. Its errors say which secret is wrong, by its place, and none holds
// a secret.
func NewSigner(secrets []string) (*Signer, error) {
	s := &Signer{}
	for i, secret := range secrets {
		encoded, found := strings.CutPrefix(secret, secretPrefix)
		if !found {
			return nil, fmt.Errorf("signing secret %d of %d does not begin with %s", i+1, len(secrets), secretPrefix)
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("signing secret %d of %d is not base64 after %s", i+1, len(secrets), secretPrefix)
		}
		if len(key) < shortestSecret || len(key) > longestSecret {
			return nil, fmt.Errorf("signing secret %d of %d holds %d bytes; %d to %d are allowed",
				i+1, len(secrets), len(key), shortestSecret, longestSecret)
		}
		webhook, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("signing secret %d of %d cannot be used", i+1, len(secrets))
		}
		s.keys = append(s.keys, webhook)
	}
	return s, nil
}

// Headers are webhook-id, webhook-timestamp (Unix seconds of at, which is the
// attempt's time) and, if there are secrets, webhook-signature: one signature
// a secret, in the secrets' order, separated by spaces. body are the exact
// bytes sent.
func (s *Signer) Headers(id string, at time.Time, body []byte) http.Header {
	headers := http.Header{}
	headers.Set(standardwebhooks.HeaderWebhookID, id)
	headers.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	if signatures := s.sign(id, at, body); len(signatures) > 0 {
		headers.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	}
	return headers
}

func (s *Signer) sign(id string, at time.Time, body []byte) []string {
	if s == nil {
		return nil
	}
	var signatures []string
	for _, key := range s.keys {
		// HMAC over any bytes cannot fail. Should the library ever say
		// otherwise, a receiver refuses what is not signed.
		if signature, err := key.Sign(id, at, body); err == nil {
			signatures = append(signatures, signature)
		}
	}
	return signatures
}
