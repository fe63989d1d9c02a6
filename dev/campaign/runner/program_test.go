package runner

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shell is a program that a script is.
func shell(t *testing.T, script string) (p *program, died chan error) {
	t.Helper()
	died = make(chan error, 1)
	p = &program{
		name: "a program", ready: "ready", log: filepath.Join(t.TempDir(), "log"),
		command: func() *exec.Cmd { return exec.Command("/bin/sh", "-c", script) },
		died:    func(_ *program, err error) { died <- err },
	}
	t.Cleanup(func() { _ = p.kill() })
	return p, died
}

func TestAProgramThatIsEndedIsNotMissed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*program) error{"killed": (*program).kill, "stopped": (*program).stop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, died := shell(t, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done")
			for range 2 {
				require.NoError(t, p.start(t.Context()))
				require.NoError(t, end(p))
			}
			select {
			case err := <-died:
				require.NoError(t, err)
			case <-time.After(200 * time.Millisecond):
			}
		})
	}
}

func TestAProgramThatEndsByItselfIsMissed(t *testing.T) {
	t.Parallel()
	p, died := shell(t, "echo ready; sleep 0.1; echo sorry; exit 3")
	require.NoError(t, p.start(t.Context()))
	err := <-died
	require.ErrorContains(t, err, "a program ended by itself: exit status 3")
	require.ErrorContains(t, err, "sorry")
	log, err := os.ReadFile(p.log)
	require.NoError(t, err)
	require.Contains(t, string(log), "sorry")
}

func TestAProgramThatEndsBeforeItIsReadyIsAnErrorUnlessItIsStubborn(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "there")
	script := "test -e " + mark + " || exit 1; echo ready; exec sleep 60"
	p, _ := shell(t, script)
	require.ErrorContains(t, p.start(t.Context()), "start a program")

	stubborn, _ := shell(t, script)
	stubborn.stubborn = true
	time.AfterFunc(breath, func() { _ = os.WriteFile(mark, nil, 0o600) })
	require.NoError(t, stubborn.start(t.Context()))
}

func TestAProgramThatEndsBadlyWhenItIsStoppedIsAnError(t *testing.T) {
	t.Parallel()
	p, _ := shell(t, "trap 'echo leaking; exit 4' TERM; echo ready; while :; do sleep 0.02; done")
	require.NoError(t, p.start(t.Context()))
	err := p.stop()
	require.ErrorContains(t, err, "exit status 4")
	require.ErrorContains(t, err, "leaking")
}

func TestAProgramIsFrozenAndThawed(t *testing.T) {
	t.Parallel()
	p, _ := shell(t, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done")
	require.NoError(t, p.start(t.Context()))
	require.NoError(t, p.signal(syscall.SIGSTOP))
	require.NoError(t, p.process.Signal(syscall.SIGTERM))
	select {
	case <-p.process.Done():
		require.Fail(t, "it heard the signal while it was frozen")
	case <-time.After(200 * time.Millisecond):
	}
	require.NoError(t, p.signal(syscall.SIGCONT))
	require.NoError(t, p.stop())
}
