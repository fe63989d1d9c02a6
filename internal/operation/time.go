package operation

import (
	"fmt"
	"time"
)

// timeLayout is RFC 3339 in UTC with exactly three digits of a second.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// Time is an instant in UTC with the precision of the API and of h: a millisecond.
type Time struct{ time.Time }

// At is t in UTC, cut to the millisecond.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// Add is the instant d later.
func (t Time) Add(d time.Duration) Time { return At(t.Time.Add(d)) }

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool { return t.Time.Before(u.Time) }

// After reports whether t is later than u.
func (t Time) After(u Time) bool { return t.Time.After(u.Time) }

// String is t as the API writes it.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

// MarshalText writes t as RFC 3339 with milliseconds.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalJSON writes t as a JSON string of RFC 3339 with milliseconds.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalText reads any RFC 3339 time whose year in UTC has four digits, cut to the
// millisecond.
func (t *Time) UnmarshalText(text []byte) error {
	parsed, err := time.Parse(time.RFC3339, string(text))
	if err != nil || parsed.UTC().Year() < 0 || parsed.UTC().Year() > 9999 {
		return fmt.Errorf("%q is not an RFC 3339 time such as 2026-11-21T09:30:00+02:00", text)
	}
	*t = At(parsed)
	return nil
}

// UnmarshalJSON reads a JSON string holding an RFC 3339 time.
func (t *Time) UnmarshalJSON(data []byte) error {
	if len(data) < 2 || data[0] != '"' {
		return fmt.Errorf("%s is not an RFC 3339 time in a JSON string", data)
	}
	return t.UnmarshalText(data[1 : len(data)-1])
}
