package receiver

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ringback/internal/dialect"
	"ringback/internal/exchange"
	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

// Ping makes one test attempt by the code that makes every attempt. in's callback
// is the test callback: its id, its key and a time of observation. The result
// shows the request and the answer with secrets masked.
func Ping(ctx context.Context, e Endpoint, in Request) operation.Ping {
	e.Dialect, in.Number = pinging{e.Dialect}, 1
	return Show(ctx, e, in)
}

// Show makes one attempt, and shows the request and the answer with secrets masked.
func Show(ctx context.Context, e Endpoint, in Request) operation.Ping {
	result, made := send(ctx, e, in)
	ping := made.show(e.mask(made))
	ping.Endpoint, ping.OperationID, ping.CallbackID = e.Name, in.Callback.Key.OperationID, in.Callback.ID
	ping.Dialect, ping.Signed = e.Dialect.Name(), e.Signer != nil
	ping.At, ping.TookMS = result.Attempt.At, result.Attempt.TookMS
	ping.Verdict, ping.Reason = result.Attempt.Verdict, result.Attempt.Reason
	return ping
}

// pinging is a dialect whose message is its test callback.
type pinging struct{ dialect.Dialect }

// Write is the dialect's Ping.
func (p pinging) Write(c operation.Callback, secrets map[string]string) (dialect.Message, error) {
	return p.Ping(c, secrets)
}

// show is what was sent and received, masked.
func (t *transcript) show(m exchange.Mask) operation.Ping {
	if t.request == nil {
		return operation.Ping{Request: operation.SentRequest{Headers: []operation.HeaderLine{}}}
	}
	proto := ""
	if t.response != nil && t.response.ProtoMajor > 1 { // a receiver may answer HTTP/1.1 by 1.0
		proto = t.response.Proto
	}
	ping := operation.Ping{Request: m.Request(t.request, proto, false)}
	if t.conn != nil {
		ping.Connection = connection(t.conn)
	}
	if t.response != nil {
		ping.Answer = m.Answer(t.response, t.body)
	}
	return ping
}

func connection(conn net.Conn) *operation.Connection {
	c := &operation.Connection{RemoteAddress: conn.RemoteAddr().String(), TLSVersion: tlsVersion(conn)}
	if secure, ok := conn.(*tls.Conn); ok && len(secure.ConnectionState().PeerCertificates) > 0 {
		c.ServerCertificate = httpanswer.Tidy(secure.ConnectionState().PeerCertificates[0].Subject.String(), reasonCap)
	}
	return c
}

// mask hides an endpoint's secrets, which all of its headers are, what authorized the
// request, and the query of its URL but for the names of its values.
func (e Endpoint) mask(t transcript) exchange.Mask {
	headers, hidden := http.Header{}, slices.Collect(maps.Values(e.Secrets))
	maps.Copy(headers, e.Header)
	if t.request != nil {
		query := t.request.URL.RawQuery
		hidden = append(hidden, query)
		// To some servers a + is a space, to others itself.
		for _, read := range []string{query, strings.ReplaceAll(query, "+", "%2B")} {
			pairs, _ := url.ParseQuery(read)
			for name, values := range pairs {
				if hidden = append(hidden, values...); values[0] == "" {
					hidden = append(hidden, name)
				}
			}
		}
	}
	if t.response != nil && t.response.Request != nil {
		// The transport alone knows an access token.
		headers["Authorization"] = t.response.Request.Header["Authorization"]
	}
	return exchange.NewMask(headers, hidden...)
}
