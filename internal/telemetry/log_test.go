package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.uber.org/zap"

	"ringback/internal/telemetry"
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
	logger := telemetry.NewLogger(&out, zap.InfoLevel)
	logger.Debug("below the level")
	logger.Named("delivery").Info("attempt", zap.Duration("took", 1500*time.Millisecond), zap.Error(errors.New("no route")))

	all := lines(t, &out)
	require.Len(t, all, 1)
	line := all[0]
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, line["time"])
	require.Regexp(t, `telemetry/log_test\.go:\d+`, line["caller"])
	delete(line, "time")
	delete(line, "caller")
	require.Equal(t, map[string]any{
		"level": "info", "logger": "delivery", "msg": "attempt", "took": "1.5s", "error": "no route",
	}, line)
}

func TestALogLineHoldsNoCardNumberAndNoFormatCharacter(t *testing.T) {
	t.Parallel()
	const card, masked = "4111111111111111", "411111******1111"
	for _, tt := range []struct {
		name  string
		field zap.Field
		want  any
	}{
		{"a text", zap.String("x", "paid with "+card), "paid with " + masked},
		{"an error", zap.NamedError("x", errors.New("card "+card)), "card " + masked},
		{"an object", zap.Any("x", map[string]any{"a": []string{card}}), map[string]any{"a": []any{masked}}},
		{"a text after an escaped character", zap.String("x", "\x00"+card), "\x00" + masked},
		{"a text with quotes and backslashes", zap.String("x", `\"`+card+`\"`), `\"` + masked + `\"`},
		{"a percent-encoded one", zap.String("x", "?pan=4111%201111%201111%201111"), "?pan=4111%2011**%20****%201111"},
		{"a number stays JSON", zap.Int64("x", 4111111111111111), 4111111111111111.0},
		{"an id that was checked when it came in", zap.String("operation_id", card), card},
		{"a text that turns the line", zap.String("x", "a\u202eb\u2028c"), "abc"},
		{"a card number with line separators", zap.String("x", "4111\u20281111\u20281111\u20281111"), masked},
		{"a text that colours a terminal is escaped", zap.String("x", "\x1b[31m"), "\x1b[31m"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			telemetry.NewLogger(&out, zap.InfoLevel).With(tt.field).Info("card " + card)
			require.NotContains(t, out.String(), "\x1b")
			line := lines(t, &out)[0]
			require.Equal(t, "card "+masked, line["msg"])
			require.Equal(t, tt.want, line[tt.field.Key])

			var audit telemetry.AuditFile
			path := filepath.Join(t.TempDir(), "audit.log")
			require.NoError(t, audit.Open(path))
			t.Cleanup(audit.Close)
			require.NoError(t, audit.Write(tt.field))
			require.Equal(t, tt.want, linesOf(t, path)[0][tt.field.Key], "in the audit's file, too")
		})
	}
	var out bytes.Buffer
	telemetry.NewConsoleLogger(&out, zap.InfoLevel).Info("m\u202e", zap.String("x", card+"\u202e"))
	require.Contains(t, out.String(), masked)
	require.NotContains(t, out.String(), "\u202e")
}

func TestAWorkflowsIDIsMaskedUnlessItsEndpointLetsItThrough(t *testing.T) {
	t.Parallel()
	const card, masked = "4111111111111111", "411111******1111"
	for name, tt := range map[string]struct{ id, want string }{
		"an endpoint that lets it through":          {"LEDGER/" + card, "LEDGER/" + card},
		"with a character that turns the line":      {"LEDGER/\u202e" + card, "LEDGER/" + card},
		"an endpoint that does not":                 {"SHOP/" + card, "SHOP/" + masked},
		"an endpoint that is not there":             {"X/" + card, "X/" + masked},
		"an id that somebody made up":               {card, masked},
		"a made-up id that begins like an endpoint": {"LEDGER " + card, "LEDGER " + masked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var unscreened telemetry.Unscreened
			var out bytes.Buffer
			logger := telemetry.TemporalLogger(unscreened.NewLogger(&out, zap.InfoLevel))
			unscreened.Set(map[string]bool{"LEDGER": true, "SHOP": false})
			logger.Info("m", "WorkflowID", tt.id, "x", "LEDGER/"+card)
			line := lines(t, &out)[0]
			require.Equal(t, tt.want, line["workflow_id"])
			require.Equal(t, "LEDGER/"+masked, line["x"], "in that member alone")
		})
	}
}

func TestTheConsoleShowsAReadableLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	telemetry.NewConsoleLogger(&out, zap.DebugLevel).Debug("attempt", zap.Int("number", 2))
	require.Regexp(t, `^\S+Z\tDEBUG\ttelemetry/log_test\.go:\d+\tattempt\t\{"number": 2\}\n$`, out.String())
}

func TestTheSDKLogsThroughZap(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		write func(log.Logger)
		// want are the level and the fields; nil: nothing is logged.
		want map[string]any
	}{
		"debug is below the level": {func(l log.Logger) { l.Debug("m") }, nil},
		"info":                     {func(l log.Logger) { l.Info("m", "k", "v") }, map[string]any{"level": "info", "k": "v"}},
		"warn":                     {func(l log.Logger) { l.Warn("m", "n", 7) }, map[string]any{"level": "warn", "n": 7.0}},
		"error":                    {func(l log.Logger) { l.Error("m", "Error", errors.New("x")) }, map[string]any{"level": "error", "Error": "x"}},
		"fields of With are in each line": {func(l log.Logger) { log.With(log.With(l, "a", 1), "b", 2).Info("m", "c", 3) },
			map[string]any{"level": "info", "a": 1.0, "b": 2.0, "c": 3.0}},
		"With leaves its logger as it is": {func(l log.Logger) { _ = log.With(l, "a", 1); l.Info("m") }, map[string]any{"level": "info"}},
		"the SDK's ids have the names of ours": {
			func(l log.Logger) {
				l.Info("m", "TraceID", "t", "SpanID", "s", "WorkflowID", "w", "RunID", "r", "Attempt", 1)
			},
			map[string]any{"level": "info", "trace_id": "t", "span_id": "s", "workflow_id": "w", "run_id": "r", "Attempt": 1.0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			tc.write(telemetry.TemporalLogger(telemetry.NewLogger(&out, zap.InfoLevel)))
			all := lines(t, &out)
			if tc.want == nil {
				require.Empty(t, all)
				return
			}
			require.Len(t, all, 1)
			require.Equal(t, "m", all[0]["msg"])
			require.Contains(t, all[0]["caller"], "telemetry/log_test.go:", "the line that logged, not the adapter")
			for _, common := range []string{"msg", "caller", "time"} {
				delete(all[0], common)
			}
			require.Equal(t, tc.want, all[0])
		})
	}
}

// logFromHere is a helper whose caller is the one to be named.
func logFromHere(l log.Logger) { log.Skip(l, 1).Info("m") }

func TestSkippedCallersAreNotNamed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := telemetry.TemporalLogger(telemetry.NewLogger(&out, zap.InfoLevel))
	logFromHere(logger)
	logFromHere(logger)
	all := lines(t, &out)
	require.NotEqual(t, all[0]["caller"], all[1]["caller"], "the two lines that call logFromHere")
}
