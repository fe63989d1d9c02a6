package telemetry_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"ringback/internal/telemetry"
)

// linesOf are the JSON objects in a file, one a line.
func linesOf(t *testing.T, path string) (lines []map[string]any) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		var object map[string]any
		require.NoErrorf(t, json.Unmarshal([]byte(line), &object), "%s", line)
		lines = append(lines, object)
	}
	return lines
}

func TestAnAuditFileIsAddedToAndRotated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte("{\"event\":\"before\"}\n"), 0o600))
	var audit telemetry.AuditFile
	require.NoError(t, audit.Open(path))
	t.Cleanup(audit.Close)
	require.NoError(t, audit.Write(zap.String("event", "begun"), zap.String("reason", "a\nb")))
	lines := linesOf(t, path)
	require.Len(t, lines, 2, "what was there stays")
	require.Equal(t, "audit", lines[1]["msg"])
	require.Equal(t, "a\nb", lines[1]["reason"])
	require.NotEmpty(t, lines[1]["time"])

	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, audit.Write(zap.String("event", "completed")))
	require.Len(t, linesOf(t, path+".1"), 3)
	require.NoError(t, audit.Open(path))
	require.NoError(t, audit.Write(zap.String("event", "begun")))
	require.Len(t, linesOf(t, path), 1)
	require.Len(t, linesOf(t, path+".1"), 3)

	require.Error(t, audit.Open(filepath.Join(path, "no folder")))
	require.NoError(t, audit.Write(zap.String("event", "completed")), "the one that is open stays")
	require.Len(t, linesOf(t, path), 2)
}

func TestALineThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	var audit telemetry.AuditFile
	require.NoError(t, audit.Open("/dev/full"))
	t.Cleanup(audit.Close)
	require.ErrorContains(t, audit.Write(zap.String("event", "begun")), "writing a line of the audit")
}
