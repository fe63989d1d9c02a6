package temporalui_test

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/temporalui"
)

func TestTheUIServesItsPagesAndLeavesNothingBehind(t *testing.T) {
	// The frontend that it points at need not be there for its pages.
	ui, err := temporalui.Start(t.Context(), temporalui.Options{Addr: "127.0.0.1:0", FrontendAddr: "127.0.0.1:1", Namespace: "payments"})
	require.NoError(t, err)
	require.Contains(t, get(t, ui.URL()+"/"), "/_app/immutable/")
	require.Contains(t, get(t, ui.URL()+"/api/v1/settings"), `"payments"`)

	ui.Stop()
	l, err := net.Listen("tcp", ui.URL()[len("http://"):])
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestAnAddressThatIsTakenIsAnError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	_, err = temporalui.Start(t.Context(), temporalui.Options{Addr: taken.Addr().String(), FrontendAddr: "127.0.0.1:1"})
	require.ErrorContains(t, err, "address already in use")
}

func TestTheUIServesNoPageOfAnotherOrigin(t *testing.T) {
	ui, err := temporalui.Start(t.Context(), temporalui.Options{Addr: "127.0.0.1:0", FrontendAddr: "127.0.0.1:1"})
	require.NoError(t, err)
	t.Cleanup(ui.Stop)
	_, port, err := net.SplitHostPort(ui.URL()[len("http://"):])
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		host, origin, site string
		status             int
	}{
		"a page of its own":                  {"127.0.0.1:" + port, ui.URL(), "same-origin", http.StatusOK},
		"the name localhost":                 {"localhost:" + port, "", "", http.StatusOK},
		"a foreign name that leads here":     {"evil.example:" + port, "", "", http.StatusForbidden},
		"a page of another origin":           {"127.0.0.1:" + port, "https://evil.example", "", http.StatusForbidden},
		"a page of another port":             {"127.0.0.1:" + port, "http://127.0.0.1:1", "", http.StatusForbidden},
		"a page of another site that embeds": {"127.0.0.1:" + port, "", "cross-site", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ui.URL()+"/api/v1/settings", nil)
			require.NoError(t, err)
			request.Host = tc.host
			for name, value := range map[string]string{"Origin": tc.origin, "Sec-Fetch-Site": tc.site} {
				if value != "" {
					request.Header.Set(name, value)
				}
			}
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, tc.status, response.StatusCode)
			require.Empty(t, response.Header.Get("Access-Control-Allow-Origin"))
		})
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	return string(body)
}
