package process_test

import (
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/process"
)

// with is this process's memory while it holds so many bytes more.
func with(t *testing.T, size int) process.Memory {
	t.Helper()
	held := make([]byte, size)
	for i := range held {
		held[i] = 1
	}
	m, err := process.MemoryOf(syscall.Getpid())
	require.NoError(t, err)
	runtime.KeepAlive(held)
	return m
}

// Not beside other tests, whose memory is this process's as well.
func TestWhatIsGivenBackWasHeldAtThePeak(t *testing.T) {
	const size = 64 << 20
	before := with(t, 1)
	during := with(t, size)
	debug.FreeOSMemory()
	after := with(t, 1)
	require.Greater(t, during.Resident, before.Resident+size/2)
	require.Less(t, after.Resident, during.Resident-size/2)
	require.GreaterOrEqual(t, after.Peak, during.Resident-size/8)
}

func TestAProcessThatHasEndedHoldsNothingThatCanBeTold(t *testing.T) {
	ended := exec.Command("/bin/true")
	require.NoError(t, ended.Start())
	require.NoError(t, ended.Wait())
	_, err := process.MemoryOf(ended.Process.Pid)
	require.ErrorContains(t, err, "read the memory of process")
}
