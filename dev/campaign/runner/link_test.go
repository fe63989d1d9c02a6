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

// echo is a server that says back every line, and an open link to it.
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
	between := &link{name: "a>b", pipes: []*pipe{{listen: held.String(), upstream: l.Addr().String(), hub: newHub()}}}
	require.NoError(t, between.open())
	t.Cleanup(between.refuse)
	return between
}

// line is one dialled through the link.
type line struct {
	net.Conn
	read *bufio.Reader
}

func (l *link) dial(t *testing.T) line {
	t.Helper()
	conn, err := net.Dial("tcp", l.pipes[0].listen)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return line{conn, bufio.NewReader(conn)}
}

// says sends a line and returns how long the answer took.
func (l line) says(within time.Duration) (time.Duration, error) {
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

func TestALinkIsSlowForAWhileAndKeepsItsConnections(t *testing.T) {
	t.Parallel()
	l := echo(t)
	old := l.dial(t)
	_, err := old.says(soon)
	require.NoError(t, err)
	require.NoError(t, l.poison(plan.Latency))
	for name, conn := range map[string]line{"an old connection": old, "a new one": l.dial(t)} {
		took, err := conn.says(soon)
		require.NoError(t, err, name)
		require.Greater(t, took, 80*time.Millisecond, "%s: both directions are late", name)
	}
	require.NoError(t, l.heal(plan.Latency))
	_, err = old.says(soon)
	require.NoError(t, err)
}

func TestALinkThatSwallowsAnswersNobodyUntilItIsHealed(t *testing.T) {
	t.Parallel()
	l := echo(t)
	old := l.dial(t)
	_, err := old.says(soon)
	require.NoError(t, err)
	require.NoError(t, l.poison(plan.Blackhole))
	for name, conn := range map[string]line{"an old connection": old, "a new one": l.dial(t)} {
		_, err := conn.says(300 * time.Millisecond)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, name)
	}
	require.NoError(t, l.heal(plan.Blackhole))
	_, err = old.says(soon)
	require.Error(t, err, "what was swallowed is not made up for")
	_, err = l.dial(t).says(soon)
	require.NoError(t, err)
}

func TestALinkThatResetsCutsSomeConnectionsAndLetsSomeThrough(t *testing.T) {
	t.Parallel()
	l := echo(t)
	require.NoError(t, l.poison(plan.Reset))
	var cut, through int
	for range 60 {
		if _, err := l.dial(t).says(soon); err != nil {
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
			cut++
			continue
		}
		through++
	}
	require.Positive(t, cut)
	require.Positive(t, through)
	require.NoError(t, l.heal(plan.Reset))
	for range 20 {
		_, err := l.dial(t).says(soon)
		require.NoError(t, err)
	}
}

func TestALinkThatClosesSlowlyKeepsBothSidesWaiting(t *testing.T) {
	t.Parallel()
	l := echo(t)
	require.NoError(t, l.poison(plan.SlowClose))
	conn := l.dial(t)
	_, err := conn.says(soon)
	require.NoError(t, err)
	require.NoError(t, conn.Conn.(*net.TCPConn).CloseWrite())
	began := time.Now()
	_, err = conn.read.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.Greater(t, time.Since(began), time.Second)
}

func TestALinkThatRefusesCutsWhatThereIsAndLetsNobodyIn(t *testing.T) {
	t.Parallel()
	l := echo(t)
	old := l.dial(t)
	_, err := old.says(soon)
	require.NoError(t, err)
	l.refuse()
	_, err = old.says(soon)
	require.Error(t, err)
	_, err = net.Dial("tcp", l.pipes[0].listen)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, l.open())
	_, err = l.dial(t).says(soon)
	require.NoError(t, err)
}

func TestALinkHasNoOtherFaults(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, echo(t).poison(plan.Kill), `the link a>b`)
}
