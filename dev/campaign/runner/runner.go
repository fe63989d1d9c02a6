// Package runner is where a campaign is played: PostgreSQL, a Temporal server on
// it, two of each of Ringback's programs, the world around them, each a process of
// its own, and links between them that can be made bad. It injects the plan's
// faults, and in the end reads what the API says of every operation. What it did
// and read is in its journal, beside those of the world.
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
	// Dir is an existing directory. It gets the journals, the programs' logs and
	// the configuration.
	Dir string
	// Between, if set, puts something that is to be found out between Ringback and
	// the receivers at the given address: it returns its own address, and how it
	// is ended.
	Between func(ctx context.Context, receivers string) (address string, end func() error, err error)
	// Say is told what happens; a line each, without its end.
	Say func(format string, a ...any)
}

// Stage is the whole of a campaign's processes and links.
type Stage struct {
	Options
	plan    plan.Plan
	journal *journal.Writer
	// scratch is the directory of the database and of the programs' files.
	scratch string
	hub     *toxiproxy.ApiServer

	links map[string]*link
	// direct links are none: who dials one reaches the other without it.
	direct bool
	// subjects are what has been started.
	subjects map[string]subject
	// busy keeps faults of the same thing apart.
	busy map[string]*sync.Mutex

	apis  []actors.API
	world actors.World
	// cores and receivers are the addresses of the world's roles, past all links.
	cores     []string
	receivers string
	began     time.Time
	// ends are what is left to do at the end, the last first.
	ends []func() error

	// fail ends the campaign before its time.
	fail context.CancelCauseFunc
	// reviving are the programs that are being started again because they died.
	reviving sync.WaitGroup
}

const (
	postgresName = "postgres"
	// copies is how many of each of Ringback's programs there are.
	copies = 2
	// prelude is from the beginning's being said to the beginning.
	prelude = 2 * time.Second
)

// The links, but for those that have one for each copy of a program.
const (
	toDatabase  = "temporal>postgres"
	toCores     = "ringback>cores"
	toReceivers = "ringback>receivers"
)

func toTemporal(program string) string { return program + ">temporal" }

func toAPI(program string) string { return "starters>" + program }

// Open starts everything that Ringback consists of and needs, and opens every
// link. Close ends it, also where Open failed. The context that it returns ends
// with ctx, and as soon as the campaign fails.
func Open(ctx context.Context, o Options) (*Stage, context.Context, error) {
	s, ctx := newStage(ctx, o)
	s.plan = plan.Make(o.Plan)
	if err := s.openEngine(ctx); err != nil {
		return s, ctx, err
	}
	if err := s.openWorld(ctx); err != nil {
		return s, ctx, err
	}
	return s, ctx, s.openRingback(ctx, ringback{
		programs: ringbackPrograms(), config: actors.Config(s.world), environment: actors.Environment(),
	})
}

func newStage(ctx context.Context, o Options) (*Stage, context.Context) {
	ctx, fail := context.WithCancelCause(ctx)
	return &Stage{
		Options: o, hub: newHub(), fail: fail,
		links: map[string]*link{}, subjects: map[string]subject{}, busy: map[string]*sync.Mutex{},
	}, ctx
}

// makeRoom opens the journal and makes a directory, which is gone in the end.
func (s *Stage) makeRoom() (err error) {
	if s.journal, err = journal.Open(filepath.Join(s.Dir, "stage"+journal.Extension)); err != nil {
		return err
	}
	s.ends = append(s.ends, s.journal.Close)
	// The user postgres may not enter what is another's.
	if s.scratch, err = os.MkdirTemp("", "ringback-campaign"); err != nil {
		return fmt.Errorf("make a directory for the database: %w", err)
	}
	s.ends = append(s.ends, func() error { return os.RemoveAll(s.scratch) })
	if err := os.Chmod(s.scratch, 0o755); err != nil { //nolint:gosec // the database's own directory is closed to others
		return fmt.Errorf("open the database's directory: %w", err)
	}
	return nil
}

// address is one at which nobody listens, kept for who is told it while that one
// is away, until the end.
func (s *Stage) address(ctx context.Context) (string, error) {
	held, err := port.HoldAny(ctx)
	if err != nil {
		return "", fmt.Errorf("find an address for the stage: %w", err)
	}
	s.ends = append(s.ends, func() error { return port.Release(held) })
	return held.String(), nil
}

