package port_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/port"
)

func hold(t *testing.T, addr string) *port.Held {
	t.Helper()
	h, err := port.Hold(t.Context(), addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = port.Release(h) })
	return h
}

// TestAHeldPortIsNobodyElses holds so many of the 28,000 ports or so that a kernel
// chooses from that one of them would be chosen in 500 times.
func TestAHeldPortIsNobodyElses(t *testing.T) {
	held := map[string]bool{}
	for range 500 {
		h := hold(t, "127.0.0.1:0")
		require.False(t, held[h.String()], "held twice")
		held[h.String()] = true
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for range 500 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.False(t, held[l.Addr().String()], "given to one who listens")
		require.NoError(t, l.Close())
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		require.False(t, held[c.LocalAddr().String()], "given to a connection")
		require.NoError(t, c.Close())
	}
}

func TestWhoIsToldAHeldPortListensThereAgainAndAgain(t *testing.T) {
	t.Parallel()
	h := hold(t, "127.0.0.1:0")
	for range 3 {
		l, err := net.Listen("tcp", h.String())
		require.NoError(t, err)
		c, err := net.Dial("tcp", h.String())
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, l.Close())
	}
	l, err := net.Listen("tcp", h.String())
	require.NoError(t, err)
	require.NoError(t, port.Release(h))
	c, err := net.Dial("tcp", h.String())
	require.NoError(t, err, "who listens goes on")
	require.NoError(t, c.Close())
	require.NoError(t, l.Close())
}

func TestAnAddressThatIsAskedForIsThatOneIfItIsFree(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, err = port.Hold(t.Context(), taken.Addr().String())
	require.ErrorContains(t, err, "address already in use")
	require.NoError(t, taken.Close())
	require.Equal(t, taken.Addr().String(), hold(t, taken.Addr().String()).String())
	require.NotZero(t, hold(t, "localhost:0").AddrPort().Port())
	require.NotZero(t, hold(t, ":0").AddrPort().Port())
	_, err = port.Hold(t.Context(), "127.0.0.1")
	require.ErrorContains(t, err, "missing port")
}
