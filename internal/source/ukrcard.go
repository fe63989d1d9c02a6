package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // Europe/Kyiv must be known on a machine without zone files.

	"ringback/internal/headername"
	"ringback/internal/operation"
)

func init() {
	Kinds = append(Kinds, Kind{
		Name:       "ukrcard",
		Vocabulary: ukrcardVocabulary,
		Fields:     ukrcardFields,
		Methods:    ukrcardMethods,
		Settings:   []string{"base_urls", "client_dn", "ext_system_id", "login", "password", "registered_at_zone", "timeout", "tls"},
		Rules:      ukrcardRules,
		Check:      checkUkrcard,
		Open:       openUkrcard,
	})
}

var (
	// ukrcardVocabulary is orderStatus in "Response Codes" (doc-524931).
	ukrcardVocabulary = []string{"0", "1", "2", "3", "4", "5", "6"}
	// ukrcardMethods are those of the callback service's document (doc-1275862):
	// Payment, and p2pTransfer transfer, a2c and c2a.
	ukrcardMethods = []string{"payment", "p2p_transfer", "p2p_a2c", "p2p_c2a"}
)

var ukrcardFields = []operation.FieldRule{
	{
		Field: "operation_id", Required: true, MaxLength: 32, Pattern: headername.Values, Alphabet: headername.ValueWords,
		Document: "Ukrcard callback service, orderNumber ANS 1..32",
	},
	{
		Field: "method", Required: true, Allowed: ukrcardMethods,
		Document: "Ukrcard callback service, the methods that it can be used for",
	},
	{
		Field: "reference.order_id", MaxLength: 36, Pattern: headername.Values, Alphabet: headername.ValueWords,
		Document: "Ukrcard callback service, orderId ANS 1..36",
	},
	{
		Field: "reference.registered_at", Required: true,
		Document: "Ukrcard /Confirm, RegDate is required",
	},
	{
		Field: "known_status", Allowed: ukrcardVocabulary,
		Document: "Ukrcard Response Codes, orderStatus",
	},
}

// ukrcardRules: the callback service stops at orderStatus 1 or 2, and calls back
// also when the polls are used up. Its callback has no status for a revocation,
// so that is not delivered.
func ukrcardRules(final []string) operation.Rules {
	final = finalStatuses(final, "1", "2")
	return operation.Rules{
		Final:              final,
		Delivered:          slices.DeleteFunc(slices.Clone(final), func(s string) bool { return s == statusRevoked }),
		Revocable:          []string{"0", "5"},
		Revoked:            statusRevoked,
		DeliversUnanswered: true,
		NoAnswer:           map[string]string{"respStatus": "504"},
	}
}

func checkUkrcard(c Config) (wrong []SettingError) {
	check := func(setting, value string, shortest, longest int, header string) {
		switch {
		case len(value) < shortest || len(value) > longest:
			wrong = append(wrong, SettingError{setting, fmt.Sprintf("must hold %d to %d characters (Ukrcard /Confirm, header %s)", shortest, longest, header)})
		case value != "" && !headername.IsValue(value):
			wrong = append(wrong, SettingError{setting, fmt.Sprintf("must be %s (it is sent as header %s)", headername.ValueWords, header)})
		}
	}
	check("ext_system_id", c.ExtSystemID, 1, 50, "ExtSystemid")
	check("login", c.Login, 1, 30, "login")
	check("password", c.Password, 5, 30, "password")
	for _, base := range c.Bases {
		check("client_dn", base.ClientDN, 0, 500, "x-uws-clientdn")
	}
	return wrong
}

// openUkrcard opens Ukrcard's wsGate: /Confirm and /ConfirmExt (ukrcard-en.apidog.io
// api-7297606 and api-7297607), whose parameters are all HTTP headers.
func openUkrcard(c Config) Source {
	if c.RegisteredAtZone == nil {
		// The documents name no zone. This can't fail: time/tzdata is built in.
		c.RegisteredAtZone, _ = time.LoadLocation("Europe/Kyiv")
	}
	return newCore(c, protocol{
		poll: confirm(c, "Confirm"), details: confirm(c, "ConfirmExt"),
		wrote: ukrcardWrote, observation: ukrcardObservation, extended: ukrcardExtended,
	})
}

// regDateLayout is RegDate's, "yyyy-MM-dd HH:mm:ss".
const regDateLayout = "2006-01-02 15:04:05"

