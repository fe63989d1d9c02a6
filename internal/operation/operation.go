package operation

import "strings"

// Key names one operation: promise 1, Identity.
type Key struct {
	Endpoint    string `json:"endpoint"`
	OperationID string `json:"operation_id"`
}

// WorkflowID is the id of the operation's workflow: "<endpoint>/<operation id>".
func (k Key) WorkflowID() string { return k.Endpoint + "/" + k.OperationID }

// ParseWorkflowID is the inverse of [Key.WorkflowID]. An endpoint's name holds
// no slash, an operation id may.
func ParseWorkflowID(id string) (Key, bool) {
	endpoint, operationID, ok := strings.Cut(id, "/")
	return Key{Endpoint: endpoint, OperationID: operationID}, ok
}

// Reference is what a source needs besides the operation id.
type Reference struct {
	// RegisteredAt becomes Ukrcard's RegDate (/Confirm).
	RegisteredAt *Time `json:"registered_at,omitempty"`
	// OrderID is wsGate's own id of the order, 1..36 characters.
	OrderID string `json:"order_id,omitempty"`
}

// Target is Paysera's own "callback" object in a start request: where to ring
// and for which statuses.
type Target struct {
	URL      string   `json:"url,omitempty"`
	Statuses []string `json:"statuses,omitempty"`
}

// StartRequest is the body of POST /v1/operations (design section 4).
type StartRequest struct {
	Endpoint    string    `json:"endpoint"`
	OperationID string    `json:"operation_id"`
	Method      string    `json:"method,omitempty"`
	Reference   Reference `json:"reference,omitzero"`
	// KnownStatus is the status that the client already has: it does not ring.
	KnownStatus string `json:"known_status,omitempty"`
	Callback    Target `json:"callback,omitzero"`
}

// Key is the operation that the request is about.
func (r StartRequest) Key() Key { return Key{Endpoint: r.Endpoint, OperationID: r.OperationID} }

// Endpoint is what a start needs to know about a registered receiver: its
// policies, which travel in the workflow's input (promise 14). It holds no
// secret.
type Endpoint struct {
	Name string
	// Disabled refuses starts; open operations go on.
	Disabled bool
	// Dialect and Source are names: of a dialect, and of a configured source.
	Dialect string
	Source  string
	// SourceKind is the source's kind ("ukrcard", "paysera").
	SourceKind string
	// PerOperationURL asks each start for callback.url; otherwise it is refused.
	PerOperationURL bool
	// Methods are the allowed values of method; empty: method is refused.
	Methods []string
	// Statuses filters which statuses ring, unless the start says its own; empty: all.
	Statuses []string
	// Fields are the limits of the source's and dialect's documents.
	Fields []FieldRule
	Rules  Rules
	Policy Policy
	// Notices is who hears of deliveries that nobody acknowledged, or nil.
	Notices *Recipient
	// ScreenIdentifiers refuses identifiers that look like a card number (promise 13).
	ScreenIdentifiers bool
}

// Query is one question to a source: about which operation.
type Query struct {
	OperationID string    `json:"operation_id"`
	Method      string    `json:"method,omitempty"`
	Reference   Reference `json:"reference,omitzero"`
}
