package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat.
const clockTick = 10 * time.Millisecond

// cpuOf is the user and system time of these processes, to 10 ms, with that of their
// children, ended ones included, if withChildren is set.
func cpuOf(pids []int, withChildren bool) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		s, err := readStat(pid)
		if err != nil {
			return 0, err
		}
		sum += s.used
		if withChildren {
			sum += s.children
		}
	}
	if !withChildren {
		return sum, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("list the processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if err != nil {
			continue // it has ended, and its parent's time includes it
		}
		for _, parent := range pids {
			if s.parent == parent {
				sum += s.used
			}
		}
	}
	return sum, nil
}

// stat has the CPU time of a process, and of its ended children.
type stat struct {
	parent         int
	used, children time.Duration
}

// readStat reads proc(5)'s stat: after the name come the state, the parent and, as
// fields 14 to 17, the times.
func readStat(pid int) (stat, error) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	_, rest, _ := strings.Cut(string(line), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("read the CPU time of process %d: its stat line is %q", pid, line)
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(fields[i]) // proc(5): all of these are numbers
		return n
	}
	return stat{
		parent:   number(1),
		used:     time.Duration(number(11)+number(12)) * clockTick,
		children: time.Duration(number(13)+number(14)) * clockTick,
	}, nil
}

// memoryOf is how many bytes of memory a process holds now, and at most so far.
func memoryOf(pid int) (resident, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for field, bytes := range map[string]*int64{"VmRSS": &resident, "VmHWM": &peak} {
		_, value, _ := strings.Cut(string(status), "\n"+field+":")
		if _, err := fmt.Sscanf(value, "%d kB", bytes); err != nil {
			return 0, 0, fmt.Errorf("read %s of process %d: %w", field, pid, err)
		}
		*bytes <<= 10
	}
	return resident, peak, nil
}

// dieWithParent lets the kernel kill the child when the bench dies.
func dieWithParent(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// processor is the CPU's model name.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
