package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/proc"
	"ringback/dev/simulator"
	"ringback/dev/temporalui"
	"ringback/internal/operation"
)

// pictures writes the pictures of docs/images (CONTRIBUTING.md).
var pictures = flag.String("pictures", "", "the `folder` to write the browser's pictures of the Temporal UI to")

// TestBrowserShowsOperationsToOperators opens the Temporal UI with Chromium and
// reads there what docs/operations/ui.md says is to be read.
func TestBrowserShowsOperationsToOperators(t *testing.T) {
	shops := receiver(t, "standard")
	w := newEnvironment(t, startServer(t), policies{
		poll: "{interval: 10m, lifetime: 720h}",
		// So long that no second attempt falls due while the pages are looked at.
		delivery: "{interval: 1h, attempts: 10, timeout: 5s}",
	}, quickly("SHOP", shops, 6), quickly("STUBBORN", shops, 60))
	api := w.run(t).Client
	for _, id := range []string{"2041", "2042", "2043", "2044", "2045"} {
		w.core.SetStatus(id, "done")
	}
	unavailable := failing(http.StatusServiceUnavailable)
	shops.Script("2042", unavailable)
	shops.Script("2044", unavailable)
	w.standard.Script("2043", unavailable)
	delivered := start(t, api, operation.StartRequest{Endpoint: "SHOP", OperationID: "2041"})
	failed := start(t, api, operation.StartRequest{Endpoint: "SHOP", OperationID: "2042"})
	stubborn := start(t, api, operation.StartRequest{Endpoint: "STUBBORN", OperationID: "2044"})
	awaitClosed(t, api, delivered)
	awaitClosed(t, api, failed)
	awaitClosed(t, api, stubborn)
	awaitClosed(t, api, start(t, api, entry("2045"))) // now the endpoint is known to be fast
	delivering := start(t, api, entry("2043"))
	awaitPending(t, w.temporalClient(t), delivering, "Deliver")

	b := w.browse(t, api)
	b.columns("Status", "RingbackEndpoint", "Workflow ID", "RingbackStatus", "RingbackOutcome", "RingbackPhase", "RingbackUndelivered", "Start")
	b.shows("list", 1500, 520, "/namespaces/default/workflows?query="+url.QueryEscape(`WorkflowType="Operation" AND RingbackEndpoint IN ("SHOP", "LEDGER")`),
		"RUNNING LEDGER LEDGER/2043 delivering", "FAILED SHOP SHOP/2042 done exhausted 1", "COMPLETED SHOP SHOP/2041")
	b.shows("delivered", 1500, 860, b.page(delivered, "user-metadata"),
		"dialect standard, at most 6 attempts, 20ms apart", "acknowledged · status done (final)", "Observed: status=done", "Callback done: acknowledged", "200 acknowledged")
	b.shows("failed", 1500, 1080, b.page(failed, "user-metadata"),
		"dialect standard, at most 6 attempts, 20ms apart", "exhausted · status done (final)", "Callback done: exhausted", "6 ", "503 unacknowledged", "internal HTTP 503 is not 2xx",
		"starter redeliver SHOP 2042 --reason")
	b.shows("", 1500, 1000, b.page(failed, "timeline"),
		`about status \"done\" is exhausted after 6 attempts; the last: HTTP 503 is not 2xx`, `"type": "Exhausted"`,
		"Deliver • deliver status `done` (one run may make many attempts)")
	b.shows("", 1500, 1000, b.page(stubborn, "user-metadata"), "The newest 50 of 60 attempts.", "60 ")
	b.shows("", 1500, 1000, "/render?content="+url.QueryEscape(strings.Repeat("я", 30_000)+" the longest details"), "the longest details")
	b.shows("", 1500, 1000, b.page(delivering, "user-metadata"),
		"delivering · status done (final)", "At most 10 attempts, 1h0m0s apart.", "The run knows of no attempt after number 1, of", "“Attempt n / 10” counts runs", "1 2")
	b.shows("", 1500, 1000, b.page(delivering, "timeline"), "Attempt 2 / 10 • Deliver • deliver status `done`")
	b.shows("retrying", 1500, 1250, b.page(delivering, "pending-activities"),
		"Deliver", "Pause", "attempt 1 (1 of 10) unacknowledged: HTTP 503 is not 2xx; next attempt at", `"http_status": 503`)
}

