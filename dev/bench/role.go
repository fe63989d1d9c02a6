package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"time"

	"ringback/dev/proc"
)

// roleVariable makes this binary one of the measured processes or the simulator.
const roleVariable = "RINGBACK_BENCH_ROLE"

// Setup is what a role is started with; each uses a part of it.
type Setup struct {
	// Dir or Postgres (a URL) is where the Temporal server keeps its data. Stock leaves
	// out every tuning.
	Dir, Postgres string
	Stock         bool
	// Shards is the server's number of history shards; 0: its default. HistoryHosts makes
	// it a cluster with that many, whose processes run these Services with the frontend at
	// Addr.
	Shards       int32
	HistoryHosts int
	Services     []string
	Addr         string
	// Part of Ringback that runs, "api" or "worker"; empty: both in one process.
	Part string
	// Temporal is the server's address, Simulator the base URL of the simulated cores
	// and receivers, Config the path of Ringback's configuration.
	Temporal, Simulator, Config string
	// Mix is what plain's operations of the mix follow.
	Mix mix
	// Profile is the file for the role's CPU profile; empty: none is taken.
	Profile string
}

// Request is one thing that a role does. Prefix selects operation ids.
type Request struct {
	Do     string
	Load   load
	Prefix string
}

// Reply is the response to a Request, which fills one of its fields.
type Reply struct {
	Result   result
	Count    int
	Arrivals map[string][]arrival
	Polls    map[string]int
	History  historySize
}

// handlers do a role's requests, by Request.Do.
type handlers map[string]func(context.Context, Request, *Reply) error

// makes is the handler that makes a load of these calls.
func makes(call func(ctx context.Context, endpoint, id string) error) func(context.Context, Request, *Reply) error {
	return func(ctx context.Context, q Request, out *Reply) error {
		out.Result = q.Load.run(ctx, call)
		return nil
	}
}

// opener starts a role. The address is the one that others use it by, if there is one.
type opener func(context.Context, Setup) (h handlers, stop func() error, address string, err error)

// Role is the net/rpc service of a role's process.
type Role struct {
	open     opener
	handlers handlers
	stop     func() error
	profiled func() error
}

// Open starts the role.
func (r *Role) Open(s Setup, address *string) (err error) {
	if r.profiled, err = profile(s.Profile); err != nil {
		return err
	}
	r.handlers, r.stop, *address, err = r.open(context.Background(), s)
	return err
}

// profile takes a CPU profile until stop is called.
func profile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("write a CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

// Do does one request.
func (r *Role) Do(q Request, out *Reply) error {
	handle, ok := r.handlers[q.Do]
	if !ok {
		return fmt.Errorf("unknown request %q", q.Do)
	}
	return handle(context.Background(), q, out)
}

// Collect runs a garbage collection and returns memory to the system.
func (r *Role) Collect(struct{}, *struct{}) error {
	debug.FreeOSMemory()
	return nil
}

// serveRole serves one connection until it is closed.
func serveRole(open opener) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // opened once, on loopback
	if err != nil {
		return err
	}
	fmt.Println("role at", listener.Addr())
	r, server := &Role{open: open}, rpc.NewServer()
	if err := server.Register(r); err != nil {
		return err
	}
	connection, err := listener.Accept()
	if err != nil {
		return err
	}
	server.ServeConn(connection)
	if r.stop == nil {
		return errors.New("the role was never opened")
	}
	return errors.Join(r.stop(), r.profiled())
}

// role is a child process that does requests.
type role struct {
	*proc.Process
	name   string
	client *rpc.Client
}

// startRole runs this binary again in a role and returns the role's address.
func startRole(ctx context.Context, name string, s Setup) (_ *role, address string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find this program's file: %w", err)
	}
	command := exec.Command(self) //nolint:gosec,noctx // itself; stop ends it
	command.Env = append(os.Environ(), roleVariable+"="+name, secretVariable+"="+secretValue)
	process, err := proc.Start(command)
	if err != nil {
		return nil, "", err
	}
	r := &role{Process: process, name: name}
	at, err := process.Await(ctx, `role at (\S+)`)
	if err == nil {
		r.client, err = rpc.Dial("tcp", at)
	}
	if err != nil {
		return nil, "", errors.Join(err, process.Kill())
	}
	if err := r.call(ctx, "Open", s, &address); err != nil {
		return nil, "", errors.Join(err, process.Kill())
	}
	return r, address, nil
}

// ask does one request. After an error the role is of no further use.
func (r *role) ask(ctx context.Context, q Request) (Reply, error) {
	var out Reply
	err := r.call(ctx, "Do", q, &out)
	if err != nil {
		return Reply{}, fmt.Errorf("%s: %w", q.Do, err)
	}
	return out, nil
}

func (r *role) call(ctx context.Context, method string, q, reply any) error {
	call := r.client.Go("Role."+method, q, reply, nil)
	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case <-call.Done:
		err = call.Error
	}
	if err == nil {
		return nil
	}
	output := r.Output()
	return fmt.Errorf("the process %q: %w; the end of its output: %s", r.name, err, output[max(0, len(output)-8192):])
}

const stopTimeout = time.Minute

// close ends the process, and kills it if it does not end in time.
func (r *role) close() error {
	_ = r.client.Close()
	select {
	case <-r.Done():
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%q did not end within %v", r.name, stopTimeout), r.Signal(syscall.SIGKILL))
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("%q ended with %w", r.name, err)
	}
	return nil
}
