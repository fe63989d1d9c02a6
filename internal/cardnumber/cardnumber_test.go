package cardnumber_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"ringback/internal/cardnumber"
)

func TestIn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, s string
		want    bool
	}{
		{"Visa of 16 digits", "4111111111111111", true},
		{"Visa of 13 digits", "4222222222222", true},
		{"Visa of 19 digits", "4000000000000000006", true},
		{"Visa has no 14 digits", "40000000000002", false},
		{"Mastercard", "5555555555554444", true},
		{"Mastercard of the second series", "2223003122003222", true},
		{"just below the second series", "2220990000000002", false},
		{"just above the second series", "2721000000000004", false},
		{"American Express", "378282246310005", true},
		{"American Express has no 16 digits", "3400000000000000", false},
		{"Maestro", "6759649826438453", true},
		{"Maestro of 13 digits", "5000000000005", true},
		{"Discover", "6011111111111117", true},
		{"Discover 644", "6440000000000005", true},
		{"JCB", "3530111333300000", true},
		{"UnionPay", "6240008631401148", true},
		{"Diners Club", "30569309025904", true},
		{"Diners Club 38", "38520000023237", true},
		{"Prostir", "9804000000000009", true},
		{"grouped by spaces", "4111 1111 1111 1111", true},
		{"grouped by dashes", "4111-1111-1111-1111", true},
		{"grouped by both", "4111 1111-1111 1111", true},
		{"American Express as printed", "3782 822463 10005", true},
		{"inside a text", "paid with 4111111111111111, thanks", true},
		{"between letters", "card4111111111111111x", true},
		{"after a date", "2026-11-21 4111111111111111", true},
		{"before another number", "4111 1111 1111 1111 12", true},
		{"the second of two numbers", "1234567890123456;4111111111111111", true},
		{"a wrong Luhn digit", "4111111111111112", false},
		{"no brand has this prefix", "1234567812345670", false},
		{"a zero prefix", "0000000000000000", false},
		{"grouped by two spaces", "4111  1111  1111  1111", true},
		{"grouped by a space and one that does not break", "4111 \u00a01111\u00a0 1111  1111", true},
		{"grouped by two dashes", "4111--1111--1111--1111", true},
		{"grouped by three spaces", "4111   1111   1111   1111", false},
		{"grouped by a dash and a space", "4111- 1111- 1111- 1111", false},
		{"two spaces percent-encoded", "4111%20%201111%20%201111%20%201111", true},
		{"grouped by pluses, as in a query", "pan=4111+1111+1111+1111", true},
		{"American Express in a query", "pan=3782+822463+10005", true},
		{"grouped by two pluses", "4111++1111++1111++1111", true},
		{"pluses percent-encoded", "4111%2B1111%2b1111%2B1111", true},
		{"grouped by minus signs", "4111\u22121111\u22121111\u22121111", true},
		{"grouped by middle dots", "4111·1111·1111·1111", true},
		{"grouped by other middle dots", "4111\u20271111\u22191111\u22c51111", true},
		{"grouped by middle dots of Japanese", "4111・1111・1111・1111", true},
		{"middle dots percent-encoded", "4111%C2%B71111%C2%B71111%C2%B71111", true},
		{"seconds, their fraction and an offset", "2026-11-21T07:30:50.000000000+05:00", false},
		{"the same without the plus", "50.000000000-05", true},
		{"the time of a day without colons", "T222100.000007+0200", false},
		{"a version and its build", "2.3+20130313144705", false},
		{"grouped by dots", "4111.1111.1111.1111", true},
		{"grouped by underscores", "4111_1111_1111_1111", true},
		{"grouped by spaces that do not break", "4111\u00a01111\u00a01111\u00a01111", true},
		{"grouped by long dashes", "4111–1111–1111–1111", true},
		{"grouped by what is not seen", "4111\u200b1111\u200b1111\u200b1111", true},
		{"grouped by slashes", "4111/1111/1111/1111", false},
		{"digits percent-encoded", "%34%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31", true},
		{"one of them", "411111111111111%31", true},
		{"separators percent-encoded", "4111%201111%2D1111%5f1111", true},
		{"percent-encoded twice", "%2534111%25201111%252011111111", true},
		{"full-width digits percent-encoded", strings.Repeat("%EF%BC%94", 1) + strings.Repeat("%ef%bc%91", 15), true},
		{"after a percent sign that encodes nothing", "100%4111111111111111", true},
		{"half an encoding", "4111111111111111%3", true},
		{"Mir", "2200000000000004", true},
		{"Mir of 19 digits", "2204000000000000006", true},
		{"Mir has no 13 digits", "2200000000004", false},
		{"just above Mir", "2205000000000009", false},
		{"inside a longer run of digits", "00004111111111111111", false},
		{"12 digits", "411111111117", false},
		{"a Unix time in milliseconds", "1596014146001", false},
		{"a UUID", "9f1c1d3e-8a77-4c0e-b0a1-2f5f0a6c7e11", false},
		{"within a UUID, by chance", "a4111111-1111-4111-81b0-2f5f0a6c7e11", false},
		{"within a UUID in a text, by chance", "order a4111111-1111-4111-81b0-2f5f0a6c7e11.", false},
		{"within a digest, by chance", "a4111111111111111b0f2f5f0a6c7e11", false},
		{"beside a UUID", "9f1c1d3e-8a77-4c0e-b0a1-2f5f0a6c7e11 4111111111111111", true},
		{"within one of SHA-384", "4111111111111111b0f2f5f0a6c7e11" + strings.Repeat("ab", 32) + "f", false},
		{"within one of SHA-512", "4111111111111111b0f2f5f0a6c7e11" + strings.Repeat("ab", 48) + "f", false},
		{"in a hexadecimal run that is no digest", "a4111111111111111b", true},
		{"in 32 digits with no letter", "4111-1111-1111-1111 0000000000000000", true},
		{"empty", "", false},
		{"only separators", " - - ", false},
		{"full-width digits", "４１１１１１１１１１１１１１１１", true},
		{"Arabic digits", "٤١١١١١١١١١١١١١١١", true},
		{"mathematical digits", "𝟒𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏", true},
		{"an address and a port", "192.168.100.200:65535", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, cardnumber.In(tt.s))
		})
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, s, want string }{
		{"keeps the first six and the last four", "4111111111111111", "411111******1111"},
		{"keeps the grouping", "4111-1111 1111-1111", "4111-11** ****-1111"},
		{"keeps the text around", "card 378282246310005 declined", "card 378282*****0005 declined"},
		{"masks every number", "4222222222222, 5555555555554444", "422222***2222, 555555******4444"},
		{"leaves everything else", "order 1234567812345670 of 2026-11-21", "order 1234567812345670 of 2026-11-21"},
		{"masks what a mask leaves over", "4000000000005100 000000000008", "400000******5100 00******0008"},
		{"masks what is percent-encoded", "%34111111%31%2011111111", "%3411111****%20****1111"},
		{"masks digits of another script", "４１１１１１１１１１１１１１１１", "４１１１１１******************１１１１"},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, cardnumber.Mask(tt.s))
		})
	}
}

