// Package cardnumber finds and masks card numbers (promise 13). Every string that
// comes in is checked by [In]; every text that leaves and was written by others
// goes through [Mask].
package cardnumber

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

// brands are the prefixes that the card schemes publish. Without them one order
// number in ten would be taken for a card number: so many pass Luhn.
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
	shortest     = 13
	longest      = 19
	maskKeepHead = 6
	maskKeepTail = 4
)

// In reports whether s holds what looks like a card number: 13 to 19 digits,
// together or grouped by single spaces or dashes, with a card brand's prefix
// at a length of that brand, and a right Luhn digit. Digits within a UUID or a
// digest are none: one UUID in 2,500 would be refused.
func In(s string) bool { return len(find(s)) > 0 }

// Mask replaces the digits of every card number in s by asterisks, but for its
// first six and last four, so that nothing in the result looks like one.
func Mask(s string) string {
	// What a mask leaves over can be the beginning of another number.
	for found := find(s); len(found) > 0; found = find(s) {
		masked := []byte(s)
		for _, span := range found {
			count, digit := len(digits(s, span)), 0
			for i := span[0]; i < span[1]; i++ {
				if s[i] < '0' || s[i] > '9' {
					continue
				}
				if digit++; digit > maskKeepHead && digit <= count-maskKeepTail {
					masked[i] = '*'
				}
			}
		}
		s = string(masked)
	}
	return s
}

var (
	// chain is groups of digits that single spaces or dashes join. A number may begin
	// at any group of a chain, as in "2026-11-21 4111 1111 1111 1111".
	chain      = regexp.MustCompile(`[0-9]+(?:[ -][0-9]+)*`)
	group      = regexp.MustCompile(`[0-9]+`)
	separators = strings.NewReplacer(" ", "", "-", "")
	// random are UUIDs (RFC 9562) and hexadecimal digests of the usual lengths.
	random = regexp.MustCompile(`(?i)\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})\b`)
)

// find returns where the card numbers in s begin and end.
func find(s string) [][]int {
	var found [][]int
	for _, c := range chain.FindAllStringIndex(s, -1) {
		if c[1]-c[0] < shortest {
			continue
		}
		groups := group.FindAllStringIndex(s[c[0]:c[1]], -1)
		for i, first := range groups {
			for _, last := range groups[i:] {
				span := []int{c[0] + first[0], c[0] + last[1]}
				number := digits(s, span)
				if len(number) > longest {
					break
				}
				if isCardNumber(number) {
					found = append(found, span)
				}
			}
		}
	}
	return outsideOfRandom(s, found)
}

func digits(s string, span []int) string { return separators.Replace(s[span[0]:span[1]]) }

// outsideOfRandom leaves out what lies within a UUID or a digest that has a
// letter: its digits stand together by chance.
func outsideOfRandom(s string, found [][]int) [][]int {
	if len(found) == 0 {
		return nil
	}
	spans := random.FindAllStringIndex(s, -1)
	return slices.DeleteFunc(found, func(number []int) bool {
		return slices.ContainsFunc(spans, func(span []int) bool {
			within := span[0] <= number[0] && number[1] <= span[1]
			return within && strings.ContainsAny(s[span[0]:span[1]], "abcdefABCDEF")
		})
	})
}

func isCardNumber(digits string) bool {
	if len(digits) < shortest {
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