// quickly is an endpoint whose deliveries are soon over.
func quickly(name string, r *simulator.Receiver, attempts int) string {
	return endpointAt(r, name, "{interval: 100ms, lifetime: 1m}", fmt.Sprintf("{interval: 20ms, attempts: %d}", attempts))
}

// browser is Chromium on a Temporal UI.
type browser struct {
	t   *testing.T
	ctx context.Context
	api *apiclient.Client
	ui  string
}

// browse starts the UI, and a browser without a window.
func (w *environment) browse(t *testing.T, api *apiclient.Client) *browser {
	t.Helper()
	return w.browseAt(t, api, temporalui.Options{Addr: "127.0.0.1:0", FrontendAddr: w.temporal.addr, Namespace: w.temporal.namespace})
}

// browseAt is browse with a UI of those options.
func (w *environment) browseAt(t *testing.T, api *apiclient.Client, o temporalui.Options) *browser {
	t.Helper()
	ui := startUI(t, o)
	return &browser{t, chromium(t), api, ui}
}

// chromium starts a browser without a window.
func chromium(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	require.NoError(t, err)
	// Its sandbox needs what root and most containers do not have; the pages are our own.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox)
	options = append(options, flags...)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// startUI starts a Temporal UI as a process of its own: it never closes its
// connection to Temporal.
func startUI(t *testing.T, o temporalui.Options) (url string) {
	t.Helper()
	options, err := json.Marshal(o)
	require.NoError(t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), asUI+"="+string(options))
	process, err := proc.Start(command)
	require.NoError(t, err)
	t.Cleanup(func() { _ = process.Stop(syscall.SIGKILL, grace) })
	return awaitOutput(t, process, `Temporal UI +(\S+)`)
}

// serveUI shows the UI until this process is killed.
func serveUI(options string) int {
	var o temporalui.Options
	err := json.Unmarshal([]byte(options), &o)
	if err == nil {
		var ui *temporalui.UI
		if ui, err = temporalui.Start(context.Background(), o); err == nil {
			fmt.Println("Temporal UI", ui.URL())
			select {}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// columns chooses the columns of the workflow list, as an operator does who
// clicks on "Configure Workflow Table".
func (b *browser) columns(labels ...string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.ui + "/namespaces/default/workflows"))
	quoted := `{"label":"` + strings.Join(labels, `"},{"label":"`) + `"}`
	b.evaluate("localStorage.setItem('namespace-workflow-table-columns', JSON.stringify({default: [" + quoted + "]})) || ''")
}

// page is a page of the operation's latest run.
func (b *browser) page(key operation.Key, name string) string {
	b.t.Helper()
	state, err := b.api.State(b.t.Context(), key)
	require.NoError(b.t, err)
	return "/namespaces/default/workflows/" + url.PathEscape(key.WorkflowID()) + "/" + state.RunID + "/" + name
}

// shows opens a page and waits until all texts are on it, frames included, each
// on one line; and takes a picture where it has a name.
func (b *browser) shows(picture string, width, height int64, path string, texts ...string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
	b.do(chromedp.Navigate(b.ui + path))
	var seen string
	missing := func() string {
		seen = strings.Join(strings.Fields(b.evaluate(allText)), " ")
		for _, text := range texts {
			if !strings.Contains(seen, text) {
				return text
			}
		}
		return ""
	}
	for until := time.Now().Add(patience); missing() != ""; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(until) {
			require.Fail(b.t, "a text is not shown", "%s does not show %q, but:\n%s", path, missing(), seen)
		}
	}
	if picture == "" || *pictures == "" {
		return
	}
	// What moves comes to rest.
	b.do(chromedp.Sleep(2 * time.Second))
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(*pictures, picture+".png"), png, 0o600))
}

// allText is the text of a page and of the frames in which the UI renders Markdown.
const allText = `[document, ...[...document.querySelectorAll('iframe')].map(f => f.contentDocument)]
	.map(d => d && d.body ? d.body.innerText : '').join('\n')`

func (b *browser) do(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, action))
}

func (b *browser) evaluate(expression string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expression))
	require.NoError(b.t, err)
	return text
}
