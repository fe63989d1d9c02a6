// Package runner plays a campaign: it starts PostgreSQL, a Temporal server, two of
// each of Ringback's programs, the cores and the receivers, each in a process of its
// own, with network links between them that can be broken. It makes the planned calls of
// the API, injects the plan's faults and finally reads every operation's state.
package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"

	apiclient "ringback/api/client"
	"ringback/dev/campaign/actors"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/dev/port"
	"ringback/dev/postgres"
)

// Options say what is played and where.
type Options struct {
	Plan plan.Options
	// Dir is an existing directory for the journals, the programs' logs and the
	// configuration.
	Dir string
	// Log writes one line of progress.
	Log func(format string, a ...any)
}

// runner holds all processes and links of a campaign.
type runner struct {
	Options
	plan    plan.Plan
	journal *journal.Writer
	// scratch is the directory of the database and of the built programs.
	scratch string
	hub     *toxiproxy.ApiServer

	links map[string]*link
	// targets are the started programs, by name.
	targets map[string]target
	// locks allow one fault at a time for each program and link.
	locks map[string]*sync.Mutex
	apis  []actors.API
	urls  actors.URLs
	// cores and receivers are the addresses that these processes listen on.
	cores     []string
	receivers string
	began     time.Time
	// startersEnded is closed once every planned call is answered; stopStarters ends
	// the calls before.
	startersEnded chan struct{}
	stopStarters  context.CancelFunc
	// cleanups run at the end, the last one first.
	cleanups []func() error
	// fail ends the campaign early.
	fail context.CancelCauseFunc
	// restarting are programs that ended unexpectedly and are being started again.
	restarting sync.WaitGroup
}

const (
	postgresName = "postgres"
	// copies is how many processes run each of Ringback's programs.
	copies = 2
	// leadTime is left to the processes to start before the plan's clock begins.
	leadTime = 2 * time.Second
	// settling is left at the end for anything that arrives late.
	settling = 3 * time.Second
)

// The links. Those to Temporal and to an API exist once for each program.
const (
	toDatabase  = "temporal>postgres"
	toCores     = "ringback>cores"
	toReceivers = "ringback>receivers"
)

func toTemporal(program string) string { return program + ">temporal" }
func toAPI(program string) string      { return "starters>" + program }

// Play plays a campaign until its last operation has ended, and leaves the
// journals in the directory. It fails if a program ends by itself or does not
// stop when told to.
func Play(ctx context.Context, o Options) (err error) {
	ctx, fail := context.WithCancelCause(ctx)
	r := &runner{
		Options: o, plan: plan.Make(o.Plan), hub: newHub(), fail: fail,
		links: map[string]*link{}, targets: map[string]target{}, locks: map[string]*sync.Mutex{},
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	if err := r.play(ctx); err != nil {
		fail(err)
		return err
	}
	return nil
}

func (r *runner) play(ctx context.Context) error {
	for _, step := range []func(context.Context) error{r.makeDirectories, r.startServers, r.chooseAddresses, r.startRingback, r.startActors} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.Log("%d operations and %d faults in %s, seed %d", len(r.plan.Operations), len(r.plan.Faults), r.plan.Length, r.plan.Seed)
	if err := r.injectFaults(ctx); err != nil {
		return err
	}
	if err := r.awaitStarters(ctx); err != nil {
		return err
	}
	r.Log("all planned calls are answered and all faults over: waiting for open operations")
	if err := r.statesDuringStarts(ctx); err != nil {
		return err
	}
	return sleepUntil(ctx, time.Now().Add(settling))
}

// statesDuringStarts reads the states while known starts are repeated: how long
// those take tells the checker whether Temporal is slow.
func (r *runner) statesDuringStarts(ctx context.Context) error {
	repeating, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- actors.RepeatStarts(repeating, r.actorOptions("starters"), r.journal) }()
	err := r.readStates(ctx)
	stop()
	return errors.Join(err, <-ended)
}

// awaitStarters waits until every planned call of the API is answered.
func (r *runner) awaitStarters(ctx context.Context) error {
	select {
	case <-r.startersEnded:
		return context.Cause(ctx)
	case <-time.After(time.Until(r.began.Add(r.plan.Length + patience))):
		return fmt.Errorf("some planned calls of the API got no answer for %s", patience)
	}
}

