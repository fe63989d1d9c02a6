package source_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/internal/source"
)

// registered is 09:30 in Kyiv, where winter time is in force.
var registered = operation.At(time.Date(2026, 11, 21, 7, 30, 0, 999_000_000, time.UTC))

func ukrcardQuery() operation.Query {
	return operation.Query{OperationID: "A-1", Method: "p2p_a2c", Reference: operation.Reference{RegisteredAt: &registered}}
}

func ukrcardKind(t testing.TB) source.Kind {
	t.Helper()
	kind, ok := source.KindByName("ukrcard")
	require.True(t, ok)
	return kind
}

func TestUkrcardSendsItsParametersAsHeadersSpelledAsDocumented(t *testing.T) {
	t.Parallel()
	withOrder := ukrcardQuery()
	withOrder.Reference.OrderID = "9f1c1d3e-8a77-4c0e-b0a1-2f5f0a6c7e11"
	for _, tt := range []struct {
		name    string
		query   operation.Query
		details bool
		path    string
		more    []string
		without string
	}{
		{name: "a poll asks /Confirm", query: ukrcardQuery(), path: "POST /wsgate/Confirm HTTP/1.1", without: "orderId"},
		{name: "details are asked of /ConfirmExt", query: ukrcardQuery(), details: true, path: "POST /wsgate/ConfirmExt HTTP/1.1", without: "orderId"},
		{name: "an order id is sent where it is known", query: withOrder, path: "POST /wsgate/Confirm HTTP/1.1", more: []string{"orderId: " + withOrder.Reference.OrderID}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base, received := rawServer(t)
			src := ukrcardKind(t).Open(configOf(&http.Client{}, base+"/wsgate/"))
			var err error
			if tt.details {
				_, err = src.Details(t.Context(), tt.query)
			} else {
				_, err = src.Poll(t.Context(), tt.query)
			}
			require.NoError(t, err)
			lines := <-received
			require.Equal(t, tt.path, lines[0])
			require.Subset(t, lines, append([]string{
				"ExtSystemid: ECOM_GOLD_BANK",
				"login: gold",
				"password: hunter2",
				"orderNumber: A-1",
				"RegDate: 2026-11-21 09:30:00",
				"x-uws-clientdn: GOLDENBANK",
				"Content-Type: application/json;charset=UTF-8",
				"charset: UTF-8",
				"accept: application/json",
				"Content-Length: 0",
			}, tt.more...))
			if tt.without != "" {
				require.NotContains(t, strings.Join(lines, "\n"), tt.without+":")
			}
		})
	}
}

// rawServer answers one request after the other and tells its lines as they
// were sent: net/http would spell the headers its own way.
func rawServer(t *testing.T) (base string, received <-chan []string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	requests := make(chan []string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var lines []string
		scanner := bufio.NewScanner(conn)
		for scanner.Scan() && scanner.Text() != "" {
			lines = append(lines, scanner.Text())
		}
		requests <- lines
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\n{\"respStatus\":200}")
	}()
	return "http://" + listener.Addr().String(), requests
}

func TestUkrcardWritesRegDateInItsZone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, zone, want string
		at               time.Time
	}{
		{"Kyiv in winter, unless told otherwise", "", "2026-11-21 09:30:00", time.Date(2026, 11, 21, 7, 30, 0, 0, time.UTC)},
		{"Kyiv in summer", "", "2026-07-21 10:30:00", time.Date(2026, 7, 21, 7, 30, 0, 0, time.UTC)},
		{"another zone", "UTC", "2026-11-21 07:30:00", time.Date(2026, 11, 21, 7, 30, 0, 0, time.UTC)},
		{"over midnight", "", "2026-11-22 01:30:00", time.Date(2026, 11, 21, 23, 30, 0, 0, time.UTC)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sent := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sent <- r.Header.Get("RegDate")
				_, _ = io.WriteString(w, `{"respStatus":200}`)
			}))
			t.Cleanup(server.Close)
			config := configOf(&http.Client{}, server.URL)
			if tt.zone != "" {
				zone, err := time.LoadLocation(tt.zone)
				require.NoError(t, err)
				config.RegisteredAtZone = zone
			}
			at := operation.At(tt.at)
			query := ukrcardQuery()
			query.Reference.RegisteredAt = &at
			_, err := ukrcardKind(t).Open(config).Poll(t.Context(), query)
			require.NoError(t, err)
			require.Equal(t, tt.want, <-sent)
		})
	}
}

func TestUkrcardSpeaksMutualTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	names := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// As wsGate does: the header must be the certificate's common name.
		if r.Header.Get("x-uws-clientdn") != r.TLS.PeerCertificates[0].Subject.CommonName {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		names <- r.TLS.PeerCertificates[0].Subject.CommonName
		_, _ = io.WriteString(w, `{"orderNumber":"A-1","respStatus":200,"orderStatus":2}`)
	}))
	server.TLS = &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.issue(t, "wsgate")},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool,
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)

	poll := func(t *testing.T, clientDN string, config *tls.Config) (operation.Observation, error) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		t.Cleanup(client.CloseIdleConnections)
		c := configOf(client, server.URL)
		c.Bases[0].ClientDN = clientDN
		return ukrcardKind(t).Open(c).Poll(t.Context(), ukrcardQuery())
	}
	certificate := ca.issue(t, "GOLDENBANK")

	got, err := poll(t, "GOLDENBANK", &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{certificate}})
	require.NoError(t, err)
	require.Equal(t, "2", got.Status)
	require.Equal(t, "GOLDENBANK", <-names)

	var failure *source.Error
	_, err = poll(t, "SILVERBANK", &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{certificate}})
	require.ErrorAs(t, err, &failure)
	require.Equal(t, source.Unauthorized, failure.Kind, "another name than the certificate's")

	_, err = poll(t, "GOLDENBANK", &tls.Config{RootCAs: ca.pool})
	require.ErrorAs(t, err, &failure)
	require.Equal(t, source.Unavailable, failure.Kind, "no client certificate")

	_, err = poll(t, "GOLDENBANK", &tls.Config{RootCAs: newAuthority(t).pool, Certificates: []tls.Certificate{certificate}})
	require.ErrorAs(t, err, &failure)
	require.Equal(t, source.Unavailable, failure.Kind, "a core that another authority vouches for")
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, err, &unknown)
}

// authority is a certificate authority for one test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return authority{certificate, key, pool}
}

func (a authority) issue(t *testing.T, commonName string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: commonName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestACancelledQuestionGoesToNoOtherBaseURL(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	first := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	t.Cleanup(first.Close)
	var asked counter
	second := httptest.NewServer(asked.count(http.NotFoundHandler()))
	t.Cleanup(second.Close)
	_, err := ukrcardKind(t).Open(configOf(&http.Client{}, first.URL, second.URL)).Poll(ctx, ukrcardQuery())
	require.ErrorIs(t, err, context.Canceled)
	require.NotContains(t, err.Error(), second.URL)
	require.Zero(t, asked.Load())
}
