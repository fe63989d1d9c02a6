package telemetry

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync/atomic"
	"unicode"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"ringback/internal/cardnumber"
	"ringback/internal/operation"
)

// screened is an encoder whose lines hold no card numbers (promise 13), whatever wrote
// the text.
type screened struct {
	zapcore.Encoder
	screen func(line string) string
}

// Clone implements [zapcore.Encoder].
func (s screened) Clone() zapcore.Encoder { return screened{s.Encoder.Clone(), s.screen} }

// EncodeEntry implements [zapcore.Encoder].
func (s screened) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line, err := s.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		return line, err
	}
	text := line.String()
	if masked := s.screen(text); masked != text {
		line.Reset()
		line.AppendString(masked)
	}
	return line, nil
}

// Unscreened are the endpoints whose identifiers may look like card numbers
// (card_number_screen: false). The zero value and nil have none.
type Unscreened struct {
	endpoints atomic.Pointer[map[string]bool]
}

// Set replaces the endpoints.
func (u *Unscreened) Set(endpoints map[string]bool) {
	if u != nil {
		u.endpoints.Store(&endpoints)
	}
}

// holds reports whether a workflow's id is that of an operation of one of the endpoints.
// Temporal's UI and CLI start workflows with any id.
func (u *Unscreened) holds(workflowID string) bool {
	key, ok := operation.ParseWorkflowID(workflowID)
	if !ok || u == nil {
		return false
	}
	endpoints := u.endpoints.Load()
	return endpoints != nil && (*endpoints)[key.Endpoint]
}

// The members of a line whose value is an identifier.
const (
	operationID = `"operation_id":` // which was checked when it came in
	workflowID  = `"workflow_id":`
)

// texts matches the strings of a JSON line, with the name of such a member first.
var texts = regexp.MustCompile(`(` + operationID + `|` + workflowID + `)?"(?:[^"\\]|\\.)*"`)

// screenJSON masks the strings of a JSON line alone, and drops format characters from
// them, which could turn the line's direction; JSON writes control characters as \u00XX.
func (u *Unscreened) screenJSON(line string) string {
	if !cardnumber.In(line) && !strings.Contains(line, `\u`) && !strings.ContainsFunc(line, isFormat) {
		return line
	}
	return texts.ReplaceAllStringFunc(line, func(member string) string {
		quoted, isWorkflowID := strings.CutPrefix(member, workflowID)
		var text string
		if json.Unmarshal([]byte(quoted), &text) != nil {
			return member // an operation's id
		}
		masked := withoutFormat(text)
		if !isWorkflowID || !u.holds(masked) {
			masked = cardnumber.Mask(masked)
		}
		if masked == text {
			return member
		}
		again, err := json.Marshal(masked)
		if err != nil {
			again = []byte(`""`)
		}
		return strings.TrimSuffix(member, quoted) + string(again)
	})
}

// screenText drops the format characters of a text, and then masks its card numbers:
// what is dropped can have stood within one.
func screenText(text string) string { return cardnumber.Mask(withoutFormat(text)) }

func withoutFormat(text string) string {
	return strings.Map(func(r rune) rune {
		if isFormat(r) {
			return -1
		}
		return r
	}, text)
}

func isFormat(r rune) bool {
	return r > unicode.MaxASCII && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}
