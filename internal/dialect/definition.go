package dialect

import (
	"slices"
	"strings"
	"time"

	"ringback/internal/expression"
)

// Definition is a dialect as data. Every value in it is an expression but Method,
// ContentType, PingStatus and the names of headers, schemes and encodings.
type Definition struct {
	// Secrets are the names of the secrets that each endpoint of this dialect gives.
	Secrets []string `yaml:"secrets,omitempty"`
	// Method is POST, PUT or PATCH; POST unless set.
	Method string `yaml:"method,omitzero"`
	// ContentType is application/json, application/x-www-form-urlencoded or
	// text/plain; charset=utf-8 unless set, as the body is JSON, Form or Text.
	ContentType string `yaml:"content_type,omitzero"`
	// Headers are sent beside those of the protocol, the endpoint and the signature.
	Headers expression.Members `yaml:"headers,omitempty"`
	// JSON, Form or Text is the body. In JSON and Form what is null is left out.
	JSON *expression.Node   `yaml:"json,omitempty"`
	Form expression.Members `yaml:"form,omitempty"`
	Text string             `yaml:"text,omitzero"`
	// Acknowledged is true of an answer that acknowledges. A redirect never does.
	Acknowledged string `yaml:"acknowledged,omitzero"`
	// Gone is true of an answer after which no more is sent; that of HTTP 410 unless set.
	Gone string `yaml:"gone,omitzero"`
	// RetryAfter is how long the receiver asks to wait, a duration or seconds; the
	// header Retry-After unless set. The endpoint must honour it.
	RetryAfter string `yaml:"retry_after,omitzero"`
	// PingStatus is the status of a test callback; without it the dialect has none.
	PingStatus string     `yaml:"ping_status,omitzero"`
	Signature  *Signature `yaml:"signature,omitempty"`
	Examples   []Example  `yaml:"examples,omitempty"`
}

// Sets reports whether the dialect itself sets a header, the signature's among them.
func (d Definition) Sets(header string) bool {
	own := slices.ContainsFunc(d.Headers, func(m expression.Member) bool { return strings.EqualFold(m.Name, header) })
	return own || d.Signature != nil && d.Signature.sets(header)
}

// Signature says how callbacks are signed with an endpoint's signing secrets.
type Signature struct {
	// Scheme is standard-webhooks, hmac-sha256, hmac-sha512, ecdsa-p256-sha256 or rfc9421.
	Scheme string `yaml:"scheme,omitzero"`
	// Encoding of the signature is hex or base64; unless set hex for an HMAC, and base64
	// for ECDSA, whose signature is ASN.1 DER.
	Encoding string `yaml:"encoding,omitzero"`
	// Over is the text that is signed; the body unless set.
	Over string `yaml:"over,omitzero"`
	// Prefix stands before the signature, which is made with the first secret alone.
	Prefix string `yaml:"prefix,omitzero"`
	// Format is the header's whole value instead, made of the signatures of all secrets,
	// such as 't=' + timestamp + ',v1=' + signatures.join(',v1=').
	Format string `yaml:"format,omitzero"`
	// KeyEncoding is how an HMAC's secret is written: text, hex or base64; text unless set.
	KeyEncoding string `yaml:"key_encoding,omitzero"`
	// KeyID is the keyid of rfc9421; unless set the JWK thumbprint of a private key.
	KeyID   string           `yaml:"key_id,omitzero"`
	Headers SignatureHeaders `yaml:"headers,omitzero"`
}

// Example is a test of a definition: a callback and how it is written, or an answer and
// its verdict.
type Example struct {
	Name string `yaml:"name,omitzero"`
	// Operation, Status, Final, ObservedAt and Keep are of the callback.
	Operation  ExampleOperation  `yaml:"operation,omitzero"`
	Status     string            `yaml:"status,omitzero"`
	Final      bool              `yaml:"final,omitzero"`
	ObservedAt time.Time         `yaml:"observed_at,omitzero"`
	Keep       map[string]string `yaml:"keep,omitempty"`
	// Body is what must be written, byte by byte.
	Body string `yaml:"body,omitzero"`
	// Answer is judged, about the operation above.
	Answer *expression.ExampleAnswer `yaml:"answer,omitempty"`
	// Verdict is one of Verdicts.
	Verdict string `yaml:"verdict,omitzero"`
	// RetryAfter is how long the answer must ask to wait; 0: any time.
	RetryAfter time.Duration `yaml:"retry_after,omitzero"`
}

// ExampleOperation is the operation of an example.
type ExampleOperation struct {
	Endpoint    string                      `yaml:"endpoint,omitzero"`
	OperationID string                      `yaml:"operation_id,omitzero"`
	Reference   expression.ExampleReference `yaml:"reference,omitzero"`
}
