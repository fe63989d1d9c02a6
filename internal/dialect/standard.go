package dialect

import (
	"ringback/internal/operation"
)

func init() { All = append(All, standard{}) }

// standard is a callback as Standard Webhooks describes one
// (standardwebhooks.com, "Payload structure").
type standard struct{ anySuccess }

type standardBody struct {
	Type string `json:"type"`
	// Timestamp is when the status was observed, not when an attempt is made.
	Timestamp operation.Time `json:"timestamp"`
	Data      standardData   `json:"data"`
}

type standardData struct {
	Endpoint    string `json:"endpoint"`
	OperationID string `json:"operation_id"`
	// Status is null where the source answered without one.
	Status     *string        `json:"status"`
	Final      bool           `json:"final"`
	ObservedAt operation.Time `json:"observed_at"`
}

// Name is "standard".
func (standard) Name() string { return "standard" }

// Write has the type "operation.<status>"; where no status was read it is
// "operation.unknown" and the status null. A notice is written as it is.
func (standard) Write(c operation.Callback, _ map[string]string) (Message, error) {
	if c.Notice != nil {
		return jsonMessage(c.Notice)
	}
	body := standardOf("operation.unknown", c)
	if status := c.Observation.Status; status != "" {
		body.Type = "operation." + status
		body.Data.Status = &status
	}
	return jsonMessage(body)
}

// Ping has the type "ringback.ping" and no status.
func (standard) Ping(c operation.Callback, _ map[string]string) (Message, error) {
	return jsonMessage(standardOf("ringback.ping", c))
}

// standardOf is the body of that type, as yet without a status.
func standardOf(kind string, c operation.Callback) standardBody {
	return standardBody{
		Type:      kind,
		Timestamp: c.Observation.ObservedAt,
		Data: standardData{
			Endpoint:    c.Key.Endpoint,
			OperationID: c.Key.OperationID,
			Final:       c.Final,
			ObservedAt:  c.Observation.ObservedAt,
		},
	}
}
