package dialect

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"

	"ringback/internal/operation"
)

func init() { All = append(All, ukrcard{}) }

// ukrcard is the callback of Ukrcard's status re-poll service ("Setting up and
// using the callback service", ukrcard-en.apidog.io doc-1275862).
type ukrcard struct{ standardWebhooks }

// ukrcardBody is the document's "Callback request body".
type ukrcardBody struct {
	OrderNumber string      `json:"orderNumber"`
	RespStatus  json.Number `json:"respStatus"`
	OrderStatus json.Number `json:"orderStatus,omitempty"`
	OrderID     string      `json:"orderId,omitempty"`
}

// The document's formats for numbers: N3 and N1, here without leading zeros as
// JSON demands.
var (
	ukrcardN3 = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})$`)
	ukrcardN1 = regexp.MustCompile(`^[0-9]$`)
)

const (
	// ukrcardSuccess is the respStatus and the applicationStatus of success.
	ukrcardSuccess = "200"
	// ukrcardNoAnswer is the respStatus where the source never answered.
	ukrcardNoAnswer = "504"
)

// Name is "ukrcard".
func (ukrcard) Name() string { return "ukrcard" }

// Write takes the raw codes of the answer observed. A pushed status, which has none,
// is written as if the answer had been 200. A status that is not Ukrcard's, such as
// "revoked", is an error.
func (ukrcard) Write(c operation.Callback, _ map[string]string) (Message, error) {
	body := ukrcardBody{
		OrderNumber: c.Key.OperationID,
		RespStatus:  json.Number(ukrcardRespStatus(c.Observation)),
		OrderID:     cmp.Or(c.Observation.Raw["orderId"], c.Reference.OrderID),
	}
	if !ukrcardN3.MatchString(body.RespStatus.String()) {
		return Message{}, fmt.Errorf("writing a ukrcard callback: respStatus %q is not a number of up to 3 digits", body.RespStatus)
	}
	if body.RespStatus == ukrcardSuccess {
		body.OrderStatus = json.Number(cmp.Or(c.Observation.Raw["orderStatus"], c.Observation.Status))
	}
	if body.OrderStatus != "" && !ukrcardN1.MatchString(body.OrderStatus.String()) {
		return Message{}, fmt.Errorf("writing a ukrcard callback: orderStatus %q is not one digit", body.OrderStatus)
	}
	return jsonMessage(body)
}

func ukrcardRespStatus(o operation.Observation) string {
	if o.Status != "" {
		return cmp.Or(o.Raw["respStatus"], ukrcardSuccess)
	}
	return cmp.Or(o.Raw["respStatus"], ukrcardNoAnswer)
}

// Ping is the callback about an order of which nothing was read: respStatus
// 504 and no orderStatus.
func (d ukrcard) Ping(c operation.Callback, _ map[string]string) (Message, error) {
	return d.Write(operation.Callback{ID: c.ID, Key: c.Key}, nil)
}

// Knows is true of orderStatus alone, N1.
func (ukrcard) Knows(status string) bool { return ukrcardN1.MatchString(status) }

// Judge lets the body decide, whatever the HTTP status but 3xx and 410: JSON whose
// applicationStatus is 200 and whose orderNumber is ours, each a string or a number
// written so: 200.0 and 2e2 are not 200. Names are matched exactly.
func (ukrcard) Judge(c operation.Callback, a Answer) Judgement {
	if j, decided := judgeByStatus(a); decided {
		return j
	}
	if a.Truncated {
		return unacknowledged("HTTP %d: the answer is longer than is read", a.HTTPStatus)
	}
	a.Body = withoutBOM(a.Body)
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(a.Body, &answer); err != nil || answer == nil {
		return unacknowledged("HTTP %d: the answer is %snot a JSON object", a.HTTPStatus, describeBody(a))
	}
	if operation.Contradicts(a.Body, func(a, b string) bool { return a == b }, "applicationStatus", "orderNumber") {
		return unacknowledged("HTTP %d: the answer gives applicationStatus or orderNumber twice, with different values", a.HTTPStatus)
	}
	// The reason repeats no value of the answer but a short number: it may hold anything.
	switch status := scalar(answer["applicationStatus"]); {
	case status == "":
		return unacknowledged("HTTP %d: the answer is JSON with no applicationStatus", a.HTTPStatus)
	case status != ukrcardSuccess && ukrcardN3.MatchString(status):
		return unacknowledged("HTTP %d: applicationStatus is %s", a.HTTPStatus, status)
	case status != ukrcardSuccess:
		return unacknowledged("HTTP %d: applicationStatus is not 200", a.HTTPStatus)
	case scalar(answer["orderNumber"]) != c.Key.OperationID:
		return unacknowledged("HTTP %d: the answer's orderNumber is not this operation's", a.HTTPStatus)
	}
	return Judgement{Verdict: operation.Acknowledged}
}
