package runner

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/plan"
	"ringback/dev/port"
)

// echo starts a server that sends back every line, and an open link to it.
func echo(t *testing.T) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	held, err := port.HoldAny(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = port.Release(held) })
	proxied := &link{name: "a>b", pipes: []*pipe{{listen: held.String(), upstream: l.Addr().String(), hub: newHub()}}}
	require.NoError(t, proxied.open())
	t.Cleanup(proxied.refuse)
	return proxied
}

// connection is one through the link.
type connection struct {
	net.Conn
	read *bufio.Reader
}

func (l *link) dial(t *testing.T) connection {
	t.Helper()
	conn, err := net.Dial("tcp", l.pipes[0].listen)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return connection{conn, bufio.NewReader(conn)}
}

// roundTrip sends a line and returns how long the answer took.
func (l connection) roundTrip(within time.Duration) (time.Duration, error) {
	began := time.Now()
	if err := l.SetDeadline(began.Add(within)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(l, "hello\n"); err != nil {
		return 0, err
	}
	answer, err := l.read.ReadString('\n')
	if err == nil && answer != "hello\n" {
		err = errors.New("another line came back")
	}
	return time.Since(began), err
}

const soon = 5 * time.Second

func TestLatencyKeepsConnectionsOpen(t *testing.T) {
	t.Parallel()
	l := echo(t)
	old := l.dial(t)
	_, err := old.roundTrip(soon)
	require.NoError(t, err)
	require.NoError(t, l.impair(plan.Latency))
	for name, conn := range map[string]connection{"an old connection": old, "a new one": l.dial(t)} {
		took, err := conn.roundTrip(soon)
		require.NoError(t, err, name)
		require.Greater(t, took, 80*time.Millisecond, "%s: both directions are late", name)
	}
	require.NoError(t, l.repair(plan.Latency))
	_, err = old.roundTrip(soon)
	require.NoError(t, err)
}

func TestABlackholeAnswersNothingUntilItIsRepaired(t *testing.T) {
	t.Parallel()
	l := echo(t)
	old := l.dial(t)
	_, err := old.roundTrip(soon)
	require.NoError(t, err)
	require.NoError(t, l.impair(plan.Blackhole))
	for name, conn := range map[string]connection{"an old connection": old, "a new one": l.dial(t)} {
		_, err := conn.roundTrip(300 * time.Millisecond)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, name)
	}
	require.NoError(t, l.repair(plan.Blackhole))
	_, err = old.roundTrip(soon)
	require.Error(t, err, "the old connection is closed")
	_, err = l.dial(t).roundTrip(soon)
	require.NoError(t, err)
}

func TestARefusingLinkClosesConnectionsAndAcceptsNone(t *testing.T) {
	t.Parallel()
	l := echo(t)
	old := l.dial(t)
	_, err := old.roundTrip(soon)
	require.NoError(t, err)
	l.refuse()
	_, err = old.roundTrip(soon)
	require.Error(t, err)
	_, err = net.Dial("tcp", l.pipes[0].listen)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, l.open())
	_, err = l.dial(t).roundTrip(soon)
	require.NoError(t, err)
}
