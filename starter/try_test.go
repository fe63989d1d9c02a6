package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bankConfig has a source and a dialect as data. Its core is at CORE.
const bankConfig = `api: {listen: 127.0.0.1:8080}
egress: {allow: [127.0.0.0/8]}
kinds:
  bank:
    secrets: [token]
    statuses: {PENDING: [], HELD: [rings], PAID: [final, rings]}
    request: {method: GET, path: '/payments/{operation.operation_id}', headers: {X-Token: secret.token}}
    answer:
      answered: has(body.payment)
      about: body.payment.id
      status: body.payment.state
      keep: {code: 'body.payment.?code'}
      details: {amount: 'body.payment.?amount', note: 'body.payment.?note'}
dialects:
  shop:
    method: POST
    json: {payment: operation.operation_id, state: status, code: 'keep.?code'}
    acknowledged: http.status == 200
    signature: {scheme: hmac-sha256, encoding: hex, headers: {signature: X-Signature}}
sources:
  bank: {kind: bank, base_urls: ["CORE"], secrets: {token: "${file:token}"}}
endpoints:
  SHOP:
    dialect: shop
    source: bank
    url: http://127.0.0.1:9103/hooks?key=of-the-url
    poll: {interval: 1m, lifetime: 1h}
    delivery: {interval: 1s, attempts: 3}
    auth: {bearer: "${file:bearer}"}
    signing: {secrets: ["${file:signing}"]}
  AUDIT: {dialect: standard, source: bank, url: "http://127.0.0.1:9103/audit", statuses: [HELD], poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
`

// bank writes that configuration, whose core is at an address, and answers; it returns its folder.
func bank(t *testing.T, core string) string {
	t.Helper()
	return configured(t, map[string]string{
		"ringback.yml": strings.ReplaceAll(bankConfig, "CORE", core), "token": "secret-of-the-core", "bearer": "secret-of-the-shop", "signing": "secret-that-signs-callbacks-of-the-shop",
		"paid.json":    `{"payment": {"id": "42", "state": "PAID", "code": 7, "amount": "10.00", "note": "4111111111111111"}}`,
		"new.json":     `{"payment": {"id": "42", "state": "SOMETHING"}}`,
		"unknown.json": `{"payment": {"error": "no such payment"}}`,
		"page.html":    "<html>",
	})
}

var variesInTry = regexp.MustCompile(`(?i)(webhook-timestamp: )\d+|(X-Signature: )[0-9a-f]{64}|("(?:timestamp|observed_at)":")[^"]+|(in )\d+( ms)`)

func TestTryShowsWhatWouldBecomeOfAnAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		code int
	}{
		"try-source":            {[]string{"source", "bank", "--operation", "42", "--answer", "paid.json"}, exitOK},
		"try-source-json":       {[]string{"source", "bank", "--operation", "42", "--answer", "paid.json", "-o", "json"}, exitOK},
		"try-source-unknown":    {[]string{"source", "bank", "--operation", "42", "--answer", "new.json"}, exitOK},
		"try-source-another":    {[]string{"source", "bank", "--operation", "43", "--answer", "paid.json"}, exitFailed},
		"try-source-refused":    {[]string{"source", "bank", "--operation", "42", "--http-status", "401"}, exitFailed},
		"try-source-not-found":  {[]string{"source", "bank", "--operation", "42", "--answer", "unknown.json", "--http-status", "404"}, exitFailed},
		"try-source-page":       {[]string{"source", "bank", "--operation", "42", "--answer", "page.html", "--http-status", "502"}, exitFailed},
		"try-dialect":           {[]string{"dialect", "shop", "--status", "PAID", "--keep", "code=7"}, exitOK},
		"try-dialect-answered":  {[]string{"dialect", "shop", "--status", "HELD", "--http-status", "200"}, exitOK},
		"try-dialect-not-taken": {[]string{"dialect", "standard", "--status", "HELD", "--answer", "page.html", "--http-status", "404"}, exitUnacknowledged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := bank(t, "https://core.example")
			args := append([]string{"try"}, tt.args...)
			for i, arg := range args {
				if strings.HasSuffix(arg, ".json") || strings.HasSuffix(arg, ".html") {
					args[i] = filepath.Join(dir, arg)
				}
			}
			got := bare(nil, append(args, "--config", filepath.Join(dir, "ringback.yml"))...)
			require.Equal(t, tt.code, got.code, got.err)
			requireNoSecret(t, got.out+got.err)
			golden(t, name, variesInTry.ReplaceAllString(got.out, "$1$2$3$4…$5"))
		})
	}
}

