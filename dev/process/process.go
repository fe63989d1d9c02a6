// Package process tells what the kernel knows of a running process.
package process

import (
	"fmt"
	"os"
	"strings"
)

// Memory is how much memory a process holds, in bytes.
type Memory struct {
	// Resident is what it holds now, Peak the most that it has held so far.
	Resident, Peak int64
}

// MemoryOf reads proc(5)'s status of a process, which only Linux has.
func MemoryOf(pid int) (m Memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	if m.Resident, err = bytesIn(string(status), "VmRSS"); err == nil {
		m.Peak, err = bytesIn(string(status), "VmHWM")
	}
	if err != nil {
		return Memory{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return m, nil
}

// bytesIn is a field of a status that is given in kB, by which the kernel means 1024.
func bytesIn(status, field string) (n int64, err error) {
	_, value, _ := strings.Cut(status, "\n"+field+":")
	if _, err := fmt.Sscanf(value, "%d kB", &n); err != nil {
		return 0, fmt.Errorf("its status does not tell %s: %w", field, err)
	}
	return n << 10, nil
}
