package httpanswer_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/httpanswer"
)

func TestRetryAfterIsReadAsSecondsOrAsADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 7, 30, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"30":                            30 * time.Second,
		"-1":                            0,
		"-99999999999999999999":         0,
		"1.5":                           0,
		"soon":                          0,
		"999999":                        24 * time.Hour,
		"4294967296":                    24 * time.Hour,
		"9223372036854775807":           24 * time.Hour,
		"99999999999999999999":          0,
		"Sat, 21 Nov 2026 07:31:00 GMT": time.Minute,
		"Sat, 21 Nov 2026 07:29:00 GMT": 0,
		"Mon, 21 Nov 2056 07:29:00 GMT": 24 * time.Hour,
	} {
		require.Equal(t, want, httpanswer.RetryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
	require.Zero(t, httpanswer.RetryAfter(nil, now))
}

func TestWhatOthersWroteIsKeptAsOneShortPlainText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"plain text stays", "declined: no funds", "declined: no funds"},
		{"control characters become spaces", "a\x1b[31mb\nc\u0085d", "a [31mb c d"},
		{"line and paragraph separators become spaces", "a\u2028b\u2029c", "a b c"},
		{"format characters go", "a\u202eb\u200bc\ufeffd\u2066e", "abcde"},
		{"card numbers are masked", "card 4111111111111111", "card 411111******1111"},
		{"also one that format characters cut", "card 41111111\u200b11111111", "card 411111******1111"},
		{"bytes that are not UTF-8 show", "bad \xff byte", "bad \uFFFD byte"},
		{"what is too long is cut between characters", strings.Repeat("x", 39) + "їжак", strings.Repeat("x", 39) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, httpanswer.Tidy(tt.text, 40))
		})
	}
}
