package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ringback/api/client"
)

// completionTimeout bounds how long a person waits after the tab key.
const completionTimeout = 2 * time.Second

// completeOperation completes an endpoint's name, then the id of one of its
// recent operations.
func (t *tool) completeOperation(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return t.completeEndpoint(cmd, args, toComplete)
	case 1:
		return t.recent(cmd.Context(), client.ListQuery{Endpoint: args[0]}, func(s client.Summary) string { return s.OperationID }),
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
		parts, _ := readParts(t.config) // completion shows no errors
		return slices.Sorted(maps.Keys(parts.Endpoints)), cobra.ShellCompDirectiveNoFileComp
	}
	names := t.recent(cmd.Context(), client.ListQuery{}, func(s client.Summary) string { return s.Endpoint })
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// completeEndpointFlag completes --endpoint, whatever the arguments.
func (t *tool) completeEndpointFlag(cmd *cobra.Command) {
	register(cmd, "endpoint", func(cmd *cobra.Command, _ []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return t.completeEndpoint(cmd, nil, toComplete)
	})
}

// recent are words of the newest operations, in their order. Completion shows no
// errors: they would land in the command line.
func (t *tool) recent(ctx context.Context, query client.ListQuery, word func(client.Summary) string) []cobra.Completion {
	t.timeout = completionTimeout
	api, err := t.connect()
	if err != nil {
		return nil
	}
	page, err := api.List(ctx, query)
	if err != nil {
		return nil
	}
	words := make([]cobra.Completion, 0, len(page.Operations))
	for _, s := range page.Operations {
		words = append(words, word(s))
	}
	return words
}

// completeBulkRedelivery completes the id of a recent bulk redelivery.
func (t *tool) completeBulkRedelivery(cmd *cobra.Command, args []string, _ string) (ids []cobra.Completion, _ cobra.ShellCompDirective) {
	t.timeout = completionTimeout
	if api, err := t.connect(); err == nil && len(args) == 0 {
		page, _ := api.BulkRedeliveries(cmd.Context())
		for _, r := range page.Redeliveries {
			ids = append(ids, cobra.CompletionWithDesc(r.ID, string(r.Phase)+" "+describeFilter(r.Filter)))
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func completeWith(cmd *cobra.Command, flag string, values ...string) {
	register(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func register(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // no such flag: every run would fail
	}
}
