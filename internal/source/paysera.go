package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"ringback/internal/operation"
)

func init() {
	Kinds = append(Kinds, Kind{
		Name:       "paysera",
		Vocabulary: payseraVocabulary,
		Fields:     payseraFields,
		Settings:   []string{"base_urls", "mac", "timeout", "tls"},
		Rules:      payseraRules,
		Check:      checkMAC,
		Open:       openPaysera,
	})
}

var (
	// payseraVocabulary is the union of the transfer lifecycle guide, the
	// callbacks page and the constants of Paysera's client.
	payseraVocabulary = []string{
		"new", "registered", "waiting", "waiting_funds", "waiting_registration", "waiting_password",
		"reserved", "frozen", "processing", "done", "rejected", "revoked", "failed",
	}
	// payseraCallbacks are the statuses that the callbacks page lists.
	payseraCallbacks = []string{
		"waiting_funds", "waiting_registration", "waiting_password", "reserved",
		"rejected", "revoked", "failed", "done",
	}
	payseraFinal = []string{"done", "rejected", "revoked", "failed"}
)

var payseraFields = []operation.FieldRule{
	{
		Field: "operation_id", Required: true, MaxLength: 64,
		Pattern: regexp.MustCompile(`^[A-Za-z0-9_-]+$`), Alphabet: "letters, digits, _ and -",
		Document: "Paysera get-transfer, id is an integer or a string; 64 is Ringback's limit",
	},
	{
		Field: "method", Refused: true,
		Document: "Paysera transfers have no method",
	},
	{
		Field: "reference.order_id", Refused: true,
		Document: "Paysera get-transfer takes the transfer's id alone",
	},
	{
		Field: "reference.registered_at", Refused: true,
		Document: "Paysera get-transfer takes the transfer's id alone",
	},
	{
		Field: "known_status", Allowed: payseraVocabulary,
		Document: "Paysera transfer lifecycle",
	},
}

// payseraRules: every status of the callbacks page is delivered, the four final ones
// end the watch, and the lifecycle guide says which may be revoked.
func payseraRules(final []string) operation.Rules {
	return operation.Rules{
		Final:     finalStatuses(final, payseraFinal...),
		Delivered: slices.Clone(payseraCallbacks),
		Revocable: []string{"new", "waiting", "waiting_*", "reserved"},
		Revoked:   statusRevoked,
	}
}

// openPaysera opens Paysera's Transfers API
// (developers.paysera.com/api/transfer/get-transfer).
func openPaysera(c Config) Source {
	get := getTransfer(newMACSigner(c.MACID, c.MACKey))
	return newCore(c, protocol{
		poll: get, details: get,
		wrote: payseraWrote, observation: payseraObservation, extended: payseraExtended,
	})
}

func getTransfer(mac macSigner) build {
	return func(ctx context.Context, base Base, q operation.Query) (*http.Request, error) {
		target := strings.TrimSuffix(base.URL, "/") + "/transfer/rest/v1/transfers/" + url.PathEscape(q.OperationID)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("building the request: %w", err)
		}
		r.Header.Set("Accept", "application/json")
		if mac.id != "" {
			r.Header.Set("Authorization", mac.authorization(r.Method, r.URL))
		}
		return r, nil
	}
}

// payseraWrote reports whether an answer is a transfer or an error as the API's
// reference shows them: {id, status, …}, {error, …}.
func payseraWrote(got answer) bool {
	fields, _ := object(got.body)
	var code string
	return fields["id"] != nil && fields["status"] != nil || json.Unmarshal(fields["error"], &code) == nil && code != ""
}

// payseraWord is what a status or a failure's code looks like.
var payseraWord = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// payseraObservation keeps the transfer's status and its failure's code. A failure
// that has none that looks like a code costs no status.
func payseraObservation(got answer, q operation.Query) (operation.Observation, error) {
	var transfer struct {
		ID      scalar          `json:"id"`
		Status  string          `json:"status"`
		Failure json.RawMessage `json:"failure_status"`
	}
	fault := ""
	switch {
	case got.httpStatus < 200 || got.httpStatus > 299:
		fault = "the answer is not a transfer"
	case json.Unmarshal(got.body, &transfer) != nil:
		fault = "the answer is not a transfer in JSON"
	case operation.Contradicts(got.body, strings.EqualFold, "id", "status", "failure_status"):
		fault = "the answer gives its id or status twice, with different values"
	case string(transfer.ID) != q.OperationID:
		fault = "the answer's id is not this transfer's"
	case !payseraWord.MatchString(transfer.Status):
		fault = "the answer has no status of up to 64 letters, digits, _, . and -"
	}
	if fault != "" {
		return operation.Observation{}, errors.New(fault)
	}
	status, raw := transfer.Status, map[string]string{"status": transfer.Status}
	var failure struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(transfer.Failure, &failure) == nil && payseraWord.MatchString(failure.Code) {
		raw["failure_code"] = failure.Code
	}
	// revoke-transfer's example answers so what every other page calls revoked.
	if status == "failed" && raw["failure_code"] == "cancelled_by_user" {
		status = statusRevoked
	}
	return operation.Observation{Status: status, Raw: raw}, nil
}

// payseraExtended keeps what names nobody and unlocks nothing.
func payseraExtended(got answer, q operation.Query) (map[string]any, error) {
	if _, err := payseraObservation(got, q); err != nil {
		return nil, err
	}
	transfer, _ := object(got.body)
	picked := details(transfer, "id", "status", "created_at", "performed_at", "allowed_to_cancel", "cancelable")
	maps.Copy(picked, nested(transfer, "amount", "amount", "currency"))
	maps.Copy(picked, nested(transfer, "commission", "amount", "currency"))
	maps.Copy(picked, nested(transfer, "out_commission", "amount", "currency"))
	maps.Copy(picked, nested(transfer, "failure_status", "code"))
	return picked, nil
}

// nested picks the named values of the object called name, if there is one.
func nested(from map[string]json.RawMessage, name string, names ...string) map[string]any {
	inner, ok := object(from[name])
	if !ok {
		return nil
	}
	return map[string]any{name: details(inner, names...)}
}
