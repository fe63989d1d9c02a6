package ui_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

// FuzzMarkdown: text from outside changes nothing of the details' form: no line,
// no cell, no code span, no link and no writing direction more than a harmless
// word makes.
func FuzzMarkdown(f *testing.F) {
	for _, seed := range []string{
		"x", "", "`[all well](https://evil.example)`", "x |\n| 9 | 200 |", `x \`, "# x\u2028# y", "x \u202Eeruces\u200By", "\xff\x00", "<img src=x>", "![a](b)", strings.Repeat("`|", 300),
	} {
		f.Add(seed, seed, seed)
	}
	f.Fuzz(func(t *testing.T, reason, status, code string) {
		if reason == "" || status == "" || code == "" {
			return // what is empty is left out, which is another form
		}
		plain, forged := marked("x", "x", "x"), marked(reason, status, code)
		require.Len(t, forged, len(plain))
		for i, line := range forged {
			for _, mark := range []string{"|", "`", "\u00A0|"} {
				require.Equal(t, strings.Count(plain[i], mark), strings.Count(line, mark), "%q", line)
			}
			require.Equal(t, outsideOfCode(plain[i]), outsideOfCode(line), "text from outside stands in code spans alone")
			require.NotContains(t, line, `\`)
			require.False(t, strings.ContainsFunc(line, func(r rune) bool {
				return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
			}), "%q", line)
		}
	})
}

// marked are the lines of details in which every text from outside is one of these.
func marked(reason, status, code string) []string {
	d := detailed()["exhausted"]
	d.State.Deliveries[1].Attempts = missed(1, 3, reason)
	d.State.Status.Raw = map[string]string{"code": code, "status": status}
	d.State.Status.Value, d.State.Deliveries[1].Status = status, status
	d.State.Revocation = &operation.Revocation{InitiatedBy: code, Reason: reason, At: accepted}
	d.EarlierRunID, d.By, d.Reason, d.Source = "01234567-89ab", code, reason, status
	return strings.Split(d.Markdown(), "\n")
}

func outsideOfCode(line string) string {
	var outside strings.Builder
	for i, part := range strings.Split(line, "`") {
		if i%2 == 0 {
			outside.WriteString(part)
		}
	}
	return outside.String()
}
