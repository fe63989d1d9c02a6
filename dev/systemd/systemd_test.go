// Package systemd_test has systemd judge the units of deploy/systemd.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// exposed is the most that `systemd-analyze security` may find: 0 is nothing, 10 all.
const exposed = 2.5

var (
	overall = regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+)`)
	program = regexp.MustCompile(`(?m)^ExecStart=\S+`)
)

func TestSystemdTakesTheUnitsAndFindsThemHardened(t *testing.T) {
	t.Parallel()
	units, err := filepath.Glob("../../deploy/systemd/*.service")
	require.NoError(t, err)
	require.Len(t, units, 2)
	for _, unit := range units {
		t.Run(filepath.Base(unit), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(unit)
			require.NoError(t, err)
			// verify asks for a program that is there.
			require.Regexp(t, program, string(text))
			copied := filepath.Join(t.TempDir(), filepath.Base(unit))
			require.NoError(t, os.WriteFile(copied, program.ReplaceAll(text, []byte("ExecStart=/bin/true")), 0o600))
			require.Empty(t, analyze(t, "verify", "--recursive-errors=no", copied), "a word for each mistake")

			found := overall.FindStringSubmatch(analyze(t, "security", "--offline=true", "--no-pager", copied))
			require.NotNil(t, found)
			level, err := strconv.ParseFloat(found[1], 64)
			require.NoError(t, err)
			require.Less(t, level, exposed)
		})
	}
}

// analyze is what systemd-analyze says, which finds nothing that is so wrong as to fail.
func analyze(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", arguments...).CombinedOutput()
	require.NoErrorf(t, err, "systemd-analyze %s: %s", strings.Join(arguments, " "), out)
	return strings.TrimSpace(string(out))
}
