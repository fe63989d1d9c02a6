package operation

import "strings"

// Key identifies one operation (promise 1).
type Key struct {
	Endpoint    string `json:"endpoint"`
	OperationID string `json:"operation_id"`
}

// WorkflowID is the id of the operation's workflow: "<endpoint>/<operation id>".
func (k Key) WorkflowID() string { return k.Endpoint + "/" + k.OperationID }

// ParseWorkflowID is the inverse of [Key.WorkflowID]: an endpoint's name holds no slash.
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

// Target is Paysera's "callback" object in a start request.
type Target struct {
	URL      string   `json:"url,omitempty"`
	Statuses []string `json:"statuses,omitempty"`
}

// StartRequest is the body of POST /v1/operations.
type StartRequest struct {
	Endpoint    string    `json:"endpoint"`
	OperationID string    `json:"operation_id"`
	Method      string    `json:"method,omitempty"`
	Reference   Reference `json:"reference,omitzero"`
	// KnownStatus is one that the client has already: it is not delivered.
	KnownStatus string `json:"known_status,omitempty"`
	Callback    Target `json:"callback,omitzero"`
}

// Key is the operation that the request is about.
func (r StartRequest) Key() Key { return Key{Endpoint: r.Endpoint, OperationID: r.OperationID} }

// Endpoint is a configured receiver as a start needs it, without secrets.
type Endpoint struct {
	Name string
	// Disabled refuses new operations; open ones go on.
	Disabled bool
	// Dialect and Source are names: of a dialect, and of a configured source.
	Dialect string
	Source  string
	// SourceKind is the source's kind ("ukrcard", "paysera").
	SourceKind string
	// PerOperationURL requires callback.url in each start; otherwise it is refused.
	PerOperationURL bool
	// Host is that of the endpoint's own URL; empty where each start brings one.
	Host string
	// Hosts are the only ones that callback.url may have; none: any.
	Hosts Hosts
	// Methods are the allowed values of method; empty: method is refused.
	Methods []string
	// Statuses limits which statuses are delivered, unless the start has its own; empty: all.
	Statuses []string
	// Fields are the limits in the source's and the dialect's documents.
	Fields []FieldRule
	Rules  Rules
	Policy Policy
	// Notices receives the notices about this endpoint; nil: nobody does.
	Notices *Recipient
	// ScreenIdentifiers refuses identifiers that look like a card number (promise 13).
	ScreenIdentifiers bool
}

// Query names the operation that a source is polled about.
type Query struct {
	OperationID string    `json:"operation_id"`
	Method      string    `json:"method,omitempty"`
	Reference   Reference `json:"reference,omitzero"`
}
