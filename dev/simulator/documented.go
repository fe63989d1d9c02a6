package simulator

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// system is a core's status interface as its documents describe it. docs/systems names
// each document and when it was read.
type system struct {
	// route is that of the status request, as [http.ServeMux] writes it.
	route string
	id    func(r *http.Request) string
	// header carries the secret, behind prefix.
	header, prefix string
	// tokenRoute, where there is one, issues the tokens that header carries instead, to
	// the client whose id and secret are joined by a colon.
	tokenRoute string
	// body is an answer about an operation, and failed the answer of an error.
	body   func(id string, step TransferStep, changed time.Time) map[string]any
	failed func(id string, httpStatus int) map[string]any
}

// systems are the cores that a [DocumentedCore] can be.
var systems = map[string]system{
	"monobank": {
		route:  "GET /api/merchant/invoice/status",
		id:     func(r *http.Request) string { return r.URL.Query().Get("invoiceId") },
		header: "X-Token",
		body:   monobankInvoice,
		failed: func(_ string, httpStatus int) map[string]any {
			code := map[int]string{http.StatusForbidden: "FORBIDDEN", http.StatusNotFound: "NOT_FOUND", http.StatusTooManyRequests: "TMR"}[httpStatus]
			return map[string]any{"errCode": cmp.Or(code, "INTERNAL_ERROR"), "errText": "simulated"}
		},
	},
	"mollie": {
		route:  "GET /v2/payments/{id}",
		id:     func(r *http.Request) string { return r.PathValue("id") },
		header: "Authorization", prefix: "Bearer ",
		body: molliePayment,
		failed: func(id string, httpStatus int) map[string]any {
			return map[string]any{
				"status": httpStatus, "title": http.StatusText(httpStatus), "detail": "No payment exists with token " + id + ".",
				"_links": map[string]any{"documentation": map[string]string{"href": "https://docs.mollie.com/overview/handling-errors", "type": "text/html"}},
			}
		},
	},
	"paypal": { //nolint:gosec // no credential
		route:  "GET /v1/payments/payouts-item/{id}",
		id:     func(r *http.Request) string { return r.PathValue("id") },
		header: "Authorization", prefix: "Bearer ",
		tokenRoute: "POST /v1/oauth2/token",
		body:       paypalPayoutItem,
		failed: func(_ string, httpStatus int) map[string]any {
			name := map[int]string{http.StatusUnauthorized: "AUTHENTICATION_FAILURE", http.StatusNotFound: "RESOURCE_NOT_FOUND", http.StatusTooManyRequests: "RATE_LIMIT_REACHED"}[httpStatus]
			return map[string]any{"name": cmp.Or(name, "INTERNAL_SERVER_ERROR"), "message": "simulated", "debug_id": "692b9f3b8036e"}
		},
	},
}

func monobankInvoice(id string, step TransferStep, changed time.Time) map[string]any {
	at := changed.UTC().Format(time.RFC3339)
	body := map[string]any{
		"invoiceId": id, "status": step.Status, "amount": 4200, "ccy": 980, "createdDate": at, "modifiedDate": at,
		"reference": "84d0070ee4e44667b31371d8f8813947", "destination": "simulated",
		// A merchant may see this, but Ringback must never keep it.
		"paymentInfo": map[string]any{"maskedPan": "444403******1902", "approvalCode": "662476", "rrn": "060189181768"},
	}
	if step.Status == "success" {
		body["finalAmount"] = 4200
	}
	if step.FailureCode != "" {
		body["errCode"], body["failureReason"] = step.FailureCode, "simulated"
	}
	return body
}

func molliePayment(id string, step TransferStep, changed time.Time) map[string]any {
	at := changed.UTC().Format(time.RFC3339)
	body := map[string]any{
		"resource": "payment", "id": id, "mode": "test", "createdAt": at, "status": step.Status,
		"amount": map[string]string{"value": "10.00", "currency": "EUR"}, "description": "Order #12345", "method": "ideal",
		"profileId": "pfl_QkEhN94Ba", "sequenceType": "oneoff", "details": nil, "metadata": nil,
		"_links": map[string]any{"self": map[string]string{"href": "https://api.mollie.com/v2/payments/" + id, "type": "application/hal+json"}},
	}
	switch step.Status {
	case "paid", "authorized", "canceled", "expired", "failed":
		body[step.Status+"At"] = at
	}
	if step.FailureCode != "" {
		body["details"] = map[string]any{"failureReason": step.FailureCode, "cardNumber": "6787"}
	}
	return body
}

