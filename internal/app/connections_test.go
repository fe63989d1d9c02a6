package app

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bounded serves with room for so many connections. A request for /hold is in began, and
// is answered when release is called.
func bounded(t *testing.T, connections int) (dial func() net.Conn, began <-chan struct{}, release func()) {
	t.Helper()
	p, _ := loaded(t, openConfig)
	begins, held := make(chan struct{}, connections), make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			begins <- struct{}{}
			<-held
		}
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})}
	p.telemetryListener.address = "127.0.0.1:0"
	stop, err := p.open(&p.telemetryListener, server, connections, func(cause error) { assert.NoError(t, cause) })
	require.NoError(t, err)
	t.Cleanup(stop)
	t.Cleanup(release)
	return func() net.Conn {
		conn, err := net.Dial("tcp", p.telemetryListener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}, begins, release
}

func send(t *testing.T, conn net.Conn, request string) {
	t.Helper()
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
}

func requireStatus(t *testing.T, conn net.Conn, status int) {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, status, answer.StatusCode)
}

func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, net.ErrClosed)
	timeout, ok := err.(net.Error) //nolint:errorlint // as it comes
	require.False(t, ok && timeout.Timeout(), "it is still open")
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestTheConnectionThatWaitsLongestGivesWayToANewOne(t *testing.T) {
	t.Parallel()
	// One address has half of the places.
	dial, _, _ := bounded(t, 4)
	used, silent := dial(), dial()
	send(t, used, get)
	requireStatus(t, used, http.StatusOK)
	requireOpen := func() {
		t.Helper()
		next := dial()
		send(t, next, get)
		requireStatus(t, next, http.StatusOK)
	}
	// The silent one waits since before used was answered, or as long.
	requireOpen()
	requireOpen()
	requireClosed(t, silent)
	requireClosed(t, used)
}

func TestNoConnectionWithARequestGivesWay(t *testing.T) {
	t.Parallel()
	dial, began, release := bounded(t, 4)
	first, second := dial(), dial()
	const hold = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, conn := range []net.Conn{first, second} {
		send(t, conn, hold)
		<-began
	}
	requireClosed(t, dial())
	release()
	requireStatus(t, first, http.StatusOK)
	requireStatus(t, second, http.StatusOK)
	// The first has its answer, and waits for the next request within a moment.
	require.Eventually(t, func() bool {
		fourth := dial()
		defer func() { _ = fourth.Close() }()
		send(t, fourth, get)
		_, err := http.ReadResponse(bufio.NewReader(fourth), nil)
		return err == nil
	}, 10*time.Second, time.Millisecond)
}

// TestTenThousandIdleConnectionsLeaveRoom holds it with as many as are allowed at all,
// as an anonymous client would open them.
func TestTenThousandIdleConnectionsLeaveRoom(t *testing.T) {
	t.Parallel()
	b, _ := boundConnections(nil, &http.Server{}, maxConnections).(*boundedListener)
	var idle []*from
	for range maxConnections {
		idle = append(idle, &from{address: "192.0.2.1:1"})
		require.True(t, b.admit(idle[len(idle)-1]))
	}
	require.Len(t, b.open, maxConnections/2)
	require.True(t, idle[0].closed)
	require.False(t, idle[maxConnections-1].closed)
	other := &from{address: "192.0.2.2:1"}
	require.True(t, b.admit(other))
	require.Len(t, b.open, maxConnections/2+1, "the address of another is not short of room")
}

func TestOneAddressHasHalfOfTheConnections(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		addresses [3]string
		admitted  bool
	}{
		"a third of one address is refused":                {[3]string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3"}, false},
		"one of another is not":                            {[3]string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1"}, true},
		"an IPv4 address is the same within IPv6":          {[3]string{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", "192.0.2.1:3"}, false},
		"a network of 64 bits is one address":              {[3]string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"}, false},
		"the next network of 64 bits is not":               {[3]string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::3]:1"}, true},
		"one of another when the first address is refused": {[3]string{"[::1]:1", "[::1]:2", "127.0.0.1:1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := boundConnections(nil, &http.Server{}, 4).(*boundedListener)
			for _, address := range tc.addresses[:2] {
				conn := &from{address: address}
				require.True(t, b.admit(conn))
				b.follow(conn, http.StateActive)
			}
			require.Equal(t, tc.admitted, b.admit(&from{address: tc.addresses[2]}))
		})
	}
}

func TestWithAllPlacesBusyANewConnectionWaitsForOne(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]http.ConnState{
		"until one is closed":                  http.StateClosed,
		"until one waits for its next request": http.StateIdle,
		"until one is taken over by a handler": http.StateHijacked,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := boundConnections(nil, &http.Server{}, 2).(*boundedListener)
			busy := []*from{{address: "192.0.2.1:1"}, {address: "192.0.2.2:1"}}
			for _, conn := range busy {
				require.True(t, b.admit(conn))
				b.follow(conn, http.StateActive)
			}
			admitted := make(chan bool)
			go func() { admitted <- b.admit(&from{address: "192.0.2.3:1"}) }()
			select {
			case <-admitted:
				require.Fail(t, "there is no place")
			case <-time.After(20 * time.Millisecond):
			}
			b.follow(busy[1], state)
			require.True(t, <-admitted)
			require.False(t, busy[0].closed)
			require.Equal(t, state == http.StateIdle, busy[1].closed)
			b.follow(busy[1], http.StateClosed) // the server tells it later
			require.Len(t, b.open, 2)
		})
	}
}

// from is a connection from that address.
type from struct {
	net.Conn
	address string
	closed  bool
}

func (f *from) RemoteAddr() net.Addr { return addr(f.address) }

func (f *from) Close() error {
	f.closed = true
	return nil
}

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

// TestARequestRefusedUnreadGetsItsAnswer holds that a connection can be closed for
// writing alone.
func TestARequestRefusedUnreadGetsItsAnswer(t *testing.T) {
	t.Parallel()
	dial, _, _ := bounded(t, 20)
	for range 3 {
		conn := dial()
		send(t, conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"+strings.Repeat("x", 5000))
		requireStatus(t, conn, http.StatusRequestEntityTooLarge)
	}
}
