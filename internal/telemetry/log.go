package telemetry

import (
	"io"
	"slices"
	"time"

	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger writes one JSON object a line to w.
func NewLogger(w io.Writer, level zapcore.LevelEnabler) *zap.Logger {
	return (*Unscreened)(nil).NewLogger(w, level)
}

// NewLogger is [NewLogger] where a workflow's id of the endpoints stays as it is.
func (u *Unscreened) NewLogger(w io.Writer, level zapcore.LevelEnabler) *zap.Logger {
	return newLogger(screened{zapcore.NewJSONEncoder(encoderConfig), u.screenJSON}, w, level)
}

// NewConsoleLogger writes lines for a person at a terminal to w.
func NewConsoleLogger(w io.Writer, level zapcore.LevelEnabler) *zap.Logger {
	console := encoderConfig
	console.EncodeLevel = zapcore.CapitalLevelEncoder
	return newLogger(screened{zapcore.NewConsoleEncoder(console), screenText}, w, level)
}

func newLogger(encoder zapcore.Encoder, w io.Writer, level zapcore.LevelEnabler) *zap.Logger {
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level)
	return zap.New(core, zap.AddCaller(), zap.AddStacktrace(zap.DPanicLevel))
}

var encoderConfig = zapcore.EncoderConfig{
	TimeKey: "time", LevelKey: "level", NameKey: "logger", CallerKey: "caller", MessageKey: "msg", StacktraceKey: "stack",
	EncodeLevel: zapcore.LowercaseLevelEncoder,
	// As in the API: RFC 3339 in UTC with milliseconds.
	EncodeTime: func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
		enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	},
	EncodeDuration: zapcore.StringDurationEncoder,
	EncodeCaller:   zapcore.ShortCallerEncoder,
}

// TemporalLogger is logger as the Temporal SDK takes it, for client.Options.Logger.
func TemporalLogger(logger *zap.Logger) log.Logger {
	return temporalLogger{logger.WithOptions(zap.AddCallerSkip(1)).Sugar()}
}

type temporalLogger struct{ zap *zap.SugaredLogger }

// Debug implements [log.Logger].
func (l temporalLogger) Debug(msg string, keyvals ...any) { l.zap.Debugw(msg, ourKeys(keyvals)...) }

// Info implements [log.Logger].
func (l temporalLogger) Info(msg string, keyvals ...any) { l.zap.Infow(msg, ourKeys(keyvals)...) }

// Warn implements [log.Logger].
func (l temporalLogger) Warn(msg string, keyvals ...any) { l.zap.Warnw(msg, ourKeys(keyvals)...) }

// Error implements [log.Logger].
func (l temporalLogger) Error(msg string, keyvals ...any) { l.zap.Errorw(msg, ourKeys(keyvals)...) }

// With implements [log.WithLogger].
func (l temporalLogger) With(keyvals ...any) log.Logger {
	return temporalLogger{l.zap.With(ourKeys(keyvals)...)}
}

// WithCallerSkip implements [log.WithSkipCallers].
func (l temporalLogger) WithCallerSkip(depth int) log.Logger {
	return temporalLogger{l.zap.WithOptions(zap.AddCallerSkip(depth))}
}

// sdkKeys are the SDK's keys by Ringback's names, so that one search finds all lines.
var sdkKeys = map[string]string{
	"TraceID": "trace_id", "SpanID": "span_id", "WorkflowID": "workflow_id", "RunID": "run_id",
}

func ourKeys(keyvals []any) []any {
	renamed := slices.Clone(keyvals)
	for i := 0; i < len(renamed); i += 2 {
		key, _ := renamed[i].(string)
		if own, ok := sdkKeys[key]; ok {
			renamed[i] = own
		}
	}
	return renamed
}
