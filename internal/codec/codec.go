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
	// MetadataNamespace is the namespace that a payload is sealed for, in clear,
	// because a codec server is not told. It is authenticated.
	MetadataNamespace = "encryption-namespace"
	// MetadataWorkflowID is the same of the workflow.
	MetadataWorkflowID = "encryption-workflow-id"
	// MetadataBy is who had a payload sealed, in clear and authenticated; absent: Ringback
	// itself.
	MetadataBy = "encryption-by"
	// KeyBytes is the length of a key.
	KeyBytes = 32

	saltBytes  = 32
	nonceBytes = 12
	tagBytes   = 16
	// byOperator is the MetadataBy of what the codec server sealed.
	byOperator = "operator"
	// purpose separates this format from other uses of a key and from other formats.
	purpose = "ringback payload 2\x00"
	// purpose1 is that of the format before, which named no workflow.
	purpose1 = "ringback payload 1\x00"
)

// Key is one key of a Codec.
type Key struct {
	// ID names the key in each payload that it sealed.
	ID     string
	Secret [KeyBytes]byte
}

// Error says that a payload cannot be opened with the keys in force, or is refused.
type Error struct {
	// KeyID is the key that the payload names; empty: it is not sealed.
	KeyID, Reason string
	// Refused: it is not waited for, also where another key might open it.
	Refused bool
}

func (e *Error) Error() string {
	if e.KeyID == "" {
		return "reading a payload: " + e.Reason
	}
	return fmt.Sprintf("opening a payload sealed with the key %q: %s", e.KeyID, e.Reason)
}

// Codec seals payloads with the first of its keys, and opens what any of them
// sealed. Without keys, as its zero value, it seals nothing. It is safe for
// concurrent use.
//
// By itself it is what a codec server needs: it opens what was sealed for any
// workflow. [Codec.WithSerializationContext] is for one workflow.
type Codec struct{ current atomic.Pointer[settings] }

type settings struct {
	keys      []Key
	migrating bool
}

var (
	_ converter.PayloadCodec                         = (*Codec)(nil)
	_ converter.PayloadCodecWithSerializationContext = (*Codec)(nil)
)

// Use replaces the keys; the first one seals. While migrating, what is not sealed and
// what was sealed for no workflow is taken as well.
func (c *Codec) Use(keys []Key, migrating bool) { c.current.Store(&settings{keys, migrating}) }

func (c *Codec) settings() settings {
	if current := c.current.Load(); current != nil {
		return *current
	}
	return settings{}
}

// Encode seals every payload, its metadata included, for no workflow.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return ownedCodec{codec: c}.Encode(payloads)
}

// Decode opens what was sealed for any workflow and leaves what is not sealed as it is.
// Its error is an *Error if the key is missing or wrong.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return ownedCodec{codec: c}.Decode(payloads)
}

// WithSerializationContext seals for the workflow of ctx, and opens only what was sealed
// for it.
func (c *Codec) WithSerializationContext(ctx converter.SerializationContext) converter.PayloadCodec {
	return ownedCodec{codec: c}.WithSerializationContext(ctx)
}

// owner is what a payload is sealed for. Without a workflow it is for no one of them.
type owner struct {
	namespace, workflowID string
	// by is as in MetadataBy: an operator's payload is for messages alone.
	by string
}

func ownerIn(metadata map[string][]byte) owner {
	return owner{string(metadata[MetadataNamespace]), string(metadata[MetadataWorkflowID]), string(metadata[MetadataBy])}
}

func (o owner) String() string {
	if o.workflowID == "" {
		return "no workflow"
	}
	return fmt.Sprintf("the workflow %q of the namespace %q", o.workflowID, o.namespace)
}

// ownedCodec is a codec for what has one owner; for the zero owner it opens everything.
type ownedCodec struct {
	codec *Codec
	owner
	// forMessage also takes what a codec server sealed, which may know no workflow.
	forMessage bool
}

// WithSerializationContext implements [converter.PayloadCodecWithSerializationContext].
func (b ownedCodec) WithSerializationContext(ctx converter.SerializationContext) converter.PayloadCodec {
	switch ctx := ctx.(type) {
	case converter.WorkflowSerializationContext:
		b.namespace, b.workflowID = ctx.Namespace, ctx.WorkflowID
	case converter.ActivitySerializationContext:
		b.namespace, b.workflowID = ctx.Namespace, ctx.WorkflowID
	}
	return b
}

// Encode implements [converter.PayloadCodec].
func (b ownedCodec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	keys := b.codec.settings().keys
	if len(keys) == 0 {
		return payloads, nil
	}
	return each(payloads, func(p *commonpb.Payload) (*commonpb.Payload, error) { return keys[0].seal(p, b.owner) })
}

// Decode implements [converter.PayloadCodec].
func (b ownedCodec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	s := b.codec.settings()
	return each(payloads, func(p *commonpb.Payload) (*commonpb.Payload, error) {
		if err := b.check(s, p.GetMetadata()); err != nil {
			return nil, err
		}
		if !isSealed(p) {
			return p, nil
		}
		return b.open(s.keys, p)
	})
}

