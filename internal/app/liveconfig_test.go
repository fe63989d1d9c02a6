package app

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/config"
)

// An operation keeps the dialect that it was started with, whatever its endpoint has now.
func TestAnEndpointInTheDialectOfAnOlderCallback(t *testing.T) {
	t.Setenv("SHARED", "0123456789abcdef")
	p, _ := loaded(t, `
egress: {allow: [127.0.0.0/8]}
dialects:
  plain: {json: {id: operation.operation_id}, acknowledged: http.status == 200}
  shared: {secrets: [shared], headers: {X-Shared: secret.shared}, json: {id: operation.operation_id}, acknowledged: http.status == 200}
sources:
  wallet: {kind: paysera, base_urls: ["http://127.0.0.1:9002"]}
endpoints:
  LEDGER: {dialect: standard, source: wallet, url: "http://127.0.0.1:9103/", poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
  SHOP: {dialect: shared, secrets: {shared: "${env:SHARED}"}, source: wallet, url: "http://127.0.0.1:9103/", poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
`)
	for _, row := range []struct{ endpoint, dialect, lacks string }{
		{"LEDGER", "paysera", ""},
		{"LEDGER", "plain", ""},
		{"LEDGER", "shared", "the dialect shared needs the secret shared, which the endpoint LEDGER has not"},
		{"SHOP", "shared", ""},
		{"SHOP", "standard", ""},
		{"SHOP", "gone", "the dialect gone is not in the configuration"},
	} {
		e, ok := p.config.endpoint(row.endpoint)
		require.True(t, ok)
		got, err := p.config.inDialect(e, row.dialect)
		if row.lacks != "" {
			require.EqualError(t, err, row.lacks)
			continue
		}
		require.NoError(t, err, row)
		require.Equal(t, row.dialect, got.Dialect.Name())
		require.Equal(t, row.dialect == "shared", got.Secrets["shared"] != "", row)
	}
}

// A reload may fall between the two steps in which an attempt finds its endpoint.
func TestAnEndpointsURLAndSecretsAreOfOneConfiguration(t *testing.T) {
	const file = `
egress: {allow: [127.0.0.0/8]}
dialects:
  shared: {secrets: [shared], headers: {X-Shared: secret.shared}, json: {id: operation.operation_id}, acknowledged: http.status == 200}
sources:
  wallet: {kind: paysera, base_urls: ["http://127.0.0.1:9002"]}
endpoints:
  SHOP: {dialect: shared, secrets: {shared: "${env:SHARED}"}, source: wallet, url: "http://127.0.0.1:9103/", poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
`
	t.Setenv("SHARED", "of-the-one-before")
	p, _ := loaded(t, file)
	e, _ := p.config.endpoint("SHOP")
	use := func(text string) {
		c, err := config.Parse("f", []byte(text))
		require.NoError(t, err)
		require.NoError(t, p.config.use("f", c))
	}

	t.Setenv("SHARED", "of-the-next-one")
	use(strings.Replace(file, ":9103/", ":9104/", 1))
	got, err := p.config.inDialect(e, "shared")
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:9104/", got.URL)
	require.Equal(t, "of-the-next-one", got.Secrets["shared"])

	use(strings.Replace(file, "SHOP:", "ANOTHER:", 1))
	_, err = p.config.inDialect(e, "standard")
	require.EqualError(t, err, "the endpoint SHOP is not in the configuration")
}
