package receiver

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"ringback/internal/dialect"
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

// Ping makes one test attempt, by the code that makes every attempt: the same
// request but for the message, the same client and the same judgement. in's
// callback is the test callback: its id, its key and a time of observation. It
// shows the whole exchange, secrets masked, and neither counts nor logs it.
func Ping(ctx context.Context, e Endpoint, in Request) operation.Ping {
	seen := &witness{next: e.Client.Transport}
	watched := *e.Client
	watched.Transport = seen
	e.Client, e.Dialect = &watched, pinging{e.Dialect}
	in.Number = 1
	attempt := Send(ctx, e, in).Attempt
	ping := seen.shown(newMask(e.Header, seen.request))
	ping.Endpoint, ping.OperationID, ping.CallbackID = e.Name, in.Callback.Key.OperationID, in.Callback.ID
	ping.Dialect, ping.Signed = e.Dialect.Name(), e.Signer != nil
	ping.At, ping.TookMS = attempt.At, attempt.TookMS
	ping.Verdict, ping.Reason = attempt.Verdict, attempt.Reason
	return ping
}

// pinging is a dialect whose message is its test callback.
type pinging struct{ dialect.Dialect }

// Write is the dialect's Ping.
func (p pinging) Write(c operation.Callback) (dialect.Message, error) { return p.Ping(c) }

// witness is a transport that remembers the one exchange that it made.
type witness struct {
	next http.RoundTripper

	mu sync.Mutex
	// request is as it was handed over, sent what was written of its header.
	request *http.Request
	body    []byte
	sent    []operation.HeaderLine
	remote  string
	tls     *tls.ConnectionState
	answer  *http.Response
	read    *firstBytes
}

// RoundTrip makes the exchange and remembers it.
func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil, err
	}
	w.begin(r, body)
	traced := r.WithContext(httptrace.WithClientTrace(r.Context(), w.trace()))
	traced.Body = io.NopCloser(bytes.NewReader(body))
	response, err := w.next.RoundTrip(traced)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read = &firstBytes{ReadCloser: response.Body, most: pingBodyCap}
	response.Body = w.read
	w.answer, w.tls = response, response.TLS
	return response, nil
}

func (w *witness) begin(r *http.Request, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.request, w.body = r, body
}

// trace notes what is written, also where no answer comes.
func (w *witness) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			// A connection that proved dead is followed by another.
			w.sent, w.remote = nil, info.Conn.RemoteAddr().String()
		},
		TLSHandshakeDone: func(state tls.ConnectionState, _ error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.tls = &state
		},
		WroteHeaderField: func(name string, values []string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, value := range values {
				w.sent = append(w.sent, operation.HeaderLine{Name: name, Value: value})
			}
		},
	}
}

// firstBytes keeps the beginning of what is read through it.
type firstBytes struct {
	io.ReadCloser
	most int
	kept []byte
	more bool
}

// Read reads on, and keeps the beginning.
func (f *firstBytes) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	room := min(n, f.most-len(f.kept))
	f.kept = append(f.kept, p[:room]...)
	f.more = f.more || room < n
	return n, err
}

// shown is what the witness saw, masked.
func (w *witness) shown(m mask) operation.Ping {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.request == nil { // nothing could be written
		return operation.Ping{Request: operation.SentRequest{Headers: []operation.HeaderLine{}}}
	}
	ping := operation.Ping{Request: operation.SentRequest{
		Line: w.requestLine(), Headers: m.headers(w.headers()), Body: m.text(w.body),
	}}
	if w.remote != "" {
		ping.Connection = w.connection()
	}
	if w.answer != nil {
		ping.Answer = &operation.ReceivedAnswer{
			Line: m.text([]byte(w.answer.Proto + " " + w.answer.Status)), HTTPStatus: w.answer.StatusCode,
			Headers: m.received(w.answer.Header), Body: m.text(w.read.kept), Truncated: w.read.more,
		}
	}
	return ping
}

func (w *witness) requestLine() string {
	proto := w.request.Proto
	if w.answer != nil {
		proto = w.answer.Proto
	}
	target := w.request.URL.EscapedPath()
	if target == "" {
		target = "/"
	}
	if query := w.request.URL.Query(); len(query) > 0 {
		for name := range query {
			query.Set(name, redacted)
		}
		target += "?" + strings.ReplaceAll(query.Encode(), url.QueryEscape(redacted), redacted)
	}
	return w.request.Method + " " + target + " " + proto
}

// headers are those written, or where nothing was, those that were to be.
func (w *witness) headers() []operation.HeaderLine {
	if len(w.sent) > 0 {
		return w.sent
	}
	return append([]operation.HeaderLine{{Name: "Host", Value: w.request.URL.Host}}, lines(w.request.Header)...)
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

func (w *witness) connection() *operation.Connection {
	c := &operation.Connection{RemoteAddress: w.remote}
	if w.tls == nil {
		return c
	}
	c.TLSVersion = tls.VersionName(w.tls.Version)
	if len(w.tls.PeerCertificates) > 0 {
		c.ServerCertificate = w.tls.PeerCertificates[0].Subject.String()
	}
	return c
}

// mask hides an endpoint's secrets wherever they come up: a receiver may send
// back what it was sent.
type mask struct {
	secretHeaders http.Header
	values        *strings.Replacer
}

// shortestHidden is the shortest value that is hidden wherever it stands:
// shorter ones would tear other text apart.
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

// signingSecret is how Standard Webhooks writes one, and a private key.
var signingSecret = regexp.MustCompile(`whs(ec|k)_[A-Za-z0-9+/=]{8,}`)

// text is sound text without secrets and card numbers.
func (m mask) text(text []byte) string {
	masked := signingSecret.ReplaceAllString(m.values.Replace(string(bytes.ToValidUTF8(text, []byte("\uFFFD")))), redacted)
	return operation.MaskCardNumbers(masked)
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
