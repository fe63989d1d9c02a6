package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"ringback/dev/proc"
)

// target is a program that faults are injected on. Its methods are not safe for
// concurrent use.
type target interface {
	// Restart starts it, for the first time or again, and returns when it is ready.
	Restart(ctx context.Context) error
	Kill() error
	// Stop lets it end by itself, and fails if it does not.
	Stop() error
	// Signal sends SIGSTOP or SIGCONT.
	Signal(signal syscall.Signal) error
}

const (
	// readyTimeout is for a program whose dependencies have only just come back.
	readyTimeout = 2 * time.Minute
	// stopTimeout is a little longer than the drain of a worker.
	stopTimeout = time.Minute
	// retryDelay is between two tries to start a program.
	retryDelay = 500 * time.Millisecond
)

// program is a process that may be started several times.
type program struct {
	name    string
	command func() *exec.Cmd
	// ready is a pattern in its output.
	ready string
	// retryStart is set where a missing dependency ends the program at its start.
	retryStart bool
	// log is the path of a file that gets its output.
	log string
	// ended is called when it ends unexpectedly.
	ended func(p *program, err error)

	mu      sync.Mutex
	process *proc.Process
	// expected says that the process is expected to run.
	expected bool
}

// Restart implements target.
func (p *program) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := p.launch(ctx)
		if err == nil || !p.retryStart || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryDelay):
		}
	}
}

func (p *program) launch(ctx context.Context) error {
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	command := p.command()
	command.Stdout = log
	// In a group of its own, Ctrl-C reaches this process alone, which ends the others.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process, err := proc.Start(command)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	go func() {
		<-process.Done()
		_ = log.Close()
	}()
	p.set(process, false)
	if _, err := process.Await(ctx, p.ready); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", p.name, err), process.Kill())
	}
	p.set(process, true)
	go p.watch(process)
	return nil
}

func (p *program) set(process *proc.Process, expected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.process, p.expected = process, expected
}

var errExited = errors.New("exit status 0")

func (p *program) watch(process *proc.Process) {
	<-process.Done()
	p.mu.Lock()
	unexpected := p.expected && p.process == process
	p.mu.Unlock()
	if unexpected {
		p.ended(p, fmt.Errorf("%s ended by itself: %w; its log is %s and ends with:\n%s", p.name, cmp.Or(process.Err(), errExited), filepath.Base(p.log), process.OutputEnd()))
	}
}

// release returns the process, whose end is expected from now on; nil if there is
// none.
func (p *program) release() *proc.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = false
	return p.process
}

// Kill implements target.
func (p *program) Kill() error {
	process := p.release()
	if process == nil {
		return nil
	}
	return process.Kill()
}

// Stop implements target.
func (p *program) Stop() error {
	process := p.release()
	if process == nil {
		return nil
	}
	if err := process.Stop(syscall.SIGTERM, stopTimeout); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	if err := process.Err(); err != nil {
		return fmt.Errorf("%s ended after SIGTERM with %w:\n%s", p.name, err, process.OutputEnd())
	}
	return nil
}

// Signal implements target.
func (p *program) Signal(signal syscall.Signal) error { return p.process.Signal(signal) }
