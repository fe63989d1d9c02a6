// Package codec seals what Ringback keeps in Temporal with AES-256-GCM, so that the
// server, its database and its backups hold no readable payload (docs/adr/0011).
package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

const (
	// Encoding is a sealed payload's metadata "encoding".
	Encoding = "binary/encrypted"
	// MetadataKeyID is the metadata that names the key, in clear.
	MetadataKeyID = "encryption-key-id"
	// KeyBytes is the length of a key.
	KeyBytes = 32

	saltBytes  = 32
	nonceBytes = 12
	tagBytes   = 16
	// purpose separates this format from other uses of a key and from later formats.
	purpose = "ringback payload 1\x00"
)

// Key is one key of a Codec.
type Key struct {
	// ID names the key in each payload that it sealed.
	ID     string
	Secret [KeyBytes]byte
}

// Error says that a sealed payload cannot be opened with the keys in force.
type Error struct {
	// KeyID is the key that the payload names.
	KeyID, Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("opening a payload sealed with the key %q: %s", e.KeyID, e.Reason)
}

// Codec seals payloads with the first of its keys, and opens what any of them
// sealed. Without keys, as its zero value, it seals nothing. It is safe for
// concurrent use.
type Codec struct{ current atomic.Pointer[[]Key] }

var _ converter.PayloadCodec = (*Codec)(nil)

// Use replaces the keys; the first one seals.
func (c *Codec) Use(keys []Key) { c.current.Store(&keys) }

func (c *Codec) keys() []Key {
	if keys := c.current.Load(); keys != nil {
		return *keys
	}
	return nil
}

// Encode seals every payload, its metadata included.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	keys := c.keys()
	if len(keys) == 0 {
		return payloads, nil
	}
	return each(payloads, keys[0].seal)
}

// Decode opens what Encode sealed and leaves everything else as it is, such as what was
// written before there were keys. Its error is an *Error if the key is missing or wrong.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	keys := c.keys()
	return each(payloads, func(p *commonpb.Payload) (*commonpb.Payload, error) {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != Encoding {
			return p, nil
		}
		return open(keys, p)
	})
}

func each(payloads []*commonpb.Payload, do func(*commonpb.Payload) (*commonpb.Payload, error)) ([]*commonpb.Payload, error) {
	done := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		var err error
		if done[i], err = do(p); err != nil {
			return nil, err
		}
	}
	return done, nil
}

func (k Key) seal(p *commonpb.Payload) (*commonpb.Payload, error) {
	plain, err := proto.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("marshalling a payload to seal it: %w", err)
	}
	sealed := make([]byte, saltBytes, saltBytes+len(plain)+tagBytes)
	_, _ = rand.Read(sealed) // never fails
	aead, nonce, err := k.derive(sealed)
	if err != nil {
		return nil, err
	}
	return &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(Encoding), MetadataKeyID: []byte(k.ID)},
		Data:     aead.Seal(sealed, nonce, plain, k.bound()),
	}, nil
}

func open(keys []Key, p *commonpb.Payload) (*commonpb.Payload, error) {
	id := string(p.GetMetadata()[MetadataKeyID])
	at := slices.IndexFunc(keys, func(k Key) bool { return k.ID == id })
	if at < 0 {
		if len(keys) == 0 {
			return nil, &Error{id, "codec.keys holds no key"}
		}
		ids := make([]string, len(keys))
		for i, k := range keys {
			ids[i] = k.ID
		}
		return nil, &Error{id, "codec.keys holds only " + strings.Join(ids, ", ")}
	}
	wrong := &Error{id, "codec.keys holds another key of that name, or the payload was changed"}
	sealed := p.GetData()
	if len(sealed) < saltBytes+tagBytes {
		return nil, wrong
	}
	aead, nonce, err := keys[at].derive(sealed[:saltBytes])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, sealed[saltBytes:], keys[at].bound())
	if err != nil {
		return nil, wrong
	}
	var opened commonpb.Payload
	if err := proto.Unmarshal(plain, &opened); err != nil {
		return nil, fmt.Errorf("unmarshalling a payload opened with the key %q: %w", id, err)
	}
	return &opened, nil
}

// derive makes the cipher and the nonce of one payload from the key and the payload's
// salt, which avoids the limit of 2^32 payloads a key with random nonces.
func (k Key) derive(salt []byte) (cipher.AEAD, []byte, error) {
	made, err := hkdf.Key(sha256.New, k.Secret[:], salt, purpose, KeyBytes+nonceBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving from the codec's key %q: %w", k.ID, err)
	}
	block, err := aes.NewCipher(made[:KeyBytes])
	if err != nil {
		return nil, nil, fmt.Errorf("deriving from the codec's key %q: %w", k.ID, err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving from the codec's key %q: %w", k.ID, err)
	}
	return aead, made[KeyBytes:], nil
}

// bound is authenticated with the content: the format and the key's name.
func (k Key) bound() []byte { return []byte(purpose + k.ID) }
