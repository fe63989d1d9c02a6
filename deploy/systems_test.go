package deploy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/config"
	"ringback/internal/operation"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// asked answers nothing, and remembers the request.
type asked struct{ request *http.Request }

// RoundTrip implements [http.RoundTripper].
func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	a.request = r
	return nil, io.EOF
}

// Each system's file is good, and its golden file shows what it asks its core and what it
// sends about each status.
func TestEachSystemSendsWhatItsGoldenFileShows(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	for name, value := range map[string]string{
		"MONO_TOKEN": "mono-token", "SHOP_SIGNING_KEY": string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
		"MOLLIE_API_KEY": "test_key", "PAYPAL_CLIENT_SECRET": "paypal-secret", "SHOP_SIGNING_SECRET": strings.Repeat("secret", 6),
	} {
		t.Setenv(name, value)
	}
	files, err := filepath.Glob("systems/*.yml")
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yml")
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(file)
			require.NoError(t, err)
			require.Empty(t, c.Warnings)
			golden := filepath.Join("testdata", name+".txt")
			got := requestOf(t, c) + "\n" + callbacksOf(t, c)
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got, "write it anew: go test ./deploy -update")
		})
	}
}

// requestOf is the request of the file's one source.
func requestOf(t *testing.T, c *config.Config) string {
	t.Helper()
	var text strings.Builder
	for _, s := range c.Sources {
		kind, known := c.Kind(s.Kind)
		require.True(t, known)
		var core asked
		opened := kind.Open(s.Open(func(*tls.Config, time.Duration) *http.Client { return &http.Client{Transport: &core} }))
		_, err := opened.Poll(t.Context(), operation.Query{OperationID: "tr1"})
		require.Error(t, err, "nobody answers")
		fmt.Fprintf(&text, "%s %s\n", core.request.Method, core.request.URL)
		for _, header := range slices.Sorted(maps.Keys(core.request.Header)) {
			fmt.Fprintf(&text, "%s: %s\n", header, core.request.Header.Get(header))
		}
	}
	return text.String()
}

// callbacksOf are the bodies about each status, for the file's one endpoint.
func callbacksOf(t *testing.T, c *config.Config) string {
	t.Helper()
	var text strings.Builder
	at := operation.At(time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC))
	for name, e := range c.Endpoints {
		endpoint, _ := c.Endpoint(name)
		kind, _ := c.Kind(c.Sources[e.Source].Kind)
		written, known := c.Dialect(e.Dialect)
		require.True(t, known)
		for _, status := range kind.Vocabulary {
			if !endpoint.Rules.Delivers(status) {
				fmt.Fprintf(&text, "%s: nothing is sent\n", status)
				continue
			}
			message, err := written.Write(operation.Callback{
				ID: "cb_1", Key: operation.Key{Endpoint: name, OperationID: "tr1"}, Final: endpoint.Rules.IsFinal(status),
				Observation: operation.Observation{Status: status, ObservedAt: at},
			}, nil)
			require.NoError(t, err)
			fmt.Fprintf(&text, "%s: %s %s %s\n", status, message.Method, message.ContentType, message.Body)
		}
	}
	return text.String()
}