func requireNoSecret(t *testing.T, shown string) {
	t.Helper()
	for _, secret := range []string{"secret-of-the-core", "secret-of-the-shop", "secret-that-signs", "of-the-url", "4111111111111111"} {
		require.NotContains(t, shown, secret)
	}
}

func TestTrySourceAsksTheCoreOnce(t *testing.T) {
	t.Parallel()
	asked := 0
	core := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		_, _ = io.WriteString(w, `{"payment": {"id": "42", "state": "HELD", "amount": "`+r.Header.Get("X-Token")+`"}}`)
	}))
	t.Cleanup(core.Close)
	got := bare(nil, "try", "source", "bank", "--operation", "42", "--config", filepath.Join(bank(t, core.URL), "ringback.yml"))
	require.Equal(t, exitOK, got.code, got.err)
	require.Equal(t, 1, asked)
	require.Contains(t, got.out, "X-Token: [redacted]")
	require.Contains(t, got.out, `amount = "[redacted]"`, "a core may send back what it was sent")
	require.Contains(t, got.out, "SHOP gets a callback about HELD in the dialect shop.\n")
	requireNoSecret(t, got.out)
}

// TestTryHidesASecretThatTheOtherSideSendsBack: a short one, one that JSON escapes, and
// Basic's, which is written in base64.
func TestTryHidesASecretThatTheOtherSideSendsBack(t *testing.T) {
	t.Parallel()
	const escaped = `qu"o<te&x`
	core := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("X-Pin"))
		_ = json.NewEncoder(w).Encode(map[string]any{"payment": map[string]string{
			"id": "42", "state": "HELD", "amount": r.Header.Get("Authorization"), "note": r.Header.Get("X-Token"), "code": url.QueryEscape(r.Header.Get("X-Token")),
		}})
	}))
	t.Cleanup(core.Close)
	file := strings.NewReplacer(
		"secrets: [token]", "secrets: [token, pin]", "X-Token: secret.token", "X-Token: secret.token, X-Pin: secret.pin",
		`secrets: {token: "${file:token}"}`, `secrets: {token: "${file:token}", pin: "${file:pin}"}, auth: {basic: {username: ann, password: "${file:password}"}}`,
	).Replace(bankConfig)
	dir := configured(t, map[string]string{
		"ringback.yml": strings.ReplaceAll(file, "CORE", core.URL), "token": escaped, "pin": "7k", "password": "of-ann",
		"bearer": "secret-of-the-shop", "signing": "secret-that-signs-callbacks-of-the-shop",
	})
	for _, format := range []string{"table", "json"} {
		got := bare(nil, "try", "source", "bank", "--operation", "42", "--config", filepath.Join(dir, "ringback.yml"), "-o", format)
		require.Equal(t, exitOK, got.code, got.err)
		for _, secret := range []string{"te&x", `te\u0026x`, "te%26x", "7k", "of-ann", base64.StdEncoding.EncodeToString([]byte("ann:of-ann"))} {
			require.NotContains(t, got.out, secret)
		}
		require.Contains(t, got.out, "X-Echo")
	}
}

