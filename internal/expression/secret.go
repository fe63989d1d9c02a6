package expression

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// secretType is opaque: no function takes it but hmac, and nothing converts it.
var secretType = cel.OpaqueType("secret")

// Secret is a value that an expression may hand on but not read. However it is printed
// or marshalled, it is "[redacted]".
type Secret struct {
	// A pointer: fmt cannot call Format on an unexported field of another struct and
	// prints what is there, an address.
	value *string
}

// NewSecret keeps value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal is the value itself, for the one place that sends it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// HMACKey is what an expression reads, by [Expression.Reads], that signs with the secret
// of that name.
func HMACKey(secret string) string { return "hmac(secret." + secret + ")" }

const (
	// shortestKey is the shortest key of an HMAC, in bytes: who has one message finds a
	// shorter one by trying.
	shortestKey = 8
	// advisedKey is the shortest without a warning, half of what SHA-256 gives (FIPS 198).
	// Some senders that clients know take keys of ten characters.
	advisedKey = 16
)

// KeyFault says why octets are no key of an HMAC; empty if they are.
func KeyFault(octets []byte) string {
	if len(octets) >= shortestKey {
		return ""
	}
	return fmt.Sprintf("is an HMAC key of %d bytes, which can be found by trying; allowed: %d and more, best 32 random ones", len(octets), shortestKey)
}

// KeyWeakness is what to say about a key that signs, but should not; empty: nothing.
func KeyWeakness(octets []byte) string {
	if len(octets) >= advisedKey {
		return ""
	}
	return fmt.Sprintf("is an HMAC key of fewer than %d bytes, which may be found by trying: give 32 random ones", advisedKey)
}

const redacted = "[redacted]"

// String is "[redacted]".
func (s Secret) String() string { return redacted }

// Format writes "[redacted]" for every verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalText is "[redacted]", for JSON, YAML and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// The methods of CEL's values.

// ConvertToNative refuses: no Go value but a Secret holds it.
func (s Secret) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("a secret can't be read")
}

// ConvertToType refuses all conversions.
func (s Secret) ConvertToType(ref.Type) ref.Val { return types.NewErr("a secret can't be read") }

// Equal refuses: a comparison would tell the value bit by bit.
func (s Secret) Equal(ref.Val) ref.Val { return types.NewErr("a secret can't be compared") }

// Type is "secret".
func (s Secret) Type() ref.Type { return secretType }

// Value is the Secret itself.
func (s Secret) Value() any { return s }
