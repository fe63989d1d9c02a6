// Package httpanswer reads those parts of an HTTP answer that a core and a
// receiver give alike. Both may send anything.
package httpanswer

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ringback/internal/cardnumber"
)

// MaxRetryAfter bounds how long the other side can make us wait.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter is how long after now a Retry-After header asks to wait, in seconds
// or as a date (RFC 9110, 10.2.3): at most a day, and 0 where it asks for nothing.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), int(MaxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), MaxRetryAfter)
	}
	return 0
}

// Tidy is a text that others wrote as it may be kept: of at most so many bytes and a "…", valid
// UTF-8 without control and format characters (Unicode Cc, Cf, Zl, Zp), which
// could forge a line or turn its direction, and without card numbers.
func Tidy(text string, most int) string {
	text = cardnumber.Mask(strings.Map(plain, strings.ToValidUTF8(text, "\uFFFD")))
	// Masked before it is cut: half a card number looks like none.
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func plain(r rune) rune {
	switch {
	case unicode.Is(unicode.Cf, r):
		return -1
	case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
		return ' '
	}
	return r
}
