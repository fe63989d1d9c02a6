package simulator

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// PayseraOptions is how a client of the Transfers API is registered.
type PayseraOptions struct {
	MACID, MACKey string
	// StringIDs answers ids as JSON strings, as the basics page shows them;
	// otherwise an id of digits is a number, as the API reference has it.
	StringIDs bool
	// Default is the script of transfers that have none of their own; empty:
	// such a transfer is not found.
	Default []TransferStep
	// Answer, if set, replaces the scripts of GET, and nothing but nonces is
	// recorded. It is called for refused requests, too, and its result is not used
	// then. known is false for a transfer that does not exist.
	Answer func(id string, q Question) (step TransferStep, known bool)
}

// TransferStep is one answer about a transfer.
type TransferStep struct {
	Status string
	// FailureCode is failure_status.code beside the status "failed".
	FailureCode string
	// For is how long the step lasts in a script by time, counted from the end
	// of the one before; 0 in the last one, which stays.
	For time.Duration
	// HTTPStatus other than 0 and 200 is answered with the API's error object.
	HTTPStatus int
	RetryAfter string
	// Delay is before the answer; Drop closes the connection instead of it.
	Delay time.Duration
	Drop  bool
}

// Steps is a script of plain answers with these statuses.
func Steps(statuses ...string) []TransferStep {
	script := make([]TransferStep, len(statuses))
	for i, status := range statuses {
		script[i].Status = status
	}
	return script
}

// PayseraCore is Paysera's Transfers API: GET and DELETE
// /transfer/rest/v1/transfers/{id}, each with a MAC that is verified
// (developers.paysera.com/api/transfer/get-transfer and revoke-transfer).
type PayseraCore struct {
	*server
	questions
	options PayseraOptions

	mu        sync.Mutex
	transfers map[string]*transfer
	nonces    map[string]bool
}

type transfer struct {
	script []TransferStep
	turns  int
	// since is when a script by time began; zero: a script by turns.
	since   time.Time
	created time.Time
}

// StartPayseraCore serves on addr, host:port with port 0 for a free one.
func StartPayseraCore(addr string, o PayseraOptions) (_ *PayseraCore, err error) {
	c := &PayseraCore{options: o, transfers: map[string]*transfer{}, nonces: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /transfer/rest/v1/transfers/{id}", c.authenticated(c.get))
	mux.HandleFunc("DELETE /transfer/rest/v1/transfers/{id}", c.authenticated(c.revoke))
	c.server, err = serve(addr, mux, nil)
	return c, err
}

// Script sets the answers about a transfer, from now on, one GET each; the
// last one repeats.
func (c *PayseraCore) Script(id string, steps ...TransferStep) {
	c.put(id, &transfer{script: steps})
}

// Schedule sets the answers about a transfer by time, from now on.
func (c *PayseraCore) Schedule(id string, steps ...TransferStep) {
	c.put(id, &transfer{script: steps, since: time.Now()})
}

// SetStatus sets the status of a transfer, from now on.
func (c *PayseraCore) SetStatus(id, status string) { c.Script(id, Steps(status)...) }

func (c *PayseraCore) put(id string, t *transfer) {
	t.created = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transfers[id] = t
}

// authenticated refuses requests without a valid MAC.
func (c *PayseraCore) authenticated(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refusal := c.refuse(r)
		q, id := newQuestion(r, refusal), r.PathValue("id")
		switch {
		case c.options.Answer == nil:
			c.add(id, q)
		case refusal != "":
			c.options.Answer(id, q)
		}
		if refusal != "" {
			payseraError(w, http.StatusUnauthorized, "unauthorized", refusal)
			return
		}
		next(w, r)
	}
}

func (c *PayseraCore) get(w http.ResponseWriter, r *http.Request) {
	step, body, known := c.answer(r)
	if !known {
		payseraError(w, http.StatusNotFound, "not_found", "No such transfer")
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
		payseraError(w, step.HTTPStatus, "internal_server_error", "")
		return
	}
	reply(w, http.StatusOK, body)
}

