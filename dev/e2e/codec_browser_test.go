package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/temporalui"
)

const codecReaderKey = "a-key-of-those-who-may-read"

// TestBrowserShowsEncryptedPayloadsToReaders opens the same pages of the
// Temporal UI before and after the browser is signed in at the codec server.
func TestBrowserShowsEncryptedPayloadsToReaders(t *testing.T) {
	w := newEnvironment(t, startServer(t), quick)
	uiAddr := heldAddress(t)
	w.useCodec(t, strings.TrimSuffix(onlyA, "}")+fmt.Sprintf(", server: {origins: [%q]}}", "http://"+uiAddr))
	w.setAPI(t, "keys: [{name: ops, sha256: %x, scopes: [start, read, revoke, codec]}]", sha256.Sum256([]byte(codecReaderKey)))
	r := w.run(t)
	api := &apiclient.Client{MaxAttempts: 1, Base: r.Base, Key: codecReaderKey}
	w.core.SetStatus("2131", "new")
	key := start(t, api, entry("2131"))
	awaitState(t, api, key, observed)
	_, err := api.Revoke(t.Context(), key, "user", revocationReason)
	require.NoError(t, err)
	awaitClosed(t, api, key)

	b := w.browseAt(t, api, temporalui.Options{Addr: uiAddr, FrontendAddr: w.temporal.addr, Namespace: w.temporal.namespace, CodecEndpoint: r.Base + "/codec"})
	b.shows("sealed", 1500, 1000, b.page(key, "history"), "LEDGER/2131", "Workflow Execution Started", "Codec Server could not connect")
	require.NotContains(t, b.evaluate(allText), "operation_id")
	b.do(chromedp.Navigate(strings.Replace(r.Base, "http://", "http://ops:"+codecReaderKey+"@", 1) + "/codec"))
	require.Contains(t, b.evaluate(allText), "Signed in")
	b.shows("opened", 1500, 1000, b.page(key, "history"), "LEDGER/2131", "Workflow Execution Started", `"operation_id": "2131"`, `"outcome": "acknowledged"`, "deliver status `revoked`")
	b.shows("opened-details", 1500, 1000, b.page(key, "user-metadata"), "LEDGER/2131", "apart", "status revoked (final)", revocationReason)
}

// TestDevPointsItsUIToTheCodecServer holds that -config FILE with a key is all
// that it takes.
func TestDevPointsItsUIToTheCodecServer(t *testing.T) {
	w := newEnvironment(t, nil, quick)
	w.useCodec(t, onlyA)
	addr := heldAddress(t)
	process := dev(t, "-config", w.config, "-temporal-addr", "127.0.0.1:0", "-ui-addr", "127.0.0.1:0", "-api-addr", addr)
	ui := awaitOutput(t, process, `Temporal UI +(\S+)`)
	awaitOutput(t, process, `(Serving) `)
	var settings struct {
		Codec struct {
			Endpoint           string
			IncludeCredentials bool
		}
	}
	_, err := (&apiclient.Client{MaxAttempts: 1, Base: ui}).Call(t.Context(), http.MethodGet, "/api/v1/settings", nil, &settings)
	require.NoError(t, err)
	require.Equal(t, "http://"+addr+"/codec", settings.Codec.Endpoint)
	require.True(t, settings.Codec.IncludeCredentials)

	asked, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, settings.Codec.Endpoint+"/decode", nil)
	require.NoError(t, err)
	asked.Header.Set("Origin", ui)
	answer, err := http.DefaultClient.Do(asked)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, ui, answer.Header.Get("Access-Control-Allow-Origin"), "the UI's pages may ask")
}
