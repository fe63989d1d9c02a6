package process_test

import (
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/process"
)

// with is this process's memory while it holds so many bytes more, which are the
// kernel's: Go's runtime gives memory back when it sees fit.
func with(t *testing.T, size int) process.Memory {
	t.Helper()
	held, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	for i := range held {
		held[i] = 1
	}
	m, err := process.MemoryOf(syscall.Getpid())
	require.NoError(t, err)
	require.NoError(t, syscall.Munmap(held))
	return m
}

// Not beside other tests, whose memory is this process's as well.
func TestWhatIsGivenBackWasHeldAtThePeak(t *testing.T) {
	const size = 64 << 20
	before := with(t, 1)
	during := with(t, size)
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
