package operation

import (
	"regexp"
	"slices"
	"strings"
)

// brand is one range of issuer prefixes and the lengths of its numbers.
type brand struct {
	// from and to are the first and the last prefix, of equal width.
	from, to string
	lengths  []int
}

var (
	thirteenUp = []int{13, 14, 15, 16, 17, 18, 19}
	fourteenUp = thirteenUp[1:]
	sixteenUp  = thirteenUp[3:]
)

// brands are the prefixes that the card schemes publish. They spare ordinary order
// numbers, of which one in ten passes Luhn.
var brands = []brand{
	{"4", "4", []int{13, 16, 19}},   // Visa
	{"51", "55", []int{16}},         // Mastercard
	{"2221", "2720", []int{16}},     // Mastercard, second series
	{"34", "34", []int{15}},         // American Express
	{"37", "37", []int{15}},         // American Express
	{"50", "50", thirteenUp},        // Maestro
	{"56", "58", thirteenUp},        // Maestro
	{"63", "63", thirteenUp},        // Maestro
	{"67", "67", thirteenUp},        // Maestro
	{"6011", "6011", sixteenUp},     // Discover
	{"644", "659", sixteenUp},       // Discover
	{"3528", "3589", sixteenUp},     // JCB
	{"62", "62", sixteenUp},         // UnionPay
	{"300", "305", fourteenUp},      // Diners Club
	{"3095", "3095", fourteenUp},    // Diners Club
	{"36", "36", fourteenUp},        // Diners Club
	{"38", "39", fourteenUp},        // Diners Club
	{"9804", "9804", []int{16, 19}}, // Prostir
}

// The lengths of a card number, and what a mask leaves of it (PCI DSS 3.4.1).
const (
	shortestCard = 13
	longestCard  = 19
	maskKeepHead = 6
	maskKeepTail = 4
)

// LooksLikeCardNumber reports whether s holds 13 to 19 digits, together or grouped by
// single spaces or dashes, with a card brand's prefix and length and a right Luhn
// digit. Digits within a UUID or a digest don't count: one UUID in 2,500 would be
// refused.
func LooksLikeCardNumber(s string) bool { return len(cardNumbers(s)) > 0 }

// MaskCardNumbers replaces all but the first six and last four digits of every card number.
func MaskCardNumbers(s string) string {
	// What a mask leaves over can be the beginning of another number.
	for found := cardNumbers(s); len(found) > 0; found = cardNumbers(s) {
		masked := []byte(s)
		for _, positions := range found {
			for _, at := range positions[maskKeepHead : len(positions)-maskKeepTail] {
				masked[at] = '*'
			}
		}
		s = string(masked)
	}
	return s
}

// cardNumbers are the card numbers in s, each as the positions of its digits. One may
// begin at any group of digits, as in "2026-11-21 4111 1111 1111 1111".
func cardNumbers(s string) [][]int {
	var found [][]int
	digit := func(i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }
	for first := range len(s) {
		if !digit(first) || digit(first-1) {
			continue
		}
		var positions []int
		for i := first; len(positions) < longestCard && (digit(i) || digit(i-1) && isSeparator(s, i)); i++ {
			if !digit(i) {
				continue
			}
			positions = append(positions, i)
			if !digit(i+1) && isCardNumber(digitsAt(s, positions)) {
				found = append(found, slices.Clone(positions))
			}
		}
	}
	return outsideOfRandom(s, found)
}

func isSeparator(s string, i int) bool { return i < len(s) && (s[i] == ' ' || s[i] == '-') }

// random are UUIDs (RFC 9562) and hexadecimal digests of the usual lengths.
var random = regexp.MustCompile(`(?i)\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})\b`)

// outsideOfRandom leaves out what lies within a UUID or a digest that has a letter.
func outsideOfRandom(s string, found [][]int) [][]int {
	if len(found) == 0 {
		return nil
	}
	spans := random.FindAllStringIndex(s, -1)
	return slices.DeleteFunc(found, func(positions []int) bool {
		return slices.ContainsFunc(spans, func(span []int) bool {
			within := span[0] <= positions[0] && positions[len(positions)-1] < span[1]
			return within && strings.ContainsAny(s[span[0]:span[1]], "abcdefABCDEF")
		})
	})
}

func digitsAt(s string, positions []int) string {
	var digits strings.Builder
	for _, at := range positions {
		digits.WriteByte(s[at])
	}
	return digits.String()
}

func isCardNumber(digits string) bool {
	if len(digits) < shortestCard {
		return false
	}
	branded := slices.ContainsFunc(brands, func(b brand) bool {
		prefix := digits[:len(b.from)]
		return b.from <= prefix && prefix <= b.to && slices.Contains(b.lengths, len(digits))
	})
	return branded && passesLuhn(digits)
}

func passesLuhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return sum%10 == 0
}
