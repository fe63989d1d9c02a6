package egress

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// deaf makes 127.0.0.2:port an address that nothing comes back from: its queue
// of connections is full and never served.
func deaf(t *testing.T, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 2}}))
	require.NoError(t, syscall.Listen(fd, 0))
	target := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), uint16(port))
	for range 16 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		conn, err := connectDirectly(ctx, target)
		cancel()
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	require.Fail(t, "a queue of no places goes on taking connections")
}

func TestADeafFirstAddressDoesNotTakeUpTheTimeOfTheSecond(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(answering(http.StatusAccepted))
	t.Cleanup(server.Close)
	port := server.Listener.Addr().(*net.TCPAddr).Port
	deaf(t, port)
	_, written, _ := net.SplitHostPort(server.Listener.Addr().String())
	g := New([]netip.Prefix{loopback})
	g.resolver = resolverOf(func() []string { return []string{"127.0.0.2", "127.0.0.1"} })
	client := g.Client(nil, 2*time.Second)
	t.Cleanup(client.CloseIdleConnections)
	response, err := client.Get("http://shop.test:" + written + "/")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)
}

func TestADeafFirstAddressOfTheProxyDoesNotTakeUpTheTimeOfTheSecond(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(answering(http.StatusAccepted))
	t.Cleanup(secure.Close)
	proxy := httptest.NewServer(&tunnels{to: secure.Listener.Addr().String()})
	t.Cleanup(proxy.Close)
	deaf(t, proxy.Listener.Addr().(*net.TCPAddr).Port)
	_, port, _ := net.SplitHostPort(proxy.Listener.Addr().String())
	g, err := New(nil).ThroughProxy("http://proxy.test:" + port)
	require.NoError(t, err)
	g.resolver = resolverOf(func() []string { return []string{"127.0.0.2", "127.0.0.1"} })
	trust := secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	client := g.Client(trust, 2*time.Second)
	t.Cleanup(client.CloseIdleConnections)
	response, err := client.Get("https://8.8.8.8/")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)
}

func TestAReceiverThatMovedIsFoundUnderSteadyTraffic(t *testing.T) {
	t.Parallel()
	var addrs atomic.Pointer[[]string]
	addrs.Store(&[]string{"127.0.0.1"})
	old := httptest.NewServer(answering(http.StatusGone))
	t.Cleanup(old.Close)
	_, port, _ := net.SplitHostPort(old.Listener.Addr().String())
	listener, err := net.Listen("tcp", "127.0.0.3:"+port)
	require.NoError(t, err)
	moved := &httptest.Server{Listener: listener, Config: &http.Server{Handler: answering(http.StatusAccepted)}}
	moved.Start()
	t.Cleanup(moved.Close)
	g := New([]netip.Prefix{loopback})
	g.connectionAge = 20 * time.Millisecond
	g.resolver = resolverOf(func() []string { return *addrs.Load() })
	client := g.Client(nil, 10*time.Second)
	t.Cleanup(client.CloseIdleConnections)
	asks := func() int {
		response, err := client.Get("http://shop.test:" + port + "/")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	require.Equal(t, http.StatusGone, asks())
	addrs.Store(&[]string{"127.0.0.3"})
	for range 10_000 {
		if asks() == http.StatusAccepted {
			return
		}
	}
	t.Fatal("the old address is called for ever")
}
