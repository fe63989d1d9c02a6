// Package cli is the program dev: everything that Ringback needs, in one
// process on one machine.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	apiclient "ringback/api/client"
	"ringback/dev/demo"
	"ringback/dev/drill"
	"ringback/dev/story"
	"ringback/dev/temporalserver"
	"ringback/dev/temporalui"
	"ringback/internal/app"
	"ringback/internal/config"
	"ringback/internal/telemetry"
	"ringback/internal/version"
	"ringback/internal/views"
	"ringback/workflows"
)

// flags are the command line.
type flags struct {
	config, data                     string
	temporalAddr, uiAddr, apiAddr    string
	telemetryAddr                    string
	demo, drill, unattended, version bool
	// temporalOnly, postgres and retention are for tests and measurements: the
	// Temporal server as a process of its own.
	temporalOnly bool
	postgres     string
	retention    time.Duration
	// given are the names of the flags that were set.
	given map[string]bool
}

const usage = `dev runs everything on this machine in one process: a Temporal server on SQLite,
the Temporal UI, Ringback's API with a worker, and, unless told otherwise, simulated
cores and receivers with a story of five payment operations.

Usage:
  go -C dev run . [flags]          (or: make run)

Flags:
  -data DIR            keep everything in DIR; it survives a restart, also kill -9
                       (default: in memory)
  -config FILE         serve this configuration instead of the demo's
  -demo=false          no simulators and no story: -config FILE alone
  -api-addr ADDR       Ringback's API       (default %s)
  -ui-addr ADDR        the Temporal UI      (default %s)
  -temporal-addr ADDR  the Temporal server  (default %s)
  -telemetry-addr ADDR /metrics, /healthz and /readyz (default %s)
                       A default address that is taken gives way to a free port.
  -drill               play every alert instead, one after the other (make drill);
                       -go-on waits for no Enter
  -version             print the version

Examples:
  go -C dev run .                                        the story, in memory
  go -C dev run . -data ../data                          kept in ./data
  go -C dev run . -demo=false -config ../ringback.yml    your own configuration
  temporal workflow list --address %[3]s --query 'ExecutionStatus="Failed"'
`

const (
	defaultAPI      = "127.0.0.1:8080"
	defaultUI       = "127.0.0.1:8233"
	defaultTemporal = "127.0.0.1:7233"

	defaultTelemetry = "127.0.0.1:9464"
)

// Main runs the program and returns its exit status: 0 stopped cleanly, 1
// failed, 2 wrong usage.
func Main(arguments []string, stdout, stderr io.Writer) int {
	f, err := parse(arguments)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = fmt.Fprintf(stdout, usage, defaultAPI, defaultUI, defaultTemporal, defaultTelemetry)
		return 0
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "dev: %v; see -help\n", err)
		return 2
	case f.version:
		_, _ = fmt.Fprintf(stdout, "dev version %s\n", version.String())
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends the process at once; one keypress may arrive twice.
	context.AfterFunc(ctx, func() {
		time.Sleep(time.Second)
		stop()
	})
	d := &dev{flags: f, out: stdout, err: stderr, taken: map[string]string{}}
	if err := d.run(ctx); err != nil && ctx.Err() == nil {
		_, _ = fmt.Fprintf(stderr, "dev: %v\n", err)
		return 1
	}
	return 0
}

func parse(arguments []string) (flags, error) {
	f := flags{given: map[string]bool{}}
	set := flag.NewFlagSet("dev", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.config, "config", "", "")
	set.StringVar(&f.data, "data", "", "")
	set.StringVar(&f.temporalAddr, "temporal-addr", defaultTemporal, "")
	set.StringVar(&f.uiAddr, "ui-addr", defaultUI, "")
	set.StringVar(&f.apiAddr, "api-addr", defaultAPI, "")
	set.StringVar(&f.telemetryAddr, "telemetry-addr", defaultTelemetry, "")
	set.BoolVar(&f.demo, "demo", true, "")
	set.BoolVar(&f.drill, "drill", false, "")
	set.BoolVar(&f.unattended, "go-on", false, "")
	set.BoolVar(&f.version, "version", false, "")
	set.BoolVar(&f.temporalOnly, "temporal-only", false, "")
	set.StringVar(&f.postgres, "postgres", "", "")
	set.DurationVar(&f.retention, "retention", 0, "")
	if err := set.Parse(arguments); err != nil {
		return f, err
	}
	set.Visit(func(given *flag.Flag) { f.given[given.Name] = true })
	switch {
	case set.NArg() > 0:
		return f, fmt.Errorf("no argument is taken, %q was given", set.Arg(0))
	case f.config != "" && !f.given["demo"]:
		f.demo = false
	case f.config != "" && f.demo:
		return f, errors.New("the demo brings its own configuration: leave out -demo or -config")
	case f.config == "" && !f.demo && !f.temporalOnly:
		return f, errors.New("-demo=false needs -config FILE")
	}
	return f, nil
}

