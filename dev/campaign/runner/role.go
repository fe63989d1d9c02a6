package runner

import (
	"context"
	"encoding/json"
	"errors"
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

// roleOptions are those of one role.
type roleOptions struct {
	actors.Options
	// Postgres is the URL of the Temporal server's database.
	Postgres string `json:"postgres,omitempty"`
}

// InRole reports whether this process was started for a role: then ServeRole is
// all that it does.
func InRole() bool { return os.Getenv(roleVariable) != "" }

// ServeRole plays this process's role until SIGTERM; it returns the exit status.
func ServeRole(stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	role := os.Getenv(roleVariable)
	if err := serveRole(ctx, role, func() { _, _ = fmt.Fprintln(stdout, ready) }, stderr); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}

func serveRole(ctx context.Context, role string, ready func(), stderr io.Writer) error {
	var o roleOptions
	if err := json.Unmarshal([]byte(os.Getenv(optionsVariable)), &o); err != nil {
		return fmt.Errorf("read the role's options: %w", err)
	}
	switch role {
	case temporalRole:
		return serveTemporal(ctx, o, ready, stderr)
	case coresRole:
		return actors.Cores(ctx, o.Options, ready)
	case receiversRole:
		return actors.Receivers(ctx, o.Options, ready)
	}
	return errors.New("unknown role")
}

// serveTemporal runs a server without any tuning: Ringback needs none.
func serveTemporal(ctx context.Context, o roleOptions, ready func(), stderr io.Writer) error {
	p, err := temporalserver.ParsePostgres(o.Postgres)
	if err != nil {
		return err
	}
	server, err := temporalserver.Start(ctx, temporalserver.Options{
		Addr: o.Listen[0], Postgres: &p, Stock: true, Log: telemetry.NewConsoleLogger(stderr, zapcore.ErrorLevel),
	})
	if err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return server.Stop()
}

// startRole starts a process of this binary for a role.
func (r *runner) startRole(ctx context.Context, p *program, o roleOptions) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	written, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write the options of %s: %w", p.name, err)
	}
	p.ready = ready
	p.command = func() *exec.Cmd {
		command := exec.Command(self) //nolint:noctx // close ends it
		command.Env = append(os.Environ(), roleVariable+"="+p.name, optionsVariable+"="+string(written))
		return command
	}
	return r.run(ctx, p)
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
