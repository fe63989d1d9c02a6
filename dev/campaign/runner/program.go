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

	"ringback/dev/postgres"
	"ringback/dev/proc"
)

// target is a program that faults are injected on. Its methods are not safe for
// concurrent use.
type target interface {
	// start returns when the program is ready.
	start(ctx context.Context) error
	kill() error
	// stop lets it end by itself, and fails if it does not.
	stop() error
	// signal sends SIGSTOP or SIGCONT.
	signal(signal syscall.Signal) error
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

func (p *program) start(ctx context.Context) error {
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
		p.ended(p, fmt.Errorf("%s ended by itself: %w; its log is %s and ends with:\n%s", p.name, cmp.Or(process.Err(), errExited), filepath.Base(p.log), tail(process.Output())))
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

func (p *program) kill() error {
	process := p.release()
	if process == nil {
		return nil
	}
	return process.Kill()
}

func (p *program) stop() error {
	process := p.release()
	if process == nil {
		return nil
	}
	if err := process.Stop(syscall.SIGTERM, stopTimeout); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	if err := process.Err(); err != nil {
		return fmt.Errorf("%s ended after SIGTERM with %w:\n%s", p.name, err, tail(process.Output()))
	}
	return nil
}

func (p *program) signal(signal syscall.Signal) error { return p.process.Signal(signal) }

func tail(text string) string {
	const kept = 3000
	if len(text) > kept {
		return "... " + text[len(text)-kept:]
	}
	return text
}

// database is PostgreSQL as a target.
type database struct{ *postgres.Cluster }

func (d database) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return d.Restart(ctx)
}

func (d database) kill() error { return d.Kill() }

// stop is PostgreSQL's fast shutdown, as service managers ask for it: at SIGTERM
// it would wait for every session to end.
func (d database) stop() error { return d.Stop() }

func (d database) signal(signal syscall.Signal) error { return d.Signal(signal) }
