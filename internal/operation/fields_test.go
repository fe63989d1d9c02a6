package operation_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestAFieldRuleSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	number := operation.FieldRule{
		Field: "operation_id", Required: true, MaxLength: 5,
		Pattern: regexp.MustCompile(`^[A-Z]+$`), Alphabet: "A to Z",
	}
	for _, tt := range []struct {
		name, value, detail string
		rule                operation.FieldRule
	}{
		{name: "a value within every limit", rule: number, value: "ABCDE"},
		{name: "a required one that is missing", rule: number, detail: "is required"},
		{name: "one that is too long", rule: number, value: "ABCDEF", detail: "is longer than 5 characters"},
		{name: "one outside the alphabet", rule: number, value: "AB1", detail: "holds a character outside A to Z"},
		{name: "length counts characters and not bytes", rule: operation.FieldRule{MaxLength: 5}, value: "їжачо"},
		{name: "one that may be left out", rule: operation.FieldRule{MaxLength: 5, Allowed: []string{"x"}}},
		{name: "one of the allowed", rule: operation.FieldRule{Allowed: []string{"0", "1"}}, value: "1"},
		{name: "none of the allowed", rule: operation.FieldRule{Allowed: []string{"0", "1"}}, value: "2", detail: "is not one of 0, 1"},
		{name: "a refused one that is left out", rule: operation.FieldRule{Refused: true}},
		{name: "a refused one", rule: operation.FieldRule{Refused: true}, value: "x", detail: "is not used here and must be left out"},
		{name: "the document is named", rule: operation.FieldRule{Refused: true, Document: "Paysera transfers"}, value: "x", detail: "is not used here and must be left out (Paysera transfers)"},
		{name: "without limits everything passes", rule: operation.FieldRule{}, value: strings.Repeat("x", 10_000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fault := tt.rule.Check(tt.value)
			if tt.detail == "" {
				require.Nil(t, fault)
				return
			}
			require.Equal(t, &operation.FieldError{Field: tt.rule.Field, Detail: tt.detail}, fault)
		})
	}
}
