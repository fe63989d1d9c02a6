// Package httpanswer reads those parts of an HTTP answer that a core and a
// receiver give alike. Both may send anything.
package httpanswer

import (
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// maxRetryAfter bounds how long the other side can make us wait.
const maxRetryAfter = 24 * time.Hour

// RetryAfter is how long after now a Retry-After header asks to wait, in seconds
// or as a date (RFC 9110, 10.2.3): at most a day, and 0 where it asks for nothing.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// quoted matches what net/http's errors repeat of an answer.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// WithoutQuotes is the text of an error of net/http without what it quotes of the
// answer, which may hold a secret or a card number.
func WithoutQuotes(err error) string {
	return quoted.ReplaceAllString(err.Error(), "…")
}
