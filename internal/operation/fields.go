package operation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// FieldRule is the limit that a document sets on one field of a start request.
// Sources and dialects publish theirs as data, so that the API's door, the
// documentation and the tests read the same table.
type FieldRule struct {
	// Field is "operation_id", "method", "reference.order_id",
	// "reference.registered_at", "known_status" or "callback.statuses".
	Field    string
	Required bool
	// Refused: the document has no such field, so any value is at fault.
	Refused bool
	// MaxLength is in characters; 0: unbounded.
	MaxLength int
	// Pattern, if set, must match the whole value; Alphabet says it in words.
	Pattern  *regexp.Regexp
	Alphabet string
	// Allowed, if set, are the only values.
	Allowed []string
	// Document names where the limit is written, such as "Ukrcard callback service, orderNumber ANS 1..32".
	Document string
}

// Check is what is wrong with value, or nil.
func (r FieldRule) Check(value string) *FieldError {
	switch {
	case value == "" && r.Required:
		return r.fault("is required")
	case value == "":
		return nil
	case r.Refused:
		return r.fault("is not used here and must be left out")
	case r.MaxLength > 0 && utf8.RuneCountInString(value) > r.MaxLength:
		return r.fault(fmt.Sprintf("is longer than %d characters", r.MaxLength))
	case r.Pattern != nil && !r.Pattern.MatchString(value):
		return r.fault("holds a character outside " + r.Alphabet)
	case len(r.Allowed) > 0 && !slices.Contains(r.Allowed, value):
		return r.fault("is not one of " + strings.Join(r.Allowed, ", "))
	}
	return nil
}

func (r FieldRule) fault(detail string) *FieldError {
	if r.Document != "" {
		detail += " (" + r.Document + ")"
	}
	return &FieldError{Field: r.Field, Detail: detail}
}
