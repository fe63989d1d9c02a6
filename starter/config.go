package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"ringback/internal/config"
)

func (t *tool) configuration() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration file, or print it with all its defaults",
		Long: `Check a configuration file before a program reads it, print it with all its
defaults, or write the JSON Schema that editors complete and check it by. None of
these commands calls the API, and none shows a secret.`,
		Example: `  starter config check ringback.yml
  starter config print ringback.yml
  starter config schema`,
		Args: subcommandsOnly,
		RunE: t.run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	cmd.AddCommand(t.configCheck(), t.configPrint(), t.configSchema())
	return cmd
}

func (t *tool) configCheck() *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say what is wrong with a configuration file",
		Long: `Say what is wrong with a configuration file, or with that of --config: every fault
with its line, as the programs would at their start and at a reload (SIGHUP), and
every warning: files that everybody on this machine can read or change, and
certificates that have run out. Kinds and dialects of your own are compiled, and their
examples run. Secrets and certificates are read from where the
file says, so that a missing one is found; none is shown. No program is asked.

Exits with 0 if the file is good, with 1 if it is not.`,
		Example: `  starter config check ringback.yml
  starter config check ringback.yml --strict -o json`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings, too")
	cmd.RunE = t.run(func(_ *cobra.Command, args []string) error {
		path, err := t.configFile(args)
		if err != nil {
			return err
		}
		checked := checkConfig(path)
		if err := t.showChecked(checked); err != nil {
			return err
		}
		switch {
		case !checked.Valid:
			return exit(exitFailed, "%s is refused", path)
		case strict && len(checked.Warnings) > 0:
			return exit(exitFailed, "%s is good, but for its warnings (--strict)", path)
		}
		return nil
	})
	return cmd
}

func (t *tool) configPrint() *cobra.Command {
	return &cobra.Command{
		Use:   "print [FILE]",
		Short: "Print a configuration with all its defaults",
		Long: `Print the configuration of a file, or of that of --config, with all its defaults,
without what is not set, and with each secret and each URL's query as [redacted].
A file that "config check" refuses is refused.`,
		Example: `  starter config print ringback.yml
  starter config print --config ringback.yml -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: t.run(func(_ *cobra.Command, args []string) error {
			path, err := t.configFile(args)
			if err != nil {
				return err
			}
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			for _, warning := range c.Warnings {
				t.note("warning: %s", warning)
			}
			return t.showConfig(c)
		}),
	}
}

func (t *tool) configSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Write the JSON Schema of configuration files",
		Long: `Write the JSON Schema of configuration files. An editor that speaks YAML completes
keys by it, and marks unknown keys, wrong types and numbers outside their limits. It
needs this line at the head of the file, where ringback.schema.json is what this
command writes:

  # yaml-language-server: $schema=ringback.schema.json

"config check" finds more: what depends on other values, on secrets and on files.`,
		Example: `  starter config schema`,
		Args:    cobra.NoArgs,
		RunE: t.run(func(*cobra.Command, []string) error {
			content, err := config.Schema()
			if err != nil {
				return err
			}
			return t.show(json.RawMessage(content), func(w io.Writer) { _, _ = w.Write(content) })
		}),
	}
}

// configFile is the file that a command is about; it can be read.
func (t *tool) configFile(args []string) (string, error) {
	path := t.config
	if len(args) > 0 {
		path = args[0]
	}
	if path == "" {
		return "", usage("no configuration file: name one")
	}
	file, err := os.Open(path)
	if err != nil {
		return "", usage("reading the configuration: %w", err)
	}
	return path, file.Close()
}

func (t *tool) showConfig(c *config.Config) error {
	content, err := c.Effective()
	if err != nil {
		return err
	}
	data, err := yaml.YAMLToJSON(content)
	if err != nil {
		return fmt.Errorf("writing the configuration as JSON: %w", err)
	}
	return t.show(json.RawMessage(data), func(w io.Writer) { _, _ = w.Write(content) })
}

// checkedConfig is the result of a check.
type checkedConfig struct {
	File  string `json:"file"`
	Valid bool   `json:"valid"`
	// Hash is that of /readyz, of a valid file.
	Hash     string        `json:"config_hash,omitempty"`
	Faults   []configFault `json:"faults"`
	Warnings []string      `json:"warnings"`

	sources, endpoints, keys int
	// kinds, dialects and examples are those of the file's own, all of them checked.
	kinds, dialects, examples int
}

type configFault struct {
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Path   string `json:"path,omitempty"`
	Detail string `json:"detail"`

	// text is the whole fault in one line.
	text string
}

func checkConfig(path string) checkedConfig {
	checked := checkedConfig{File: path, Faults: []configFault{}, Warnings: []string{}}
	c, err := config.Load(path)
	if err != nil {
		checked.Faults = faultsIn(err)
		return checked
	}
	checked.Valid, checked.Hash = true, c.Hash
	checked.sources, checked.endpoints, checked.keys = len(c.Sources), len(c.Endpoints), len(c.API.Keys)
	checked.kinds, checked.dialects, checked.examples = len(c.Kinds), len(c.Dialects), c.Examples()
	checked.Warnings = append(checked.Warnings, c.Warnings...)
	return checked
}

// faultsIn are the single faults of an error of config.Load.
func faultsIn(err error) []configFault {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var all []configFault
		for _, one := range joined.Unwrap() {
			all = append(all, faultsIn(one)...)
		}
		return all
	}
	var fault *config.Fault
	if errors.As(err, &fault) {
		return []configFault{{fault.Line, fault.Column, fault.Path, fault.Detail, fault.Error()}}
	}
	return []configFault{{Detail: err.Error(), text: err.Error()}}
}

func (t *tool) showChecked(c checkedConfig) error {
	return t.show(c, func(w io.Writer) {
		for _, fault := range c.Faults {
			_, _ = fmt.Fprintln(w, printable(fault.text))
		}
		for _, warning := range c.Warnings {
			_, _ = fmt.Fprintln(w, "warning: "+printable(warning))
		}
		if c.Valid {
			own := ""
			if c.kinds+c.dialects > 0 {
				own = fmt.Sprintf(", %d kinds and %d dialects of its own with %d examples", c.kinds, c.dialects, c.examples)
			}
			_, _ = fmt.Fprintf(w, "%s is good: %d sources, %d endpoints, %d API keys%s; its hash is %s\n",
				printable(c.File), c.sources, c.endpoints, c.keys, own, c.Hash)
		}
	})
}
