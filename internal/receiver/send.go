// Package receiver sends callbacks to registered receivers: one request, the
// verdict on its answer, and the isolation of one receiver from the others. It
// knows no Temporal and keeps no record.
package receiver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"time"

	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

// answerCap is how much of an answer's body is read: acknowledgements are short.
const answerCap = 64 << 10

// Endpoint is a registered receiver as the worker knows it, secrets included.
// It is looked up by name at each attempt (promise 14).
type Endpoint struct {
	Name    string
	Dialect dialect.Dialect
	// URL is empty where each operation brings its own.
	URL string
	// Hosts are the only ones that an operation's own URL may have; none: any.
	Hosts  operation.AllowedHosts
	Client *http.Client
	// Signer may be nil: then no signature is sent.
	Signer *dialect.Signer
	// Header is sent with each attempt: authorization and configured headers.
	Header http.Header
	// Secrets are those that the headers of a dialect of your own may hold, by name.
	Secrets map[string]string
	// HonorRetryAfter lets the receiver lengthen h (promise 5's one exception).
	HonorRetryAfter bool
	// MaxConcurrent bounds the attempts in flight in this worker; 0: the default.
	MaxConcurrent int
	// OnHold says that no callback is to be sent for now. A ping is.
	OnHold bool
}

// Host is that of the requests of an operation that brought url.
func (e Endpoint) Host(url string) string { return operation.HostPort(e.address(url)) }

// address is where the requests of an operation that brought url go.
func (e Endpoint) address(url string) string { return cmp.Or(url, e.URL) }

// Request asks for one attempt.
type Request struct {
	Callback operation.Callback `json:"callback"`
	// URL is the one that the operation's start brought; empty: the endpoint's.
	URL string `json:"url,omitempty"`
	// TimeoutMS bounds the whole call, the answer's body included.
	TimeoutMS int64 `json:"timeout_ms"`
	// Number is the attempt's, counted from 1 over the callback's life.
	Number int `json:"number"`
}

func (r Request) timeout() time.Duration { return time.Duration(r.TimeoutMS) * time.Millisecond }

// Result is one attempt, or why none was made.
type Result struct {
	// HeldBack says that no attempt was made, and why.
	HeldBack string `json:"held_back,omitempty"`
	// OnHold says that the endpoint is on hold.
	OnHold  bool              `json:"on_hold,omitempty"`
	Attempt operation.Attempt `json:"attempt,omitzero"`
	// Host is that of the URL that was called.
	Host string `json:"host,omitempty"`
	// Ended is operation.DeliveryGone if no further attempt may be made, else empty;
	// Reason says why.
	Ended  operation.DeliveryOutcome `json:"ended,omitempty"`
	Reason string                    `json:"reason,omitempty"`
	// NotBefore is the receiver's Retry-After, where it is honoured.
	NotBefore operation.Time `json:"not_before,omitzero"`
	// RemoteAddress is as in operation.Attempt, also where it is internal.
	RemoteAddress string `json:"-"`
	// Took is how long the attempt took, by the monotonic clock.
	Took time.Duration `json:"-"`
}

// Send makes one attempt and judges it; what went wrong is in the result.
func Send(ctx context.Context, e Endpoint, in Request) Result {
	result, _ := send(ctx, e, in)
	return result
}

func send(ctx context.Context, e Endpoint, in Request) (Result, transcript) {
	var t transcript
	started := time.Now()
	result := t.make(ctx, e, in)
	ended := time.Now()
	result.Took, result.Host = ended.Sub(started), e.Host(in.URL)
	// h counts from the end, so the times are those of the clock as it is then,
	// also where it was set meanwhile.
	result.Attempt.Number, result.Attempt.At = in.Number, operation.At(ended.Add(-result.Took))
	result.Attempt = result.Attempt.EndedBy(ended)
	result.Attempt.Reason = httpanswer.Tidy(result.Attempt.Reason, reasonCap)
	if t.conn != nil {
		result.RemoteAddress = t.conn.RemoteAddr().String()
		result.Attempt.RemoteAddress, result.Attempt.TLSVersion = shownAddress(result.RemoteAddress), tlsVersion(t.conn)
	}
	if !t.answeredAt.IsZero() {
		result.Attempt.FirstByteMS = operation.CeilMS(t.answeredAt.Sub(started))
	}
	return result, t
}

