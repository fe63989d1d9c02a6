package ui_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/internal/ui"
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
	d.Refused = []ui.Refused{{At: accepted, Name: code, Why: reason}}
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

// link is a Markdown link outside of code, command a code span that begins as one.
var (
	link       = regexp.MustCompile(`\]\(([^)]*)\)?`)
	ourLink    = regexp.MustCompile(`^/namespaces/[A-Za-z0-9_.~$&+:=@%-]*/workflows/[A-Za-z0-9_.~$&+:=@%-]*(/[A-Za-z0-9_.~$&+:=@%-]*/history)?$`)
	command    = regexp.MustCompile("`(starter [^`]*)`")
	plainWords = regexp.MustCompile(`^starter( [A-Za-z0-9_./:=@-]+)+$`)
)

// FuzzNames: whatever names and records a run was started with, its texts hold no
// command with another word than a plain one, no link that is not ours, and no format
// character.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"x", "", "x`;touch PWNED1;`", "--force", "a'b", "[Approve](https://evil.example)", "https://evil.example", ")](https://evil.example", "x\u202Ey", "a\x00b", "\xff", "..", "<a href=x>"} {
		f.Add(seed, seed, seed)
		f.Add("SHOP", seed, "exhausted")
		f.Add(seed, "1", "expired")
	}
	f.Fuzz(func(t *testing.T, endpoint, id, other string) {
		d := detailed()["exhausted"]
		d.State.Key = operation.Key{Endpoint: endpoint, OperationID: id}
		d.Namespace, d.EarlierRunID, d.ResetFrom, d.BulkRedeliveryWorkflow = other, other, other, other
		d.Refused = []ui.Refused{{Name: id, Why: other}}
		d.State.Deliveries[0].Outcome = operation.DeliveryOutcome(other)
		d.State.Deliveries[0].Attempts[0].Verdict = operation.Verdict(other)
		texts := []string{
			ui.Summary("watch %s at %s", id, other), ui.Summary("%s %s", endpoint, other),
			ui.Outage(endpoint, operation.Health{Failing: true, Reason: other}),
			ui.BulkRedelivery(operation.BulkRedelivery{
				Phase: operation.BulkRedeliveryPhase(other), By: other, Reason: id,
				Filter:                 operation.Filter{Endpoint: endpoint, Status: id, Outcome: operation.Outcome(other)},
				BulkRedeliveryProgress: operation.BulkRedeliveryProgress{Failures: []operation.Failure{{Key: d.State.Key, Detail: other}}},
			}),
		}
		for _, outcome := range []operation.Outcome{operation.OutcomeExhausted, operation.OutcomeExpired, operation.Outcome(other)} {
			d.State.Outcome = outcome
			texts = append(texts, d.Markdown())
		}
		for _, text := range texts {
			for _, line := range strings.Split(text, "\n") {
				require.False(t, strings.ContainsFunc(line, func(r rune) bool {
					return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
				}), "%q", line)
				require.Zero(t, strings.Count(line, "`")%2, line)
				outside := outsideOfCode(line)
				for _, found := range link.FindAllStringSubmatch(outside, -1) {
					require.Regexp(t, ourLink, found[1])
				}
				require.NotContains(t, outside, "<")
				if strings.Contains(line, "Redeliver once the cause is fixed") {
					found := command.FindAllStringSubmatch(line, -1)
					require.Len(t, found, 1, line)
					require.Regexp(t, plainWords, found[0][1])
				}
			}
		}
	})
}