// openEngine builds Ringback's programs, and starts PostgreSQL and the Temporal
// server on it.
func (s *Stage) openEngine(ctx context.Context) error {
	if err := s.makeRoom(); err != nil {
		return err
	}
	s.Say("building Ringback's programs")
	if err := build(ctx, s.scratch); err != nil {
		return err
	}
	s.Say("starting PostgreSQL, and a Temporal server on it")
	addr, err := s.address(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.scratch, "postgres")
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // as above
		return fmt.Errorf("make the database's directory: %w", err)
	}
	cluster, err := postgres.Start(ctx, postgres.Options{Dir: dir, Addr: addr, Settings: map[string]string{
		// What is written outlives the process, not the machine, which nobody kills:
		// a disk that others keep busy would only slow down what is measured.
		"fsync": "off",
	}})
	if err != nil {
		return err
	}
	s.add(postgresName, database{cluster})
	through, err := s.link(ctx, toDatabase, addr)
	if err != nil {
		return err
	}
	if addr, err = s.address(ctx); err != nil {
		return err
	}
	run, err := asRole(temporalRole, temporalSetup{Addr: addr, Postgres: strings.Replace(cluster.URL("temporal"), cluster.Addr(), through, 1)})
	if err != nil {
		return err
	}
	for _, name := range ringbackPrograms() {
		if _, err := s.link(ctx, toTemporal(name), addr); err != nil {
			return err
		}
	}
	return s.run(ctx, &program{name: temporalRole, command: run, ready: ready, stubborn: true})
}

// openWorld finds the addresses of the world, which is started at the beginning.
func (s *Stage) openWorld(ctx context.Context) error {
	var at [4]string
	for i := range at {
		var err error
		if at[i], err = s.address(ctx); err != nil {
			return err
		}
	}
	s.cores, s.receivers = at[:3], at[3]
	behind := s.receivers
	if s.Between != nil {
		between, end, err := s.Between(ctx, behind)
		if err != nil {
			return err
		}
		s.ends = append(s.ends, end)
		behind = between
	}
	wsgate, err := s.link(ctx, toCores, at[0])
	if err != nil {
		return err
	}
	wallet, err := s.link(ctx, toCores, at[1])
	if err != nil {
		return err
	}
	front, err := s.link(ctx, toCores, at[2])
	if err != nil {
		return err
	}
	receivers, err := s.link(ctx, toReceivers, behind)
	if err != nil {
		return err
	}
	s.world = actors.World{
		WSGate: []string{"http://" + wsgate}, Paysera: []string{"http://" + wallet}, Front: "http://" + front,
		Receivers: "http://" + receivers,
	}
	return nil
}

func ringbackPrograms() []string {
	var names []string
	for _, sort := range []string{"api", "worker"} {
		for n := range copies {
			names = append(names, fmt.Sprintf("%s-%d", sort, n))
		}
	}
	return names
}

// ringback says which of Ringback's programs run, and how.
type ringback struct {
	programs []string
	// direct leaves out the links, where they would have a share in what is measured.
	direct bool
	// config is the text of their configuration, environment what it refers to.
	config      string
	environment []string
	// apiFlags are given to each api.
	apiFlags []string
}

