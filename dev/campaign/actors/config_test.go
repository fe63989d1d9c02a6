package actors_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/actors"
	"ringback/dev/campaign/plan"
	"ringback/internal/config"
	"ringback/internal/operation"
)

var urls = actors.URLs{
	WSGate: "http://127.0.0.1:7001", Paysera: "http://127.0.0.1:7002", Gateway: "http://127.0.0.1:7005",
	Receivers: "http://127.0.0.1:7004",
}

func load(t *testing.T) *config.Config {
	t.Helper()
	for _, variable := range actors.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	c, err := config.Parse("ringback.yml", []byte(actors.Config(urls)))
	require.NoError(t, err)
	return c
}

func TestConfigHasThePlansEndpointsAndSources(t *testing.T) {
	c := load(t)
	require.Len(t, c.Endpoints, len(plan.Endpoints))
	for _, e := range plan.Endpoints {
		got, ok := c.Endpoint(e.Name)
		require.True(t, ok, e.Name)
		want := e.Policy
		want.Push = operation.PushTrust
		require.Equal(t, want, got.Policy, e.Name)
		require.Equal(t, e.Dialect, got.Dialect)
		require.Equal(t, e.SourceKind, got.SourceKind)
		require.Equal(t, e.SourceName(), c.Endpoints[e.Name].Source)
		require.Equal(t, e.PerOperationURL, got.PerOperationURL)
		require.Equal(t, e.Signed, len(c.Endpoints[e.Name].Signing.Secrets) == 1)
		if !e.PerOperationURL {
			require.Equal(t, "http://127.0.0.1:7004/"+e.Dialect+"/"+e.Name, c.Endpoints[e.Name].URL)
		}
	}
	for name, want := range map[string][]string{
		"ukrcard": {urls.WSGate}, "paysera": {urls.Paysera}, "paysera-gateway": {urls.Gateway, urls.Paysera},
	} {
		for i, base := range c.Sources[name].BaseURLs {
			require.Equal(t, want[i], base.URL)
		}
		require.Len(t, c.Sources[name].BaseURLs, len(want))
	}
	require.Len(t, c.Sources, len(plan.Sources))
	require.Empty(t, c.Warnings)
}
