package simulator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/simulator"
)

var wsgate = simulator.WSGateOptions{ExtSystemID: "ECOM_GOLD_BANK", Login: "gold", Password: "secret", ClientDN: "GOLDENBANK"}

func confirmHeader() map[string]string {
	return map[string]string{
		"ExtSystemid": "ECOM_GOLD_BANK", "login": "gold", "password": "secret", "x-uws-clientdn": "GOLDENBANK",
		"orderNumber": "A2C-1", "RegDate": "2026-11-21 09:30:00", "accept": "application/json",
	}
}

func startWSGate(t *testing.T, o simulator.WSGateOptions) *simulator.WSGate {
	t.Helper()
	g, err := simulator.StartWSGate("127.0.0.1:0", o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func TestWSGateAnswersItsScriptAndRepeatsTheLast(t *testing.T) {
	t.Parallel()
	g := startWSGate(t, wsgate)
	g.Script("A2C-1", simulator.Statuses(0, 5, 2)...)
	var got []float64
	for range 4 {
		status, body := ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
		require.Equal(t, http.StatusOK, status)
		require.EqualValues(t, 200, body["respStatus"])
		got = append(got, body["orderStatus"].(float64))
	}
	require.Equal(t, []float64{0, 5, 2, 2}, got)
	require.Len(t, g.Questions("A2C-1"), 4)
	require.Empty(t, g.Questions("A2C-1")[0].Header.Get("password"))
}

func TestWSGateConfirmExtTakesNoAnswerAwayAndShowsMore(t *testing.T) {
	t.Parallel()
	g := startWSGate(t, wsgate)
	g.Script("A2C-1", simulator.Statuses(0, 2)...)
	_, body := ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/ConfirmExt", confirmHeader())
	require.EqualValues(t, 0, body["orderStatus"])
	require.Contains(t, body, "cardAuthInfo")
	_, body = ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	require.EqualValues(t, 0, body["orderStatus"])
	require.NotContains(t, body, "cardAuthInfo")
}

func TestWSGateRefusesWhatTheDocumentDoes(t *testing.T) {
	t.Parallel()
	g := startWSGate(t, wsgate)
	g.Script("A2C-1", simulator.Statuses(2)...)
	for name, tt := range map[string]struct {
		header, value string
		status        int
	}{
		"a wrong password":             {"password", "wrong", http.StatusUnauthorized},
		"another login":                {"login", "silver", http.StatusUnauthorized},
		"another system":               {"ExtSystemid", "OTHER", http.StatusUnauthorized},
		"another certificate's name":   {"x-uws-clientdn", "SILVERBANK", http.StatusForbidden},
		"no order number":              {"orderNumber", "", http.StatusBadRequest},
		"an order number of 33":        {"orderNumber", "123456789012345678901234567890123", http.StatusBadRequest},
		"a date of another form":       {"RegDate", "2026-11-21T09:30:00", http.StatusBadRequest},
		"no such date":                 {"RegDate", "2026-13-21 09:30:00", http.StatusBadRequest},
		"an order id of 37 characters": {"orderId", "1234567890123456789012345678901234567", http.StatusBadRequest},
		"no accept":                    {"accept", "*/*", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := confirmHeader()
			header[tt.header] = tt.value
			status, _ := ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", header)
			require.Equal(t, tt.status, status)
		})
	}
}

func TestWSGateCanErrThrottleAndDrop(t *testing.T) {
	t.Parallel()
	g := startWSGate(t, wsgate)
	g.Script("A2C-1",
		simulator.WSGateAnswer{HTTPStatus: http.StatusTooManyRequests, RetryAfter: "7"},
		simulator.WSGateAnswer{HTTPStatus: http.StatusInternalServerError},
		simulator.WSGateAnswer{RespStatus: 503},
		simulator.WSGateAnswer{Body: "<html>"},
		simulator.WSGateAnswer{Drop: true},
	)
	response := do(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.Equal(t, "7", response.Header.Get("Retry-After"))
	require.NoError(t, response.Body.Close())

	status, _ := ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	require.Equal(t, http.StatusInternalServerError, status)

	_, body := ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	require.EqualValues(t, 503, body["respStatus"])
	require.NotContains(t, body, "orderStatus")

	response = do(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "<html>", string(text))

	_, err = http.DefaultClient.Do(request(t, http.MethodPost, g.URL()+"/Confirm", confirmHeader()))
	require.Error(t, err)
}

func TestWSGateDoesNotKnowAnOrderWithoutAScript(t *testing.T) {
	t.Parallel()
	g := startWSGate(t, wsgate)
	status, body := ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 404, body["respStatus"])
	require.NotContains(t, body, "orderStatus")
}

func TestClosingASimulatorEndsWhatItIsDelaying(t *testing.T) {
	t.Parallel()
	g, err := simulator.StartWSGate("127.0.0.1:0", wsgate)
	require.NoError(t, err)
	g.Script("A2C-1", simulator.WSGateAnswer{Delay: time.Hour})
	failed := make(chan error, 1)
	r := request(t, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	go func() {
		response, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = response.Body.Close()
		}
		failed <- err
	}()
	require.Eventually(t, func() bool { return len(g.Questions("A2C-1")) == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, g.Close())
	require.Error(t, <-failed)
}

func TestWSGateWantsTheCertificateThatTheHeaderNames(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	o := wsgate
	o.ClientDN = ""
	o.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "wsgate")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool, MinVersion: tls.VersionTLS12}
	g := startWSGate(t, o)
	g.Script("A2C-1", simulator.Statuses(2)...)

	golden := ca.client(ca.issue(t, "GOLDENBANK"))
	status, _ := ask(t, golden, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	require.Equal(t, http.StatusOK, status)

	silver := ca.client(ca.issue(t, "SILVERBANK"))
	status, _ = ask(t, silver, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	require.Equal(t, http.StatusForbidden, status)

	_, err := ca.client().Do(request(t, http.MethodPost, g.URL()+"/Confirm", confirmHeader()))
	require.Error(t, err)
}

// authority is a certificate authority of one test.
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
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return authority{certificate: certificate, key: key, pool: pool}
}

func (a authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a authority) client(certificates ...tls.Certificate) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: a.pool, Certificates: certificates, MinVersion: tls.VersionTLS12},
	}}
}