func isSealed(p *commonpb.Payload) bool {
	return string(p.GetMetadata()[converter.MetadataEncoding]) == Encoding
}

// check refuses what was not sealed for b's workflow, by what the payload says in
// clear. A false word is found when it is opened.
func (b ownedCodec) check(s settings, metadata map[string][]byte) error {
	_, named := metadata[MetadataWorkflowID]
	keyID := string(metadata[MetadataKeyID])
	from := ownerIn(metadata)
	switch {
	case string(metadata[converter.MetadataEncoding]) != Encoding:
		if b.owner == (owner{}) || len(s.keys) == 0 || s.migrating {
			return nil
		}
		return &Error{Reason: "it is not sealed, and codec.migrating is not true", Refused: true}
	case !named:
		if s.migrating || len(s.keys) == 0 { // without a key it says which one is missing
			return nil
		}
		return &Error{keyID, "it is of the format before, and codec.migrating is not true", true}
	case b.owner == (owner{}), from == b.owner:
		return nil
	case from.by != "" && !b.forMessage:
		return &Error{keyID, "the codec server sealed it, which seals Signals and Updates alone", true}
	case from.by != "" && from.namespace == b.namespace && from.workflowID == b.workflowID:
		return nil
	case from.workflowID == "" && (b.forMessage || s.migrating) && (from.namespace == "" || from.namespace == b.namespace):
		return nil
	}
	return &Error{keyID, fmt.Sprintf("it was sealed for %s, and is read for %s", from, b.owner), true}
}

// checkPresent refuses fewer than n payloads: the SDK leaves at zero what has none, as if
// that had been sealed.
func (b ownedCodec) checkPresent(payloads *commonpb.Payloads, n int) error {
	s := b.codec.settings()
	if len(payloads.GetPayloads()) >= n || b.owner == (owner{}) || len(s.keys) == 0 || s.migrating {
		return nil
	}
	return &Error{Reason: "there is none, where one sealed for " + b.owner.String() + " has to be", Refused: true}
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

func (k Key) seal(p *commonpb.Payload, o owner) (*commonpb.Payload, error) {
	plain, err := proto.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("marshalling a payload to seal it: %w", err)
	}
	sealed := make([]byte, saltBytes, saltBytes+len(plain)+tagBytes)
	_, _ = rand.Read(sealed) // never fails
	aead, nonce, err := k.derive(sealed, purpose)
	if err != nil {
		return nil, err
	}
	metadata := map[string][]byte{
		converter.MetadataEncoding: []byte(Encoding), MetadataKeyID: []byte(k.ID),
		MetadataNamespace: []byte(o.namespace), MetadataWorkflowID: []byte(o.workflowID),
	}
	if o.by != "" {
		metadata[MetadataBy] = []byte(o.by)
	}
	return &commonpb.Payload{Metadata: metadata, Data: aead.Seal(sealed, nonce, plain, k.additional(o))}, nil
}

// open opens p. What its key does not open waits for the right one, but for a message,
// which is refused.
func (b ownedCodec) open(keys []Key, p *commonpb.Payload) (*commonpb.Payload, error) {
	id := string(p.GetMetadata()[MetadataKeyID])
	at := slices.IndexFunc(keys, func(k Key) bool { return k.ID == id })
	if at < 0 {
		if len(keys) == 0 {
			return nil, &Error{KeyID: id, Reason: "codec.keys holds no key"}
		}
		ids := make([]string, len(keys))
		for i, k := range keys {
			ids[i] = k.ID
		}
		return nil, &Error{KeyID: id, Reason: "codec.keys holds only " + strings.Join(ids, ", ")}
	}
	wrong := &Error{id, "codec.keys holds another key of that name, or the payload was changed", b.forMessage}
	sealed := p.GetData()
	if len(sealed) < saltBytes+tagBytes {
		return nil, wrong
	}
	format, additional := purpose1, []byte(purpose1+id)
	if _, named := p.GetMetadata()[MetadataWorkflowID]; named {
		format, additional = purpose, keys[at].additional(ownerIn(p.GetMetadata()))
	}
	aead, nonce, err := keys[at].derive(sealed[:saltBytes], format)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, sealed[saltBytes:], additional)
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
func (k Key) derive(salt []byte, format string) (cipher.AEAD, []byte, error) {
	made, err := hkdf.Key(sha256.New, k.Secret[:], salt, format, KeyBytes+nonceBytes)
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

// additional is authenticated with the content: the format, the key's name, what the
// payload is sealed for and, unless it is Ringback itself, by whom.
func (k Key) additional(o owner) []byte {
	additional := fmt.Appendf(nil, "%s%q%q%q", purpose, k.ID, o.namespace, o.workflowID)
	if o.by != "" {
		additional = fmt.Appendf(additional, "%q", o.by)
	}
	return additional
}