// TestTryHidesAnAccessTokenThatTheCoreSendsBack: the token is in no file, and the core
// need not write Bearer before it.
func TestTryHidesAnAccessTokenThatTheCoreSendsBack(t *testing.T) {
	t.Parallel()
	const token = "token-of-the-token-endpoint"
	core := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/token" {
			_, _ = io.WriteString(w, `{"access_token": "`+token+`", "token_type": "Bearer"}`)
			return
		}
		sent := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		w.Header().Set("X-Echo", sent)
		_, _ = io.WriteString(w, `{"payment": {"id": "42", "state": "HELD", "amount": "`+sent+`", "note": "of `+sent+`"}}`)
	}))
	t.Cleanup(core.Close)
	dir := bank(t, core.URL)
	file := filepath.Join(dir, "ringback.yml")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	withTokens := strings.Replace(string(content), `secrets: {token: "${file:token}"}`, `secrets: {token: "${file:token}"}, auth: {oauth2: {token_url: "`+core.URL+`/token", client_id: shop, client_secret: "${file:bearer}"}}`, 1)
	require.NoError(t, os.WriteFile(file, []byte(withTokens), 0o600))
	for _, format := range []string{"table", "json"} {
		got := bare(nil, "try", "source", "bank", "--operation", "42", "--config", file, "-o", format)
		require.Equal(t, exitOK, got.code, got.err)
		require.Contains(t, got.out, "of [redacted]")
		require.NotContains(t, got.out, token)
	}
}

// A core may answer at length; what is shown has an end.
func TestTryShowsTheBeginningOfALongValue(t *testing.T) {
	t.Parallel()
	dir := bank(t, "https://core.example")
	long := filepath.Join(dir, "long.json")
	require.NoError(t, os.WriteFile(long, []byte(`{"payment": {"id": "42", "state": "PAID`+strings.Repeat("x", 50_000)+`"}}`), 0o600))
	got := bare(nil, "try", "source", "bank", "--operation", "42", "--answer", long, "--config", filepath.Join(dir, "ringback.yml"))
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.out, "PAIDxxx")
	require.Contains(t, got.out, "xxx…")
	require.Less(t, len(got.out), 20_000)
	got = bare(nil, "try", "source", "bank", "--operation", "42", "--answer", long, "-o", "json", "--config", filepath.Join(dir, "ringback.yml"))
	require.True(t, json.Valid([]byte(got.out)))
	require.Less(t, len(got.out), 20_000)
}

func TestTrySaysWhichStatusAnEndpointNeverSends(t *testing.T) {
	t.Parallel()
	file := filepath.Join(bank(t, "https://core.example"), "ringback.yml")
	for _, tt := range []struct{ dialect, status, says string }{
		{"shop", "PAYD", "SHOP never sends it: PAYD is no status of the kind bank (did you mean PAID?)."},
		{"shop", "PENDING", "SHOP never sends it: PENDING does not ring in the kind bank."},
		{"standard", "PAID", "AUDIT never sends it, unless a start asks for it: its statuses have no PAID."},
		{"shop", "PAID", ""},
	} {
		got := bare(nil, "try", "dialect", tt.dialect, "--status", tt.status, "--config", file)
		require.Equal(t, exitOK, got.code, got.err)
		require.Contains(t, got.out, tt.says)
		require.Equal(t, tt.says != "", strings.Contains(got.out, "never sends it"), got.out)
	}
}

func TestTryExplainsWhatItCanNotTry(t *testing.T) {
	t.Parallel()
	dir := bank(t, "https://core.example")
	file := filepath.Join(dir, "ringback.yml")
	for _, tt := range []struct {
		says string
		args []string
	}{
		{"no configuration file", []string{"try", "source", "bank", "--operation", "42"}},
		{`there is no source "bnak" in this file (did you mean bank?); it has: bank`, []string{"try", "source", "bnak", "--operation", "42", "--config", file}},
		{`required flag(s) "operation"`, []string{"try", "source", "bank", "--config", file}},
		{"reading the answer", []string{"try", "source", "bank", "--operation", "42", "--answer", filepath.Join(dir, "none"), "--config", file}},
		{"--http-status 9", []string{"try", "source", "bank", "--operation", "42", "--http-status", "9", "--config", file}},
		{`there is no dialect "sohp"`, []string{"try", "dialect", "sohp", "--status", "PAID", "--config", file}},
		{`there is no dialect "standrd" in this file (did you mean standard?); it has: paysera, shop, standard, ukrcard`, []string{"try", "dialect", "standrd", "--status", "PAID", "--config", file}},
		{`AUDIT is of the dialect standard`, []string{"try", "dialect", "shop", "--status", "PAID", "--endpoint", "AUDIT", "--config", file}},
	} {
		got := bare(nil, tt.args...)
		require.Equal(t, exitUsage, got.code, "%v: %s", tt.args, got.err)
		require.Contains(t, got.err, tt.says)
	}
}
