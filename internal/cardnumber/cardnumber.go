// Package cardnumber finds and masks card numbers (promise 13). Every string that
// comes in is checked by [In]; every text that leaves and was written by others
// goes through [Mask].
package cardnumber

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
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
	{"2200", "2204", sixteenUp},     // Mir
}

// The lengths of a card number, and what a mask leaves of it (PCI DSS 3.4.1).
const (
	shortest     = 13
	longest      = 19
	maskKeepHead = 6
	maskKeepTail = 4
)

// In reports whether s holds what looks like a card number: 13 to 19 digits of any
// script, together or grouped by separators, with a card brand's prefix at a
// length of that brand, and a right Luhn digit; also where it is percent-encoded.
// Digits within a UUID or a digest are none: one UUID in 2,500 would be refused.
func In(s string) bool { return len(find(s)) > 0 }

// Mask replaces the digits of every card number in s by asterisks, but for its
// first six and last four, so that nothing in the result looks like one.
func Mask(s string) string {
	// What a mask leaves over can be the beginning of another number.
	for found := find(s); len(found) > 0; found = find(s) {
		masked := []byte(s)
		for _, number := range found {
			for _, d := range number[maskKeepHead : len(number)-maskKeepTail] {
				copy(masked[d.from:d.to], asterisks)
			}
		}
		s = string(masked)
	}
	return s
}

// digit is one digit and where it stands in the text.
type digit struct {
	value    byte
	from, to int
	// first and last say that it begins or ends a group.
	first, last bool
}

// asterisks are more than a digit has bytes, percent-encoded as often as is read.
var asterisks = strings.Repeat("*", 4*(3+2*maxEncoded))

// random are UUIDs (RFC 9562) and hexadecimal digests of the usual lengths.
var random = regexp.MustCompile(`(?i)\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})\b`)

// find returns the card numbers in s, by their digits.
func find(s string) [][]digit {
	if !canHoldOne(s) {
		return nil
	}
	found := numbers(chains(s, plainRune))
	if strings.Contains(s, "%") {
		found = append(found, numbers(chains(s, decodedRune))...)
	}
	return outsideOfRandom(s, found)
}

// canHoldOne rules most texts out by their bytes alone.
func canHoldOne(s string) bool {
	most := 0
	for i := range len(s) {
		if c := s[i]; c >= '0' && c <= '9' || c == '%' || c >= 0x80 {
			most++
		}
	}
	return most >= shortest
}

// numbers are the card numbers in chains of digits. One may begin at any group of a
// chain, as in "2026-11-21 4111 1111 1111 1111".
func numbers(chains [][]digit) (found [][]digit) {
	for _, chain := range chains {
		for i := range chain {
			if !chain[i].first {
				continue
			}
			for end := i + shortest; end <= min(i+longest, len(chain)); end++ {
				if chain[end-1].last && isCardNumber(values(chain[i:end])) {
					found = append(found, chain[i:end])
				}
			}
		}
	}
	return found
}

func values(number []digit) string {
	text := make([]byte, len(number))
	for i, d := range number {
		text[i] = d.value
	}
	return string(text)
}

// chains are the groups of digits in s that separators join.
func chains(s string, next func(s string, at int) (r rune, size int)) (all [][]digit) {
	var chain []digit
	var joint rune // the separator before the last digit's group
	var gap rune   // the separator after the last digit
	doubled := false
	for at := 0; at < len(s); {
		r, size := next(s, at)
		value, isDigit := valueOf(r)
		switch {
		case isDigit:
			first := len(chain) == 0 || gap != 0
			if first {
				joint = gap
			} else {
				chain[len(chain)-1].last = false
			}
			chain, gap, doubled = append(chain, digit{value, at, at + size, first, true}), 0, false
		case len(chain) > 0 && gap == 0 && separates(r, joint):
			gap = r
		case gap != 0 && !doubled && (r == gap || isBlank(r) && isBlank(gap)):
			doubled = true
		default:
			all, chain, joint, gap, doubled = append(all, chain), nil, 0, 0, false
		}
		at += size
	}
	return append(all, chain)
}

