package dialect

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// What a signing secret must be (Standard Webhooks, "Symmetric (HMAC)" and
// "Asymmetric (ed25519)").
const (
	secretPrefix   = "whsec_"
	shortestSecret = 24
	longestSecret  = 64

	privateKeyPrefix = "whsk_"
	// asymmetricVersion names an ed25519 signature in webhook-signature.
	asymmetricVersion = "v1a,"
)

// signingKey makes one signature, its version included.
type signingKey func(id string, at time.Time, body []byte) (string, error)

// NewSigner signs by Standard Webhooks: v1 with each symmetric secret and v1a with
// each private key, all of them in one header, so that keys can be rotated. A secret is
// "whsec_" + base64 of 24 to 64 bytes, or "whsk_" + base64 of an ed25519 private key:
// its seed of 32 bytes, or that and the public key. Its errors say which secret is
// wrong, by its place, and none holds a secret.
func NewSigner(secrets []string) (*Signer, error) {
	return standardSigner(SignatureHeaders{}, secrets)
}

// standardWebhooks is the scheme of the built-in dialects.
type standardWebhooks struct{}

// Signer is that of Standard Webhooks.
func (standardWebhooks) Signer(secrets []string) (*Signer, error) { return NewSigner(secrets) }

func standardSigner(names SignatureHeaders, secrets []string) (*Signer, error) {
	keys, err := keysOf(secrets, newSigningKey)
	if err != nil {
		return nil, err
	}
	names.Signature = cmp.Or(names.Signature, standardwebhooks.HeaderWebhookSignature)
	return &Signer{sign: func(o Outgoing) (http.Header, error) {
		signatures := make([]string, len(keys))
		for i, key := range keys {
			var err error
			if signatures[i], err = key(o.ID, o.At, o.Body); err != nil {
				return nil, errors.New("the signature could not be made")
			}
		}
		return names.with(o, strings.Join(signatures, " ")), nil
	}}, nil
}

func newSigningKey(secret string) (signingKey, error) {
	if encoded, found := strings.CutPrefix(secret, privateKeyPrefix); found {
		return asymmetricKey(encoded)
	}
	encoded, found := strings.CutPrefix(secret, secretPrefix)
	if !found {
		return nil, errors.New("does not begin with " + secretPrefix + " or " + privateKeyPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("is not base64 after " + secretPrefix)
	}
	if len(key) < shortestSecret || len(key) > longestSecret {
		return nil, fmt.Errorf("holds %d bytes; %d to %d are allowed", len(key), shortestSecret, longestSecret)
	}
	webhook, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, errors.New("cannot be used")
	}
	return webhook.Sign, nil
}

// asymmetricKey signs as v1a, which the standard's library can't.
func asymmetricKey(encoded string) (signingKey, error) {
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("is not base64 after " + privateKeyPrefix)
	}
	if len(decoded) != ed25519.SeedSize && len(decoded) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("holds %d bytes after %s; allowed are the private key's %d, or those and the public key's %d",
			len(decoded), privateKeyPrefix, ed25519.SeedSize, ed25519.PublicKeySize)
	}
	key := ed25519.NewKeyFromSeed(decoded[:ed25519.SeedSize])
	if len(decoded) == ed25519.PrivateKeySize && !bytes.Equal(key, decoded) {
		// With a foreign public key a signature verifies with neither, and gives the private key away.
		return nil, errors.New("holds a public key that is not the private key's own")
	}
	return func(id string, at time.Time, body []byte) (string, error) {
		signed := append([]byte(id+"."+strconv.FormatInt(at.Unix(), 10)+"."), body...)
		return asymmetricVersion + base64.StdEncoding.EncodeToString(ed25519.Sign(key, signed)), nil
	}, nil
}
