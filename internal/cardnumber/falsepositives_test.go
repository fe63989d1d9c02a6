package cardnumber_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/cardnumber"
)

// samples are how many identifiers of each kind are tried.
const samples = 40_000

// identifiers are ways in which cores number their operations, each with the
// nth of its numbers.
var identifiers = []struct {
	kind string
	nth  func(r *rand.Rand, n int) string
}{
	{"random, 8 to 12 digits", func(r *rand.Rand, n int) string { return digits(r, 8+n%5) }},
	{"random, 13 digits", func(r *rand.Rand, _ int) string { return digits(r, 13) }},
	{"random, 14 digits", func(r *rand.Rand, _ int) string { return digits(r, 14) }},
	{"random, 15 digits", func(r *rand.Rand, _ int) string { return digits(r, 15) }},
	{"random, 16 digits", func(r *rand.Rand, _ int) string { return digits(r, 16) }},
	{"random, 17 digits", func(r *rand.Rand, _ int) string { return digits(r, 17) }},
	{"random, 18 digits", func(r *rand.Rand, _ int) string { return digits(r, 18) }},
	{"random, 19 digits", func(r *rand.Rand, _ int) string { return digits(r, 19) }},
	{"random, 20 to 32 digits", func(r *rand.Rand, n int) string { return digits(r, 20+n%13) }},
	{"counted from 1", func(_ *rand.Rand, n int) string { return fmt.Sprint(n + 1) }},
	{"counted from 239441503 (Paysera)", func(_ *rand.Rand, n int) string { return fmt.Sprint(239441503 + n) }},
	{"counted, 16 digits from 1000000000000000", func(_ *rand.Rand, n int) string { return fmt.Sprint(1_000_000_000_000_000 + n) }},
	{"counted, 16 digits from 4000000000000000", func(_ *rand.Rand, n int) string { return fmt.Sprint(4_000_000_000_000_000 + n) }},
	{"counted, 16 digits from 5600000000000000", func(_ *rand.Rand, n int) string { return fmt.Sprint(5_600_000_000_000_000 + n) }},
	{"counted, zeros before, 16 digits", func(_ *rand.Rand, n int) string { return fmt.Sprintf("%016d", n) }},
	{"Unix milliseconds, 13 digits", func(_ *rand.Rand, n int) string { return fmt.Sprint(1_795_000_000_000 + n) }},
	{"Unix microseconds, 16 digits", func(_ *rand.Rand, n int) string { return fmt.Sprint(1_795_000_000_000_000 + n) }},
	{"date and six digits, 14 digits", func(_ *rand.Rand, n int) string { return fmt.Sprintf("20261121%06d", n) }},
	{"date, time and two digits, 16 digits", func(_ *rand.Rand, n int) string {
		return time.Date(2026, 11, 21, 0, 0, n, 0, time.UTC).Format("20060102150405") + fmt.Sprintf("%02d", n%100)
	}},
	{"UUID", func(r *rand.Rand, _ int) string {
		h := hex(r, 32)
		return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-" + drawn(r, "89ab", 1) + h[17:20] + "-" + h[20:]
	}},
	{"32 hexadecimal digits", func(r *rand.Rand, _ int) string { return hex(r, 32) }},
	{"24 hexadecimal digits", func(r *rand.Rand, _ int) string { return hex(r, 24) }},
	{"26 letters and digits (ULID)", func(r *rand.Rand, _ int) string { return drawn(r, "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 26) }},
	{"ORD- and 10 digits", func(r *rand.Rand, _ int) string { return "ORD-" + digits(r, 10) }},
	{"ORD- and 16 digits", func(r *rand.Rand, _ int) string { return "ORD-" + digits(r, 16) }},
	{"three groups of 4 digits", func(r *rand.Rand, _ int) string { return digits(r, 4) + "-" + digits(r, 4) + "-" + digits(r, 4) }},
	{"four groups of 4 digits", func(r *rand.Rand, _ int) string {
		return digits(r, 4) + "-" + digits(r, 4) + "-" + digits(r, 4) + "-" + digits(r, 4)
	}},
	{"four groups of 4 digits, with dots", func(r *rand.Rand, _ int) string {
		return digits(r, 4) + "." + digits(r, 4) + "." + digits(r, 4) + "." + digits(r, 4)
	}},
	{"8 digits, underscore, 8 digits", func(r *rand.Rand, _ int) string { return digits(r, 8) + "_" + digits(r, 8) }},
	{"date_time_ and four digits", func(_ *rand.Rand, n int) string {
		return time.Date(2026, 11, 21, 0, 0, n, 0, time.UTC).Format("20060102_150405") + fmt.Sprintf("_%04d", n%10_000)
	}},
	{"seconds.microseconds, 16 digits", func(r *rand.Rand, n int) string { return fmt.Sprint(1_795_000_000+n) + "." + digits(r, 6) }},
	{"RFC 3339 time with nanoseconds and offset", func(r *rand.Rand, n int) string {
		return time.Date(2026, 11, 21, 0, 0, n, 0, time.UTC).Format("2006-01-02T15:04:05.") + digits(r, 9) + "+02:00"
	}},
	{"time without colons, microseconds and offset", func(r *rand.Rand, n int) string {
		return time.Date(2026, 11, 21, 0, 0, n*2, 0, time.UTC).Format("20060102T150405.") + digits(r, 6) + "+0200"
	}},
	{"version and time of its build", func(r *rand.Rand, n int) string {
		return fmt.Sprintf("%d.%d.%d+", r.IntN(60), r.IntN(60), r.IntN(60)) + time.Date(2026, 11, 21, 0, 0, n, 0, time.UTC).Format("20060102150405")
	}},
	{"IPv4 address and number, with underscores", func(r *rand.Rand, n int) string {
		return fmt.Sprintf("10_20_%d_%d_%d", r.IntN(256), r.IntN(256), n)
	}},
}

func digits(r *rand.Rand, n int) string { return drawn(r, "0123456789", n) }

func hex(r *rand.Rand, n int) string { return drawn(r, "0123456789abcdef", n) }

func drawn(r *rand.Rand, alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

// TestHowOftenAnIdentifierLooksLikeACardNumber measures what the document says:
// each refusal is a payment without a callback.
func TestHowOftenAnIdentifierLooksLikeACardNumber(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/card-numbers.md")
	require.NoError(t, err)
	for _, ids := range identifiers {
		r := rand.New(rand.NewPCG(1, 2))
		refused := 0
		for n := range samples {
			if cardnumber.In(ids.nth(r, n)) {
				refused++
			}
		}
		row := fmt.Sprintf("| %s | %s |", ids.kind, share(refused))
		t.Log(row)
		if refused == 0 {
			require.NotContains(t, string(document), "| "+ids.kind+" |", "docs/card-numbers.md says so")
			continue
		}
		require.Contains(t, strings.Split(string(document), "\n"), row, "docs/card-numbers.md says so")
	}
}

func share(refused int) string {
	switch {
	case refused == 0:
		return "none"
	case refused*1000 < samples:
		return fmt.Sprintf("%d in %d", refused, samples)
	}
	return fmt.Sprintf("%.1f %%", float64(refused)*100/samples)
}
