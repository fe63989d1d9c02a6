package main

import "github.com/spf13/cobra"

// completeWith has the shell complete a flag's closed list of values.
func completeWith(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // no such flag: every run would fail
	}
}
