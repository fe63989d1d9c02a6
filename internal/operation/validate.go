package operation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ringback/internal/cardnumber"
)

// FieldRule is the limit on one field of a request: Ringback's own, below, or that of a
// source's or a receiver's document. The API, the workflows and the command line read
// the same rules; openapi.yaml repeats them, and a test compares.
type FieldRule struct {
	// Field is the JSON path, such as "operation_id" or "reference.order_id".
	Field    string
	Required bool
	// Refused: the document has no such field, so any value is at fault.
	Refused bool
	// MaxLength is in characters (code points); 0: unbounded.
	MaxLength int
	// Pattern, if set, must match the whole value; Alphabet says it in words.
	Pattern  *regexp.Regexp
	Alphabet string
	// Allowed, if set, are the only values.
	Allowed []string
	// MayLookLikeCardNumber leaves that to others: an identifier's endpoint says
	// whether it is checked. Every other value is.
	MayLookLikeCardNumber bool
	// Document names where the limit is written, such as "Ukrcard callback service, orderNumber ANS 1..32".
	Document string
}

// Ringback's own rules.
var (
	// EndpointRule is also that of the names of sources and keys.
	EndpointRule = FieldRule{
		Field: "endpoint", Required: true, MaxLength: 50,
		Pattern: regexp.MustCompile(`^[A-Za-z0-9_-]+$`), Alphabet: "letters, digits, _ and -",
	}
	// OperationIDRule is the widest; a source's own is closer. With the longest endpoint's
	// name it makes a workflow id of 255 characters, the most that Temporal's SQL schemas keep.
	OperationIDRule = FieldRule{Field: "operation_id", Required: true, MaxLength: 204, MayLookLikeCardNumber: true}
	// StatusRule is for a status of any source; an empty push means poll now.
	StatusRule = FieldRule{
		Field: "status", MaxLength: 64,
		Pattern: regexp.MustCompile(`^[A-Za-z0-9_.-]+$`), Alphabet: "letters, digits, _, . and -",
	}
	// PhaseRule is for the phase of an open operation.
	PhaseRule     = FieldRule{Field: "phase", Allowed: []string{string(Watching), string(Delivering), string(OnHold)}}
	ReasonRule    = FieldRule{Field: "reason", MaxLength: 256}
	InitiatorRule = FieldRule{Field: "initiated_by", Required: true, Allowed: Initiators}
	// URLRule bounds a callback's address; servers and proxies accept as much.
	URLRule = FieldRule{Field: "url", MaxLength: 2048}
	// PageTokenRule bounds what is handed to Temporal.
	PageTokenRule = FieldRule{Field: "page_token", MaxLength: 4096, MayLookLikeCardNumber: true}
)

// httpStatuses are what a filter by HTTP status may be.
var httpStatuses = regexp.MustCompile(`^([1-5][0-9][0-9]|[1-5]xx|` + NoHTTPStatus + `)$`)

// CheckHTTPStatus is what is wrong with a filter by HTTP status, or nil.
func CheckHTTPStatus(field, value string) *FieldError {
	if value == "" || httpStatuses.MatchString(value) {
		return nil
	}
	return &FieldError{Field: field, Detail: "is not a status such as 503, a class such as 5xx, or none, where no answer came"}
}

// As is the rule for a field of another name.
func (r FieldRule) As(field string) FieldRule {
	r.Field = field
	return r
}

// Check is what is wrong with value, or nil. It repeats nothing of the value.
func (r FieldRule) Check(value string) *FieldError {
	switch {
	case value == "" && r.Required:
		return r.fault("is required")
	case value == "":
		return nil
	case r.Refused:
		return r.fault("is not used here and must be left out")
	case !r.MayLookLikeCardNumber && cardnumber.In(value):
		return CheckCardNumber(r.Field, value)
	case r.MaxLength > 0 && utf8.RuneCountInString(value) > r.MaxLength:
		return r.fault(fmt.Sprintf("is longer than %d characters", r.MaxLength))
	case r.Pattern != nil && !r.Pattern.MatchString(value):
		return r.fault("holds a character outside " + r.Alphabet)
	case len(r.Allowed) > 0 && !slices.Contains(r.Allowed, value):
		return r.fault("is not one of " + strings.Join(r.Allowed, ", "))
	case CheckText(value) != "":
		return r.fault(CheckText(value))
	}
	return nil
}

const cardNumberDetail = "looks like it holds a card number (brand prefix, length and Luhn check); Ringback takes none. " +
	"If it is an identifier, set card_number_screen: false at the endpoint"

// CheckCardNumber refuses what looks like it holds a card number, whatever else is
// wrong with it.
func CheckCardNumber(field, value string) *FieldError {
	if !cardnumber.In(value) {
		return nil
	}
	return &FieldError{Field: field, Detail: cardNumberDetail}
}

// IsOfCardNumber reports whether the fault is that of [CheckCardNumber].
func (f FieldError) IsOfCardNumber() bool { return f.Detail == cardNumberDetail }

func (r FieldRule) fault(detail string) *FieldError {
	if r.Document != "" {
		detail += " (" + r.Document + ")"
	}
	return &FieldError{Field: r.Field, Detail: detail}
}

// CheckText is what is wrong with any text that a caller sends, or "".
func CheckText(text string) string {
	switch {
	case !utf8.ValidString(text):
		return "is not valid UTF-8"
	case strings.ContainsRune(text, utf8.RuneError):
		return "holds U+FFFD or half a surrogate pair: its text was broken on the way"
	case strings.ContainsFunc(text, unicode.IsControl):
		return "holds a control character"
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) }):
		return "holds a character that turns the writing direction or breaks the line"
	}
	return ""
}

// Check is what is wrong with the names in a key.
func (k Key) Check() []FieldError {
	faults := Faults(EndpointRule.Check(k.Endpoint), OperationIDRule.Check(k.OperationID))
	if k.OperationID == "." || k.OperationID == ".." {
		faults = append(faults, FieldError{Field: OperationIDRule.Field, Detail: "can't be . or .., which paths leave out"})
	}
	return faults
}

// Faults are those of the checks that found one.
func Faults(checks ...*FieldError) []FieldError {
	var faults []FieldError
	for _, fault := range checks {
		if fault != nil {
			faults = append(faults, *fault)
		}
	}
	return faults
}

// Validate is the error for the checks that found a fault, or nil.
func Validate(checks ...*FieldError) error {
	if faults := Faults(checks...); len(faults) > 0 {
		return Invalid(faults...)
	}
	return nil
}
