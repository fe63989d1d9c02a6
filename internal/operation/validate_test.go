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

func TestTheOwnRulesCountCharactersAndRefuseWhatIsNoText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule   operation.FieldRule
		value  string
		detail string
	}{
		{operation.EndpointRule, strings.Repeat("S", 50), ""},
		{operation.EndpointRule, strings.Repeat("S", 51), "longer than 50 characters"},
		{operation.EndpointRule, "SH OP", "outside letters, digits, _ and -"},
		{operation.EndpointRule, "SHOP\n", "outside letters, digits, _ and -"},
		{operation.OperationIDRule, strings.Repeat("ї", 204), ""},
		{operation.OperationIDRule, strings.Repeat("ї", 205), "longer than 204 characters"},
		{operation.OperationIDRule, "\xff", "not valid UTF-8"},
		{operation.OperationIDRule, "a\uFFFD", "broken on the way"},
		{operation.OperationIDRule, "a\x00", "control character"},
		{operation.ReasonRule, "x\u202Ey", "turns the writing direction"},
		{operation.ReasonRule, "x\u2066y", "turns the writing direction"},
		{operation.ReasonRule, "x\u2028y", "breaks the line"},
		{operation.ReasonRule, "ремонт 👩\u200D💻", ""},
		{operation.OperationIDRule, "4111111111111111", ""},
		{operation.StatusRule, "", ""},
		{operation.StatusRule, "waiting_funds", ""},
		{operation.StatusRule, strings.Repeat("s", 65), "longer than 64 characters"},
		{operation.StatusRule, "a b", "outside letters, digits, _, . and -"},
		{operation.StatusRule, "4111111111111111", "card number"},
		{operation.ReasonRule, strings.Repeat("ї", 256), ""},
		{operation.ReasonRule, strings.Repeat("r", 257), "longer than 256 characters"},
		{operation.ReasonRule, "card 4111111111111111", "card number"},
		{operation.ReasonRule, "two\nlines", "control character"},
		{operation.URLRule, strings.Repeat("u", 2049), "longer than 2048 characters"},
		{operation.InitiatorRule, "bank", "is not one of client, user, core"},
	} {
		fault := tt.rule.Check(tt.value)
		require.Equal(t, tt.detail == "", fault == nil, "%s %.20q", tt.rule.Field, tt.value)
		if fault != nil {
			require.Equal(t, tt.rule.Field, fault.Field)
			require.Contains(t, fault.Detail, tt.detail)
		}
	}
}

func TestAKeyNamesNoPathThatServersLeaveOut(t *testing.T) {
	t.Parallel()
	require.Empty(t, operation.Key{Endpoint: "SHOP", OperationID: "..."}.Check())
	for _, id := range []string{".", ".."} {
		require.Len(t, operation.Key{Endpoint: "SHOP", OperationID: id}.Check(), 1)
	}
	require.Len(t, operation.Key{}.Check(), 2)
}
