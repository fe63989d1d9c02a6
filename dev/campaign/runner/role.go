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
	// roleVariable makes this binary one of the campaign's processes, which reads
	// its options as JSON from optionsVariable.
	roleVariable    = "RINGBACK_CAMPAIGN_ROLE"
	optionsVariable = "RINGBACK_CAMPAIGN_OPTIONS"
	// ready is the line that a role prints once it is ready.
	ready = "this role is ready"
)

// The roles that this binary plays beside Ringback's own programs.
const (
	temporalRole  = "temporal"
	coresRole     = "cores"
	receiversRole = "receivers"
)

// temporalSetup are the options of the Temporal server's process.
type temporalSetup struct {
	Addr string `json:"addr"`
	// Postgres is the database's URL.
	Postgres string `json:"postgres"`
}

// InRole reports whether this process was started for a role: then ServeRole is
// all that it does.
func InRole() bool { return os.Getenv(roleVariable) != "" }

// ServeRole plays this process's role until SIGTERM; it returns the exit status.
func ServeRole(stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	role, options := os.Getenv(roleVariable), []byte(os.Getenv(optionsVariable))
	if err := serveRole(ctx, role, options, func() { _, _ = fmt.Fprintln(stdout, ready) }, stderr); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}

func serveRole(ctx context.Context, role string, options []byte, ready func(), stderr io.Writer) error {
	if role == temporalRole {
		return serveTemporal(ctx, options, ready, stderr)
	}
	var o actors.Options
	if err := json.Unmarshal(options, &o); err != nil {
		return fmt.Errorf("read the role's options: %w", err)
	}
	switch role {
	case coresRole:
		return actors.Cores(ctx, o, ready)
	case receiversRole:
		return actors.Receivers(ctx, o, ready)
	}
	return fmt.Errorf("unknown role")
}

// serveTemporal runs a server without any tuning: Ringback needs none.
func serveTemporal(ctx context.Context, options []byte, ready func(), stderr io.Writer) error {
	var s temporalSetup
	if err := json.Unmarshal(options, &s); err != nil {
		return fmt.Errorf("read the role's options: %w", err)
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

// roleCommand returns how a role's process is started.
func roleCommand(role string, options any) (func() *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file: %w", err)
	}
	written, err := json.Marshal(options)
	if err != nil {
		return nil, fmt.Errorf("write the options of %s: %w", role, err)
	}
	return func() *exec.Cmd {
		command := exec.Command(self) //nolint:noctx // close ends it
		command.Env = append(os.Environ(), roleVariable+"="+role, optionsVariable+"="+string(written))
		return command
	}, nil
}

// build builds Ringback's own programs into dir.
func build(ctx context.Context, dir string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "ringback").Output()
	if err != nil {
		return fmt.Errorf("find Ringback's module; run this in the folder dev, as go -C dev run does: %w", err)
	}
	//nolint:gosec // a directory that the runner made, and no shell
	command := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./api", "./worker")
	command.Dir = filepath.Clean(string(root[:len(root)-1]))
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}
