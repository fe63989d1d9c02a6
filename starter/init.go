package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"ringback/internal/config"
)

//go:embed init.yml.tmpl
var initTemplate string

// newConfig is what a new configuration is about. Its fields are the answers.
type newConfig struct{ Core, Client, Where string }

func (n newConfig) PerOperation() bool { return n.Where == config.PerOperation }

// mode lets everybody read the file, since the programs run as another user, unless the
// URL has a query: that may be a secret, as config check says.
func (n newConfig) mode() os.FileMode {
	if strings.Contains(n.Where, "?") {
		return 0o640
	}
	return 0o644
}

func (t *tool) initialize() *cobra.Command {
	var n newConfig
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a first configuration file by three questions",
		Long: `Write a first configuration file, ringback.yml unless another is named, with
comments. It asks on a terminal for what no flag says: which core is polled, which
client is called back, and where. A file that is there is never overwritten.`,
		Example: "  starter init shop.yml --core paysera --client standard --where https://shop.example/hooks",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&n.Core, "core", "", "the `CORE` that is polled: ukrcard or paysera")
	cmd.Flags().StringVar(&n.Client, "client", "", "the `DIALECT` of the client's receiver: the core's, or standard (Standard Webhooks)")
	cmd.Flags().StringVar(&n.Where, "where", "", "the `URL` of the client's receiver, or "+config.PerOperation+": each operation brings its own")
	completeWith(cmd, "core", cores...)
	completeWith(cmd, "client", append(cores, standard)...)
	cmd.RunE = t.run(func(cmd *cobra.Command, args []string) error {
		path := "ringback.yml"
		if len(args) > 0 {
			path = args[0]
		}
		if _, err := os.Lstat(path); err == nil {
			return exit(exitFailed, "%s is there already, and is left as it is: name another file", path)
		}
		if err := t.ask(cmd.Context(), &n); err != nil {
			return err
		}
		content, err := n.render(path)
		if err != nil {
			return err
		}
		if err := writeNew(path, content, n.mode()); err != nil {
			return err
		}
		return t.show(map[string]string{"file": path}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "Wrote %s. Put in what your core gave you for each \"your-…\"; this says which secrets are missing:\n  starter config check %s\n", printable(path), printable(path))
		})
	})
	return cmd
}

const standard = "standard"

var cores = []string{"ukrcard", "paysera"}

// ask asks for what no flag said.
func (t *tool) ask(ctx context.Context, n *newConfig) error {
	for _, q := range []struct {
		flag, question string
		answer         *string
		allowed        func() []string
	}{
		{"core", "Which core is polled", &n.Core, func() []string { return cores }},
		{"client", "Which dialect does the client's receiver speak", &n.Client, func() []string { return []string{n.Core, standard} }},
		{"where", "Where does it receive callbacks: its URL, or " + config.PerOperation, &n.Where, nil},
	} {
		if *q.answer == "" && !t.canAsk() {
			return usage("there is no terminal to ask at: give --core, --client and --where")
		}
		var allowed []string
		if q.allowed != nil {
			allowed = q.allowed()
			q.question += ": " + strings.Join(allowed, " or ")
		}
		if *q.answer == "" {
			_, _ = fmt.Fprint(t.err, q.question+"? ")
			var err error
			if *q.answer, err = t.readLine(ctx); err != nil {
				return err
			}
		}
		if allowed != nil && !slices.Contains(allowed, *q.answer) {
			return usage("%s: %q is neither %s", q.flag, *q.answer, strings.Join(allowed, " nor "))
		}
	}
	return nil
}

// render is the file's content. What config check would say of the URL is refused.
func (n newConfig) render(path string) ([]byte, error) {
	parsed, err := template.New("init").Parse(initTemplate)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	if err := parsed.Execute(&content, n); err != nil {
		return nil, err
	}
	if _, err := config.Parse(path, content.Bytes()); err != nil {
		for _, fault := range faultsIn(err) {
			if fault.Path == "endpoints.CLIENT.url" {
				return nil, usage("--where %s", fault.Detail)
			}
		}
	}
	return content.Bytes(), nil
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, content []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}
