package operation

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// CallbackID is the id of the callback about a status of an operation, sent as webhook-id
// (internal/dialect/signing.go). It is derived, so that it is the same at every attempt,
// in a redelivery, and where a status returns.
func CallbackID(key Key, status string) string {
	return derivedID("cb_", key.WorkflowID(), status)
}

// derivedID holds no "." (Standard Webhooks).
func derivedID(prefix string, of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, "\x00")))
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}
