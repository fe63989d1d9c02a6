package dialect

import (
	"errors"
	"net/url"
	"strconv"

	"ringback/internal/operation"
)

func init() { All = append(All, paysera{}) }

// paysera is the callback of Paysera's Transfers API ("Callbacks",
// developers.paysera.com/en/transfer/callbacks).
type paysera struct{ anySuccess }

// Name is "paysera".
func (paysera) Name() string { return "paysera" }

// Write builds transfer_id, status and date, in the order of the document's
// example. date is the observation's Unix second, so it is the same in every attempt.
func (paysera) Write(c operation.Callback, _ map[string]string) (Message, error) {
	if c.Observation.Status == "" {
		return Message{}, errors.New("writing a paysera callback: it needs a status and the observation has none")
	}
	body := "transfer_id=" + url.QueryEscape(c.Key.OperationID) +
		"&status=" + url.QueryEscape(c.Observation.Status) +
		"&date=" + strconv.FormatInt(c.Observation.ObservedAt.Unix(), 10)
	return Message{ContentType: "application/x-www-form-urlencoded", Body: []byte(body)}, nil
}

// Ping is the callback about a transfer that failed: the one status of the
// document's after which no receiver has anything to do.
func (d paysera) Ping(c operation.Callback, _ map[string]string) (Message, error) {
	c.Observation.Status = "failed"
	return d.Write(c, nil)
}
