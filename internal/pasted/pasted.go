// Package pasted writes commands that people copy into a shell.
package pasted

import (
	"regexp"
	"strings"
)

// plain is a word that every shell takes as it is, and no program as an option. Text
// quoted for a shell is no alternative: what shows it may change it again.
var plain = regexp.MustCompile(`^[A-Za-z0-9_/][A-Za-z0-9_./:=@-]*$`)

// Command is a command line of these words and options before them. It is false where a
// word is not plain: show no command then, but say how to find what it is about.
func Command(command string, words ...string) (string, bool) {
	for _, word := range words {
		if !plain.MatchString(word) {
			return "", false
		}
	}
	return strings.Join(append([]string{command}, words...), " "), true
}
