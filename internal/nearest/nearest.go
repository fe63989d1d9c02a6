// Package nearest finds what a mistyped name may have meant.
package nearest

import "strings"

const (
	// maxTypos is how many letters of a name may be wrong, missing or too many.
	maxTypos = 2
	// minPrefix is the shortest beginning of a name that is taken for it.
	minPrefix = 3
)

// Hint is " (did you mean A or B?)" of the names that typed may have meant; empty: none.
func Hint(typed string, names []string) string {
	typed = strings.ToLower(typed)
	var meant []string
	for _, name := range names {
		known := strings.ToLower(name)
		begun := len(typed) >= minPrefix && strings.HasPrefix(known, typed)
		if begun || typos(typed, known) <= min(maxTypos, len(typed)/2) {
			meant = append(meant, name)
		}
	}
	if len(meant) == 0 {
		return ""
	}
	return " (did you mean " + strings.Join(meant, " or ") + "?)"
}

// typos is the Levenshtein distance in bytes.
func typos(a, b string) int {
	distances := make([]int, len(b)+1)
	for j := range distances {
		distances[j] = j
	}
	for i := range len(a) {
		diagonal := distances[0]
		distances[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = distances[j+1]
			distances[j+1] = min(replaced, diagonal+1, distances[j]+1)
		}
	}
	return distances[len(b)]
}
