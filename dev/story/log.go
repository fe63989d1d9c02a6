package story

import (
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"

	"ringback/internal/operation"
)

// Log is for the log of the program that is told of: of each poll it prints a line, since a
// state shows the latest one alone, and of each operation it learns that it is there.
func (p *Printer) Log() zapcore.Core { return logged{printer: p} }

// logged takes the log's lines about polls and attempts.
type logged struct {
	printer *Printer
	with    []zapcore.Field
}

// Enabled implements [zapcore.Core]: a poll is logged at the level debug.
func (logged) Enabled(zapcore.Level) bool { return true }

// With implements [zapcore.Core].
func (l logged) With(fields []zapcore.Field) zapcore.Core {
	return logged{l.printer, append(l.with[:len(l.with):len(l.with)], fields...)}
}

// Check implements [zapcore.Core].
func (l logged) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Message == "poll" || e.Message == "attempt" {
		return checked.AddCore(e, l)
	}
	return checked
}

// Write implements [zapcore.Core].
func (l logged) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, field := range append(l.with[:len(l.with):len(l.with)], fields...) {
		field.AddTo(values)
	}
	text := func(name string) string { value, _ := values.Fields[name].(string); return value }
	if e.Message == "attempt" {
		l.printer.noteRun(operation.Key{Endpoint: text("endpoint"), OperationID: text("operation_id")}, text("run_id"), e.Time)
		return nil
	}
	key, _ := operation.ParseWorkflowID(text("workflow_id"))
	answer := poll{status: text("status"), err: text("error")}
	answer.raw, _ = values.Fields["raw"].(map[string]string)
	number, _ := values.Fields["number"].(int64)
	l.printer.notePoll(key, text("run_id"), e.Time, int(number), answer)
	return nil
}

// Sync implements [zapcore.Core].
func (logged) Sync() error { return nil }

// poll is what a core answered.
type poll struct {
	status, err string
	raw         map[string]string
}

func (a poll) String() string {
	switch {
	case a.err != "":
		return "failed: " + a.err
	case a.status == "":
		return "no status: respStatus " + a.raw["respStatus"]
	}
	return "status " + a.status
}

// noteRun notes that something was logged of an operation's run.
func (p *Printer) noteRun(key operation.Key, run string, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(key, run, at)
}

func (p *Printer) note(key operation.Key, run string, at time.Time) {
	p.open[key] = at
	if _, known := p.began[run]; !known {
		p.began[run] = at
	}
}

// notePoll prints a poll. number is 0 where it is the one after the latest.
func (p *Printer) notePoll(key operation.Key, run string, at time.Time, number int, answer poll) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.began[run]; !known && number > 1 {
		p.seen[run] = true // it began before this process
	}
	p.note(key, run, at)
	if number == 0 {
		number = p.polls[key] + 1
	}
	p.polls[key] = number
	p.add(line{at: at, key: key, what: "poll " + strconv.Itoa(number), text: answer.String(), status: answer.status, run: run})
}
