package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

// roleVariable makes this binary one of the measured processes, or the outside
// world, instead of the bench.
const roleVariable = "RINGBACK_BENCH_ROLE"

// The orders that every role knows.
const (
	setup    = "setup"
	stopping = "stop"
	// profiling writes a CPU profile to Path until the next one.
	profiling = "profile"
	// collecting gives back the memory that nothing refers to.
	collecting = "collect"
)

// order is what the bench asks a role for; answer is the reply: one JSON
// object a line each, over the role's standard input and output.
type order struct {
	Do    string          `json:"do"`
	Setup json.RawMessage `json:"setup,omitempty"`
	Load  *load           `json:"load,omitempty"`
	// Prefix is that of the ids asked about.
	Prefix string `json:"prefix,omitempty"`
	Path   string `json:"path,omitempty"`
}

type answer struct {
	Error string          `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// handler answers a role's orders.
type handler func(ctx context.Context, o order) (any, error)

// opener makes a role from its settings; its value is the answer to them.
type opener func(ctx context.Context, settings json.RawMessage) (handler, any, error)

// role is a child process that does what it is asked.
type role struct {
	name    string
	command *exec.Cmd
	stdin   io.WriteCloser
	lines   *bufio.Reader
	said    *tail
	mu      sync.Mutex
}

// startRole re-executes this binary and hands it its settings.
func startRole(ctx context.Context, name string, settings, reply any) (*role, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file: %w", err)
	}
	r := &role{name: name, command: exec.Command(self), said: &tail{}} //nolint:gosec,noctx // itself; stop ends it in order
	r.command.Env = append(os.Environ(), roleVariable+"="+name, secretVariable+"="+secretValue)
	r.command.Stderr = r.said
	dieWithParent(r.command)
	if r.stdin, err = r.command.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the process %q: %w", name, err)
	}
	stdout, err := r.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the process %q: %w", name, err)
	}
	r.lines = bufio.NewReaderSize(stdout, 1<<16)
	if err := r.command.Start(); err != nil {
		return nil, fmt.Errorf("start the process %q: %w", name, err)
	}
	written, err := json.Marshal(settings)
	if err == nil {
		err = r.ask(ctx, order{Do: setup, Setup: written}, reply)
	}
	if err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

// ask sends one order and waits for its answer, decoded into reply if not nil.
// A role that was given up on is of no further use.
func (r *role) ask(ctx context.Context, o order, reply any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	line, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write an order: %w", err)
	}
	if _, err := r.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask %q to %s: %w; it said: %s", r.name, o.Do, err, r.said)
	}
	type read struct {
		line []byte
		err  error
	}
	got := make(chan read, 1)
	go func() {
		line, err := r.lines.ReadBytes('\n')
		got <- read{line, err}
	}()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for %q to %s: %w", r.name, o.Do, ctx.Err())
	case g := <-got:
		if g.err != nil {
			return fmt.Errorf("wait for %q to %s: %w; it said: %s", r.name, o.Do, g.err, r.said)
		}
		return decodeAnswer(r.name, o.Do, g.line, reply)
	}
}

func decodeAnswer(name, did string, line []byte, reply any) error {
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("read the answer of %q to %s: %w", name, did, err)
	}
	if a.Error != "" {
		return fmt.Errorf("%q could not %s: %s", name, did, a.Error)
	}
	if reply == nil {
		return nil
	}
	if err := json.Unmarshal(a.Value, reply); err != nil {
		return fmt.Errorf("read the answer of %q to %s: %w", name, did, err)
	}
	return nil
}

func (r *role) pid() int { return r.command.Process.Pid }

// stop ends the process: by the end of its input, and by its id where it does
// not end then.
func (r *role) stop() error {
	_ = r.stdin.Close()
	done := make(chan error, 1)
	go func() { done <- r.command.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(stopGrace):
		_ = r.command.Process.Kill()
		return fmt.Errorf("%q did not end within %v and was killed: %w", r.name, stopGrace, <-done)
	}
}

const stopGrace = time.Minute

// tail keeps the end of what a process wrote.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - 8192; extra > 0 {
		t.kept = t.kept[extra:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}

// serveRole is the other side: it answers orders until its input ends, then
// stops.
func serveRole(open opener) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	profiles := &profiler{}
	var handle handler
	for lines.Scan() {
		value, err := func() (any, error) {
			var o order
			if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
				return nil, err
			}
			switch {
			case o.Do == profiling:
				return nil, profiles.to(o.Path)
			case o.Do == collecting:
				debug.FreeOSMemory()
				return nil, nil
			case handle != nil:
				return handle(ctx, o)
			}
			h, value, err := open(ctx, o.Setup)
			handle = h
			return value, err
		}()
		if err := out.Encode(written(value, err)); err != nil {
			return 1
		}
	}
	if err := profiles.to(""); err != nil || handle == nil {
		return 1
	}
	if _, err := handle(ctx, order{Do: stopping}); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func written(value any, err error) answer {
	if err != nil {
		return answer{Error: err.Error(), Value: json.RawMessage("null")}
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return answer{Error: err.Error(), Value: json.RawMessage("null")}
	}
	return answer{Value: encoded}
}

// profiler writes one CPU profile at a time.
type profiler struct{ file *os.File }

func (p *profiler) to(path string) error {
	if p.file != nil {
		pprof.StopCPUProfile()
		if err := p.file.Close(); err != nil {
			return err
		}
		p.file = nil
	}
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	p.file = f
	return pprof.StartCPUProfile(f)
}
