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
	"strings"
	"sync"
	"time"
)

// roleVariable makes this binary one of the measured processes or the simulator.
const roleVariable = "RINGBACK_BENCH_ROLE"

// The requests that every role answers.
const (
	setup    = "setup"
	stopping = "stop"
	// collecting runs a garbage collection and returns memory to the system.
	collecting = "collect"
)

// request and response are JSON objects, one a line, on a role's standard input and
// output.
type request struct {
	Do    string          `json:"do"`
	Setup json.RawMessage `json:"setup,omitempty"`
	Load  *load           `json:"load,omitempty"`
	// Prefix selects operation ids.
	Prefix string `json:"prefix,omitempty"`
}

type response struct {
	Error string          `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// handler answers a role's requests.
type handler func(ctx context.Context, r request) (any, error)

// opener starts a role with its settings; its value is the response.
type opener func(ctx context.Context, settings json.RawMessage) (handler, any, error)

func unknownRequest(r request) error { return fmt.Errorf("unknown request %q", r.Do) }

// role is a child process that answers requests.
type role struct {
	name    string
	command *exec.Cmd
	stdin   io.WriteCloser
	lines   *bufio.Reader
	stderr  *tail
	mu      sync.Mutex
}

// startRole runs this binary again in a role with these settings.
func startRole(ctx context.Context, name string, settings, reply any) (*role, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file: %w", err)
	}
	r := &role{name: name, command: exec.Command(self), stderr: &tail{}} //nolint:gosec,noctx // itself; stop ends it
	r.command.Env = append(os.Environ(), roleVariable+"="+name, secretVariable+"="+secretValue)
	r.command.Stderr = r.stderr
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
		err = r.ask(ctx, request{Do: setup, Setup: written}, reply)
	}
	if err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

// ask sends one request and decodes the response into reply, if that is not nil. After
// an error the role is of no further use.
func (r *role) ask(ctx context.Context, q request, reply any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	line, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("write a request: %w", err)
	}
	if _, err := r.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask %q to %s: %w; its output: %s", r.name, q.Do, err, r.stderr)
	}
	got := make(chan error, 1)
	go func() {
		var err error
		line, err = r.lines.ReadBytes('\n')
		got <- err
	}()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for %q to %s: %w", r.name, q.Do, ctx.Err())
	case err := <-got:
		if err != nil {
			return fmt.Errorf("wait for %q to %s: %w; its output: %s", r.name, q.Do, err, r.stderr)
		}
	}
	var a response
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("read the response of %q to %s: %w", r.name, q.Do, err)
	}
	if a.Error != "" {
		return fmt.Errorf("%q could not %s: %s", r.name, q.Do, a.Error)
	}
	if reply == nil {
		return nil
	}
	if err := json.Unmarshal(a.Value, reply); err != nil {
		return fmt.Errorf("read the response of %q to %s: %w", r.name, q.Do, err)
	}
	return nil
}

func (r *role) pid() int { return r.command.Process.Pid }

const stopTimeout = time.Minute

// stop closes the process's input, and kills it if it does not end then.
func (r *role) stop() error {
	_ = r.stdin.Close()
	done := make(chan error, 1)
	go func() { done <- r.command.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(stopTimeout):
		_ = r.command.Process.Kill()
		return fmt.Errorf("%q did not end within %v and was killed: %w", r.name, stopTimeout, <-done)
	}
}

// tail keeps the end of a process's output.
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

// serveRole answers requests until its input ends, and returns the exit status.
func serveRole(open opener) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	var handle handler
	for lines.Scan() {
		value, err := func() (value any, err error) {
			var r request
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				return nil, err
			}
			switch {
			case r.Do == collecting:
				debug.FreeOSMemory()
			case handle != nil:
				return handle(ctx, r)
			default:
				handle, value, err = open(ctx, r.Setup)
			}
			return value, err
		}()
		if err := out.Encode(newResponse(value, err)); err != nil {
			return 1
		}
	}
	if handle == nil {
		return 1
	}
	if _, err := handle(ctx, request{Do: stopping}); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func newResponse(value any, err error) response {
	if err != nil {
		return response{Error: err.Error(), Value: json.RawMessage("null")}
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return response{Error: err.Error(), Value: json.RawMessage("null")}
	}
	return response{Value: encoded}
}
