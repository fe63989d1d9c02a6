package config

import (
	"fmt"
	"io"
	"reflect"
)

// redacted is all that is ever shown of a secret.
const redacted = "[redacted]"

// Secret is a value that must not be shown: however it is printed, logged or
// marshalled, it is "[redacted]". The zero Secret is unset.
type Secret struct {
	// A pointer: fmt cannot call Format on an unexported field of another struct and
	// prints what is there, an address.
	value *string
}

// NewSecret keeps value; an empty one is the unset Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// Reveal is the value itself, for the one place that sends it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no value; the YAML encoder leaves it out then.
func (s Secret) IsZero() bool { return s.value == nil }

// String is "[redacted]".
func (s Secret) String() string { return redacted }

// Format writes "[redacted]" for every verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalText is "[redacted]", for JSON, YAML and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Secrets are the values of all secrets within v, a part of a configuration, for masks.
func Secrets(v any) []string { return secretsIn(reflect.ValueOf(v)) }

func secretsIn(v reflect.Value) (values []string) {
	switch v.Kind() { //nolint:exhaustive // the others hold none
	case reflect.Struct:
		if secret, ok := v.Interface().(Secret); ok {
			return []string{secret.Reveal()}
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				values = append(values, secretsIn(v.Field(i))...)
			}
		}
	case reflect.Map:
		for _, name := range v.MapKeys() {
			values = append(values, secretsIn(v.MapIndex(name))...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			values = append(values, secretsIn(v.Index(i))...)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return secretsIn(v.Elem())
		}
	}
	return values
}
