package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // Europe/Kyiv must be known on a machine without zone files.

	"ringback/internal/operation"
)

func init() {
	Kinds = append(Kinds, Kind{
		Name:       "ukrcard",
		Vocabulary: ukrcardVocabulary,
		Fields:     ukrcardFields,
		Methods:    ukrcardMethods,
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
	// printable is what fits into an HTTP header unchanged.
	printable = regexp.MustCompile(`^[!-~]([ -~]*[!-~])?$`)
)

const printableWords = "printable ASCII without a space at either end"

var ukrcardFields = []operation.FieldRule{
	{
		Field: "operation_id", Required: true, MaxLength: 32, Pattern: printable, Alphabet: printableWords,
		Document: "Ukrcard callback service, orderNumber ANS 1..32",
	},
	{
		Field: "method", Required: true, Allowed: ukrcardMethods,
		Document: "Ukrcard callback service, the methods that it can be used for",
	},
	{
		Field: "reference.order_id", MaxLength: 36, Pattern: printable, Alphabet: printableWords,
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
	{
		Field: "callback.statuses", Allowed: ukrcardVocabulary,
		Document: "Ukrcard Response Codes, orderStatus",
	},
}

// ukrcardRules: the callback service stops at orderStatus 1 or 2, and rings
// also when the polls are used up. Its callback has no word for a revocation,
// so that rings nobody.
func ukrcardRules(finalStatuses []string) operation.Rules {
	final := finalStatuses
	if len(final) == 0 {
		final = []string{"1", "2"}
	}
	rings := slices.DeleteFunc(slices.Clone(final), func(s string) bool { return s == statusRevoked })
	return operation.Rules{
		Final:              finalAnd(final),
		Delivered:          rings,
		Revocable:          []string{"0", "5"},
		Revoked:            statusRevoked,
		DeliversUnanswered: true,
		NoAnswer:           map[string]string{"respStatus": "504"},
	}
}

func checkUkrcard(c Config) error {
	var dns []error
	for _, base := range c.Bases {
		dns = append(dns, checkSetting("client_dn", base.ClientDN, 0, 500, "x-uws-clientdn"))
	}
	return errors.Join(
		checkBases(c.Bases),
		checkSetting("ext_system_id", c.ExtSystemID, 1, 50, "ExtSystemid"),
		checkSetting("login", c.Login, 1, 30, "login"),
		checkSetting("password", c.Password, 5, 30, "password"),
		errors.Join(dns...),
	)
}

// checkSetting never repeats the value: it may be a secret.
func checkSetting(name, value string, shortest, longest int, header string) error {
	switch {
	case len(value) < shortest || len(value) > longest:
		return fmt.Errorf("%s must hold %d to %d characters (Ukrcard /Confirm, header %s)", name, shortest, longest, header)
	case value != "" && !printable.MatchString(value):
		return fmt.Errorf("%s must be %s (it is sent as header %s)", name, printableWords, header)
	}
	return nil
}

// ukrcard is Ukrcard's wsGate: /Confirm and /ConfirmExt (ukrcard-en.apidog.io
// api-7297606 and api-7297607), whose parameters are all HTTP headers.
type ukrcard struct{ *core }

func openUkrcard(c Config) Source {
	if c.RegisteredAtZone == nil {
		c.RegisteredAtZone = kyiv()
	}
	return &ukrcard{newCore(c, isUkrcards)}
}

// kyiv is the zone of RegDate unless the configuration says otherwise: the
// documents name none.
var kyiv = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		panic("the zone database that is built in lacks Europe/Kyiv: " + err.Error())
	}
	return zone
})

// regDateLayout is RegDate's, "yyyy-MM-dd HH:mm:ss".
const regDateLayout = "2006-01-02 15:04:05"

// Poll asks /Confirm.
func (u *ukrcard) Poll(ctx context.Context, q operation.Query) (operation.Observation, error) {
	begun := now()
	var codes ukrcardCodes
	err := u.ask(ctx, u.confirm("Confirm", q), func(got answer) (err error) {
		codes, err = decodeUkrcard(got.body, q.OperationID)
		return err
	})
	if err != nil {
		return operation.Observation{}, err
	}
	return observation(begun, codes.status(), codes.raw()), nil
}

// Details asks /ConfirmExt. Nothing about the card, payer or payee is kept.
func (u *ukrcard) Details(ctx context.Context, q operation.Query) (map[string]any, error) {
	var picked map[string]any
	err := u.ask(ctx, u.confirm("ConfirmExt", q), func(got answer) (err error) {
		picked, err = decodeUkrcardDetails(got.body, q.OperationID)
		return err
	})
	return picked, err
}

