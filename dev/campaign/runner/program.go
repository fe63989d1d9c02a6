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

// subject is what faults are done to as a whole. Its methods must not be called
// at once.
type subject interface {
	// start returns when it is ready.
	start(ctx context.Context) error
	// kill is a crash; stop lets it end in order, and says if it does not.
	kill() error
	stop() error
	// signal is for SIGSTOP and SIGCONT.
	signal(signal syscall.Signal) error
}

const (
	// readyWithin bounds how long a program may take to be ready again, with
	// everything that it needs just back from a fault.
	readyWithin = 2 * time.Minute
	// stopGrace is how long a program may take to end after SIGTERM: its drain
	// lasts a little longer than an attempt.
	stopGrace = time.Minute
	// breath is between two tries to start what needs something that is away.
	breath = 500 * time.Millisecond
)

// program is a process of the stage.
type program struct {
	name    string
	command func() *exec.Cmd
	// ready is what it says when it is, as a pattern.
	ready string
	// stubborn ones end where what they need is away, and are started again.
	stubborn bool
	// finite ones end by themselves once they have done everything.
	finite bool
	// log is a file that gets what each of its processes says.
	log string
	// died is told what it said when it ends although nobody ended it.
	died func(p *program, err error)

	mu      sync.Mutex
	process *proc.Process
	// wanted says that the process at hand is to live.
	wanted bool
}

func (p *program) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		err := p.launch(ctx)
		if err == nil || !p.stubborn || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(breath):
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
	// A group of its own: Ctrl-C is for this process, which ends the others.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process, err := proc.Start(command)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	go func() {
		<-process.Done()
		_ = log.Close()
	}()
	p.hold(process, false)
	if _, err := process.Await(ctx, p.ready); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", p.name, err), process.Kill())
	}
	p.hold(process, true)
	go p.watch(process)
	return nil
}

func (p *program) hold(process *proc.Process, wanted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.process, p.wanted = process, wanted
}

var errExited = errors.New("exit status 0")

func (p *program) watch(process *proc.Process) {
	<-process.Done()
	p.mu.Lock()
	alone := p.wanted && p.process == process
	p.mu.Unlock()
	if alone && !(p.finite && process.Err() == nil) {
		p.died(p, fmt.Errorf("%s ended by itself: %w; its log is %s and ends with:\n%s", p.name, cmp.Or(process.Err(), errExited), filepath.Base(p.log), tail(process.Output())))
	}
}

// unwanted is the process, whose end is from now on nobody's concern; nil if
// there is none.
func (p *program) unwanted() *proc.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = false
	return p.process
}

func (p *program) kill() error {
	process := p.unwanted()
	if process == nil {
		return nil
	}
	return process.Kill()
}

func (p *program) stop() error {
	process := p.unwanted()
	if process == nil {
		return nil
	}
	if err := process.Stop(syscall.SIGTERM, stopGrace); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	if err := process.Err(); err != nil {
		return fmt.Errorf("%s was told to stop and ended with %w:\n%s", p.name, err, tail(process.Output()))
	}
	return nil
}

func (p *program) signal(signal syscall.Signal) error { return p.process.Signal(signal) }

// ended waits until a program that ends by itself has done so.
func (p *program) ended(ctx context.Context) error {
	process := p.unwanted()
	select {
	case <-process.Done():
	case <-ctx.Done():
		return fmt.Errorf("wait for %s to end: %w", p.name, context.Cause(ctx))
	}
	if err := process.Err(); err != nil {
		return fmt.Errorf("%s ended with %w:\n%s", p.name, err, tail(process.Output()))
	}
	return nil
}

func tail(text string) string {
	const kept = 3000
	if len(text) > kept {
		return "... " + text[len(text)-kept:]
	}
	return text
}

// database is PostgreSQL as a subject.
type database struct{ *postgres.Cluster }

func (d database) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return d.Restart(ctx)
}

func (d database) kill() error { return d.Kill() }

// stop is the fast shutdown, as service managers ask for it: the one of SIGTERM
// waits until every session has gone of its own accord.
func (d database) stop() error { return d.Stop() }

func (d database) signal(signal syscall.Signal) error { return d.Signal(signal) }
