package receiver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ringback/internal/cardnumber"
	"ringback/internal/dialect"
	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

const (
	// pingBodyCap is how much of an answer's body a ping shows.
	pingBodyCap = 4 << 10
	// pingHeaderCap is how many headers of an answer it shows, and
	// pingValueCap how much of each.
	pingHeaderCap = 50
	pingValueCap  = 1 << 10
	// redacted stands for what is not shown.
	redacted = "[redacted]"
)

// Ping makes one test attempt by the code that makes every attempt. in's callback
// is the test callback: its id, its key and a time of observation. The result
// shows the request and the answer with secrets masked.
func Ping(ctx context.Context, e Endpoint, in Request) operation.Ping {
	e.Dialect, in.Number = pinging{e.Dialect}, 1
	var conn net.Conn
	result, made := send(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { conn = info.Conn },
	}), e, in)
	ping := made.show(conn, newMask(e.Header, made.request))
	ping.Endpoint, ping.OperationID, ping.CallbackID = e.Name, in.Callback.Key.OperationID, in.Callback.ID
	ping.Dialect, ping.Signed = e.Dialect.Name(), e.Signer != nil
	ping.At, ping.TookMS = result.Attempt.At, result.Attempt.TookMS
	ping.Verdict, ping.Reason = result.Attempt.Verdict, result.Attempt.Reason
	return ping
}

// pinging is a dialect whose message is its test callback.
type pinging struct{ dialect.Dialect }

// Write is the dialect's Ping.
func (p pinging) Write(c operation.Callback) (dialect.Message, error) { return p.Ping(c) }

// show is what was sent and received, masked. conn is the connection, if there was one.
func (t *transcript) show(conn net.Conn, m mask) operation.Ping {
	if t.request == nil {
		return operation.Ping{Request: operation.SentRequest{Headers: []operation.HeaderLine{}}}
	}
	body, _ := t.request.GetBody() // from memory: neither can fail
	sent, _ := io.ReadAll(body)
	rest := t.request.Header.Clone()
	rest.Del("User-Agent")
	headers := append([]operation.HeaderLine{ // in the order of net/http's HTTP/1
		{Name: "Host", Value: t.request.URL.Host},
		{Name: "User-Agent", Value: t.request.UserAgent()},
		{Name: "Content-Length", Value: strconv.Itoa(len(sent))},
	}, lines(rest)...)
	ping := operation.Ping{Request: operation.SentRequest{
		Line: t.requestLine(), Headers: m.headers(headers), Body: m.text(sent),
	}}
	if conn != nil {
		ping.Connection = connection(conn)
	}
	if t.response != nil {
		ping.Answer = &operation.ReceivedAnswer{
			Line: m.text([]byte(t.response.Proto + " " + t.response.Status)), HTTPStatus: t.response.StatusCode,
			Headers: m.received(t.response.Header), Body: m.text(t.body[:min(len(t.body), pingBodyCap)]),
			Truncated: len(t.body) > pingBodyCap,
		}
	}
	return ping
}

func (t *transcript) requestLine() string {
	proto := t.request.Proto
	if t.response != nil && t.response.ProtoMajor > 1 { // a receiver may answer HTTP/1.1 by 1.0
		proto = t.response.Proto
	}
	target := cmp.Or(t.request.URL.EscapedPath(), "/")
	if query := t.request.URL.Query(); len(query) > 0 {
		for name := range query {
			query.Set(name, redacted)
		}
		target += "?" + strings.ReplaceAll(query.Encode(), url.QueryEscape(redacted), redacted)
	}
	return t.request.Method + " " + target + " " + proto
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

func connection(conn net.Conn) *operation.Connection {
	c := &operation.Connection{RemoteAddress: conn.RemoteAddr().String()}
	if secure, ok := conn.(*tls.Conn); ok {
		state := secure.ConnectionState()
		c.TLSVersion = tls.VersionName(state.Version)
		if len(state.PeerCertificates) > 0 {
			c.ServerCertificate = httpanswer.Tidy(state.PeerCertificates[0].Subject.String(), reasonCap)
		}
	}
	return c
}

// mask hides an endpoint's secrets wherever they stand: a receiver may send back
// what it was sent.
type mask struct {
	secretHeaders http.Header
	values        *strings.Replacer
}

// shortestHidden is the shortest value that is hidden: shorter ones occur in other text.
const shortestHidden = 4

// newMask hides the values of header, all of which are the endpoint's secrets,
// and those of the query of the request, if one was written.
func newMask(header http.Header, r *http.Request) mask {
	var hidden []string
	for _, values := range header {
		for _, value := range values {
			_, credentials, _ := strings.Cut(value, " ")
			hidden = append(hidden, value, credentials)
		}
	}
	if r != nil {
		for _, values := range r.URL.Query() {
			hidden = append(hidden, values...)
		}
	}
	var pairs []string
	for _, value := range hidden {
		if len(value) >= shortestHidden {
			pairs = append(pairs, value, redacted)
		}
	}
	return mask{header, strings.NewReplacer(pairs...)}
}

// signingSecret matches a secret or a private key as Standard Webhooks writes it.
var signingSecret = regexp.MustCompile(`whs(ec|k)_[A-Za-z0-9+/=]{8,}`)

// text is valid UTF-8 without secrets and card numbers.
func (m mask) text(text []byte) string {
	masked := signingSecret.ReplaceAllString(m.values.Replace(string(bytes.ToValidUTF8(text, []byte("\uFFFD")))), redacted)
	return cardnumber.Mask(masked)
}

func (m mask) headers(all []operation.HeaderLine) []operation.HeaderLine {
	masked := make([]operation.HeaderLine, 0, len(all))
	for _, line := range all {
		value := m.text([]byte(line.Value))
		if _, secret := m.secretHeaders[http.CanonicalHeaderKey(line.Name)]; secret {
			value = redacted
		}
		masked = append(masked, operation.HeaderLine{Name: line.Name, Value: value})
	}
	return masked
}

// received are an answer's headers, to a cap; a cookie is a secret of the receiver's.
func (m mask) received(h http.Header) []operation.HeaderLine {
	all := lines(h)
	all = m.headers(all[:min(len(all), pingHeaderCap)])
	for i, line := range all {
		switch {
		case line.Name == "Set-Cookie":
			all[i].Value = redacted
		case len(line.Value) > pingValueCap:
			all[i].Value = strings.ToValidUTF8(line.Value[:pingValueCap], "") + "…"
		}
	}
	return all
}