func request(t *testing.T, method, url string, header map[string]string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	require.NoError(t, err)
	for name := range maps.Keys(header) {
		if header[name] != "" {
			r.Header[name] = []string{header[name]}
		}
	}
	return r
}

func do(t *testing.T, client *http.Client, method, url string, header map[string]string) *http.Response {
	t.Helper()
	response, err := client.Do(request(t, method, url, header))
	require.NoError(t, err)
	return response
}

func ask(t *testing.T, client *http.Client, method, url string, header map[string]string) (int, map[string]any) {
	t.Helper()
	response := do(t, client, method, url, header)
	defer response.Body.Close()
	var body map[string]any
	require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
	return response.StatusCode, body
}

func TestWSGateCanBeAnsweredForByItsOwner(t *testing.T) {
	t.Parallel()
	o := wsgate
	var asked []simulator.Question
	o.Answer = func(order string, q simulator.Question) (simulator.WSGateAnswer, bool) {
		asked = append(asked, q)
		return simulator.WSGateAnswer{OrderStatus: 5}, order == "A2C-1"
	}
	g := startWSGate(t, o)
	_, body := ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", confirmHeader())
	require.EqualValues(t, 5, body["orderStatus"])
	header := confirmHeader()
	header["orderNumber"] = "another"
	_, body = ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", header)
	require.EqualValues(t, 404, body["respStatus"])
	header["password"] = "wrong"
	status, _ := ask(t, http.DefaultClient, http.MethodPost, g.URL()+"/Confirm", header)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Len(t, asked, 3)
	require.Empty(t, asked[1].Refused)
	require.NotEmpty(t, asked[2].Refused)
	require.Empty(t, asked[2].Header.Get("password"))
	require.Empty(t, g.Questions("A2C-1"), "nothing is remembered")
}
