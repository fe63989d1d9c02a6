// Package postgres runs a PostgreSQL of its own for a test: the programs on
// PATH, a data directory that is its own, a free loopback port, a generated
// password.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ringback/dev/port"
	"ringback/dev/proc"
)

// Options says where a cluster lives and how it is set.
type Options struct {
	// Dir is an existing directory that becomes the cluster's own, also in
	// ownership; it must be reachable by the user postgres when this process
	// is root's, for PostgreSQL refuses to run as root.
	Dir string
	// Addr is the loopback host:port to serve on; empty: a free port, held as
	// long as the cluster is in use.
	Addr string
	// Settings are added to the server's configuration, such as fsync: off.
	Settings map[string]string
}

// Cluster is a PostgreSQL on its data. Its methods must not be called at once.
type Cluster struct {
	process  *proc.Process
	data     string
	settings map[string]string
	as       *syscall.SysProcAttr
	addr     string
	password string
	// held keeps the port while the server is down.
	held *port.Held
}

const (
	superuser = "postgres"
	// stopGrace is how long a fast shutdown may take: it writes a checkpoint.
	stopGrace = 30 * time.Second
)

// Start makes a new cluster in o.Dir and returns when it takes connections.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	as, err := unprivileged(o.Dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{data: filepath.Join(o.Dir, "data"), settings: o.Settings, as: as, addr: o.Addr, password: rand.Text()}
	if err := c.initialise(ctx, o.Dir); err != nil {
		return nil, err
	}
	if c.addr == "" {
		if c.held, err = port.HoldAny(ctx); err != nil {
			return nil, fmt.Errorf("find a port for PostgreSQL: %w", err)
		}
		c.addr = c.held.String()
	}
	if err := c.launch(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Restart starts the server again after Stop or Kill, on the same data and the
// same address, and returns when it takes connections.
func (c *Cluster) Restart(ctx context.Context) error {
	for {
		err := c.launch(ctx)
		if err == nil || !strings.Contains(c.process.Output(), sessionsLeft) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// sessionsLeft is what a server says that was started before the last process
// of a killed one has seen that its parent is gone.
const sessionsLeft = "is still in use"

func (c *Cluster) launch(ctx context.Context) (err error) {
	if c.process, err = proc.Start(c.command()); err != nil {
		return err
	}
	if _, err := c.process.Await(ctx, "database system is ready to accept connections"); err != nil {
		return errors.Join(err, c.process.Kill())
	}
	return nil
}

// URL is how to connect to database as the superuser, over TCP.
func (c *Cluster) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, c.password), Host: c.addr, Path: "/" + database}
	return u.String()
}

// PID is the process id of the server, whose children serve the sessions.
func (c *Cluster) PID() int { return c.process.PID() }

// Addr is where the server takes connections: host:port.
func (c *Cluster) Addr() string { return c.addr }

// Kill ends the server as a crash would, and waits until its sessions have seen
// it and have ended.
func (c *Cluster) Kill() error { return c.process.Kill() }

// Signal sends a signal to the server and to the processes of its sessions: to
// stop them, and to let them go on. Elsewhere than on Linux only the server
// gets it.
func (c *Cluster) Signal(signal syscall.Signal) error {
	errs := []error{c.process.Signal(signal)}
	for _, pid := range childrenOf(c.PID()) {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("send signal %q to PostgreSQL's process %d: %w", signal, pid, err))
		}
	}
	return errors.Join(errs...)
}

// childrenOf are the processes that proc(5)'s stat says are a process's children:
// after the name, in parentheses, come the state and the parent.
func childrenOf(parent int) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is a good one
	var found []int
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended since
		}
		_, rest, _ := strings.Cut(string(line), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// Stop is PostgreSQL's fast shutdown: open sessions end, what was committed
// is on the disk.
func (c *Cluster) Stop() error { return c.process.Stop(syscall.SIGINT, stopGrace) }

func (c *Cluster) initialise(ctx context.Context, dir string) error {
	passwords := filepath.Join(dir, "password")
	if err := os.WriteFile(passwords, []byte(c.password), 0o600); err != nil {
		return fmt.Errorf("write the superuser's password: %w", err)
	}
	defer func() { _ = os.Remove(passwords) }()
	if err := give(passwords, c.as); err != nil {
		return err
	}
	//nolint:gosec // a test's own directory, and no shell
	command := exec.CommandContext(ctx, "initdb", "--pgdata", c.data, "--username", superuser,
		"--pwfile", passwords, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	command.SysProcAttr = c.as
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("make a PostgreSQL cluster in %s: %w\n%s", c.data, err, out)
	}
	return nil
}

func (c *Cluster) command() *exec.Cmd {
	host, port, _ := net.SplitHostPort(c.addr)
	// No Unix socket: its path would be too long for the kernel in a deep directory.
	args := []string{"-D", c.data, "-h", host, "-p", port, "-c", "unix_socket_directories="}
	for name, value := range c.settings {
		args = append(args, "-c", name+"="+value)
	}
	// Not bound to a context: Stop ends it in order.
	command := exec.Command("postgres", args...) //nolint:gosec,noctx // a test's own settings, and no shell
	command.SysProcAttr = c.as
	command.Dir = c.data
	command.Env = append(os.Environ(), "LC_ALL=C")
	return command
}

// unprivileged is how to run as the user postgres, who then owns dir; nothing
// where this process is not root's.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	account, err := user.Lookup(superuser)
	if err != nil {
		return nil, fmt.Errorf("run PostgreSQL, which refuses to run as root, as another user: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the id of user %s: %w", superuser, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the group of user %s: %w", superuser, err)
	}
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return as, give(dir, as)
}

func give(path string, as *syscall.SysProcAttr) error {
	if as.Credential == nil {
		return nil
	}
	if err := os.Chown(path, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
		return fmt.Errorf("give %s to the user %s: %w", strings.TrimSuffix(path, "/"), superuser, err)
	}
	return nil
}
