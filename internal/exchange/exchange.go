// Package exchange shows people a request and the answer to it, secrets masked.
package exchange

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ringback/internal/cardnumber"
	"ringback/internal/expression"
	"ringback/internal/operation"
)

const (
	// bodyCap is how much of an answer's body is shown.
	bodyCap = 4 << 10
	// headerCap is how many headers of an answer are shown, and valueCap how much of each.
	headerCap = 50
	valueCap  = 1 << 10
	// longestMarked is longer than any card number, percent-encoded, and than the beginning
	// by which shownSecret knows a secret.
	longestMarked = 4 << 10
	// shortestHidden is the shortest value that is hidden: shorter ones occur in other text.
	shortestHidden = 4
	// redacted stands for what is not shown.
	redacted = "[redacted]"
)

// Mask hides secrets wherever they stand: the other side may send back what it was sent.
type Mask struct {
	headers http.Header
	// alone are the secrets as they are, of any length: a header's value may be one of them.
	alone  map[string]bool
	values *strings.Replacer
	// longest is how long what is hidden may be.
	longest int
}

// NewMask hides these values, and the values of these headers: in them, and anywhere else,
// there as JSON and URLs write them, too. A value shorter than four bytes is hidden where
// it is a whole header.
func NewMask(headers http.Header, values ...string) Mask {
	hidden := slices.Clone(values)
	for _, values := range headers {
		for _, value := range values {
			_, credentials, _ := strings.Cut(value, " ")
			hidden = append(hidden, value, credentials)
		}
	}
	m := Mask{headers: headers, alone: map[string]bool{}, longest: longestMarked}
	var written []string
	for _, value := range hidden {
		m.alone[value] = value != ""
		if len(value) >= shortestHidden {
			written = append(written, forms(value)...)
		}
	}
	// The longest first: one may be how another begins.
	slices.SortFunc(written, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, form := range written {
		pairs = append(pairs, form, redacted)
		m.longest = max(m.longest, len(form))
	}
	m.values = strings.NewReplacer(pairs...)
	return m
}

var lowerHex = regexp.MustCompile(`%[0-9A-F]{2}`)

// forms are a secret as it is, and as JSON (PHP's with its escaped slashes) and URLs write it.
func forms(secret string) []string {
	plain, _ := expression.EncodeJSON(secret) // a string: neither can fail
	escaped, _ := json.Marshal(secret)
	all := []string{secret}
	for _, escape := range []func(string) string{url.QueryEscape, url.PathEscape} {
		all = append(all, escape(secret), lowerHex.ReplaceAllStringFunc(escape(secret), strings.ToLower))
	}
	for _, quoted := range [][]byte{plain, escaped} {
		inner := string(quoted[1 : len(quoted)-1])
		all = append(all, inner, strings.ReplaceAll(inner, "/", `\/`))
	}
	return all
}

// shownSecret matches a secret or a private key as Standard Webhooks writes it, and an
// access token, which only the transport knows.
var shownSecret = regexp.MustCompile(`whs(ec|k)_[A-Za-z0-9+/=]{8,}|(?i:bearer) [A-Za-z0-9._~+/=-]{8,}`)

// Text is valid UTF-8 without secrets and card numbers.
func (m Mask) Text(text []byte) string {
	masked := shownSecret.ReplaceAllString(m.values.Replace(string(bytes.ToValidUTF8(text, []byte("\uFFFD")))), redacted)
	return cardnumber.Mask(masked)
}

// Request is a request as net/http sends it by HTTP/1. proto is that of the answer, if
// there was one. Where query is false its query is hidden.
func (m Mask) Request(r *http.Request, proto string, query bool) operation.SentRequest {
	var sent []byte
	if r.GetBody != nil {
		body, _ := r.GetBody() // from memory: neither can fail
		sent, _ = io.ReadAll(body)
	}
	headers := []operation.HeaderLine{{Name: "Host", Value: r.URL.Host}, {Name: "User-Agent", Value: r.UserAgent()}}
	if len(sent) > 0 || r.Method != http.MethodGet {
		headers = append(headers, operation.HeaderLine{Name: "Content-Length", Value: strconv.Itoa(len(sent))})
	}
	rest := r.Header.Clone()
	rest.Del("User-Agent")
	return operation.SentRequest{
		Line:    m.Text([]byte(r.Method + " " + target(r.URL, query) + " " + cmp.Or(proto, r.Proto))),
		Headers: m.lines(append(headers, lines(rest)...)), Body: m.Text(sent),
	}
}

func target(u *url.URL, query bool) string {
	if query {
		return u.RequestURI()
	}
	return operation.WithoutQuery(u.RequestURI())
}

// Answer is an answer as far as it was read. A cookie is a secret of the other side's.
func (m Mask) Answer(r *http.Response, body []byte) *operation.ReceivedAnswer {
	headers := lines(r.Header)
	headers = m.lines(headers[:min(len(headers), headerCap)])
	for i, line := range headers {
		switch {
		case line.Name == "Set-Cookie":
			headers[i].Value = redacted
		case len(line.Value) > valueCap:
			headers[i].Value = strings.ToValidUTF8(line.Value[:valueCap], "") + "…"
		}
	}
	shown, truncated := m.Beginning(body)
	return &operation.ReceivedAnswer{
		Line: m.Text([]byte(r.Proto + " " + r.Status)), HTTPStatus: r.StatusCode,
		Headers: headers, Body: shown, Truncated: truncated,
	}
}

// Beginning is as much of a text as is shown. It is masked before it is cut, since half a
// secret looks like none, and no further than that takes.
func (m Mask) Beginning(text []byte) (shown string, truncated bool) {
	most := bodyCap + m.longest
	shown = m.Text(text[:min(len(text), most)])
	if len(text) > most {
		// What is hidden may go on behind the end.
		shown = shown[:max(len(shown)-m.longest, 0)]
	}
	if truncated = len(text) > most || len(shown) > bodyCap; truncated {
		shown = strings.ToValidUTF8(shown[:min(len(shown), bodyCap)], "")
	}
	return shown, truncated
}

func lines(h http.Header) []operation.HeaderLine {
	all := []operation.HeaderLine{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			all = append(all, operation.HeaderLine{Name: name, Value: value})
		}
	}
	return all
}

func (m Mask) lines(all []operation.HeaderLine) []operation.HeaderLine {
	masked := make([]operation.HeaderLine, 0, len(all))
	for _, line := range all {
		value := m.Text([]byte(line.Value))
		if _, secret := m.headers[http.CanonicalHeaderKey(line.Name)]; secret || m.alone[line.Value] {
			value = redacted
		}
		masked = append(masked, operation.HeaderLine{Name: line.Name, Value: value})
	}
	return masked
}