// dev is the running program.
type dev struct {
	flags
	out, err io.Writer

	temporal *temporalserver.Server
	ui       *temporalui.UI
	world    *demo.World
	// printer prints what happens in the demo.
	printer *story.Printer
	// taken has, by flag, what is said of a default address that is taken.
	taken map[string]string
	// stop ends what was started; it runs from the last to the first.
	stop []func()
}

func (d *dev) run(ctx context.Context) error {
	defer d.close()
	if d.drill {
		return d.playDrill(ctx)
	}
	if err := d.startTemporal(ctx); err != nil {
		return err
	}
	if d.temporalOnly {
		<-ctx.Done()
		return nil
	}
	if err := d.startUI(ctx); err != nil {
		return err
	}
	if err := d.startWorld(); err != nil {
		return err
	}
	return d.serve(ctx)
}

func (d *dev) close() {
	for _, stop := range slices.Backward(d.stop) {
		stop()
	}
}

func (d *dev) print(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format+"\n", args...) }

func (d *dev) startTemporal(ctx context.Context) error {
	o := temporalserver.Options{Addr: d.address(ctx, "temporal-addr", d.temporalAddr), DataDir: d.data, Retention: d.retention}
	if !d.temporalOnly {
		o.Attributes = workflows.Attributes
	}
	where := "SQLite in memory"
	if d.data != "" {
		where = "SQLite in " + d.data
	}
	if d.postgres != "" {
		p, err := temporalserver.ParsePostgres(d.postgres)
		if err != nil {
			return err
		}
		o.Postgres, where = &p, "PostgreSQL at "+p.Addr
	}
	d.print("Starting a Temporal server on %s ...", where)
	server, err := temporalserver.Start(ctx, o)
	if err != nil {
		return err
	}
	d.temporal = server
	d.stop = append(d.stop, func() { _ = server.Stop() })
	d.print("  Temporal     %s%s, namespace %s", server.FrontendAddr(), d.taken["temporal-addr"], server.Namespace())
	return nil
}

func (d *dev) startUI(ctx context.Context) error {
	codec, err := d.codec()
	if err != nil {
		return err
	}
	ui, err := temporalui.Start(ctx, temporalui.Options{
		Addr: d.address(ctx, "ui-addr", d.uiAddr), FrontendAddr: d.temporal.FrontendAddr(), Namespace: d.temporal.Namespace(),
		CodecEndpoint: codec,
	})
	if err != nil {
		return err
	}
	d.ui = ui
	d.stop = append(d.stop, ui.Stop)
	d.print("  Temporal UI  %s%s", ui.URL(), d.taken["ui-addr"])
	return nil
}

// codec is the URL of the API's codec server, with which the UI decrypts payloads;
// empty where the configuration has no codec keys.
func (d *dev) codec() (string, error) {
	if d.demo {
		return "", nil
	}
	c, err := config.Load(d.config)
	if err != nil || len(c.Codec.Keys) == 0 {
		return "", err
	}
	address, scheme := c.API.Listen, "http"
	if d.given["api-addr"] {
		address = d.apiAddr
	}
	if c.API.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + address + "/codec", nil
}

// startWorld starts the simulators, and has their configuration served.
func (d *dev) startWorld() error {
	if !d.demo {
		return nil
	}
	world, err := demo.Start()
	if err != nil {
		return err
	}
	d.world = world
	d.stop = append(d.stop, func() { _ = world.Close() })
	dir, err := os.MkdirTemp("", "ringback-demo")
	if err != nil {
		return fmt.Errorf("make a directory for the demo's configuration: %w", err)
	}
	d.stop = append(d.stop, func() { _ = os.RemoveAll(dir) })
	d.config, err = world.WriteConfig(dir)
	d.print("  simulated    wsGate %s, Paysera %s, receivers %s %s %s", world.WSGate.URL(), world.PayseraCore.URL(),
		world.UkrcardReceiver.URL(), world.PayseraReceiver.URL(), world.StandardReceiver.URL())
	return err
}

// serve runs Ringback until ctx ends, and the story at the same time, which must
// end before the servers that it uses are closed.
func (d *dev) serve(ctx context.Context) error {
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listen, probes := "", "" // what the configuration says
	if d.demo || d.given["api-addr"] {
		listen = d.address(ctx, "api-addr", d.apiAddr)
	}
	if d.demo || d.given["telemetry-addr"] {
		probes = d.address(ctx, "telemetry-addr", d.telemetryAddr)
	}
	log := d.log()
	if d.demo {
		d.printer = story.NewPrinter(d.out, onTerminal(d.out))
		log = log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return zapcore.NewTee(core, d.printer.Log()) }))
	}
	err := app.Run(ctx, app.Options{
		ConfigPath: d.config,
		Temporal:   client.Options{HostPort: d.temporal.FrontendAddr(), Namespace: d.temporal.Namespace()},
		UIURL:      d.ui.URL(),
		API:        true,
		Worker:     true,
		Listen:     listen, TelemetryListen: probes,
		Log: log,
		Started: func(address, probes string) {
			d.print("  Ringback     http://%s%s, OpenAPI at /openapi.yaml", address, d.taken["api-addr"])
			d.print("  telemetry    http://%s/metrics%s", probes, d.taken["telemetry-addr"])
			if d.demo {
				base := "http://" + address
				running.Go(func() { d.printer.Follow(ctx, &apiclient.Client{MaxAttempts: 1, Base: base}) })
				running.Go(func() { d.runStory(ctx, base) })
				return
			}
			d.print("Serving %s until Ctrl-C.", d.config)
		},
	})
	cancel()
	running.Wait()
	d.print("Stopped.")
	return err
}

