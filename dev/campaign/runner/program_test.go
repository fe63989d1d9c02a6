package runner

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shell is a program that runs a script. ended gets its error if it ends by itself.
func shell(t *testing.T, script string) (p *program, ended chan error) {
	t.Helper()
	ended = make(chan error, 1)
	p = &program{
		name: "a program", ready: "ready", log: filepath.Join(t.TempDir(), "log"),
		command: func() *exec.Cmd { return exec.Command("/bin/sh", "-c", script) },
		ended:   func(_ *program, err error) { ended <- err },
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p, ended
}

const untilSIGTERM = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"

func TestKillAndStopAreNotReportedAsAnUnexpectedEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*program) error{"kill": (*program).Kill, "stop": (*program).Stop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ended := shell(t, untilSIGTERM)
			for range 2 {
				require.NoError(t, p.Restart(t.Context()))
				require.NoError(t, end(p))
			}
			select {
			case err := <-ended:
				require.NoError(t, err)
			case <-time.After(200 * time.Millisecond):
			}
		})
	}
}

func TestAProgramThatEndsByItselfIsReportedWithItsOutput(t *testing.T) {
	t.Parallel()
	p, ended := shell(t, "echo ready; sleep 0.1; echo sorry; exit 3")
	require.NoError(t, p.Restart(t.Context()))
	err := <-ended
	require.ErrorContains(t, err, "a program ended by itself: exit status 3")
	require.ErrorContains(t, err, "sorry")
	log, err := os.ReadFile(p.log)
	require.NoError(t, err)
	require.Contains(t, string(log), "sorry")
}

func TestAProgramThatEndsBeforeItIsReadyIsStartedAgainWhereRetryStartIsSet(t *testing.T) {
	t.Parallel()
	dependency := filepath.Join(t.TempDir(), "dependency")
	script := "test -e " + dependency + " || exit 1; echo ready; exec sleep 60"
	p, _ := shell(t, script)
	require.ErrorContains(t, p.Restart(t.Context()), "start a program")
	p, _ = shell(t, script)
	p.retryStart = true
	time.AfterFunc(retryDelay, func() { _ = os.WriteFile(dependency, nil, 0o600) })
	require.NoError(t, p.Restart(t.Context()))
}

func TestStopFailsWhereTheProgramEndsWithAnError(t *testing.T) {
	t.Parallel()
	p, _ := shell(t, "trap 'echo leaking; exit 4' TERM; echo ready; while :; do sleep 0.02; done")
	require.NoError(t, p.Restart(t.Context()))
	err := p.Stop()
	require.ErrorContains(t, err, "exit status 4")
	require.ErrorContains(t, err, "leaking")
}
