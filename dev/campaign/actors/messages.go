package actors

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ringback/dev/campaign/plan"
)

// message is a callback's content. Its format is checked by the documents, not by
// the code under test.
type message struct{ operation, status string }

func readMessage(e plan.Endpoint, contentType string, body []byte) (message, error) {
	readers := map[string]struct {
		contentType string
		read        func(plan.Endpoint, []byte) (message, error)
	}{
		"ukrcard":  {"application/json", readUkrcard},
		"paysera":  {"application/x-www-form-urlencoded", readPaysera},
		"standard": {"application/json", readStandard},
	}
	reader := readers[e.Dialect]
	got, err := reader.read(e, body)
	if err == nil && !strings.HasPrefix(contentType, reader.contentType) {
		err = fmt.Errorf("its content type is %q, not %s", contentType, reader.contentType)
	}
	return got, err
}

// readUkrcard reads doc-1275862, "Callback request body".
func readUkrcard(_ plan.Endpoint, body []byte) (message, error) {
	var m struct {
		OrderNumber string `json:"orderNumber"`
		RespStatus  *int   `json:"respStatus"`
		OrderStatus *int   `json:"orderStatus"`
		OrderID     string `json:"orderId"`
	}
	if err := decodeStrictly(body, &m); err != nil {
		return message{}, err
	}
	got := message{operation: m.OrderNumber}
	if m.OrderStatus != nil {
		got.status = strconv.Itoa(*m.OrderStatus)
	}
	switch {
	case m.RespStatus == nil:
		return got, errors.New("it has no respStatus")
	case (*m.RespStatus == http.StatusOK) != (m.OrderStatus != nil):
		return got, errors.New("orderStatus is there for a respStatus of 200, and for no other")
	}
	return got, nil
}

var digits = regexp.MustCompile(`^[0-9]+$`)

// readPaysera reads the parameters of developers.paysera.com, "Callbacks".
func readPaysera(_ plan.Endpoint, body []byte) (message, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return message{}, fmt.Errorf("its body is no form: %w", err)
	}
	got := message{operation: form.Get("transfer_id"), status: form.Get("status")}
	switch {
	case len(form) != 3 || !form.Has("transfer_id") || !form.Has("status") || !form.Has("date"):
		return got, errors.New("its parameters are not transfer_id, status and date")
	case got.status == "" || !digits.MatchString(form.Get("date")):
		return got, errors.New("it has no status, or a date that is not a Unix time")
	}
	return got, nil
}

// readStandard reads Ringback's own dialect (README, dialects).
func readStandard(e plan.Endpoint, body []byte) (message, error) {
	var m struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      struct {
			Endpoint    string    `json:"endpoint"`
			OperationID string    `json:"operation_id"`
			Status      *string   `json:"status"`
			Final       bool      `json:"final"`
			ObservedAt  time.Time `json:"observed_at"`
		} `json:"data"`
	}
	if err := decodeStrictly(body, &m); err != nil {
		return message{}, err
	}
	got, kind := message{operation: m.Data.OperationID}, "operation.unknown"
	if m.Data.Status != nil {
		got.status = *m.Data.Status
		kind = "operation." + got.status
	}
	switch {
	case m.Type != kind:
		return got, fmt.Errorf("its type is %q, not %q", m.Type, kind)
	case m.Data.Endpoint != e.Name:
		return got, fmt.Errorf("its endpoint is %q", m.Data.Endpoint)
	case !m.Timestamp.Equal(m.Data.ObservedAt):
		return got, errors.New("its timestamp is not when the status was observed")
	}
	return got, nil
}

// decodeStrictly reads one JSON object without unknown members.
func decodeStrictly(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("its body does not follow its dialect: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("its body has trailing data")
	}
	return nil
}

// tolerance is how far off a timestamp may be (Standard Webhooks, "Verifying webhook
// authenticity").
const tolerance = 5 * time.Minute

// checkHeaders checks what Standard Webhooks requires of every request.
func checkHeaders(e plan.Endpoint, header http.Header, body []byte) error {
	id := header.Get("webhook-id")
	seconds, err := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	age := time.Since(time.Unix(seconds, 0))
	switch {
	case id == "" || strings.Contains(id, "."):
		return fmt.Errorf("its webhook-id is %q", id)
	case err != nil:
		return fmt.Errorf("its webhook-timestamp is %q", header.Get("webhook-timestamp"))
	case age.Abs() > tolerance:
		return fmt.Errorf("its webhook-timestamp is %s off", age)
	case e.Signed && !hmac.Equal([]byte(header.Get("webhook-signature")), []byte(signature(header, body))):
		return errors.New("its signature is wrong")
	case !e.Signed && header.Get("webhook-signature") != "":
		return errors.New("it is signed, although its endpoint has no secret")
	}
	return nil
}

// signature is the one that a request with these headers and this body must have.
func signature(header http.Header, body []byte) string {
	h := hmac.New(sha256.New, signingKey)
	_, _ = io.WriteString(h, header.Get("webhook-id")+"."+header.Get("webhook-timestamp")+".")
	_, _ = h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}
