package operation

// The types of a notice.
const (
	// NoticeExhausted: k attempts of a delivery were made, none acknowledged.
	NoticeExhausted = "delivery.exhausted"
	// NoticeGone: a delivery ended because the receiver is gone, or its address refused.
	NoticeGone = "delivery.gone"
	// NoticeFailing: an endpoint acknowledges nothing any more.
	NoticeFailing = "endpoint.failing"
	// NoticeRecovered: an endpoint that was failing acknowledged an attempt.
	NoticeRecovered = "endpoint.recovered"
)

// Notice is the body of a message to the operators of Ringback. It causes no other notice.
type Notice struct {
	Type string `json:"type"`
	// Timestamp is when the event happened.
	Timestamp Time       `json:"timestamp"`
	Data      NoticeData `json:"data"`
}

// NoticeData is what a notice is about; from OperationID on, of a delivery.
type NoticeData struct {
	// Endpoint is the one that the notice is about, not its recipient.
	Endpoint string `json:"endpoint"`
	// Attempts counts those of the callback, or those in a row at the endpoint.
	Attempts int `json:"attempts,omitempty"`
	// Reason is the last attempt's.
	Reason      string `json:"reason,omitempty"`
	OperationID string `json:"operation_id,omitempty"`
	CallbackID  string `json:"callback_id,omitempty"`
	Status      string `json:"status,omitempty"`
	// Host is that of the URL that the last attempt called.
	Host  string `json:"host,omitempty"`
	RunID string `json:"run_id,omitempty"`
}

// Callback is the notice as it is delivered. The same notice has the same id.
func (n Notice) Callback(recipient string) Callback {
	return Callback{
		ID:          derivedID("nt_", n.Type, n.Data.Endpoint, n.Data.OperationID, n.Data.CallbackID, n.Data.RunID, n.Timestamp.String()),
		Key:         Key{Endpoint: recipient, OperationID: n.Data.OperationID},
		Final:       true,
		Observation: Observation{Status: n.Type, BegunAt: n.Timestamp, ObservedAt: n.Timestamp},
		Notice:      &n,
	}
}

// Recipient is an endpoint that receives notices, and its h and k.
type Recipient struct {
	Endpoint string         `json:"endpoint"`
	Policy   DeliveryPolicy `json:"policy"`
}

// Health is what a worker reports of an endpoint that it calls.
type Health struct {
	// Failing says that none of the latest attempts was acknowledged.
	Failing bool `json:"failing,omitempty"`
	// At is when the last of those attempts ended.
	At Time `json:"at"`
	// Attempts counts those in a row that were not acknowledged; Reason is the last one's.
	Attempts int    `json:"attempts,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// IsMessage implements codec.Message.
func (Health) IsMessage() {}

// Notice is the notice about an endpoint's health.
func (h Health) Notice(endpoint string) Notice {
	n := Notice{Type: NoticeRecovered, Timestamp: h.At, Data: NoticeData{Endpoint: endpoint}}
	if h.Failing {
		n.Type, n.Data.Attempts, n.Data.Reason = NoticeFailing, h.Attempts, h.Reason
	}
	return n
}
