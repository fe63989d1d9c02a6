// Package codec seals what Ringback keeps in Temporal: AES-256-GCM between the
// SDK and the server, so that the server, its database and its backups hold no
// input, result, detail or failure that could be read (docs/adr/0011).
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
	// purpose keeps what is sealed here apart from whatever else the same key
	// might be used for, and this form from a later one.
	purpose = "ringback payload 1\x00"
)

// Key is one key of a Codec.
type Key struct {
	// ID names the key in each payload that it sealed.
	ID string
	// Secret is KeyBytes random bytes.
	Secret []byte
}

// Error says that a sealed payload can't be opened, as long as the keys are
// what they are.
type Error struct {
	// KeyID is the key that the payload names.
	KeyID string
	// Known says that there is a key of that name: it is another key, or the
	// payload was changed.
	Known bool
	// Keys are the names of the keys that there are.
	Keys []string
}

func (e *Error) Error() string {
	switch {
	case e.Known:
		return fmt.Sprintf("opening a payload sealed with the key %q: codec.keys holds another key of that name, or the payload was changed", e.KeyID)
	case len(e.Keys) == 0:
		return fmt.Sprintf("opening a payload sealed with the key %q: codec.keys holds no key", e.KeyID)
	default:
		return fmt.Sprintf("opening a payload sealed with the key %q: codec.keys holds only %s", e.KeyID, strings.Join(e.Keys, ", "))
	}
}

// Codec seals payloads with the first of its keys, and opens what any of them
// sealed. Without keys it seals nothing. It is a converter.PayloadCodec, safe for
// concurrent use; its zero value has no keys.
type Codec struct{ current atomic.Pointer[[]Key] }

var _ converter.PayloadCodec = (*Codec)(nil)

// Use puts keys in force, in place of those before. The first one writes.
func (c *Codec) Use(keys []Key) error {
	for _, k := range keys {
		if len(k.Secret) != KeyBytes {
			return fmt.Errorf("the codec's key %q has %d bytes: it must have %d", k.ID, len(k.Secret), KeyBytes)
		}
	}
	kept := slices.Clone(keys)
	c.current.Store(&kept)
	return nil
}

// On says whether payloads are sealed.
func (c *Codec) On() bool { return len(c.keys()) > 0 }

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

// Decode opens what Encode sealed and leaves everything else as it is: what was
// written before there were keys, and search attributes. Its error is an *Error
// where the key is what is wrong.
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
	_, _ = rand.Read(sealed) // never fails: it ends the program rather
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
		return nil, &Error{KeyID: id, Keys: names(keys)}
	}
	sealed := p.GetData()
	if len(sealed) < saltBytes+tagBytes {
		return nil, &Error{KeyID: id, Known: true, Keys: names(keys)}
	}
	aead, nonce, err := keys[at].derive(sealed[:saltBytes])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, sealed[saltBytes:], keys[at].bound())
	if err != nil {
		return nil, &Error{KeyID: id, Known: true, Keys: names(keys)}
	}
	var opened commonpb.Payload
	if err := proto.Unmarshal(plain, &opened); err != nil {
		return nil, fmt.Errorf("unmarshalling a payload opened with the key %q: %w", id, err)
	}
	return &opened, nil
}

// derive makes the cipher and the nonce of one payload from the key and the
// payload's salt: no key ever seals two payloads, so that there is no limit of
// 2^32 payloads a key, which random nonces would have.
func (k Key) derive(salt []byte) (cipher.AEAD, []byte, error) {
	made, err := hkdf.Key(sha256.New, k.Secret, salt, purpose, KeyBytes+nonceBytes)
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

// bound is what a payload is authenticated with beside its content: the form,
// and the name that its metadata gives the key.
func (k Key) bound() []byte { return []byte(purpose + k.ID) }

func names(keys []Key) []string {
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = k.ID
	}
	return ids
}
