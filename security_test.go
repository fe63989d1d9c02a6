package ringback_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// threats are the lines of the table of threats.
func threats(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(content), "\n|---|---|---|\n")
	require.True(t, found)
	table, _, found = strings.Cut(table, "\n\n")
	require.True(t, found)
	lines := strings.Split(table, "\n")
	require.NotEmpty(t, lines)
	return lines
}

func TestEveryThreatNamesItsTests(t *testing.T) {
	t.Parallel()
	for _, line := range threats(t) {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		require.Lenf(t, cells, 3, "%s", line)
		requireTests(t, cells[0], cells[2])
	}
}

// requireTests requires of a text that it is a list of tests. That they exist,
// TestEveryTestThatADocumentNamesExists holds.
func requireTests(t *testing.T, what, text string) {
	t.Helper()
	require.Regexpf(t, "^("+testName.String()+"(, )?)+$", strings.TrimSpace(text), "the tests of: %s", what)
}

// TestTheReleaseIsBuiltAsSecuritySays holds what SECURITY.md says of the release
// to the script that builds it, which is too slow to run here.
func TestTheReleaseIsBuiltAsSecuritySays(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("scripts/release")
	require.NoError(t, err)
	for what, how := range map[string]string{
		"static":                              "CGO_ENABLED=0",
		"of no folder":                        "-trimpath",
		"of a commit":                         "-buildvcs=true",
		"of a clean one":                      "vcs.modified=false",
		"built again with another cache":      "GOCACHE=$work/cache build",
		"and compared":                        "cmp ",
		"of modules that are what go.sum has": "mod verify",
		"with an SBOM":                        "-licenses -assert-licenses",
		"with the licenses' texts":            "THIRD-PARTY-LICENSES",
		"with an image":                       "ringback-image.tar",
		"and provenance":                      "go -C \"$work/once/dev\" build -o \"$work/pack\" ./release",
		"with checksums":                      "SHA256SUMS",
	} {
		require.Containsf(t, string(script), how, "%s", what)
	}
	tools, err := os.ReadFile("tools/go.mod")
	require.NoError(t, err)
	require.Regexp(t, `github\.com/CycloneDX/cyclonedx-gomod v\d+\.\d+\.\d+`, string(tools), "the SBOM's tool is pinned")
	makefile, err := os.ReadFile("Makefile")
	require.NoError(t, err)
	for _, module := range []string{"go mod verify", "go -C dev mod verify", "go -C tools mod verify"} {
		require.Contains(t, string(makefile), module)
	}
}
