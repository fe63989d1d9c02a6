package telemetry

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"ringback/internal/cardnumber"
)

// screened is an encoder whose lines hold no card numbers (promise 13), whoever wrote
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

// texts matches the strings of a JSON line; with the name of a member first where its
// value was checked when it came in, and an endpoint may let it look like a card number.
var texts = regexp.MustCompile(`("(?:operation_id|workflow_id)":)?"(?:[^"\\]|\\.)*"`)

// screenJSON masks the strings of a JSON line alone, and drops format characters from
// them, which could turn the line's direction; JSON writes control characters as \u00XX.
func screenJSON(line string) string {
	if !cardnumber.In(line) && !strings.Contains(line, `\u`) && !strings.ContainsFunc(line, isFormat) {
		return line
	}
	return texts.ReplaceAllStringFunc(line, func(quoted string) string {
		var text string
		if json.Unmarshal([]byte(quoted), &text) != nil {
			return quoted // a member that was checked
		}
		masked := screenText(text)
		if masked == text {
			return quoted
		}
		again, err := json.Marshal(masked)
		if err != nil {
			return `""`
		}
		return string(again)
	})
}

// screenText drops the format characters of a text, and then masks its card numbers:
// what is dropped can have stood within one.
func screenText(text string) string {
	return cardnumber.Mask(strings.Map(func(r rune) rune {
		if isFormat(r) {
			return -1
		}
		return r
	}, text))
}

func isFormat(r rune) bool {
	return r > unicode.MaxASCII && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}
