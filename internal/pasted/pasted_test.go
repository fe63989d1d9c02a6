package pasted_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/pasted"
)

func TestACommandHoldsPlainWordsOnly(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ word, want string }{
		"letters, digits and marks":          {"SHOP/a-1_b.c:d=e@F", "starter state SHOP/a-1_b.c:d=e@F"},
		"a backtick and a semicolon":         {"x`;touch PWNED1;`", ""},
		"a quote":                            {"x'y", ""},
		"a space":                            {"x y", ""},
		"a variable":                         {"$HOME", ""},
		"a line":                             {"x\ny", ""},
		"a line's end":                       {"x\n", ""},
		"a letter that looks like another":   {"\u0445", ""},
		"a writing direction":                {"x\u202Ey", ""},
		"an option":                          {"--force", ""},
		"a program's path by its name (zsh)": {"=ls", ""},
		"nothing":                            {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := pasted.Command("starter state", row.word)
			require.Equal(t, row.want, got)
			require.Equal(t, row.want != "", ok)
		})
	}
}
