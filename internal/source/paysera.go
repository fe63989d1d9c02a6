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
		Rules:      payseraRules,
		Check:      checkPaysera,
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
	{
		Field: "callback.statuses", Allowed: payseraCallbacks,
		Document: "Paysera callbacks, possible statuses",
	},
}

// payseraRules: every status of the callbacks page rings, the four final ones
// end the watch, and the lifecycle guide says which may be revoked.
func payseraRules(finalStatuses []string) operation.Rules {
	final := finalStatuses
	if len(final) == 0 {
		final = payseraFinal
	}
	return operation.Rules{
		Final:     finalAnd(final),
		Delivered: slices.Clone(payseraCallbacks),
		Revocable: []string{"new", "waiting", "waiting_*", "reserved"},
		Revoked:   statusRevoked,
	}
}

func checkPaysera(c Config) error {
	var macErr error
	if (c.MACID == "") != (c.MACKey == "") {
		macErr = errors.New("mac.id and mac.key go together: set both, or neither where a client certificate is used")
	}
	return errors.Join(checkBases(c.Bases), macErr)
}

// paysera is Paysera's Transfers API
// (developers.paysera.com/api/transfer/get-transfer).
type paysera struct {
	*core
	mac macSigner
}

func openPaysera(c Config) Source {
	return &paysera{core: newCore(c, isPayseras), mac: newMACSigner(c.MACID, c.MACKey)}
}

// Poll asks for the transfer and keeps its status and its failure's code.
func (p *paysera) Poll(ctx context.Context, q operation.Query) (operation.Observation, error) {
	begun := now()
	var transfer payseraTransfer
	err := p.ask(ctx, p.get(q), func(got answer) (err error) {
		transfer, err = decodePaysera(got, q.OperationID)
		return err
	})
	if err != nil {
		return operation.Observation{}, err
	}
	return observation(begun, transfer.status(), transfer.raw()), nil
}

// Details asks for the transfer and keeps what names nobody and unlocks nothing.
func (p *paysera) Details(ctx context.Context, q operation.Query) (map[string]any, error) {
	var picked map[string]any
	err := p.ask(ctx, p.get(q), func(got answer) (err error) {
		picked, err = decodePayseraDetails(got, q.OperationID)
		return err
	})
	return picked, err
}

func (p *paysera) get(q operation.Query) request {
	return func(ctx context.Context, base Base) (*http.Request, error) {
		target := strings.TrimSuffix(base.URL, "/") + "/transfer/rest/v1/transfers/" + url.PathEscape(q.OperationID)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("building the request: %w", err)
		}
		r.Header.Set("Accept", "application/json")
		if p.MACID != "" {
			r.Header.Set("Authorization", p.mac.authorization(r.Method, r.URL))
		}
		return r, nil
	}
}

// isPayseras reports whether an answer is a transfer or an error as the API's
// reference shows them: {id, status, …}, {error, …}.
func isPayseras(got answer) bool {
	said, _ := object(got.body)
	var word string
	return said["id"] != nil && said["status"] != nil || json.Unmarshal(said["error"], &word) == nil && word != ""
}

// payseraTransfer are the only values of an answer that a poll keeps.
type payseraTransfer struct {
	ID      scalar        `json:"id"`
	Status  string        `json:"status"`
	Failure failureStatus `json:"failure_status"`
}

// failureStatus is a failure's code, empty where there is none that looks like
// a code: it explains a status and must not cost one.
type failureStatus string

// UnmarshalJSON never fails.
func (f *failureStatus) UnmarshalJSON(data []byte) error {
	var failure struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(data, &failure) == nil && payseraWord.MatchString(failure.Code) {
		*f = failureStatus(failure.Code)
	}
	return nil
}

// payseraWord is what a status or a failure's code looks like.
var payseraWord = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// decodePaysera reads an answer about the transfer; errors hold nothing of the body.
func decodePaysera(got answer, id string) (payseraTransfer, error) {
	var transfer payseraTransfer
	switch {
	case got.httpStatus < 200 || got.httpStatus > 299:
		return transfer, errors.New("the core does not tell the transfer")
	case json.Unmarshal(got.body, &transfer) != nil:
		return payseraTransfer{}, errors.New("the answer is not a transfer in JSON")
	case operation.Contradicts(got.body, strings.EqualFold, "id", "status", "failure_status"):
		return payseraTransfer{}, errors.New("the answer gives its id or status twice, with different values")
	case string(transfer.ID) != id:
		return payseraTransfer{}, errors.New("the answer's id is not this transfer's")
	case !payseraWord.MatchString(transfer.Status):
		return payseraTransfer{}, errors.New("the answer has no status of up to 64 letters, digits, _, . and -")
	}
	return transfer, nil
}

// status is the transfer's; revoke-transfer's example answers "failed" with
// the code below for what every other page calls revoked.
func (t payseraTransfer) status() string {
	if t.Status == "failed" && t.Failure == "cancelled_by_user" {
		return statusRevoked
	}
	return t.Status
}

func (t payseraTransfer) raw() map[string]string {
	raw := map[string]string{"status": t.Status}
	if t.Failure != "" {
		raw["failure_code"] = string(t.Failure)
	}
	return raw
}

func decodePayseraDetails(got answer, id string) (map[string]any, error) {
	if _, err := decodePaysera(got, id); err != nil {
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
