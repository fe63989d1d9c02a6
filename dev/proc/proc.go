// Package proc runs a program as a process of its own, reads its output and ends
// it by its process id, so that tests can kill what must survive being killed.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// Process is a running program. Its methods are safe for concurrent use.
type Process struct {
	command *exec.Cmd
	output  *output
	done    chan struct{}
	err     error
}

// Start starts command with its output captured; where command.Stdout is set,
// that gets both streams as well. On Linux the program is killed when this process
// dies, however it dies.
func Start(command *exec.Cmd) (*Process, error) {
	p := &Process{command: command, output: newOutput(), done: make(chan struct{})}
	var both io.Writer = p.output
	if command.Stdout != nil {
		both = io.MultiWriter(p.output, command.Stdout)
	}
	command.Stdout, command.Stderr = both, both
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	dieWithParent(command.SysProcAttr)
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	go func() {
		defer close(p.done)
		p.err = command.Wait()
	}()
	return p, nil
}

// PID is the program's process id.
func (p *Process) PID() int { return p.command.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended: nil for exit status 0. It waits for the end.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

var errExited = errors.New("exit status 0")

func (p *Process) ending() error {
	if err := p.Err(); err != nil {
		return err
	}
	return errExited
}

// Output is what the program has written so far, both streams together.
func (p *Process) Output() string { return p.output.String() }

// OutputEnd is the last 2 KB of the output, which an error may hold: many copies are
// made of one that cancels a context.
func (p *Process) OutputEnd() string {
	const kept = 2 << 10
	text := p.Output()
	return text[max(len(text)-kept, 0):]
}

// Await waits until the program's output matches pattern and returns the first
// group, or the whole match where there is none.
func (p *Process) Await(ctx context.Context, pattern string) (string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", err
	}
	for {
		// Taken before reading the output, so that nothing written in between is missed.
		grown := p.output.grown()
		if match := re.FindStringSubmatch(p.Output()); match != nil {
			return match[min(1, len(match)-1)], nil
		}
		select {
		case <-grown:
		case <-p.done:
			return "", fmt.Errorf("%s ended before it wrote %q: %w; its output ends with:\n%s", p.command.Path, pattern, p.ending(), p.OutputEnd())
		case <-ctx.Done():
			return "", fmt.Errorf("wait for %s to write %q: %w; its output ends with:\n%s", p.command.Path, pattern, ctx.Err(), p.OutputEnd())
		}
	}
}

// Kill ends the program as a crash would, with SIGKILL, and waits for its end.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Stop sends signal and waits for the end. A program that still runs after grace is
// killed, which is an error. One that has ended already is not an error.
func (p *Process) Stop(signal syscall.Signal, grace time.Duration) error {
	if err := p.Signal(signal); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		return errors.Join(fmt.Errorf("%s did not end within %s of signal %q", p.command.Path, grace, signal), p.Kill())
	}
}

// Signal sends a signal and does not wait for what it does. A program
// that has ended already is no error.
func (p *Process) Signal(signal syscall.Signal) error {
	err := p.command.Process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("send signal %q to %s: %w", signal, p.command.Path, err)
	}
	return nil
}

// output keeps what was written and wakes those that wait for more.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) grown() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.more
}
