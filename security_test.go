package ringback_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// heldBy is a test as SECURITY.md and docs/promises.md name it.
var heldBy = regexp.MustCompile("`([a-z0-9_/]+_test\\.go): ((?:Test|Fuzz)[A-Za-z0-9]+)`")

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

func TestEveryThreatNamesTestsThatAreThere(t *testing.T) {
	t.Parallel()
	for _, line := range threats(t) {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		require.Lenf(t, cells, 3, "%s", line)
		namesTestsThatAreThere(t, cells[0], cells[2])
	}
}

// namesTestsThatAreThere requires of a text of nothing but tests that each is
// named as `path: Name` and is in that file. what is the thing that they hold.
func namesTestsThatAreThere(t *testing.T, what, text string) {
	t.Helper()
	named := heldBy.FindAllStringSubmatch(text, -1)
	require.NotEmptyf(t, named, "no test holds: %s", what)
	require.Lenf(t, named, strings.Count(text, "`")/2, "every test is named as `path: Name`: %s", text)
	for _, test := range named {
		content, err := os.ReadFile(test[1])
		require.NoErrorf(t, err, "%s", what)
		require.Containsf(t, string(content), "\nfunc "+test[2]+"(", "%s has no %s", test[1], test[2])
	}
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