// transcript is what an attempt sent and received.
type transcript struct {
	// request is nil where none could be written, response where none came.
	request  *http.Request
	response *http.Response
	// body is the answer's, to the cap and one byte more.
	body []byte
	// conn is the connection, if there was one; answeredAt when the answer's first byte
	// came on it, if one did.
	conn       net.Conn
	answeredAt time.Time
}

// shownAddress is an address as readers of a state may see it: an internal one would tell
// them about our own network.
func shownAddress(address string) string {
	remote, err := netip.ParseAddrPort(address)
	if err != nil || !egress.IsPublic(remote.Addr().Unmap().WithZone("")) {
		return operation.Internal
	}
	return address
}

// tlsVersion is empty for plain http.
func tlsVersion(conn net.Conn) string {
	if secure, ok := conn.(*tls.Conn); ok {
		return tls.VersionName(secure.ConnectionState().Version)
	}
	return ""
}

func (t *transcript) make(ctx context.Context, e Endpoint, in Request) Result {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, in.timeout())
	defer cancel()
	waited := func() time.Duration {
		if ctx.Err() != nil {
			return in.timeout()
		}
		return time.Since(begun)
	}
	if fault := e.Hosts.Check(in.URL); in.URL != "" && fault != "" {
		result := unacknowledged("the URL of the operation " + fault)
		result.Ended, result.Reason = operation.DeliveryGone, operation.ReasonHost
		return result
	}
	var err error
	if t.request, err = newRequest(ctx, e, in); err != nil {
		return unacknowledged("the callback could not be written: " + err.Error())
	}
	response, err := t.roundTrip(ctx, e.Client.Transport)
	if err != nil {
		return failed(err, "no answer", waited())
	}
	defer func() { _ = response.Body.Close() }()
	t.response = response
	t.body, err = io.ReadAll(io.LimitReader(response.Body, answerCap+1))
	result := t.judge(e, in.Callback, err != nil)
	if err != nil && result.Attempt.Verdict != operation.Acknowledged && result.Ended == "" {
		result.Attempt.Reason = failed(err, "no whole answer", waited()).Attempt.Reason
	}
	return result
}

func newRequest(ctx context.Context, e Endpoint, in Request) (*http.Request, error) {
	message, err := e.Dialect.Write(in.Callback, e.Secrets)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, cmp.Or(message.Method, http.MethodPost), e.address(in.URL), bytes.NewReader(message.Body))
	if err != nil {
		return nil, errors.New("the address is not a URL")
	}
	maps.Copy(request.Header, message.Header)
	maps.Copy(request.Header, e.Header)
	request.Header.Set("Content-Type", message.ContentType)
	request.Header.Set("User-Agent", "Ringback")
	// Answers are judged as they are received: nothing here decompresses them.
	request.Header.Set("Accept-Encoding", "identity")
	if message.Accept != "" {
		request.Header.Set("Accept", message.Accept)
	}
	signed, err := e.Signer.Headers(dialect.Outgoing{ID: in.Callback.ID, At: time.Now(), Request: request, Body: message.Body})
	if err != nil {
		return nil, err
	}
	for name, values := range signed {
		request.Header.Del(name)
		if strings.HasPrefix(name, "Webhook-") {
			// Verifiers of Standard Webhooks look for these names as the standard
			// writes them, some of them case by case.
			name = strings.ToLower(name)
		}
		request.Header[name] = values
	}
	return request, nil
}

// roundTrip sends the request once (promise 5). If a kept connection was closed by its
// other end before anything was written, the next one is used; the failure of a new
// one is returned. The transport alone follows no redirect.
func (t *transcript) roundTrip(ctx context.Context, transport http.RoundTripper) (*http.Response, error) {
	request := t.request
	for {
		w := &writing{}
		try := request.WithContext(httptrace.WithClientTrace(ctx, w.trace()))
		try.Body, _ = request.GetBody() // from memory: can't fail
		// With it, net/http would repeat by itself what may have been received
		// (Request.isReplayable, http2shouldRetryRequest).
		try.GetBody = nil
		response, err := transport.RoundTrip(try)
		t.conn, t.answeredAt = w.connected()
		if err == nil || !w.wroteNothing(err) {
			return response, err
		}
	}
}
