package app

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func listen(t *testing.T, connections int64) net.Listener {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l, err := bounded(plain, connections)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dialTo(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestABoundedListenerTakesTheNextConnectionWhenOneIsClosed(t *testing.T) {
	t.Parallel()
	l := listen(t, 1)
	accepted := make(chan net.Conn, 2)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dialTo(t, l)
	dialTo(t, l)
	first := <-accepted
	select {
	case <-accepted:
		require.Fail(t, "there is room for one")
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, first.Close())
	require.Error(t, first.Close(), "closed twice makes room once")
	require.NoError(t, (<-accepted).Close())
}

func TestABoundedListenerThatIsFullCanBeClosed(t *testing.T) {
	t.Parallel()
	l := listen(t, 1)
	dialTo(t, l)
	_, err := l.Accept()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { _, err := l.Accept(); ended <- err }()
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
}

func TestABoundedConnectionCanBeClosedForWritingAlone(t *testing.T) {
	t.Parallel()
	l := listen(t, 1)
	caller := dialTo(t, l)
	conn, err := l.Accept()
	require.NoError(t, err)
	half, ok := conn.(interface{ CloseWrite() error })
	require.True(t, ok, "net/http asks for it")
	_, err = conn.Write([]byte("the last answer"))
	require.NoError(t, err)
	require.NoError(t, half.CloseWrite())
	got, err := io.ReadAll(caller)
	require.NoError(t, err)
	require.Equal(t, "the last answer", string(got))
	require.NoError(t, conn.Close())
}
