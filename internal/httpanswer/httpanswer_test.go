package httpanswer_test

import (
	"errors"
	"net/http"
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

func TestAnErrorIsToldWithoutWhatItQuotes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`connection refused`:                      `connection refused`,
		`malformed HTTP status code "SECRET"`:     `malformed HTTP status code …`,
		`malformed response "a \"SECRET\" b\n" x`: `malformed response … x`,
		`"SECRET" and "another"`:                  `… and …`,
	} {
		require.Equal(t, want, httpanswer.WithoutQuotes(errors.New(text)))
	}
}