func (r *runner) makeDirectories(context.Context) (err error) {
	if r.journal, err = journal.Open(filepath.Join(r.Dir, "runner"+journal.Extension)); err != nil {
		return err
	}
	r.cleanups = append(r.cleanups, r.journal.Close)
	if r.scratch, err = os.MkdirTemp("", "ringback-campaign"); err != nil {
		return fmt.Errorf("make a directory for the database: %w", err)
	}
	r.cleanups = append(r.cleanups, func() error { return os.RemoveAll(r.scratch) })
	// PostgreSQL may run as another user.
	if err := os.Chmod(r.scratch, 0o755); err != nil { //nolint:gosec // the database's own directory is closed to others
		return fmt.Errorf("open the database's directory: %w", err)
	}
	return nil
}

// address reserves a loopback address until the end, also while its program is down.
func (r *runner) address(ctx context.Context) (string, error) {
	held, err := port.HoldAny(ctx)
	if err != nil {
		return "", fmt.Errorf("reserve a loopback address: %w", err)
	}
	r.cleanups = append(r.cleanups, func() error { return port.Release(held) })
	return held.String(), nil
}

// startServers builds Ringback's programs, and starts PostgreSQL and the Temporal
// server on it.
func (r *runner) startServers(ctx context.Context) error {
	r.Log("building Ringback's programs")
	if err := build(ctx, r.scratch); err != nil {
		return err
	}
	r.Log("starting PostgreSQL and a Temporal server")
	addr, err := r.address(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(r.scratch, "postgres")
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // as above
		return fmt.Errorf("make the database's directory: %w", err)
	}
	// Written data survives a killed process without fsync; only a machine's crash
	// would need it, and the disk may be shared.
	cluster, err := postgres.Start(ctx, postgres.Options{Dir: dir, Addr: addr, Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		return err
	}
	r.add(postgresName, database{cluster})
	linked, err := r.link(ctx, toDatabase, addr)
	if err != nil {
		return err
	}
	if addr, err = r.address(ctx); err != nil {
		return err
	}
	command, err := roleCommand(temporalRole, temporalSetup{Addr: addr, Postgres: strings.Replace(cluster.URL("temporal"), cluster.Addr(), linked, 1)})
	if err != nil {
		return err
	}
	for _, name := range ringbackPrograms() {
		if _, err := r.link(ctx, toTemporal(name), addr); err != nil {
			return err
		}
	}
	return r.run(ctx, &program{name: temporalRole, command: command, ready: ready, retryStart: true})
}

// chooseAddresses reserves the actors' addresses and opens the links to them.
func (r *runner) chooseAddresses(ctx context.Context) error {
	links := []string{toCores, toCores, toCores, toReceivers}
	urls := make([]string, len(links))
	for i, name := range links {
		addr, err := r.address(ctx)
		if err != nil {
			return err
		}
		linked, err := r.link(ctx, name, addr)
		if err != nil {
			return err
		}
		urls[i] = "http://" + linked
		if name == toCores {
			r.cores = append(r.cores, addr)
		} else {
			r.receivers = addr
		}
	}
	r.urls = actors.URLs{WSGate: urls[0], Paysera: urls[1], Gateway: urls[2], Receivers: urls[3]}
	return nil
}

func ringbackPrograms() []string {
	var names []string
	for _, kind := range []string{"api", "worker"} {
		for n := range copies {
			names = append(names, fmt.Sprintf("%s-%d", kind, n))
		}
	}
	return names
}

func (r *runner) startRingback(ctx context.Context) error {
	r.Log("starting %s", strings.Join(ringbackPrograms(), ", "))
	config := filepath.Join(r.Dir, "ringback.yml")
	if err := os.WriteFile(config, []byte(actors.Config(r.urls)), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	for _, name := range ringbackPrograms() {
		addr, err := r.address(ctx)
		if err != nil {
			return err
		}
		kind, _, _ := strings.Cut(name, "-")
		arguments := []string{"-config", config, "-telemetry-listen", addr}
		if kind == "api" {
			probes, err := r.address(ctx)
			if err != nil {
				return err
			}
			arguments = []string{"-config", config, "-listen", addr, "-telemetry-listen", probes}
			linked, err := r.link(ctx, toAPI(name), addr)
			if err != nil {
				return err
			}
			r.apis = append(r.apis, actors.API{Name: name, URL: "http://" + linked})
		}
		temporal := r.links[toTemporal(name)].pipes[0].listen
		command := func() *exec.Cmd {
			command := exec.Command(filepath.Join(r.scratch, kind), arguments...) //nolint:gosec,noctx // just built; close ends it
			command.Env = append(append(os.Environ(), actors.Environment()...), "TEMPORAL_ADDRESS="+temporal, "TEMPORAL_NAMESPACE=default")
			return command
		}
		if err := r.run(ctx, &program{name: name, command: command, ready: `"msg":"running"`}); err != nil {
			return err
		}
	}
	return nil
}

// startActors starts the plan's clock, cores and receivers, and the planned calls of
// the API, which this process makes.
func (r *runner) startActors(ctx context.Context) error {
	r.began = time.Now().Add(leadTime)
	for name, listen := range map[string][]string{coresRole: r.cores, receiversRole: {r.receivers}} {
		o := r.actorOptions(name)
		o.Listen = listen
		command, err := roleCommand(name, o)
		if err != nil {
			return err
		}
		if err := r.run(ctx, &program{name: name, command: command, ready: ready}); err != nil {
			return err
		}
	}
	r.startersEnded = make(chan struct{})
	ctx, r.stopStarters = context.WithCancel(ctx)
	go func() {
		defer close(r.startersEnded)
		if err := actors.Starters(ctx, r.actorOptions("starters")); err != nil {
			r.fail(err)
		}
	}()
	return nil
}

// actorOptions are the options of an actor, but for its addresses.
func (r *runner) actorOptions(name string) actors.Options {
	return actors.Options{
		Plan: r.Plan, Began: r.began, URLs: r.urls, APIs: r.apis,
		Journal: filepath.Join(r.Dir, name+journal.Extension),
	}
}

// link adds a pipe to upstream to the named link and returns its own address.
func (r *runner) link(ctx context.Context, name, upstream string) (string, error) {
	listen, err := r.address(ctx)
	if err != nil {
		return "", err
	}
	p := &pipe{listen: listen, upstream: upstream, hub: r.hub}
	if err := p.open(); err != nil {
		return "", fmt.Errorf("the link %s: %w", name, err)
	}
	if r.links[name] == nil {
		r.links[name], r.locks[name] = &link{name: name}, &sync.Mutex{}
	}
	r.links[name].pipes = append(r.links[name].pipes, p)
	return listen, nil
}

// run starts a program for the first time.
func (r *runner) run(ctx context.Context, p *program) error {
	p.log = filepath.Join(r.Dir, p.name+".log")
	p.ended = r.ended
	r.add(p.name, p)
	return p.start(ctx)
}

func (r *runner) add(name string, t target) {
	r.targets[name], r.locks[name] = t, &sync.Mutex{}
}

// ended handles a program that ended unexpectedly. A Temporal server is started
// again, as a service manager would do, and recorded as a fault. Any other program
// fails the campaign.
func (r *runner) ended(p *program, err error) {
	if p.name != temporalRole {
		r.fail(err)
		return
	}
	r.restarting.Go(func() {
		fault := journal.Fault{Kind: string(plan.Kill), On: p.name, Span: journal.Span{Began: time.Now()}}
		r.locks[p.name].Lock()
		defer r.locks[p.name].Unlock()
		r.Log("%v; starting it again", err)
		if err := p.start(context.Background()); err != nil {
			r.fail(err)
			return
		}
		fault.Ended = time.Now()
		if err := r.journal.Write(journal.Entry{Fault: &fault}); err != nil {
			r.fail(err)
		}
	})
}

// api is a client of one of the APIs, without a link in between.
func (r *runner) api(n int) *apiclient.Client {
	pipe := r.links[toAPI(r.apis[n%len(r.apis)].Name)].pipes[0]
	return &apiclient.Client{MaxAttempts: 1, Base: "http://" + pipe.upstream, Key: actors.Key}
}

// close ends everything, callers before the programs that they call. If ctx has
// ended, it kills them.
func (r *runner) close(ctx context.Context) error {
	if r.stopStarters != nil {
		r.stopStarters()
		<-r.startersEnded
	}
	var errs []error
	for _, name := range append(ringbackPrograms(), receiversRole, coresRole, temporalRole, postgresName) {
		t, started := r.targets[name]
		switch {
		case !started:
		case ctx.Err() != nil:
			errs = append(errs, t.kill())
		default:
			errs = append(errs, t.stop())
		}
	}
	for _, l := range r.links {
		l.refuse()
	}
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, r.cleanups[i]())
	}
	return errors.Join(errs...)
}
