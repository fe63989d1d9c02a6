package httpanswer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/accesstoken"
	"ringback/internal/egress"
	"ringback/internal/httpanswer"
)

// stranger is what no sentence may repeat.
const stranger = "EVIL\x1b[31m"

func TestAFailureIsToldByASentenceOfOurs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"a refusal of the egress guard", &egress.RefusedError{Address: "10.0.0.1", Reason: "it is not a public address"}, "no answer: the egress guard refused the address: it is not a public address"},
		{"a name that is not known", &net.DNSError{Err: "no such host", Name: stranger, Server: "10.0.0.53:53", IsNotFound: true}, "no answer: the name could not be resolved"},
		{"a resolver that fails", &net.DNSError{Err: "server misbehaving", Name: stranger, Server: "10.0.0.53:53"}, "no answer: the name could not be resolved"},
		{"a refused connection", dial(syscall.ECONNREFUSED), "no answer: connection refused"},
		{"a host that is not there", dial(syscall.EHOSTUNREACH), "no answer: the host can't be reached"},
		{"a network that is not there", dial(syscall.ENETUNREACH), "no answer: the host can't be reached"},
		{"another failure of a connection", dial(syscall.EADDRNOTAVAIL), "no answer: the connection failed"},
		{"a reset", &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "no answer: the connection was reset"},
		{"an end before the answer", fmt.Errorf("%s: %w", stranger, io.EOF), "no answer: the connection was closed"},
		{"an end within the answer", io.ErrUnexpectedEOF, "no answer: the connection was closed"},
		{"a time that is over", fmt.Errorf("%s: %w", stranger, context.DeadlineExceeded), "no answer within 1500 ms"},
		{"a connection that took too long", dial(os.ErrDeadlineExceeded), "no answer within 1500 ms"},
		{"a request that was given up", context.Canceled, "no answer: the request was given up"},
		{"a status line of others", errors.New("malformed HTTP status code \"" + stranger + "\""), "no answer: not a valid HTTP answer"},
		{"a text of others without quotes", errors.New(stranger), "no answer: not a valid HTTP answer"},
		{"headers over the cap", errors.New("net/http: server response headers exceeded 65536 bytes; aborted"), "no answer: the answer's headers are longer than is read"},
		{"an HTTP/2 stream that was reset", errors.New("stream error: stream ID 1; PROTOCOL_ERROR; received from peer " + stranger), "no answer: the server ended the HTTP/2 stream with PROTOCOL_ERROR"},
		{"a protocol error of HTTP/2", errors.New("connection error: PROTOCOL_ERROR " + stranger), "no answer: the HTTP/2 connection failed"},
		{"a server that goes away", errors.New("http2: Transport received Server's graceful shutdown GOAWAY " + stranger), "no answer: the server closed the HTTP/2 connection"},
		{"a token endpoint that says no", &accesstoken.Error{HTTPStatus: 401, Code: "invalid_client"}, "no answer: no access token: the token endpoint answered HTTP 401 with the error invalid_client"},
		{"a token endpoint that is not there", &accesstoken.Error{Cause: dial(syscall.ECONNREFUSED)}, "no answer: no access token: connection refused"},
		{"a token endpoint that says nothing in time", &accesstoken.Error{Cause: context.DeadlineExceeded, Waited: 2 * time.Second}, "no answer: no access token within 2000 ms"},
		{"a proxy that says no", &egress.ProxyError{HTTPStatus: 403, Err: errors.New(stranger)}, "no answer: the egress proxy answered HTTP 403"},
		{"a proxy that is not there", &egress.ProxyError{Err: dial(syscall.ECONNREFUSED)}, "no answer: no tunnel by the egress proxy: connection refused"},
		{"a proxy that says nothing in time", &egress.ProxyError{Waited: 2 * time.Second, Err: os.ErrDeadlineExceeded}, "no answer within 1500 ms"},
		{"a proxy at a forbidden address", &egress.ProxyError{Err: egress.ErrProxyForbidden}, "no answer: the egress proxy has a link-local or metadata address, which opens only where egress.allow names it alone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, httpanswer.Reason(tt.err, "no answer", 1500*time.Millisecond))
			byClient := &url.Error{Op: "Get", URL: "https://core.test/status", Err: tt.err}
			require.Equal(t, tt.want, httpanswer.Reason(byClient, "no answer", 1500*time.Millisecond), "as http.Client returns it")
		})
	}
}

func dial(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}, Err: os.NewSyscallError("connect", err)}
}

// Real servers, whose certificates hold names that would colour a terminal.
func TestAFailureOfTLSIsToldByASentenceOfOurs(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	good, expired := certificate(t, time.Now().Add(time.Hour)), certificate(t, time.Now().Add(-time.Hour))
	for _, tt := range []struct {
		name   string
		server string
		trusts *tls.Certificate
		host   string
		want   string
	}{
		{"another host's certificate", secure(t, good, tls.NoClientCert), &good, "other.test", "the certificate is not valid for this host name"},
		{"an expired one", secure(t, expired, tls.NoClientCert), &expired, "", "the certificate has expired or is not valid yet"},
		{"one of an unknown authority", secure(t, good, tls.NoClientCert), nil, "", "the certificate is of an unknown authority"},
		{"one where ours is missing", secure(t, good, tls.RequireAnyClientCert), &good, "", "TLS handshake failed: the other side says: certificate required"},
		{"no TLS at all", strings.TrimPrefix(plain.URL, "http://"), nil, "", "the other side does not speak TLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			roots := x509.NewCertPool()
			if tt.trusts != nil {
				roots.AddCert(tt.trusts.Leaf)
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: tt.host, MinVersion: tls.VersionTLS13}}}
			t.Cleanup(client.CloseIdleConnections)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+tt.server, http.NoBody)
			require.NoError(t, err)
			response, err := client.Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
			require.Error(t, err)
			require.Equal(t, "no answer: "+tt.want, httpanswer.Reason(err, "no answer", time.Second))
		})
	}
}

func secure(t *testing.T, certificate tls.Certificate, asks tls.ClientAuthType) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: asks, MinVersion: tls.VersionTLS13}
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "https://")
}

func certificate(t *testing.T, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: stranger}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"shop.test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
