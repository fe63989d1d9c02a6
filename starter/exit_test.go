package main

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryExitCodeIsDocumentedOnce(t *testing.T) {
	t.Parallel()
	var documented []int
	for _, c := range exitCodes {
		documented = append(documented, c.code)
	}
	require.True(t, slices.IsSorted(documented))
	require.Equal(t, slices.Compact(slices.Clone(documented)), documented)
	for _, code := range exitOutcome {
		require.Contains(t, documented, code)
	}
	document, err := os.ReadFile("../docs/starter.md")
	require.NoError(t, err)
	for _, c := range exitCodes {
		require.Contains(t, string(document), fmt.Sprintf("| %d | %s |", c.code, c.meaning))
	}
}
