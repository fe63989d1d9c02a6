package source

import (
	"slices"
	"strings"

	"ringback/internal/expression"
)

// Definition is a kind of core as data (kinds: in the configuration). Strings that are
// values are CEL expressions.
type Definition struct {
	// Secrets are names, in expressions secret.NAME; each source gives their values.
	Secrets []string `yaml:"secrets,omitempty"`
	// OperationID is the documents' limit on the id of a start.
	OperationID IdentifierRule `yaml:"operation_id,omitzero"`
	// Methods are all values of method; empty: method is refused.
	Methods []string `yaml:"methods,omitempty"`
	// Statuses are the vocabulary: what each status means, some of StatusMeanings.
	Statuses map[string][]string `yaml:"statuses,omitempty"`
	// RingsUnanswered delivers the last answer, or that there was none, where the watch
	// ends without a final status.
	RingsUnanswered bool             `yaml:"rings_unanswered,omitzero"`
	Request         *RequestTemplate `yaml:"request,omitempty"`
	// DetailsRequest asks for the extended answer; nil: Request does.
	DetailsRequest *RequestTemplate `yaml:"details_request,omitempty"`
	Answer         *AnswerReader    `yaml:"answer,omitempty"`
	// Push is set for a core that is never polled, but pushes.
	Push     *Push     `yaml:"push,omitempty"`
	Examples []Example `yaml:"examples,omitempty"`
}

// Sets reports whether a request of the kind sets a header.
func (d Definition) Sets(header string) bool {
	return slices.ContainsFunc([]*RequestTemplate{d.Request, d.DetailsRequest}, func(r *RequestTemplate) bool {
		return r != nil && slices.ContainsFunc(r.Headers, func(m expression.Member) bool { return strings.EqualFold(m.Name, header) })
	})
}

// IdentifierRule limits an identifier.
type IdentifierRule struct {
	// Pattern is a regular expression (RE2) that the whole value must match.
	Pattern string `yaml:"pattern,omitzero"`
	// MaxLength is in characters; 0: Ringback's own limit.
	MaxLength int `yaml:"max_length,omitzero"`
}

// What a status may mean.
const (
	// StatusFinal ends the watch.
	StatusFinal = "final"
	// StatusRings is delivered to the client.
	StatusRings = "rings"
	// StatusRevocable allows a revocation.
	StatusRevocable = "revocable"
)

// StatusMeanings are all that a status may mean.
var StatusMeanings = []string{StatusFinal, StatusRings, StatusRevocable}

// RequestTemplate is a request to a core.
type RequestTemplate struct {
	// Method is GET or POST; empty: GET.
	Method string `yaml:"method,omitzero"`
	// Path is joined to the base URL; each {expression} in it is one path segment or
	// a part of one.
	Path string `yaml:"path,omitzero"`
	// Query and Headers leave out what is null.
	Query   expression.Members `yaml:"query,omitempty"`
	Headers expression.Members `yaml:"headers,omitempty"`
	// JSON or Form is the body, which only a POST has.
	JSON *expression.Node   `yaml:"json,omitempty"`
	Form expression.Members `yaml:"form,omitempty"`
}

// AnswerReader says how an answer is read.
type AnswerReader struct {
	// Answered (bool): the core itself wrote the answer, not what stands in front of it.
	// One that can't be evaluated says no.
	Answered string `yaml:"answered,omitzero"`
	// About (text) is the operation that the answer names, which must be ours. Empty:
	// answers name none.
	About string `yaml:"about,omitzero"`
	// Status (text); null or empty: answered without a status.
	Status string `yaml:"status,omitzero"`
	// ChangedAt (timestamp) is when the core changed the status, by its own clock. It is
	// kept as changed_at in RFC 3339, and orders nothing.
	ChangedAt string `yaml:"changed_at,omitzero"`
	// Refused (bool): our credentials are refused. Empty: HTTP 401 and 403.
	Refused string `yaml:"refused,omitzero"`
	// RetryAfter (duration or seconds) is when to come back after HTTP 429. Empty: the
	// header Retry-After.
	RetryAfter string `yaml:"retry_after,omitzero"`
	// Keep (text) may be sent on: [operation.Observation.Raw]. What is null, can't be
	// evaluated or looks like a card number is left out.
	Keep expression.Members `yaml:"keep,omitempty"`
	// Details may be shown, and are never kept; card numbers in them are masked.
	Details expression.Members `yaml:"details,omitempty"`
}

// Push is a core that is never polled: it pushes each status.
type Push struct {
	// LifetimeStatus is sent when the lifetime is over without a final status; empty:
	// nothing is sent.
	LifetimeStatus string `yaml:"lifetime_status,omitzero"`
}

// Example is a test in the definition: what must become of an answer.
type Example struct {
	Name      string           `yaml:"name,omitzero"`
	Operation ExampleOperation `yaml:"operation,omitzero"`
	// Request, if set, is the request that must be made; a secret's value is its name.
	Request *ExampleRequest `yaml:"request,omitempty"`
	// Answer is the core's.
	Answer *expression.ExampleAnswer `yaml:"answer,omitempty"`
	// Status is what is observed; empty without an Error: answered without a status.
	Status string `yaml:"status,omitzero"`
	// Error is one of ExampleErrors.
	Error string `yaml:"error,omitzero"`
	// Keep and Details, where set, are all that is kept and shown, as text.
	Keep    map[string]string `yaml:"keep,omitempty"`
	Details map[string]string `yaml:"details,omitempty"`
}

// ExampleOperation is the operation of an example.
type ExampleOperation struct {
	OperationID string                      `yaml:"operation_id,omitzero"`
	Method      string                      `yaml:"method,omitzero"`
	Reference   expression.ExampleReference `yaml:"reference,omitzero"`
}

// ExampleRequest is the request that an example must make.
type ExampleRequest struct {
	Method string `yaml:"method,omitzero"`
	// URL is the path and the query, without the base URL.
	URL  string `yaml:"url,omitzero"`
	Body string `yaml:"body,omitzero"`
}
