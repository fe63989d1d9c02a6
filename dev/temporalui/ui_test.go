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
