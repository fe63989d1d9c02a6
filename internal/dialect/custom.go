package dialect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"ringback/internal/cardnumber"
	"ringback/internal/expression"
	"ringback/internal/headername"
	"ringback/internal/operation"
)

// custom is a compiled [Definition].
type custom struct {
	name                string
	method, contentType string
	secrets             []string
	headers             expression.Fields
	// One of tree, form and text is the body.
	tree *expression.Tree
	form expression.Fields
	text *expression.Expression

	acknowledged, gone, retryAfter *expression.Expression

	pingStatus string
	signing    *signing
}

// compiler collects what is wrong with a definition.
type compiler struct{ expression.Faults }

// methods are those of a callback.
var methods = []string{http.MethodPost, http.MethodPut, http.MethodPatch}

// Compile is the dialect of that name, or all that is wrong with its definition.
func (d Definition) Compile(name string) (Dialect, []expression.Fault) {
	c := &compiler{}
	made := &custom{name: name, method: d.Method, contentType: d.ContentType, secrets: d.Secrets, pingStatus: d.PingStatus}
	c.Require(d.Method == "" || slices.Contains(methods, d.Method), "method", "is unknown; allowed: %s", strings.Join(methods, ", "))
	c.Secrets(d.Secrets)
	c.body(made, d)
	c.headers(made, d)
	c.judge(made, d)
	if d.Signature != nil {
		made.signing = c.signature(*d.Signature)
	}
	if len(c.Faults) > 0 {
		return nil, c.Faults
	}
	return made, nil
}

func (c *compiler) body(made *custom, d Definition) {
	scope, bodies, usual := expression.CallbackScope(), 0, ""
	if d.JSON != nil {
		made.tree = c.Tree(scope, "json", *d.JSON)
		bodies, usual = bodies+1, "application/json"
	}
	if d.Form != nil {
		made.form = c.Fields(scope, "form", d.Form, expression.Text)
		bodies, usual = bodies+1, "application/x-www-form-urlencoded"
	}
	if d.Text != "" {
		made.text = c.Expression(scope, "text", d.Text, expression.Text)
		bodies, usual = bodies+1, "text/plain; charset=utf-8"
	}
	c.Require(bodies == 1, "", "has %d bodies; allowed: one of json, form and text", bodies)
	made.contentType = cmp.Or(made.contentType, usual)
	_, _, err := mime.ParseMediaType(made.contentType)
	c.Require(bodies != 1 || err == nil && headername.IsValue(made.contentType), "content_type", "is not a media type such as application/json")
}

func (c *compiler) headers(made *custom, d Definition) {
	for _, header := range d.Headers {
		c.Require(d.Signature == nil || !d.Signature.sets(header.Name), expression.PathTo("headers", header.Name), "is a header of the signature")
	}
	made.headers = c.Headers(expression.CallbackHeaderScope(d.Secrets), "headers", d.Headers)
}

func (c *compiler) judge(made *custom, d Definition) {
	scope := expression.JudgementScope()
	c.Require(d.Acknowledged != "", "acknowledged", "is missing; allowed: an expression such as http.status == 200")
	made.acknowledged = c.Expression(scope, "acknowledged", d.Acknowledged, expression.Bool)
	made.gone = c.Expression(scope, "gone", d.Gone, expression.Bool)
	made.retryAfter = c.Expression(scope, "retry_after", d.RetryAfter, expression.Wait)
}

// textOf evaluates an expression for a text, empty for null.
func textOf(e *expression.Expression, variables map[string]any) (string, error) {
	value, err := e.Eval(context.Background(), variables)
	text, _ := value.(string)
	return text, err
}

// SignsWith reports whether an expression signs with the secret of that name.
func (d *custom) SignsWith(secret string) bool { return d.headers.Reads(expression.HMACKey(secret)) }

// Name is that in the configuration.
func (d *custom) Name() string { return d.name }

// Write evaluates the body and the headers. What looks like a card number is refused,
// but in an identifier, which the endpoint's own rule screens.
func (d *custom) Write(c operation.Callback, secrets map[string]string) (Message, error) {
	variables := variablesOf(c)
	body, err := d.body(variables)
	if err != nil {
		return Message{}, err
	}
	if holdsCardNumber(string(body), c) {
		return Message{}, errors.New("the body holds what looks like a card number")
	}
	message := Message{Method: d.method, ContentType: d.contentType, Body: body}
	if d.tree != nil {
		message.Accept = "application/json"
	}
	if len(d.headers) > 0 {
		message.Header, err = d.header(variables, c, secrets)
	}
	return message, err
}

// variablesOf are those of a callback.
func variablesOf(c operation.Callback) map[string]any {
	kept := c.Observation.Raw
	if kept == nil {
		kept = map[string]string{}
	}
	variables := operationVariables(c, 6)
	variables["operation.endpoint"] = c.Key.Endpoint
	variables["status"] = c.Observation.Status
	variables["final"] = c.Final
	variables["observed_at"] = c.Observation.ObservedAt.Time
	variables["keep"] = kept
	variables["callback_id"] = c.ID
	return variables
}

func operationVariables(c operation.Callback, more int) map[string]any {
	return expression.OperationVariables(operation.Query{OperationID: c.Key.OperationID, Reference: c.Reference}, more)
}