// answer is the transfer's next step, and its body.
func (c *PayseraCore) answer(r *http.Request) (step TransferStep, body map[string]any, known bool) {
	id := r.PathValue("id")
	if c.options.Answer != nil {
		step, known = c.options.Answer(id, newQuestion(r, ""))
		return step, (&transfer{created: time.Now()}).body(c.idOf(id), step), known
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.find(id)
	if t == nil {
		return TransferStep{}, nil, false
	}
	step = t.now()
	t.turns++
	return step, t.body(c.idOf(id), step), true
}

// revoke answers as the reference's example does: the status is "failed", and
// its failure says that the user cancelled.
func (c *PayseraCore) revoke(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.find(id)
	if t == nil {
		payseraError(w, http.StatusNotFound, "not_found", "No such transfer")
		return
	}
	if !cancelable(t.now().Status) {
		payseraError(w, http.StatusConflict, "invalid_state", "The transfer can't be revoked in its state")
		return
	}
	cancelled := TransferStep{Status: "failed", FailureCode: "cancelled_by_user"}
	t.script, t.since = []TransferStep{cancelled}, time.Time{}
	reply(w, http.StatusOK, t.body(c.idOf(id), cancelled))
}

// find is the transfer, made from the default script where there is one. The
// caller holds the lock.
func (c *PayseraCore) find(id string) *transfer {
	t, ok := c.transfers[id]
	if !ok && len(c.options.Default) > 0 {
		t = &transfer{script: c.options.Default, created: time.Now()}
		c.transfers[id] = t
	}
	return t
}

func (c *PayseraCore) idOf(id string) any {
	if number, err := strconv.ParseInt(id, 10, 64); err == nil && !c.options.StringIDs {
		return number
	}
	return id
}

func (t *transfer) now() TransferStep {
	if t.since.IsZero() {
		step, _ := turn(t.script, t.turns)
		return step
	}
	passed := time.Since(t.since)
	for _, step := range t.script[:len(t.script)-1] {
		if passed < step.For {
			return step
		}
		passed -= step.For
	}
	return t.script[len(t.script)-1]
}

func (t *transfer) body(id any, step TransferStep) map[string]any {
	body := map[string]any{
		"id":         id,
		"hash":       "simulated",
		"status":     step.Status,
		"created_at": t.created.Unix(),
		"amount":     map[string]string{"amount": "12.50", "currency": "EUR"},
		"cancelable": cancelable(step.Status),
		// A client may see these, but Ringback must never keep them.
		"beneficiary": map[string]any{"type": "bank", "name": "Name Surname", "bank_account": map[string]string{"iban": "LT000000000000000000"}},
		"payer":       map[string]string{"account_number": "EVP0000000000000"},
		"password":    map[string]string{"status": "pending", "value": "9876"},
	}
	if step.FailureCode != "" {
		body["failure_status"] = map[string]string{"code": step.FailureCode, "message": "Simulated"}
	}
	if step.Status == "done" {
		body["performed_at"] = time.Now().Unix()
	}
	return body
}

func cancelable(status string) bool {
	return status == "new" || status == "reserved" || status == "waiting" || strings.HasPrefix(status, "waiting_")
}

func payseraError(w http.ResponseWriter, status int, code, description string) {
	body := map[string]string{"error": code}
	if description != "" {
		body["error_description"] = description
	}
	reply(w, status, body)
}

// macTolerance bounds how far ts may be from now.
const macTolerance = 5 * time.Minute

var (
	macField = regexp.MustCompile(`(id|ts|nonce|mac|ext)="([^"]*)"`)
	macNonce = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`)
)

// refuse says what is wrong with the request's MAC; empty: nothing. A nonce is
// valid once.
func (c *PayseraCore) refuse(r *http.Request) string {
	credentials, ok := strings.CutPrefix(r.Header.Get("Authorization"), "MAC ")
	if !ok {
		return "the Authorization header is not a MAC"
	}
	fields := map[string]string{}
	for _, match := range macField.FindAllStringSubmatch(credentials, -1) {
		fields[match[1]] = match[2]
	}
	ts, err := strconv.ParseInt(fields["ts"], 10, 64)
	body, readErr := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch {
	case readErr != nil:
		return "the body can't be read"
	case fields["id"] != c.options.MACID:
		return "unknown MAC id"
	case err != nil || time.Since(time.Unix(ts, 0)).Abs() > macTolerance:
		return "ts is not within five minutes of now"
	case !macNonce.MatchString(fields["nonce"]):
		return "nonce is empty or holds a character outside its alphabet"
	case fields["ext"] != bodyHash(body):
		return "ext is not the body's hash"
	case !hmac.Equal([]byte(fields["mac"]), []byte(MAC(c.options.MACKey, r, fields["ts"], fields["nonce"], fields["ext"]))):
		return "mac is wrong"
	}
	return c.spend(fields["ts"], fields["nonce"])
}

// NonceUsed is the Question.Refused of a request whose nonce came before.
const NonceUsed = "nonce was used before"

func (c *PayseraCore) spend(ts, nonce string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nonces[ts+"\n"+nonce] {
		return NonceUsed
	}
	c.nonces[ts+"\n"+nonce] = true
	return ""
}

func bodyHash(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	sum := sha256.Sum256(body)
	return "body_hash=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sum[:]))
}

// MAC is the mac of a request as Paysera's authentication guide defines it:
// HMAC-SHA256 over ts, nonce, method, request URI, host, port and ext, each
// with a line feed behind it.
func MAC(key string, r *http.Request, ts, nonce, ext string) string {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "443"
		if r.TLS == nil {
			port = "80"
		}
	}
	h := hmac.New(sha256.New, []byte(key))
	for _, element := range []string{ts, nonce, r.Method, r.URL.RequestURI(), strings.ToLower(host), port, ext} {
		_, _ = io.WriteString(h, element+"\n")
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
