// Package zaplog builds the programs' zap logger and hands it to the Temporal
// SDK, so that everything of one program is in one log of one form.
package zaplog

import (
	"fmt"
	"io"
	"time"

	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// timeLayout is that of the API: RFC 3339 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// New is the logger of a program: one JSON object a line to w, which programs
// set to standard error.
func New(w io.Writer, level zapcore.LevelEnabler) *zap.Logger {
	return build(zapcore.NewJSONEncoder(encoding(zapcore.LowercaseLevelEncoder)), w, level)
}

// NewConsole is New for a person at a terminal: one readable line.
func NewConsole(w io.Writer, level zapcore.LevelEnabler) *zap.Logger {
	return build(zapcore.NewConsoleEncoder(encoding(zapcore.CapitalLevelEncoder)), w, level)
}

func build(encoder zapcore.Encoder, w io.Writer, level zapcore.LevelEnabler) *zap.Logger {
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level)
	return zap.New(core, zap.AddCaller(), zap.AddStacktrace(zap.DPanicLevel))
}

func encoding(level zapcore.LevelEncoder) zapcore.EncoderConfig {
	return zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", CallerKey: "caller",
		MessageKey: "msg", StacktraceKey: "stack",
		EncodeLevel:    level,
		EncodeTime:     encodeTime,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeCaller:   zapcore.ShortCallerEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
}

func encodeTime(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(t.UTC().Format(timeLayout))
}

// sdkLogger is a zap logger as the Temporal SDK wants one.
type sdkLogger struct{ zap *zap.Logger }

var (
	_ log.Logger          = sdkLogger{}
	_ log.WithLogger      = sdkLogger{}
	_ log.WithSkipCallers = sdkLogger{}
)

// Temporal is logger as the Temporal SDK wants it, for client.Options.Logger.
func Temporal(logger *zap.Logger) log.Logger {
	// The adapter's method and its log are two frames too many.
	return sdkLogger{logger.WithOptions(zap.AddCallerSkip(2))}
}

// Debug logs msg with keyvals, which are keys and values in turn.
func (l sdkLogger) Debug(msg string, keyvals ...any) { l.log(zap.DebugLevel, msg, keyvals) }

// Info logs msg with keyvals, which are keys and values in turn.
func (l sdkLogger) Info(msg string, keyvals ...any) { l.log(zap.InfoLevel, msg, keyvals) }

// Warn logs msg with keyvals, which are keys and values in turn.
func (l sdkLogger) Warn(msg string, keyvals ...any) { l.log(zap.WarnLevel, msg, keyvals) }

// Error logs msg with keyvals, which are keys and values in turn.
func (l sdkLogger) Error(msg string, keyvals ...any) { l.log(zap.ErrorLevel, msg, keyvals) }

func (l sdkLogger) log(level zapcore.Level, msg string, keyvals []any) {
	// Check first: most of what the SDK says is below the level, and fields
	// cost an allocation each.
	if entry := l.zap.Check(level, msg); entry != nil {
		entry.Write(fields(keyvals)...)
	}
}

// With is a logger whose every line carries keyvals.
func (l sdkLogger) With(keyvals ...any) log.Logger {
	return sdkLogger{l.zap.With(fields(keyvals)...)}
}

// WithCallerSkip is a logger that names the caller depth frames further up.
func (l sdkLogger) WithCallerSkip(depth int) log.Logger {
	return sdkLogger{l.zap.WithOptions(zap.AddCallerSkip(depth))}
}

// fields pairs keys with values. What doesn't pair is logged all the same:
// a log line must not be lost to a slip in another's code.
func fields(keyvals []any) []zap.Field {
	paired := make([]zap.Field, 0, (len(keyvals)+1)/2)
	for len(keyvals) > 1 {
		paired = append(paired, zap.Any(key(keyvals[0]), keyvals[1]))
		keyvals = keyvals[2:]
	}
	if len(keyvals) == 1 {
		paired = append(paired, zap.Any("without_key", keyvals[0]))
	}
	return paired
}

// ours are our own names for what the SDK's logger calls otherwise, so that one
// search finds a trace in all lines.
var ours = map[string]string{
	"TraceID": "trace_id", "SpanID": "span_id", "WorkflowID": "workflow_id", "RunID": "run_id",
}

func key(k any) string {
	text, ok := k.(string)
	if !ok {
		return fmt.Sprint(k)
	}
	if own, ok := ours[text]; ok {
		return own
	}
	return text
}