// confirm builds requests. The headers' names go out as the document spells them,
// which http.Header.Set would not do.
func confirm(c Config, method string) build {
	return func(ctx context.Context, base Base, q operation.Query) (*http.Request, error) {
		if q.Reference.RegisteredAt == nil {
			return nil, errors.New("reference.registered_at is missing, which /" + method + " needs as RegDate")
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(base.URL, "/")+"/"+method, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("building the request: %w", err)
		}
		r.Header = http.Header{
			"ExtSystemid":  {c.ExtSystemID},
			"login":        {c.Login},
			"password":     {c.Password},
			"orderNumber":  {q.OperationID},
			"RegDate":      {q.Reference.RegisteredAt.In(c.RegisteredAtZone).Format(regDateLayout)},
			"Content-Type": {"application/json;charset=UTF-8"},
			"charset":      {"UTF-8"},
			"accept":       {"application/json"},
		}
		if base.ClientDN != "" {
			r.Header["x-uws-clientdn"] = []string{base.ClientDN}
		}
		if q.Reference.OrderID != "" {
			r.Header["orderId"] = []string{q.Reference.OrderID}
		}
		return r, nil
	}
}

// ukrcardWrote reports whether an answer is an object with a respStatus, which all
// of wsGate's answers have.
func ukrcardWrote(got answer) bool {
	fields, _ := object(got.body)
	return fields["respstatus"] != nil
}

var (
	respStatusPattern  = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})$`)
	orderStatusPattern = regexp.MustCompile(`^[0-9]$`)
	orderIDPattern     = regexp.MustCompile(`^[!-~]{1,36}$`)
	actionCodePattern  = regexp.MustCompile(`^-?[0-9]{1,9}$`)
)

// respStatusOK is the only respStatus that an orderStatus may come with.
const respStatusOK = "200"

// ukrcardObservation keeps the codes alone. The documents do not show the answer's
// whole body, so an orderNumber that is left out is accepted; one of another order
// is not.
func ukrcardObservation(got answer, q operation.Query) (operation.Observation, error) {
	var codes struct {
		RespStatus  scalar `json:"respStatus"`
		OrderStatus scalar `json:"orderStatus"`
		OrderNumber scalar `json:"orderNumber"`
		OrderID     scalar `json:"orderId"`
		ActionCode  scalar `json:"actionCode"`
	}
	fault := ""
	_, isObject := object(got.body)
	switch {
	case !isObject || json.Unmarshal(got.body, &codes) != nil:
		fault = "the answer is not a JSON object with numbers or strings as codes"
	case operation.Contradicts(got.body, strings.EqualFold, "respStatus", "orderStatus", "orderNumber", "orderId", "actionCode"):
		fault = "the answer gives one of its codes twice, with different values"
	case codes.OrderNumber != "" && string(codes.OrderNumber) != q.OperationID:
		fault = "the answer's orderNumber is another order's"
	case !respStatusPattern.MatchString(string(codes.RespStatus)):
		fault = "the answer has no respStatus of up to 3 digits"
	case codes.RespStatus == respStatusOK && codes.OrderStatus != "" && !orderStatusPattern.MatchString(string(codes.OrderStatus)):
		fault = "the answer's orderStatus is not one digit"
	case codes.OrderID != "" && !orderIDPattern.MatchString(string(codes.OrderID)):
		fault = "the answer's orderId is not 1 to 36 printable characters"
	}
	if fault != "" {
		return operation.Observation{}, errors.New(fault)
	}
	raw := map[string]string{"respStatus": string(codes.RespStatus)}
	if codes.RespStatus != respStatusOK {
		codes.OrderStatus = ""
	}
	if codes.OrderStatus != "" {
		raw["orderStatus"] = string(codes.OrderStatus)
	}
	if codes.OrderID != "" {
		raw["orderId"] = string(codes.OrderID)
	}
	if actionCodePattern.MatchString(string(codes.ActionCode)) {
		raw["actionCode"] = string(codes.ActionCode)
	}
	return operation.Observation{Status: string(codes.OrderStatus), Raw: raw}, nil
}

// ukrcardExtended keeps nothing about the card, payer or payee.
func ukrcardExtended(got answer, q operation.Query) (map[string]any, error) {
	if _, err := ukrcardObservation(got, q); err != nil {
		return nil, err
	}
	fields, _ := object(got.body)
	return details(fields, "respStatus", "orderStatus", "orderNumber", "orderId",
		"actionCode", "actionCodeDescription", "amount", "currency", "date"), nil
}
