package operation

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

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

// Notice is what Ringback tells those who run it, by a registered endpoint of
// dialect standard: its JSON is the body. A notice causes no other notice.
type Notice struct {
	Type string `json:"type"`
	// Timestamp is when what it tells happened.
	Timestamp Time       `json:"timestamp"`
	Data      NoticeData `json:"data"`
}

// NoticeData is what a notice is about. The fields after Endpoint and Attempts
// are those of a delivery.
type NoticeData struct {
	// Endpoint is the one that the notice is about, not the one that hears it.
	Endpoint string `json:"endpoint"`
	// Attempts are those that were made of the callback, or in a row at the endpoint.
	Attempts int `json:"attempts,omitempty"`
	// Reason is that of the last attempt.
	Reason      string `json:"reason,omitempty"`
	OperationID string `json:"operation_id,omitempty"`
	CallbackID  string `json:"callback_id,omitempty"`
	Status      string `json:"status,omitempty"`
	RunID       string `json:"run_id,omitempty"`
}

// Callback is the notice as it is rung at the endpoint that hears it. The same
// notice has the same id.
func (n Notice) Callback(hearing string) Callback {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		n.Type, n.Data.Endpoint, n.Data.OperationID, n.Data.CallbackID, n.Data.RunID, n.Timestamp.String(),
	}, "\x00")))
	return Callback{
		ID:          "nt_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26]),
		Key:         Key{Endpoint: hearing, OperationID: n.Data.OperationID},
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

// Health is what a worker says of an endpoint that it rings.
type Health struct {
	// Failing endpoints acknowledged none of the latest attempts.
	Failing bool `json:"failing,omitempty"`
	// At is when the last of those attempts ended.
	At Time `json:"at"`
	// Attempts are those in a row that were not acknowledged; Reason is the last one's.
	Attempts int    `json:"attempts,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Notice is what is told of an endpoint's health.
func (h Health) Notice(endpoint string) Notice {
	n := Notice{Type: NoticeRecovered, Timestamp: h.At, Data: NoticeData{Endpoint: endpoint}}
	if h.Failing {
		n.Type, n.Data.Attempts, n.Data.Reason = NoticeFailing, h.Attempts, h.Reason
	}
	return n
}