// log is for a person on a terminal, where a story is not interrupted, and else the JSON
// lines that the programs write.
func (d *dev) log() *zap.Logger {
	switch {
	case !isTerminal(d.err):
		return telemetry.NewLogger(d.err, zapcore.InfoLevel)
	case d.demo:
		return telemetry.NewConsoleLogger(d.err, zapcore.ErrorLevel)
	}
	return telemetry.NewConsoleLogger(d.err, zapcore.InfoLevel)
}

// runStory runs the story, and goes on telling what happens until ctx ends.
func (d *dev) runStory(ctx context.Context, base string) {
	d.print("\nFive payment operations, as the HTTP API tells them:\n")
	result, err := story.Run(ctx, story.Options{
		API: &apiclient.Client{MaxAttempts: 1, Base: base}, World: d.world, Printer: d.printer,
	})
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		d.print("\nThe story ended otherwise than it should: %v", err)
	default:
		d.print("\nThe story is told: each operation ended as it should.")
	}
	d.print("\nEverything stays up until Ctrl-C. To see:\n")
	list := fmt.Sprintf("%s/namespaces/%s/workflows", d.ui.URL(), d.temporal.Namespace())
	d.print("  all runs      %s", list)
	d.print("  a failed one  %s", result.FailedURL)
	for _, view := range views.All("", time.Now()) {
		d.print("  %s:\n    %s", view.Finds, views.Link(list, view.Query))
	}
	d.print("\nTo try:\n\n%s", curls(base, d.world.PayseraReceiver.URL(), result))
	stop := d.printer.Print(ctx)
	<-ctx.Done()
	stop()
}

// curls are four calls that work as they stand, in their order.
func curls(base, receiver string, result story.Result) string {
	fresh, exhausted := base+apiclient.Path(result.NotStarted), base+apiclient.Path(result.Exhausted)
	body := fmt.Sprintf(`{"endpoint":%q,"operation_id":%q,"callback":{"url":%q}}`, result.NotStarted.Endpoint, result.NotStarted.OperationID, receiver+"/transfers")
	return fmt.Sprintf(`  start      curl -s %s/v1/operations -H 'Content-Type: application/json' -d '%s'
  state      curl -s %s
  revoke     curl -s %s/revocation -H 'Content-Type: application/json' -d '{"initiated_by":"user"}'
  redeliver  curl -s %s/redelivery -H 'Content-Type: application/json' -d '{"reason":"the receiver is back"}'
`, base, body, fresh, fresh, exhausted)
}

// playDrill plays the drill in the repository's folder, with the programs in its bin.
func (d *dev) playDrill(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program, which is to serve Temporal: %w", err)
	}
	pause := drill.GoOn
	if isTerminal(os.Stdin) && isTerminal(d.out) && !d.unattended {
		pause = drill.Enter(os.Stdin, d.out)
	}
	return drill.Run(ctx, drill.Options{
		Programs: "bin", Repository: ".", Out: d.out, Broken: pause, Mended: pause,
		Temporal: func(addr, dir string) *exec.Cmd {
			return exec.Command(self, "-temporal-only", "-temporal-addr", addr, "-data", dir) //nolint:gosec,noctx // ended by its process id, and no shell
		},
		UI: func(ctx context.Context, frontend, codec string) (string, error) {
			ui, err := temporalui.Start(ctx, temporalui.Options{
				Addr: d.address(ctx, "ui-addr", d.uiAddr), FrontendAddr: frontend, Namespace: client.DefaultNamespace, CodecEndpoint: codec,
			})
			if err != nil {
				return "", err
			}
			d.stop = append(d.stop, ui.Stop)
			return ui.URL(), nil
		},
	})
}

// address is addr; a default one that is taken gives way to a free port.
func (d *dev) address(ctx context.Context, name, addr string) string {
	if d.given[name] {
		return addr
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err == nil {
		_ = l.Close()
		return addr
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return addr // who listens there says what is wrong
	}
	host, _, _ := net.SplitHostPort(addr)
	d.taken[name] = " (" + addr + " is taken)"
	return net.JoinHostPort(host, "0")
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// onTerminal reports whether w shows colours.
func onTerminal(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
