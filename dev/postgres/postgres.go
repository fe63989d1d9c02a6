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

	"ringback/dev/child"
)

// Options says where a cluster lives and how it is set.
type Options struct {
	// Dir is an existing directory that becomes the cluster's own, also in
	// ownership; it must be reachable by the user postgres when this process
	// is root's, for PostgreSQL refuses to run as root.
	Dir string
	// Settings are added to the server's configuration, such as fsync: off.
	Settings map[string]string
}

// Cluster is a running PostgreSQL.
type Cluster struct {
	process  *child.Process
	addr     string
	password string
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
	c := &Cluster{password: rand.Text()}
	data := filepath.Join(o.Dir, "data")
	if err := c.initialise(ctx, o.Dir, data, as); err != nil {
		return nil, err
	}
	if c.addr, err = freeAddr(ctx); err != nil {
		return nil, err
	}
	if c.process, err = child.Start(c.command(data, o.Settings, as)); err != nil {
		return nil, err
	}
	if _, err := c.process.Await(ctx, "database system is ready to accept connections"); err != nil {
		return nil, errors.Join(err, c.process.Kill())
	}
	return c, nil
}

// URL is how to connect to database as the superuser, over TCP.
func (c *Cluster) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, c.password), Host: c.addr, Path: "/" + database}
	return u.String()
}

// PID is the process id of the server, whose children serve the sessions.
func (c *Cluster) PID() int { return c.process.PID() }

// Stop is PostgreSQL's fast shutdown: open sessions end, what was committed
// is on the disk.
func (c *Cluster) Stop() error { return c.process.Stop(syscall.SIGINT, stopGrace) }

func (c *Cluster) initialise(ctx context.Context, dir, data string, as *syscall.SysProcAttr) error {
	passwords := filepath.Join(dir, "password")
	if err := os.WriteFile(passwords, []byte(c.password), 0o600); err != nil {
		return fmt.Errorf("write the superuser's password: %w", err)
	}
	defer func() { _ = os.Remove(passwords) }()
	if err := give(passwords, as); err != nil {
		return err
	}
	//nolint:gosec // a test's own directory, and no shell
	command := exec.CommandContext(ctx, "initdb", "--pgdata", data, "--username", superuser,
		"--pwfile", passwords, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	command.SysProcAttr = as
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("make a PostgreSQL cluster in %s: %w\n%s", data, err, out)
	}
	return nil
}

func (c *Cluster) command(data string, settings map[string]string, as *syscall.SysProcAttr) *exec.Cmd {
	host, port, _ := net.SplitHostPort(c.addr)
	// No Unix socket: its path would be too long for the kernel in a deep directory.
	args := []string{"-D", data, "-h", host, "-p", port, "-c", "unix_socket_directories="}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	// Not bound to a context: Stop ends it in order.
	command := exec.Command("postgres", args...) //nolint:gosec,noctx // a test's own settings, and no shell
	command.SysProcAttr = as
	command.Dir = data
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

func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port for PostgreSQL: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
