package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	apiclient "ringback/api/client"
	"ringback/dev/temporalui"
	"ringback/internal/app"
	"ringback/internal/operation"
)

// TestBrowserPageOfAnotherOriginCallsNothing opens a foreign page in Chromium, which
// calls an API without keys and the Temporal UI of the same machine, by their addresses
// and by a name of its own that leads to them.
func TestBrowserPageOfAnotherOriginCallsNothing(t *testing.T) {
	w := newEnvironment(t, startServer(t), quick, endpointAt(receiver(t, "standard"), "WAITING", "{interval: 10m, lifetime: 720h}", "{interval: 1s, attempts: 3}"))
	core, logs := observer.New(zap.InfoLevel)
	api := w.run(t, func(o *app.Options) { o.Log = zap.New(core) }).Client
	w.core.SetStatus("2201", "reserved")
	key := start(t, api, operation.StartRequest{Endpoint: "WAITING", OperationID: "2201"})
	awaitState(t, api, key, observed)
	ui := startUI(t, temporalui.Options{Addr: "127.0.0.1:0", FrontendAddr: w.temporal.addr, Namespace: w.temporal.namespace})
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<title>foreign</title>"))
	}))
	t.Cleanup(foreign.Close)
	ctx := chromium(t, chromedp.Flag("host-resolver-rules", "MAP evil.example 127.0.0.1"))
	b := &browser{t, ctx, api, ui}
	byName := func(base string) string {
		_, port, err := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
		require.NoError(t, err)
		return "http://evil.example:" + port
	}

	path := apiclient.Path(key)
	const begin = `{"endpoint":"LEDGER","operation_id":"2202"}`
	plain := func(method, body string) string {
		if method == http.MethodGet {
			return `{method: "GET", mode: "no-cors"}`
		}
		return fmt.Sprintf(`{method: %q, mode: "no-cors", headers: {"Content-Type": "text/plain"}, body: %q}`, method, body)
	}
	calls := []struct{ path, options string }{
		{path, plain(http.MethodGet, "")},
		{"/v1/operations", plain(http.MethodPost, begin)},
		{path + "/status", plain(http.MethodPost, "")},
		{path + "/revocation", plain(http.MethodPost, `{"initiated_by":"user"}`)},
		{"/v1/operations", fmt.Sprintf(`{method: "POST", headers: {"Content-Type": "application/json"}, body: %q}`, begin)},
		{path, `{method: "DELETE"}`},
	}
	refused := func() int { return logs.FilterField(zap.String("result", "forbidden")).Len() }
	for _, page := range []string{foreign.URL, byName(foreign.URL)} {
		b.do(chromedp.Navigate(page))
		require.Equal(t, "foreign", b.evaluate("document.title"))
		for _, base := range []string{api.Base, byName(api.Base)} {
			for _, call := range calls {
				before := refused()
				got := b.fetch(base+call.path, call.options)
				require.NotContains(t, got, "2201", "%s on %s shows nothing to the page", call.options, base+call.path)
				if page == foreign.URL && base == api.Base && strings.Contains(call.options, "GET") {
					continue // to a browser another port is the same site; the page is not shown the answer
				}
				// The log has at most one such line a second.
				require.Eventually(t, func() bool { b.fetch(base+call.path, call.options); return refused() > before },
					patience, apiclient.AwaitInterval, "%s on %s is refused by the API itself, as %s", call.options, base+call.path, got)
			}
		}
		terminate := ui + "/api/v1/namespaces/" + w.temporal.namespace + "/workflows/" + strings.ReplaceAll(key.WorkflowID(), "/", "%2F") + "/terminate"
		b.fetch(terminate, plain(http.MethodPost, `{"reason":"evil"}`))
		b.fetch(byName(ui)+strings.TrimPrefix(terminate, ui), plain(http.MethodPost, `{"reason":"evil"}`))
	}
	b.do(chromedp.Navigate(byName(ui) + "/"))
	require.Contains(t, b.evaluate(allText), "the header Host must be a loopback name or address")

	state, err := api.State(t.Context(), key)
	require.NoError(t, err)
	require.NotEqual(t, apiclient.PhaseClosed, state.Phase, "nothing was changed")
	require.Equal(t, "reserved", state.Status.Value)
	_, err = api.State(t.Context(), entry("2202").Key())
	require.Equal(t, http.StatusNotFound, apiclient.Status(err), "nothing was started")

	b.do(chromedp.Navigate(api.Base + path))
	require.Contains(t, b.evaluate(allText), `"operation_id":"2201"`, "who types the address sees it")
	b.shows("", 1500, 1000, b.page(key, "history"), "WAITING/2201", "Workflow Execution Started")
}

// fetch lets the page call url, and says what the page gets of it.
func (b *browser) fetch(url, options string) string {
	b.t.Helper()
	b.evaluate(fmt.Sprintf(`(window.got = '', fetch(%q, %s).then(r => r.text().then(text => { window.got = r.type + ' ' + r.status + ' ' + text })).catch(e => { window.got = String(e) }), '')`, url, options))
	got := ""
	require.Eventually(b.t, func() bool {
		got = b.evaluate("window.got")
		return got != ""
	}, patience, apiclient.AwaitInterval)
	return got
}