// separates reports whether r, behind a group that joint joins to the one before, is a
// separator: spaces and dashes of any kind, dots, underscores, characters that are not
// seen, and a plus, which is a space in a query. The plus behind a dot is none: after the
// fraction of a second it begins the offset of a time, after a version its build.
func separates(r, joint rune) bool {
	if r == '+' {
		return joint != '.'
	}
	return isBlank(r) || strings.ContainsRune("-._", r) || r > unicode.MaxASCII && (unicode.Is(unicode.Pd, r) || strings.ContainsRune(otherMarks, r))
}

// otherMarks are the minus sign and the dots that stand in the middle of a line.
const otherMarks = "\u2212\u00b7\u2027\u2219\u22c5\u30fb"

// isBlank: spaces, and characters that are not seen.
func isBlank(r rune) bool {
	return r == ' ' || r > unicode.MaxASCII && unicode.In(r, unicode.Zs, unicode.Cf)
}

// valueOf is the digit that r is in its script, as an ASCII one.
func valueOf(r rune) (byte, bool) {
	if r <= unicode.MaxASCII {
		return byte(r), r >= '0' && r <= '9'
	}
	// Unicode's decimal digits stand in tens, each from its zero on.
	for _, tens := range unicode.Nd.R16 {
		if r <= rune(tens.Hi) {
			return '0' + byte((r-rune(tens.Lo))%10), r >= rune(tens.Lo)
		}
	}
	for _, tens := range unicode.Nd.R32 {
		if r <= rune(tens.Hi) {
			return '0' + byte((r-rune(tens.Lo))%10), r >= rune(tens.Lo)
		}
	}
	return 0, false
}

func plainRune(s string, at int) (rune, int) { return utf8.DecodeRuneInString(s[at:]) }

// maxEncoded is how often a character may be percent-encoded beyond the first time.
const maxEncoded = 4

// decodedRune is plainRune where characters may be percent-encoded.
func decodedRune(s string, at int) (rune, int) {
	var encoded [utf8.UTFMax]byte
	size := 0
	for n := range encoded {
		b, read := decodedByte(s, at+size)
		if read == 0 {
			break
		}
		encoded[n], size = b, size+read
		if utf8.FullRune(encoded[:n+1]) {
			if r, _ := utf8.DecodeRune(encoded[:n+1]); r != utf8.RuneError {
				return r, size
			}
			break
		}
	}
	_, size = decodedByte(s, at)
	return utf8.RuneError, size
}

// decodedByte is one byte and how many it takes in s, percent-encoded.
func decodedByte(s string, at int) (b byte, size int) {
	if at >= len(s) {
		return 0, 0
	}
	for from := at + 1; s[at] == '%' && from <= at+1+2*maxEncoded && from+2 <= len(s); from += 2 {
		value, err := strconv.ParseUint(s[from:from+2], 16, 8)
		switch {
		case err != nil:
			return s[at], 1
		case value != '%' || from+4 > len(s) || !isHex(s[from+2:from+4]):
			return byte(value), from + 2 - at
		}
	}
	return s[at], 1
}

func isHex(s string) bool {
	_, err := strconv.ParseUint(s, 16, 8)
	return err == nil
}

// outsideOfRandom leaves out what lies within a UUID or a digest that has a
// letter: its digits stand together by chance.
func outsideOfRandom(s string, found [][]digit) [][]digit {
	if len(found) == 0 {
		return nil
	}
	spans := random.FindAllStringIndex(s, -1)
	return slices.DeleteFunc(found, func(number []digit) bool {
		return slices.ContainsFunc(spans, func(span []int) bool {
			within := span[0] <= number[0].from && number[len(number)-1].to <= span[1]
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
