package proc_test

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/proc"
)

func shell(t *testing.T, script string) *proc.Process {
	t.Helper()
	p, err := proc.Start(exec.Command("/bin/sh", "-c", script))
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Stop(syscall.SIGKILL, time.Second) })
	return p
}

func TestAwaitFindsWhatTheChildSaysOnEitherStream(t *testing.T) {
	t.Parallel()
	p := shell(t, "echo one; sleep 0.1; echo port 42 >&2; exec sleep 60")
	port, err := p.Await(t.Context(), `port (\d+)`)
	require.NoError(t, err)
	require.Equal(t, "42", port)
}

func TestWhatTheChildSaysGoesWhereItsStandardOutputWasSentAsWell(t *testing.T) {
	t.Parallel()
	var kept strings.Builder
	command := exec.Command("/bin/sh", "-c", "echo one; echo two >&2")
	command.Stdout = &kept
	p, err := proc.Start(command)
	require.NoError(t, err)
	require.NoError(t, p.Err())
	require.Equal(t, "one\ntwo\n", p.Output())
	require.Equal(t, p.Output(), kept.String())
}

func TestAChildThatIsStoppedGoesOnWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	p := shell(t, "echo begun; while :; do echo on; sleep 0.05; done")
	_, err := p.Await(t.Context(), "begun")
	require.NoError(t, err)
	require.NoError(t, p.Signal(syscall.SIGSTOP))
	time.Sleep(100 * time.Millisecond)
	stopped := p.Output()
	time.Sleep(300 * time.Millisecond)
	require.Equal(t, stopped, p.Output())
	require.NoError(t, p.Signal(syscall.SIGCONT))
	_, err = p.Await(t.Context(), regexp.QuoteMeta(stopped)+"on")
	require.NoError(t, err)
}

func TestAwaitGivesUpWhenTheChildEnds(t *testing.T) {
	t.Parallel()
	_, err := shell(t, "head -c 100000 /dev/zero | tr '\\0' x; echo sorry; exit 3").Await(t.Context(), "ready")
	require.ErrorContains(t, err, "exit status 3")
	require.ErrorContains(t, err, "sorry")
	require.Less(t, len(err.Error()), 3000, "the end of its output only")
}

func TestAwaitGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := shell(t, "exec sleep 60").Await(ctx, "ready")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestStopKillsWhatDoesNotListenAndSaysSo(t *testing.T) {
	t.Parallel()
	p := shell(t, "trap '' TERM; echo deaf; while :; do sleep 0.05; done")
	_, err := p.Await(t.Context(), "deaf")
	require.NoError(t, err)
	require.ErrorContains(t, p.Stop(syscall.SIGTERM, 50*time.Millisecond), "did not end within 50ms")
	require.Error(t, p.Err())
}

func TestStoppingWhatHasEndedIsNoError(t *testing.T) {
	t.Parallel()
	p := shell(t, "exit 0")
	require.NoError(t, p.Err())
	require.NoError(t, p.Stop(syscall.SIGTERM, time.Second))
	require.NoError(t, p.Kill())
}

func TestAProgramThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	_, err := proc.Start(exec.Command("/nonexistent/program"))
	require.ErrorContains(t, err, "/nonexistent/program")
}
