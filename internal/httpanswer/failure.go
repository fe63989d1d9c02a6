package httpanswer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"time"

	"ringback/internal/accesstoken"
	"ringback/internal/egress"
)

// Reason says why what is missing, no answer or no whole one, did not come within the
// time that was waited.
func Reason(err error, missing string, waited time.Duration) string {
	if call, ok := errors.AsType[*url.Error](err); ok {
		err = call.Err // its text would stand before those that are known by their beginning
	}
	if IsTimeout(err) {
		return fmt.Sprintf("%s within %d ms", missing, waited.Milliseconds())
	}
	return missing + ": " + explain(err)
}

// IsTimeout reports whether err is a time-out.
func IsTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout()
}

// explain is the sentence for the failure of a request. The sentences are all here:
// they repeat nothing of err but numbers and names of a protocol's own list, since
// err holds addresses and what the other side wrote.
func explain(err error) string {
	if token, ok := errors.AsType[*accesstoken.Error](err); ok {
		if token.Cause != nil {
			return Reason(token.Cause, "no access token", token.Waited)
		}
		return "no access token: " + token.Error()
	}
	if errors.Is(err, egress.ErrProxyForbidden) {
		return egress.ErrProxyForbidden.Error()
	}
	if proxy, ok := errors.AsType[*egress.ProxyError](err); ok {
		if proxy.HTTPStatus != 0 {
			return fmt.Sprintf("the egress proxy answered HTTP %d", proxy.HTTPStatus)
		}
		return Reason(proxy.Err, "no tunnel by the egress proxy", proxy.Waited)
	}
	if refused, ok := errors.AsType[*egress.RefusedError](err); ok {
		return "the egress guard refused the address: " + refused.Reason
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name could not be resolved"
	}
	if sentence := explainTLS(err); sentence != "" {
		return sentence
	}
	if sentence := explainHTTP2(err); sentence != "" {
		return sentence
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "the request was given up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the host can't be reached"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed"
	case strings.Contains(err.Error(), headersTooLong):
		return "the answer's headers are longer than is read"
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return "the connection failed"
	}
	return "not a valid HTTP answer"
}

// headersTooLong is a part of net/http's error for headers over the cap, which has no type.
const headersTooLong = "response headers exceeded"

func explainTLS(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is not valid for this host name"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is of an unknown authority"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "the certificate has expired or is not valid yet"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate is not valid"
	}
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	failed, _ := errors.AsType[*net.OpError](err)
	switch {
	case noTLS, errors.Is(err, http.ErrSchemeMismatch):
		return "the other side does not speak TLS"
	case failed != nil && failed.Op == "remote error":
		// The peer sends a code alone; the text is crypto/tls's name for it (RFC 8446, 6).
		return "TLS handshake failed: the other side says: " + strings.TrimPrefix(failed.Err.Error(), "tls: ")
	case strings.HasPrefix(err.Error(), "tls: "):
		return "TLS handshake failed"
	}
	return ""
}

// streamError matches net/http's error on an HTTP/2 stream that was reset, with the
// code's name (RFC 9113, 7).
var streamError = regexp.MustCompile(`stream error: stream ID \d+; ([A-Z0-9_]+)`)

func explainHTTP2(err error) string {
	text := err.Error()
	if code := streamError.FindStringSubmatch(text); code != nil {
		return "the server ended the HTTP/2 stream with " + code[1]
	}
	switch {
	case IsGoAway(err):
		return "the server closed the HTTP/2 connection"
	case strings.HasPrefix(text, "http2: "), strings.HasPrefix(text, "connection error: "):
		return "the HTTP/2 connection failed"
	}
	return ""
}

// goAway is the text of net/http's error where an HTTP/2 server closed the
// connection and did not process this stream (RFC 9113, 6.8). The error has no
// type; should its text change, such an attempt counts.
const goAway = "http2: Transport received Server's graceful shutdown GOAWAY"

// IsGoAway reports whether an HTTP/2 server closed the connection before it processed
// the request.
func IsGoAway(err error) bool { return strings.Contains(err.Error(), goAway) }
