package operation

// PingPrefix begins the operation id of every test callback.
const PingPrefix = "ringback-ping-"

// PingRequest is the body of POST /v1/endpoints/{endpoint}/ping.
type PingRequest struct {
	// URL is where to deliver, for an endpoint whose URL is per operation.
	URL string `json:"url,omitempty"`
}

// Ping is a test callback: its request and answer, with "[redacted]" for secrets.
type Ping struct {
	Endpoint string `json:"endpoint"`
	// OperationID begins with PingPrefix; no operation has it.
	OperationID string `json:"operation_id"`
	// CallbackID is the webhook-id that was sent.
	CallbackID string `json:"callback_id"`
	// Dialect is the one that wrote the message and judged the answer.
	Dialect string `json:"dialect"`
	// Signed says that the endpoint has a signing secret.
	Signed bool `json:"signed"`
	At     Time `json:"at"`
	// TookMS is from At to the end of the answer, rounded up.
	TookMS  int64   `json:"took_ms"`
	Verdict Verdict `json:"verdict"`
	// Reason is why it was not acknowledged, in words.
	Reason     string      `json:"reason,omitempty"`
	Connection *Connection `json:"connection,omitempty"`
	Request    SentRequest `json:"request"`
	// Answer is nil where there was none.
	Answer *ReceivedAnswer `json:"answer"`
}

// Connection is how the receiver was reached.
type Connection struct {
	// RemoteAddress is the IP address and port that the name resolved to.
	RemoteAddress string `json:"remote_address"`
	// TLSVersion is empty for plain http.
	TLSVersion string `json:"tls_version,omitempty"`
	// ServerCertificate is the subject of the receiver's certificate.
	ServerCertificate string `json:"server_certificate,omitempty"`
	// ClientCertificate is the subject of Ringback's own certificate.
	ClientCertificate string `json:"client_certificate,omitempty"`
}

// SentRequest is a request as it was sent, or would have been.
type SentRequest struct {
	// Line is the request line; the values of a query are masked.
	Line    string       `json:"line"`
	Headers []HeaderLine `json:"headers"`
	Body    string       `json:"body"`
}

// ReceivedAnswer is an answer, as far as it was read.
type ReceivedAnswer struct {
	// Line is the status line.
	Line       string       `json:"line"`
	HTTPStatus int          `json:"http_status"`
	Headers    []HeaderLine `json:"headers"`
	Body       string       `json:"body"`
	// Truncated says that Body is not all of it.
	Truncated bool `json:"truncated"`
}

// HeaderLine is one header of a request or an answer.
type HeaderLine struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
