package simulator

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"
)

// WSGateOptions is how a client of wsGate is registered.
type WSGateOptions struct {
	// ExtSystemID, Login and Password are the only ones accepted.
	ExtSystemID, Login, Password string
	// ClientDN is what x-uws-clientdn must say; with TLS it must be the common
	// name of the client's certificate as well. Empty: not checked.
	ClientDN string
	// TLS makes it HTTPS; give it ClientAuth and ClientCAs for mutual TLS.
	TLS *tls.Config
	// Default is the script of orders that have none of their own; empty: such
	// an order is unknown, respStatus 404.
	Default []WSGateAnswer
	// Answer, if set, replaces the scripts, and nothing is recorded. It is called
	// for refused requests, too, and its result is not used then. known is false
	// for an order that does not exist.
	Answer func(order string, q Question) (answer WSGateAnswer, known bool)
}

// WSGateAnswer is one answer of /Confirm.
type WSGateAnswer struct {
	// HTTPStatus other than 0 and 200 is answered with an empty JSON object.
	HTTPStatus int
	// RetryAfter is a header's value, beside HTTPStatus 429.
	RetryAfter string
	// RespStatus other than 200 brings no orderStatus; 0 means 200.
	RespStatus int
	// OrderStatus is 0 to 6, as "Response Codes" lists them.
	OrderStatus int
	// Body, where set, is the whole answer, whatever the rest says.
	Body string
	// Delay is before the answer; Drop closes the connection instead of it.
	Delay time.Duration
	Drop  bool
}

// Statuses is a script of plain answers with these orderStatus.
func Statuses(orderStatus ...int) []WSGateAnswer {
	script := make([]WSGateAnswer, len(orderStatus))
	for i, status := range orderStatus {
		script[i].OrderStatus = status
	}
	return script
}

// WSGate is Ukrcard's wsGate: POST /Confirm and /ConfirmExt, every parameter a
// header (ukrcard-en.apidog.io api-7297606 and api-7297607).
type WSGate struct {
	*server
	questions
	options WSGateOptions

	mu      sync.Mutex
	scripts scripts[WSGateAnswer]
}

// StartWSGate serves on addr, host:port with port 0 for a free one.
func StartWSGate(addr string, o WSGateOptions) (_ *WSGate, err error) {
	g := &WSGate{options: o, scripts: newScripts(o.Default)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /Confirm", g.confirm)
	mux.HandleFunc("POST /ConfirmExt", g.confirm)
	g.server, err = serve(addr, mux, o.TLS)
	return g, err
}

// Script sets the answers of an order, from now on, one /Confirm each; the
// last one repeats.
func (g *WSGate) Script(orderNumber string, answers ...WSGateAnswer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.scripts.set(orderNumber, answers)
}

func (g *WSGate) confirm(w http.ResponseWriter, r *http.Request) {
	order := r.Header.Get("orderNumber")
	status, refusal := g.refuse(r)
	answer, known := g.next(order, r, refusal)
	switch {
	case refusal != "":
		reply(w, status, map[string]any{"errorMessage": refusal})
	case !known:
		reply(w, http.StatusOK, map[string]any{"orderNumber": order, "respStatus": http.StatusNotFound})
	default:
		answer.write(w, r, order)
	}
}

// next records the question and takes the order's next answer; /ConfirmExt and a
// refused request take none.
func (g *WSGate) next(order string, r *http.Request, refusal string) (WSGateAnswer, bool) {
	q := newQuestion(r, refusal)
	if g.options.Answer != nil {
		return g.options.Answer(order, q)
	}
	g.add(order, q)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case refusal != "":
		return WSGateAnswer{}, false
	case r.URL.Path == "/Confirm":
		return g.scripts.next(order)
	}
	return g.scripts.current(order)
}

// refuse says what is wrong with a request by the document, and with which HTTP
// status it is answered; empty: nothing.
func (g *WSGate) refuse(r *http.Request) (int, string) {
	for _, p := range wsgateParameters {
		if fault := p.fault(r.Header.Get(p.name)); fault != "" {
			return http.StatusBadRequest, fault
		}
	}
	o := g.options
	switch {
	case r.Header.Get("ExtSystemid") != o.ExtSystemID, r.Header.Get("login") != o.Login, r.Header.Get("password") != o.Password:
		return http.StatusUnauthorized, "unknown ExtSystemid, login or password"
	case o.ClientDN != "" && r.Header.Get("x-uws-clientdn") != o.ClientDN:
		return http.StatusForbidden, "x-uws-clientdn is not the registered one"
	case r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && r.TLS.PeerCertificates[0].Subject.CommonName != r.Header.Get("x-uws-clientdn"):
		return http.StatusForbidden, "x-uws-clientdn is not the certificate's CN"
	}
	return 0, ""
}

// parameter is a row of the document's table of headers.
type parameter struct {
	name              string
	shortest, longest int
	layout            string
	only              string
}

// wsgateParameters is that table. x-uws-clientdn may be empty, since it is only
// required beside a certificate.
var wsgateParameters = []parameter{
	{name: "ExtSystemid", shortest: 1, longest: 50},
	{name: "login", shortest: 1, longest: 30},
	{name: "password", shortest: 5, longest: 30},
	{name: "orderNumber", shortest: 1, longest: 32},
	{name: "orderId", longest: 36},
	{name: "RegDate", shortest: 19, longest: 19, layout: "2006-01-02 15:04:05"},
	{name: "x-uws-clientdn", longest: 500},
	{name: "accept", shortest: 1, longest: 16, only: "application/json"},
}

func (p parameter) fault(value string) string {
	length := utf8.RuneCountInString(value)
	if length < p.shortest || length > p.longest {
		return fmt.Sprintf("header %s holds %d characters, not %d to %d", p.name, length, p.shortest, p.longest)
	}
	if p.only != "" && value != p.only {
		return fmt.Sprintf("header %s is not %s", p.name, p.only)
	}
	if p.layout == "" {
		return ""
	}
	if _, err := time.Parse(p.layout, value); err != nil {
		return fmt.Sprintf("header %s is not a date and time like %s", p.name, p.layout)
	}
	return ""
}

func (a WSGateAnswer) write(w http.ResponseWriter, r *http.Request, order string) {
	if !hold(r, a.Delay) || a.Drop {
		drop(w)
		return
	}
	if a.RetryAfter != "" {
		w.Header().Set("Retry-After", a.RetryAfter)
	}
	switch {
	case a.Body != "":
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(max(a.HTTPStatus, http.StatusOK))
		_, _ = w.Write([]byte(a.Body))
	case a.HTTPStatus != 0 && a.HTTPStatus != http.StatusOK:
		reply(w, a.HTTPStatus, map[string]any{})
	default:
		reply(w, http.StatusOK, a.fields(order, r.URL.Path == "/ConfirmExt"))
	}
}

func (a WSGateAnswer) fields(order string, extended bool) map[string]any {
	respStatus := a.RespStatus
	if respStatus == 0 {
		respStatus = http.StatusOK
	}
	fields := map[string]any{"orderNumber": order, "respStatus": respStatus}
	if respStatus != http.StatusOK {
		return fields
	}
	fields["orderStatus"] = a.OrderStatus
	fields["actionCode"] = 0
	if extended {
		// A client may see these, but Ringback must never keep them.
		fields["amount"] = 150000
		fields["currency"] = "980"
		fields["cardAuthInfo"] = map[string]any{"maskedPan": "411111**1111", "expiration": "203012", "approvalCode": "123456"}
	}
	return fields
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
