package app

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"ringback/api/rest"
	"ringback/internal/operation"
	"ringback/internal/service"
)

func pingService(t *testing.T, receiver string) apiService {
	t.Helper()
	p, _ := loaded(t, fmt.Sprintf(`
egress: {allow: [127.0.0.0/8]}
dialects:
  mute: {json: {status: status}, acknowledged: http.status == 200}
sources:
  wallet: {kind: paysera, base_urls: ["http://127.0.0.1:9002"]}
endpoints:
  LEDGER: {dialect: standard, source: wallet, url: %q, enabled: false, poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}, signing: {secrets: ["${env:PING_SECRET}"]}, auth: {bearer: "${env:PING_BEARER}"}}
  MUTE: {dialect: mute, source: wallet, url: "http://127.0.0.1:1/", poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
  SHOP: {dialect: paysera, source: wallet, callback_url: per_operation, poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
  LISTED: {dialect: paysera, source: wallet, callback_url: per_operation, callback_hosts: [pay.example], poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}, auth: {bearer: "${env:PING_BEARER}"}}
  BURST: {dialect: paysera, source: wallet, url: %q, poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
`, receiver+"/hooks", receiver+"/hooks"))
	return apiService{Service: &service.Service{EndpointNames: p.config.endpointNames}, config: &p.config}
}

func TestAPingIsSentLikeAnAttempt(t *testing.T) {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef01234567"))
	t.Setenv("PING_SECRET", secret)
	t.Setenv("PING_BEARER", "the-token")
	webhook, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/hooks" && (webhook.Verify(body, r.Header) != nil || r.Header.Get("Authorization") != "Bearer the-token") {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer receiver.Close()
	d := pingService(t, receiver.URL)

	got, err := d.Ping(t.Context(), "LEDGER", operation.PingRequest{})
	require.NoError(t, err)
	require.Equal(t, operation.Acknowledged, got.Verdict, "signed, authorised, and also while the endpoint is switched off: %s", got.Reason)
	require.Regexp(t, "^ringback-ping-[a-z2-7]{10}$", got.OperationID)
	require.LessOrEqual(t, len(got.OperationID), 32, "Ukrcard's orderNumber")

	got, err = d.Ping(t.Context(), "SHOP", operation.PingRequest{URL: receiver.URL + "/transfers"})
	require.NoError(t, err)
	require.Equal(t, operation.Acknowledged, got.Verdict, got.Reason)
	require.False(t, got.Signed)
	require.Contains(t, got.Request.Body, "transfer_id=ringback-ping-")
}

func TestAPingThatCanNotBeSentIsRefused(t *testing.T) {
	t.Setenv("PING_SECRET", "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	t.Setenv("PING_BEARER", "the-token")
	d := pingService(t, "http://127.0.0.1:1")
	for name, tt := range map[string]struct {
		endpoint, url, field, says string
	}{
		"an endpoint that is not registered":      {"NOBODY", "", "endpoint", "registered are BURST, LEDGER, LISTED, MUTE, SHOP"},
		"a dialect without a test callback":       {"MUTE", "", "endpoint", "the dialect mute has no ping_status"},
		"a URL where it is fixed":                 {"LEDGER", "http://127.0.0.1:2/", "url", "must be left out"},
		"no URL where each operation brings one":  {"SHOP", "", "url", "is required"},
		"a URL at a host that is not listed":      {"LISTED", "http://127.0.0.1:2/", "url", "has the host 127.0.0.1, which the endpoint's callback_hosts do not list"},
		"a URL that the egress guard refuses":     {"SHOP", "https://169.254.169.254/", "url", "is refused"},
		"plain http to where it is not allowed":   {"SHOP", "http://192.0.2.1/", "url", "plain http"},
		"a URL that holds what looks like a card": {"SHOP", "https://127.0.0.1/4111111111111111", "url", "card number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.Ping(t.Context(), tt.endpoint, operation.PingRequest{URL: tt.url})
			var refused *operation.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, operation.ProblemInvalid, refused.Problem)
			require.Equal(t, tt.field, refused.Fields[0].Field)
			require.Contains(t, refused.Fields[0].Detail, tt.says)
		})
	}
	for range pingLimit.Burst {
		_, err := d.Ping(t.Context(), "BURST", operation.PingRequest{})
		require.NoError(t, err)
	}
	_, err := d.Ping(t.Context(), "BURST", operation.PingRequest{})
	var refused *operation.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, rest.ProblemTooManyRequests, refused.Problem)
	require.Positive(t, refused.RetryAfter)
	_, err = d.Ping(t.Context(), "LEDGER", operation.PingRequest{})
	require.NoError(t, err, "each endpoint by itself")
}
