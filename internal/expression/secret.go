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