// confirm builds the request. The headers' names go out as the document spells
// them, which http.Header.Set would not do.
func (u *ukrcard) confirm(method string, q operation.Query) request {
	return func(ctx context.Context, base Base) (*http.Request, error) {
		if q.Reference.RegisteredAt == nil {
			return nil, errors.New("reference.registered_at is missing, which /" + method + " needs as RegDate")
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(base.URL, "/")+"/"+method, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("building the request: %w", err)
		}
		r.Header = http.Header{
			"ExtSystemid":  {u.ExtSystemID},
			"login":        {u.Login},
			"password":     {u.Password},
			"orderNumber":  {q.OperationID},
			"RegDate":      {q.Reference.RegisteredAt.In(u.RegisteredAtZone).Format(regDateLayout)},
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

// isUkrcards reports whether an answer is an object with a respStatus, which all
// of wsGate's answers have.
func isUkrcards(got answer) bool {
	said, _ := object(got.body)
	return said["respstatus"] != nil
}

// ukrcardCodes are the only values of an answer that are kept.
type ukrcardCodes struct {
	RespStatus  scalar `json:"respStatus"`
	OrderStatus scalar `json:"orderStatus"`
	OrderNumber scalar `json:"orderNumber"`
	OrderID     scalar `json:"orderId"`
	ActionCode  scalar `json:"actionCode"`
}

var (
	respStatusPattern  = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})$`)
	orderStatusPattern = regexp.MustCompile(`^[0-9]$`)
	orderIDPattern     = regexp.MustCompile(`^[!-~]{1,36}$`)
	actionCodePattern  = regexp.MustCompile(`^-?[0-9]{1,9}$`)
)

// respStatusOK is the only respStatus that an orderStatus may come with.
const respStatusOK = "200"

// decodeUkrcard reads an answer about the order. The documents do not show the
// answer's whole body, so an orderNumber that is left out is accepted; one of
// another order is not. Errors hold nothing of the body.
func decodeUkrcard(body []byte, orderNumber string) (ukrcardCodes, error) {
	var codes ukrcardCodes
	if _, ok := object(body); !ok || json.Unmarshal(body, &codes) != nil {
		return ukrcardCodes{}, errors.New("the answer is not a JSON object with numbers or strings as codes")
	}
	switch {
	case operation.Contradicts(body, strings.EqualFold, "respStatus", "orderStatus", "orderNumber", "orderId", "actionCode"):
		return ukrcardCodes{}, errors.New("the answer gives one of its codes twice, with different values")
	case codes.OrderNumber != "" && string(codes.OrderNumber) != orderNumber:
		return ukrcardCodes{}, errors.New("the answer's orderNumber is another order's")
	case !respStatusPattern.MatchString(string(codes.RespStatus)):
		return ukrcardCodes{}, errors.New("the answer has no respStatus of up to 3 digits")
	case codes.RespStatus == respStatusOK && codes.OrderStatus != "" && !orderStatusPattern.MatchString(string(codes.OrderStatus)):
		return ukrcardCodes{}, errors.New("the answer's orderStatus is not one digit")
	case codes.OrderID != "" && !orderIDPattern.MatchString(string(codes.OrderID)):
		return ukrcardCodes{}, errors.New("the answer's orderId is not 1 to 36 printable characters")
	}
	if codes.RespStatus != respStatusOK {
		codes.OrderStatus = ""
	}
	if !actionCodePattern.MatchString(string(codes.ActionCode)) {
		codes.ActionCode = ""
	}
	return codes, nil
}

func (c ukrcardCodes) status() string { return string(c.OrderStatus) }

func (c ukrcardCodes) raw() map[string]string {
	raw := map[string]string{"respStatus": string(c.RespStatus)}
	for name, code := range map[string]scalar{"orderStatus": c.OrderStatus, "orderId": c.OrderID, "actionCode": c.ActionCode} {
		if code != "" {
			raw[name] = string(code)
		}
	}
	return raw
}

func decodeUkrcardDetails(body []byte, orderNumber string) (map[string]any, error) {
	if _, err := decodeUkrcard(body, orderNumber); err != nil {
		return nil, err
	}
	answered, _ := object(body)
	return details(answered, "respStatus", "orderStatus", "orderNumber", "orderId",
		"actionCode", "actionCodeDescription", "amount", "currency", "date"), nil
}

// checkBases wants at least one absolute http or https URL without userinfo,
// query and fragment.
func checkBases(bases []Base) error {
	if len(bases) == 0 {
		return errors.New("base_urls must hold at least one URL")
	}
	for i, base := range bases {
		u, err := url.Parse(base.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" ||
			u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("base_urls[%d] must be an http or https URL with a host and without user name, query and fragment", i)
		}
	}
	return nil
}