// openRingback starts Ringback's programs.
func (s *Stage) openRingback(ctx context.Context, r ringback) error {
	s.Say("starting %s", strings.Join(r.programs, ", "))
	config := filepath.Join(s.Dir, "ringback.yml")
	if err := os.WriteFile(config, []byte(r.config), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	for _, name := range r.programs {
		addr, err := s.address(ctx)
		if err != nil {
			return err
		}
		kind, _, _ := strings.Cut(name, "-")
		arguments := []string{"-config", config, "-telemetry-listen", addr}
		if kind == "api" {
			arguments = append([]string{"-config", config, "-listen", addr}, r.apiFlags...)
			through, err := s.link(ctx, toAPI(name), addr)
			if err != nil {
				return err
			}
			s.apis = append(s.apis, actors.API{Name: name, URL: "http://" + through})
		}
		engine := s.links[toTemporal(name)].pipes[0].listen
		run := func() *exec.Cmd {
			command := exec.Command(filepath.Join(s.scratch, kind), arguments...) //nolint:gosec,noctx // just built; the stage ends it in order
			command.Env = append(append(os.Environ(), r.environment...), "TEMPORAL_ADDRESS="+engine, "TEMPORAL_NAMESPACE=default")
			return command
		}
		if err := s.run(ctx, &program{name: name, command: run, ready: `"msg":"running"`}); err != nil {
			return err
		}
	}
	return nil
}

// Begin starts the world, and with it the plan's clock.
func (s *Stage) Begin(ctx context.Context) error {
	s.began = time.Now().Add(prelude)
	for _, role := range []struct {
		name   string
		listen []string
	}{{coresRole, s.cores}, {receiversRole, []string{s.receivers}}, {startersRole, nil}} {
		told := s.outside()
		told.Journal, told.Listen = filepath.Join(s.Dir, role.name+journal.Extension), role.listen
		run, err := asRole(role.name, told)
		if err != nil {
			return err
		}
		if err := s.run(ctx, &program{name: role.name, command: run, ready: ready, finite: role.name == startersRole}); err != nil {
			return err
		}
	}
	return nil
}

// outside is what every role of the world is told.
func (s *Stage) outside() actors.Options {
	return actors.Options{Plan: s.Plan, Began: s.began, World: s.world, APIs: s.apis}
}

// link opens a link's pipe to upstream and returns where it listens.
func (s *Stage) link(ctx context.Context, name, upstream string) (string, error) {
	p := &pipe{listen: upstream, upstream: upstream, hub: s.hub}
	if !s.direct {
		var err error
		if p.listen, err = s.address(ctx); err != nil {
			return "", err
		}
		if err := p.open(); err != nil {
			return "", fmt.Errorf("the link %s: %w", name, err)
		}
	}
	l, ok := s.links[name]
	if !ok {
		l = &link{name: name}
		s.links[name], s.busy[name] = l, &sync.Mutex{}
	}
	l.pipes = append(l.pipes, p)
	return p.listen, nil
}

// run starts a program for the first time.
func (s *Stage) run(ctx context.Context, p *program) error {
	p.log = filepath.Join(s.Dir, p.name+".log")
	p.died = s.died
	s.add(p.name, p)
	return p.start(ctx)
}

func (s *Stage) add(name string, what subject) {
	s.subjects[name], s.busy[name] = what, &sync.Mutex{}
}

// died is what happens when a program ends although nobody ended it. A Temporal
// server is started again, as whatever keeps one running would, and that it died
// is a fault of the campaign; of everything else it is a failure.
func (s *Stage) died(p *program, err error) {
	if p.name != temporalRole {
		s.fail(err)
		return
	}
	s.reviving.Go(func() {
		fault := journal.Fault{Kind: string(plan.Kill), On: p.name, Span: journal.Span{Began: time.Now()}}
		s.busy[p.name].Lock()
		defer s.busy[p.name].Unlock()
		s.Say("%v; it is started again", err)
		if err := p.start(context.Background()); err != nil {
			s.fail(err)
			return
		}
		fault.Ended = time.Now()
		if err := s.journal.Write(journal.Entry{Fault: &fault}); err != nil {
			s.fail(err)
		}
	})
}

// api calls one of the APIs past its link.
func (s *Stage) api(n int) *apiclient.Client {
	pipe := s.links[toAPI(s.apis[n%len(s.apis)].Name)].pipes[0]
	return &apiclient.Client{MaxAttempts: 1, Base: "http://" + pipe.upstream, Key: actors.Key}
}

// Close ends everything: in order, with those that call before those that are
// called, unless ctx has ended.
func (s *Stage) Close(ctx context.Context) error {
	var errs []error
	order := append([]string{startersRole}, ringbackPrograms()...)
	for _, name := range append(order, receiversRole, coresRole, temporalRole, postgresName) {
		what, started := s.subjects[name]
		switch {
		case !started:
		case ctx.Err() != nil:
			errs = append(errs, what.kill())
		default:
			errs = append(errs, what.stop())
		}
	}
	for _, l := range s.links {
		if !s.direct {
			l.refuse()
		}
	}
	for i := len(s.ends) - 1; i >= 0; i-- {
		errs = append(errs, s.ends[i]())
	}
	return errors.Join(errs...)
}
