// Package drill brings about what each alert is for, on programs, cores and receivers of
// its own, so that engineers rehearse docs/operations/runbook.md before they are woken.
package drill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// Options are what a drill is played with.
type Options struct {
	// Programs is the folder of api, worker and starter.
	Programs string
	// Temporal is the program that serves Temporal at addr with its files in dir.
	Temporal func(addr, dir string) *exec.Cmd
	// UI serves the Temporal UI of a server, which opens payloads by the codec, and returns
	// its URL; nil: there is none.
	UI func(ctx context.Context, frontend, codec string) (string, error)
	// Repository is the folder that has deploy/ and docs/.
	Repository string
	Out        io.Writer
	// Broken is called while the cause is there, and Mended once it is mended, with the
	// commands of the runbook that are for then and a file that prepares a shell for them.
	Broken, Mended func(ctx context.Context, s Scene, commands []string, shell string) error
}

// Alert is a rule of deploy/prometheus/alerts.yml.
type Alert struct {
	Name        string `yaml:"alert"`
	Record      string
	Expr        string
	Labels      struct{ Severity string }
	Annotations struct{ Runbook string }
}

// Alerts reads the file of the rules; one that only records has no name.
func Alerts(path string) ([]Alert, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct{ Groups []struct{ Rules []Alert } }
	if err := yaml.Unmarshal(content, &file); err != nil {
		return nil, fmt.Errorf("reading the rules in %s: %w", path, err)
	}
	var all []Alert
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all, nil
}

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// Runbook reads the runbook: the blocks of commands of each alert's chapter, in their order.
func Runbook(path string) (map[string][]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	chapters := map[string][]string{}
	for _, part := range strings.Split(string(content), "\n### ")[1:] {
		name, body, _ := strings.Cut(part, "\n")
		chapters[name] = blocks(body)
	}
	return chapters, nil
}

func blocks(text string) (all []string) {
	for _, found := range shellBlock.FindAllStringSubmatch(text, -1) {
		all = append(all, found[1])
	}
	return all
}

// Run plays the scene of every alert, in the order of the file of the rules.
func Run(ctx context.Context, o Options) (err error) {
	alerts, err := Alerts(filepath.Join(o.Repository, "deploy/prometheus/alerts.yml"))
	if err != nil {
		return err
	}
	runbook, err := Runbook(filepath.Join(o.Repository, "docs/operations/runbook.md"))
	if err != nil {
		return err
	}
	s := &site{Options: o}
	defer func() { err = errors.Join(err, s.close()) }()
	s.say("Starting Temporal, api, worker, both cores and their receivers ...")
	if err := s.open(ctx); err != nil {
		return err
	}
	s.introduce()
	scenes := s.scenes()
	for _, alert := range alerts {
		if alert.Name == "" {
			continue
		}
		scene, known := scenes[alert.Name]
		if !known {
			return fmt.Errorf("the alert %s has no scene in dev/drill and no reason why not", alert.Name)
		}
		scene.Alert = alert.Name
		if err := s.play(ctx, scene, alert.Labels.Severity, runbook[alert.Name]); err != nil {
			return fmt.Errorf("%s: %w", alert.Name, err)
		}
	}
	s.say("\nThat was every alert.")
	return nil
}

// play brings the scene's cause about, shows what is seen of it, and mends it.
func (s *site) play(ctx context.Context, scene Scene, severity string, commands []string) error {
	s.say("\n== %s (%s)\n\n%s", scene.Alert, severity, scene.Cause)
	if err := s.writeShell(scene); err != nil {
		return err
	}
	if scene.cause == nil {
		s.showCommands(commands)
		return s.Broken(ctx, scene, commands, s.shell())
	}
	before := s.matching(ctx, scene.Shown)
	if err := scene.cause(ctx); err != nil {
		return fmt.Errorf("bringing it about: %w", err)
	}
	if err := s.showCause(ctx, scene, before); err != nil {
		return err
	}
	// The process ids of programs that the cause restarted are others.
	if err := s.writeShell(scene); err != nil {
		return err
	}
	at := len(commands)
	if scene.AfterMending > 0 {
		at = scene.AfterMending
	}
	s.showCommands(commands[:at])
	if err := s.Broken(ctx, scene, commands[:at], s.shell()); err != nil {
		return err
	}
	return s.mend(ctx, scene, commands[at:])
}

// showCause shows what is seen of the cause. before is what the metrics showed without it.
func (s *site) showCause(ctx context.Context, scene Scene, before []string) error {
	metric, err := s.awaitMetric(ctx, scene.Shown, before...)
	if err != nil {
		return err
	}
	s.say("\n  metric  %s", metric)
	if scene.Logged != "" {
		line, err := s.awaitLog(ctx, scene.Logged)
		if err != nil {
			return err
		}
		s.say("  log     %s", line)
	}
	if scene.Operation != "" && s.ui != "" {
		query := fmt.Sprintf("WorkflowId=%q", scene.Endpoint+"/"+scene.Operation)
		s.say("  UI      %s/namespaces/default/workflows?query=%s", s.ui, url.QueryEscape(query))
	}
	return nil
}

// mend mends the scene's cause, and shows that it is over.
func (s *site) mend(ctx context.Context, scene Scene, commands []string) error {
	if err := scene.mend(ctx); err != nil {
		return fmt.Errorf("mending it: %w", err)
	}
	s.say("\nMended: %s", scene.Mended)
	if err := s.writeShell(scene); err != nil {
		return err
	}
	if len(commands) > 0 {
		s.showCommands(commands)
		if err := s.Mended(ctx, scene, commands, s.shell()); err != nil {
			return err
		}
	}
	seen, err := scene.over(ctx)
	if err != nil {
		return fmt.Errorf("waiting until it is over: %w", err)
	}
	s.say("Over:   %s", seen)
	return nil
}

func (s *site) introduce() {
	s.say("  log  %s", s.log.Name())
	if s.ui != "" {
		s.say("  UI   %s\n       What is stored is sealed: open %s in the browser once, with any name and the\n       password %s", s.ui, s.codec(), s.browser)
	}
	s.say(`
In another terminal, in this folder:  . %s
again for each alert; then type what it shows. Prometheus does not run: the metric is
what the alert's rule reads.`, s.shell())
}

func (s *site) showCommands(commands []string) {
	for _, block := range commands {
		s.say("\n%s", indented(block))
	}
}

func indented(block string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(block, "\n"), "\n", "\n    ")
}

func (s *site) say(format string, a ...any) { _, _ = fmt.Fprintf(s.Out, format+"\n", a...) }

// Enter waits for the Enter key on in.
func Enter(in io.Reader, out io.Writer) func(context.Context, Scene, []string, string) error {
	lines := make(chan error)
	go func() {
		reader := bufio.NewReader(in)
		for {
			_, err := reader.ReadString('\n')
			lines <- err
		}
	}()
	return func(ctx context.Context, _ Scene, _ []string, shell string) error {
		_, _ = fmt.Fprintf(out, "\nLook at it (. %s), then press Enter. ", shell)
		select {
		case err := <-lines:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// GoOn waits for nobody.
func GoOn(context.Context, Scene, []string, string) error { return nil }