func (d *custom) body(variables map[string]any) ([]byte, error) {
	switch {
	case d.tree != nil:
		return d.tree.JSON(context.Background(), variables)
	case d.text != nil:
		text, err := textOf(d.text, variables)
		return []byte(text), err
	}
	form, err := d.form.Form(context.Background(), variables)
	return []byte(form), err
}

func holdsCardNumber(text string, c operation.Callback) bool {
	for _, id := range []string{c.Key.OperationID, url.QueryEscape(c.Key.OperationID), c.Reference.OrderID, url.QueryEscape(c.Reference.OrderID)} {
		if cardnumber.In(id) { // another one could take a number apart
			text = strings.ReplaceAll(text, id, "id")
		}
	}
	return cardnumber.In(text)
}

func (d *custom) header(variables map[string]any, c operation.Callback, secrets map[string]string) (http.Header, error) {
	for _, name := range d.secrets {
		value, given := secrets[name]
		if !given {
			return nil, fmt.Errorf("the endpoint gives no secret %s, which the dialect %s uses", name, d.name)
		}
		variables["secret."+name] = expression.NewSecret(value)
	}
	header := http.Header{}
	for _, field := range d.headers {
		value, err := field.HeaderValue(context.Background(), variables)
		switch {
		case err != nil:
			return nil, err
		case value == nil:
			continue
		case !value.IsSecret && holdsCardNumber(value.Text, c):
			return nil, errors.New(field.Expression.Path + " holds what looks like a card number")
		}
		header.Set(field.Name, value.Text)
	}
	return header, nil
}

// Ping is the callback about the definition's ping_status.
func (d *custom) Ping(c operation.Callback, secrets map[string]string) (Message, error) {
	if d.pingStatus == "" {
		return Message{}, fmt.Errorf("the dialect %s has no ping_status, so it has no test callback", d.name)
	}
	c.Observation.Status = d.pingStatus
	return d.Write(c, secrets)
}

// Knows is true of every status whose callback can be written where nothing was kept of
// an answer: an expression says otherwise by having no value, as a map without that key.
func (d *custom) Knows(status string) bool {
	if status == "" {
		return false
	}
	_, err := d.body(variablesOf(operation.Callback{
		ID: "cb_1", Key: operation.Key{Endpoint: "E", OperationID: "1"}, Final: true,
		Observation: operation.Observation{Status: status, ObservedAt: operation.At(time.Unix(1, 0))},
	}))
	return err == nil
}

// Signer is that of the definition's signature, or else of Standard Webhooks.
func (d *custom) Signer(secrets []string) (*Signer, error) {
	if d.signing == nil {
		return NewSigner(secrets)
	}
	return d.signing.signer(secrets)
}

// Judge evaluates acknowledged, and where that is not true gone and retry_after. A
// redirect is unacknowledged, whatever they say, and so is what can't be evaluated.
func (d *custom) Judge(c operation.Callback, a Answer) Judgement {
	if j, decided := judgeByStatus(a); decided && (d.gone == nil || !j.Gone) {
		return j
	}
	e := newEvaluation(c, a)
	acknowledged, reason := e.holds(d.acknowledged)
	if acknowledged {
		return Judgement{Verdict: operation.Acknowledged}
	}
	j := unacknowledged("HTTP %d: %s", a.HTTPStatus, reason)
	if d.gone != nil {
		var fault string
		if j.Gone, fault = e.holds(d.gone); j.Gone {
			j.Reason = fmt.Sprintf("HTTP %d: gone is true: the receiver wants no more of it", a.HTTPStatus)
			return j
		} else if fault != isFalse(d.gone) {
			j.Reason = fmt.Sprintf("HTTP %d: %s", a.HTTPStatus, fault)
		}
	}
	if d.retryAfter != nil {
		value, _ := d.retryAfter.Eval(context.Background(), e.variables)
		wait, _ := value.(time.Duration)
		j.RetryAfter = &wait
	}
	return j
}

// evaluation is of the expressions about one answer.
type evaluation struct {
	answer    Answer
	variables map[string]any
	// unread is why the variable body is null although there is an answer.
	unread string
}

func newEvaluation(c operation.Callback, a Answer) *evaluation {
	a.Body = withoutBOM(a.Body)
	e := &evaluation{answer: a, variables: operationVariables(c, 4)}
	e.variables["http.status"] = a.HTTPStatus
	e.variables["http.headers"] = func() any { return expression.HeaderValues(a.Header) }
	if a.Truncated {
		return e // without its body, which is not the whole
	}
	e.variables["body"] = sync.OnceValue(func() any {
		body, err := expression.DecodeJSON(a.Body)
		switch {
		case err == nil:
		case json.Valid(a.Body):
			e.unread = "the answer is " + err.Error()
		default:
			e.unread = "the answer is " + describeBody(a) + "not JSON"
		}
		return body
	})
	e.variables["text"] = func() any { return string(bytes.ToValidUTF8(a.Body, []byte("\uFFFD"))) }
	return e
}

func isFalse(e *expression.Expression) string { return e.Path + " is false" }

// holds reports whether an expression is true, and if it is not, why: a reason that
// repeats nothing of the answer.
func (e *evaluation) holds(is *expression.Expression) (bool, string) {
	value, err := is.Eval(context.Background(), e.variables)
	switch {
	case value == true:
		return true, ""
	case e.answer.Truncated && (is.Reads("body") || is.Reads("text")):
		return false, "the answer is longer than is read"
	case e.unread != "":
		return false, e.unread
	case err != nil:
		return false, err.Error()
	}
	return false, isFalse(is)
}
