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

// cpuOf is what the processes have used of user and system time, to 10 ms. The
// children of each, and those that have ended, are in it if family says so.
func cpuOf(pids []int, family bool) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		s, err := readStat(pid)
		if err != nil {
			return 0, err
		}
		sum += s.used
		if family {
			sum += s.ended
		}
	}
	if !family {
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
			continue // it has ended since, and is in its parent's then
		}
		for _, parent := range pids {
			if s.parent == parent {
				sum += s.used
			}
		}
	}
	return sum, nil
}

type stat struct {
	parent      int
	used, ended time.Duration
}

// readStat reads proc(5)'s stat: after the name come the state, the parent and,
// as fields 14 to 17, the times.
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
		parent: number(1),
		used:   time.Duration(number(11)+number(12)) * clockTick,
		ended:  time.Duration(number(13)+number(14)) * clockTick,
	}, nil
}

// dieWithParent lets the kernel end the child when the bench dies, however.
func dieWithParent(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// processor is the machine's, as it calls itself.
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
