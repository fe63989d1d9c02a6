package zaplog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.uber.org/zap"

	"ringback/internal/zaplog"
)

func lines(t *testing.T, out *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	decoder := json.NewDecoder(out)
	for decoder.More() {
		var line map[string]any
		require.NoError(t, decoder.Decode(&line))
		all = append(all, line)
	}
	return all
}

func TestAProgramLogsOneJSONObjectALine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := zaplog.New(&out, zap.InfoLevel)
	logger.Debug("below the level")
	logger.Named("delivery").Info("attempt", zap.Duration("took", 1500*time.Millisecond), zap.Error(errors.New("no route")))

	all := lines(t, &out)
	require.Len(t, all, 1)
	line := all[0]
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, line["time"])
	require.Regexp(t, `zaplog/zaplog_test\.go:\d+`, line["caller"])
	delete(line, "time")
	delete(line, "caller")
	require.Equal(t, map[string]any{
		"level": "info", "logger": "delivery", "msg": "attempt", "took": "1.5s", "error": "no route",
	}, line)
}

func TestTheConsoleShowsAReadableLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	zaplog.NewConsole(&out, zap.DebugLevel).Debug("attempt", zap.Int("number", 2))
	require.Regexp(t, `^\S+Z\tDEBUG\tzaplog/zaplog_test\.go:\d+\tattempt\t\{"number": 2\}\n$`, out.String())
}

func TestTheSDKLogsThroughZap(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		write   func(log.Logger)
		level   string
		want    map[string]any
		nothing bool
	}{
		{"debug, below the level", func(l log.Logger) { l.Debug("m") }, "", nil, true},
		{"info", func(l log.Logger) { l.Info("m", "k", "v") }, "info", map[string]any{"k": "v"}, false},
		{"warn", func(l log.Logger) { l.Warn("m", "n", 7) }, "warn", map[string]any{"n": 7.0}, false},
		{"error with an error", func(l log.Logger) { l.Error("m", "Error", errors.New("x")) }, "error", map[string]any{"Error": "x"}, false},
		{"a key without a value", func(l log.Logger) { l.Info("m", "k", "v", "lost") }, "info", map[string]any{"k": "v", "without_key": "lost"}, false},
		{"a key that is no text", func(l log.Logger) { l.Info("m", 7, "v") }, "info", map[string]any{"7": "v"}, false},
		{"with fields", func(l log.Logger) { log.With(l, "a", 1).Info("m", "b", 2) }, "info", map[string]any{"a": 1.0, "b": 2.0}, false},
		{"with fields twice", func(l log.Logger) { log.With(log.With(l, "a", 1), "b", 2).Info("m") }, "info", map[string]any{"a": 1.0, "b": 2.0}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			row.write(zaplog.Temporal(zaplog.New(&out, zap.InfoLevel)))
			all := lines(t, &out)
			if row.nothing {
				require.Empty(t, all)
				return
			}
			require.Len(t, all, 1)
			require.Equal(t, row.level, all[0]["level"])
			require.Equal(t, "m", all[0]["msg"])
			require.Contains(t, all[0]["caller"], "zaplog/zaplog_test.go:", "the line that logged, not the adapter")
			for key, value := range row.want {
				require.Equal(t, value, all[0][key], key)
			}
		})
	}
}

func TestWithLeavesTheLoggerItCameFromAlone(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := zaplog.Temporal(zaplog.New(&out, zap.InfoLevel))
	_ = log.With(logger, "a", 1)
	logger.Info("m")
	require.NotContains(t, lines(t, &out)[0], "a")
}

// logFromHere stands for a helper whose caller is the one to be named.
func logFromHere(l log.Logger) { log.Skip(l, 1).Info("m") }

func TestSkippedCallersAreNotNamed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := zaplog.Temporal(zaplog.New(&out, zap.InfoLevel))
	logFromHere(logger)
	logger.Info("m")
	logFromHere(logger)
	all := lines(t, &out)
	require.NotEqual(t, all[0]["caller"], all[2]["caller"], "the two lines that call logFromHere")
}

func TestTheSDKsIdsHaveOurNames(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	zaplog.Temporal(zaplog.New(&log, zap.InfoLevel)).Info("said", "TraceID", "t", "SpanID", "s", "WorkflowID", "w", "RunID", "r", "Attempt", 1)
	var line map[string]any
	require.NoError(t, json.Unmarshal(log.Bytes(), &line))
	for name, want := range map[string]any{"trace_id": "t", "span_id": "s", "workflow_id": "w", "run_id": "r", "Attempt": 1.0} {
		require.Equal(t, want, line[name], name)
	}
}
