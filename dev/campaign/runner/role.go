package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"go.uber.org/zap/zapcore"

	"ringback/dev/campaign/actors"
	"ringback/dev/temporalserver"
	"ringback/internal/telemetry"
)

const (
	// roleVariable makes this binary one of the stage's processes, which reads
	// what it is told from setupVariable as JSON.
	roleVariable  = "RINGBACK_TORTURE_ROLE"
	setupVariable = "RINGBACK_TORTURE_SETUP"
	// ready is what each role says when it is.
	ready = "this role is ready"
)

// The roles that this binary plays beside Ringback's own programs.
const (
	temporalRole  = "temporal"
	coresRole     = "cores"
	receiversRole = "receivers"
	startersRole  = "starters"
)

// temporalSetup is what the Temporal server is told.
type temporalSetup struct {
	Addr string `json:"addr"`
	// Postgres is the database's address as a URL.
	Postgres string `json:"postgres"`
}

// InRole says whether this process is to be one of a stage's processes: then
// ServeRole is all that it does.
func InRole() bool { return os.Getenv(roleVariable) != "" }

// ServeRole is this process's part until SIGTERM; it returns its exit status.
func ServeRole(stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	role, setup := os.Getenv(roleVariable), []byte(os.Getenv(setupVariable))
	if err := serveRole(ctx, role, setup, func() { _, _ = fmt.Fprintln(stdout, ready) }, stderr); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}

func serveRole(ctx context.Context, role string, setup []byte, ready func(), stderr io.Writer) error {
	if role == temporalRole {
		return serveTemporal(ctx, setup, ready, stderr)
	}
	var o actors.Options
	if err := json.Unmarshal(setup, &o); err != nil {
		return fmt.Errorf("read what it is told: %w", err)
	}
	switch role {
	case coresRole:
		return actors.Cores(ctx, o, ready)
	case receiversRole:
		return actors.Receivers(ctx, o, ready)
	case startersRole:
		ready()
		return actors.Starters(ctx, o)
	}
	return fmt.Errorf("no role has this name")
}

// serveTemporal is the stock server, for Ringback needs no other.
func serveTemporal(ctx context.Context, setup []byte, ready func(), stderr io.Writer) error {
	var s temporalSetup
	if err := json.Unmarshal(setup, &s); err != nil {
		return fmt.Errorf("read what it is told: %w", err)
	}
	p, err := temporalserver.ParsePostgres(s.Postgres)
	if err != nil {
		return err
	}
	server, err := temporalserver.Start(ctx, temporalserver.Options{
		Addr: s.Addr, Postgres: &p, Stock: true, Log: telemetry.NewConsoleLogger(stderr, zapcore.ErrorLevel),
	})
	if err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return server.Stop()
}

// asRole is how a role is run.
func asRole(role string, setup any) (func() *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file: %w", err)
	}
	written, err := json.Marshal(setup)
	if err != nil {
		return nil, fmt.Errorf("write what %s is told: %w", role, err)
	}
	return func() *exec.Cmd {
		command := exec.Command(self) //nolint:noctx // the stage ends it in order
		command.Env = append(os.Environ(), roleVariable+"="+role, setupVariable+"="+string(written))
		return command
	}, nil
}

// build builds Ringback's own programs into dir.
func build(ctx context.Context, dir string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "ringback").Output()
	if err != nil {
		return fmt.Errorf("find Ringback's module; run this from the folder dev, as go -C dev run does: %w", err)
	}
	//nolint:gosec // a directory of the stage's own, and no shell
	command := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./api", "./worker")
	command.Dir = filepath.Clean(string(root[:len(root)-1]))
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}
