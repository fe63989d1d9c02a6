package main

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

// completionTime bounds what a person waits for after the tab key.
const completionTime = 2 * time.Second

// completeOperation completes an endpoint's name, then the id of one of its
// recent operations.
func (t *tool) completeOperation(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return t.completeEndpoint(cmd, args, toComplete)
	case 1:
		return t.recent(cmd.Context(), url.Values{"endpoint": {args[0]}}, func(s operation.Summary) string { return s.OperationID }),
			cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeEndpoint completes an endpoint's name: from the configuration file
// where one is named, else from recent operations.
func (t *tool) completeEndpoint(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case len(args) > 0:
		return nil, cobra.ShellCompDirectiveNoFileComp
	case t.config != "":
		return endpointsIn(t.config), cobra.ShellCompDirectiveNoFileComp
	}
	names := t.recent(cmd.Context(), url.Values{}, func(s operation.Summary) string { return s.Endpoint })
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// completeEndpointFlag completes --endpoint, whatever the arguments.
func (t *tool) completeEndpointFlag(cmd *cobra.Command) {
	register(cmd, "endpoint", func(cmd *cobra.Command, _ []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return t.completeEndpoint(cmd, nil, toComplete)
	})
}

// recent are words of the newest operations, in their order. Completion never
// says what went wrong: it would land in the command line.
func (t *tool) recent(ctx context.Context, filter url.Values, word func(operation.Summary) string) []cobra.Completion {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	c, err := t.client()
	if err != nil {
		return nil
	}
	var page operation.Page
	r, err := c.call(ctx, http.MethodGet, "/v1/operations?"+filter.Encode(), nil)
	if err != nil || r.into(&page) != nil {
		return nil
	}
	words := make([]cobra.Completion, 0, len(page.Operations))
	for _, s := range page.Operations {
		words = append(words, word(s))
	}
	return words
}

// endpointsIn are the names in a configuration file, as far as it can be read.
func endpointsIn(path string) []cobra.Completion {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var file struct {
		Endpoints map[string]any `yaml:"endpoints"`
	}
	if yaml.Unmarshal(data, &file) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(file.Endpoints))
}

func completeWith(cmd *cobra.Command, flag string, values ...string) {
	register(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func register(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // a flag that does not exist: every run would show it
	}
}
