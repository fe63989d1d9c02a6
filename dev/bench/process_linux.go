package main

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"
)

// cpuOf is the user and system time of a process so far, to 10 ms. With children it
// includes that of its children, ended ones as well.
func cpuOf(pid int, withChildren bool) (time.Duration, error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	s, err := process.Stat()
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	ticks := s.UTime + s.STime
	if !withChildren {
		return time.Duration(ticks) * clockTick, nil
	}
	ticks += uint(s.CUTime + s.CSTime)
	all, err := procfs.AllProcs()
	if err != nil {
		return 0, fmt.Errorf("list the processes: %w", err)
	}
	for _, other := range all {
		// One that has ended meanwhile is included in its parent's time.
		if s, err := other.Stat(); err == nil && s.PPID == pid {
			ticks += s.UTime + s.STime
		}
	}
	return time.Duration(ticks) * clockTick, nil
}

// clockTick is the unit of the times in /proc/PID/stat.
const clockTick = 10 * time.Millisecond

// memoryOf is how many bytes of memory a process holds now, and at most so far.
func memoryOf(pid int) (resident, peak int64, err error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0, 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	status, err := process.NewStatus()
	if err != nil {
		return 0, 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return int64(status.VmRSS), int64(status.VmHWM), nil
}

// resetPeak forgets the peak of a process's memory so far.
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200); err != nil {
		return fmt.Errorf("reset the peak of the memory of process %d: %w", pid, err)
	}
	return nil
}

// processor is the CPU's model name.
func processor() string {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return "unknown processor"
	}
	infos, err := fs.CPUInfo()
	if err != nil || len(infos) == 0 {
		return "unknown processor"
	}
	return infos[0].ModelName
}