func paypalPayoutItem(id string, step TransferStep, changed time.Time) map[string]any {
	body := map[string]any{
		"payout_item_id": id, "transaction_id": "0C413693MN970190K", "activity_id": "0E158638XS0329106",
		"transaction_status": step.Status, "payout_batch_id": "Q8KVJG9TZTNN4", "sender_batch_id": "Payouts_1753867886",
		"payout_item_fee": map[string]string{"currency": "USD", "value": "0.35"},
		"payout_item": map[string]any{
			"recipient_type": "EMAIL", "receiver": "receiver@example.com", "sender_item_id": "14Feb_234",
			"amount": map[string]string{"value": "9.87", "currency": "USD"}, "recipient_wallet": "PAYPAL",
		},
		"time_processed": changed.UTC().Format(time.RFC3339),
	}
	if step.FailureCode != "" {
		body["errors"] = map[string]any{"name": step.FailureCode, "message": "simulated", "details": []any{}}
	}
	return body
}

// DocumentedCore is one of several real cores, by its documents. Like the others, it
// checks what it is asked, answers from scripts and remembers every request.
type DocumentedCore struct {
	*server
	questions
	system
	secret string

	mu      sync.Mutex
	scripts scripts[TransferStep]
	// changed is when an operation got the status that it was last asked about.
	changed map[string]change
	// tokens are those that were issued and not revoked; issued counts all of them.
	tokens []string
	issued int
}

type change struct {
	status string
	at     time.Time
}

// StartDocumentedCore serves the core "monobank", "mollie" or "paypal" on addr, host:port
// with port 0 for a free one. secret is the merchant's token or key; for "paypal" it is
// the client's id and secret, joined by a colon.
func StartDocumentedCore(addr, name, secret string) (*DocumentedCore, error) {
	of, known := systems[name]
	if !known {
		return nil, fmt.Errorf("starting a core: no system %q, but there are %s", name, strings.Join(slices.Sorted(maps.Keys(systems)), ", "))
	}
	c := &DocumentedCore{system: of, secret: secret, scripts: newScripts[TransferStep](nil), changed: map[string]change{}}
	mux := http.NewServeMux()
	mux.HandleFunc(of.route, c.get)
	if of.tokenRoute != "" {
		mux.HandleFunc(of.tokenRoute, c.issue)
	}
	var err error
	c.server, err = serve(addr, mux, nil)
	return c, err
}

// Script sets the answers about an operation, from now on, one request each; the last
// one repeats.
func (c *DocumentedCore) Script(id string, steps ...TransferStep) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scripts.set(id, steps)
}

// RevokeTokens makes every token that was issued so far invalid.
func (c *DocumentedCore) RevokeTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = nil
}

// TokensIssued is how many tokens were issued so far.
func (c *DocumentedCore) TokensIssued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.issued
}

// issue is the token endpoint of RFC 6749, section 4.4, with the client in Basic
// authorization.
func (c *DocumentedCore) issue(w http.ResponseWriter, r *http.Request) {
	client, secret, _ := r.BasicAuth()
	switch {
	case client+":"+secret != c.secret:
		reply(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "Client Authentication failed"})
	case r.PostFormValue("grant_type") != "client_credentials":
		reply(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
	default:
		token := rand.Text()
		c.mu.Lock()
		c.tokens, c.issued = append(c.tokens, token), c.issued+1
		c.mu.Unlock()
		reply(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 32400, "scope": "https://uri.paypal.com/payments/payouts"})
	}
}

func (c *DocumentedCore) get(w http.ResponseWriter, r *http.Request) {
	id := c.id(r)
	refusal := ""
	if !c.authorized(r) {
		refusal = "the credentials are wrong"
	}
	q := newQuestion(r, refusal)
	q.Header.Del(c.header)
	c.add(id, q)
	if refusal != "" {
		status := http.StatusUnauthorized
		if c.header == "X-Token" {
			status = http.StatusForbidden // monobank's documents list no 401
		}
		reply(w, status, c.failed(id, status))
		return
	}
	step, changed, known := c.next(id)
	if !known {
		reply(w, http.StatusNotFound, c.failed(id, http.StatusNotFound))
		return
	}
	if !hold(r, step.Delay) || step.Drop {
		drop(w)
		return
	}
	if step.RetryAfter != "" {
		w.Header().Set("Retry-After", step.RetryAfter)
	}
	if step.HTTPStatus != 0 && step.HTTPStatus != http.StatusOK {
		reply(w, step.HTTPStatus, c.failed(id, step.HTTPStatus))
		return
	}
	reply(w, http.StatusOK, c.body(id, step, changed))
}

func (c *DocumentedCore) authorized(r *http.Request) bool {
	shown, found := strings.CutPrefix(r.Header.Get(c.header), c.prefix)
	if c.tokenRoute == "" {
		return found && shown == c.secret
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return found && slices.Contains(c.tokens, shown)
}

// next is the operation's next step, and when its status became that of the step.
func (c *DocumentedCore) next(id string) (step TransferStep, changed time.Time, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	step, known = c.scripts.next(id)
	if c.changed[id].status != step.Status {
		c.changed[id] = change{step.Status, time.Now()}
	}
	return step, c.changed[id].at, known
}