func FuzzMask(f *testing.F) {
	for _, seed := range []string{"", "4111111111111111", "4111 1111-1111 1111 378282246310005", "x4222222222222 0-0", "2026-11-21 4111111111111111", "a4111111-1111-4111-81b0-2f5f0a6c7e11 4111111111111111", "a4111111111111111b0f2f5f0a6c7e11", "%34111.1111_1111%201111", "%2534１１１%31", "%", "4111++1111  1111·1111", "2.3+4111+1111+1111+1111"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		masked := cardnumber.Mask(s)
		require.False(t, cardnumber.In(masked), "%q still holds one", masked)
		require.Len(t, masked, len(s))
		require.Equal(t, cardnumber.In(s), masked != s)
		for i := range masked {
			require.True(t, masked[i] == s[i] || masked[i] == '*', "only asterisks are written")
		}
	})
}

func TestEveryDecimalDigitOfUnicodeIsRead(t *testing.T) {
	t.Parallel()
	for _, tens := range unicode.Nd.R16 {
		for zero := rune(tens.Lo); zero <= rune(tens.Hi); zero += 10 {
			require.True(t, cardnumber.In(number(zero)), number(zero))
		}
	}
	for _, tens := range unicode.Nd.R32 {
		for zero := rune(tens.Lo); zero <= rune(tens.Hi); zero += 10 {
			require.True(t, cardnumber.In(number(zero)), number(zero))
		}
	}
}

// number is a Visa number written with the digits that follow zero.
func number(zero rune) string {
	return string(zero+4) + strings.Repeat(string(zero+1), 15)
}
