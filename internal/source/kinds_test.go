package source_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/internal/source"
)

func TestTheRulesOfEachKind(t *testing.T) {
	t.Parallel()
	ukrcard, paysera := ukrcardKind(t), payseraKind(t)
	for _, tt := range []struct {
		name                       string
		kind                       source.Kind
		final                      []string
		ends, delivered, revocable []string
		unanswered                 bool
	}{
		{
			name: "Ukrcard stops at 1 and 2", kind: ukrcard,
			ends: []string{"1", "2", "revoked"}, delivered: []string{"1", "2"}, revocable: []string{"0", "5"}, unanswered: true,
		},
		{
			name: "Ukrcard with a final set of its own", kind: ukrcard, final: []string{"2", "3", "4", "6"},
			ends: []string{"2", "3", "4", "6", "revoked"}, delivered: []string{"2", "3", "4", "6"}, revocable: []string{"0", "5"}, unanswered: true,
		},
		{
			name: "Ukrcard's callback has no word for revoked, even where it is configured", kind: ukrcard, final: []string{"2", "revoked"},
			ends: []string{"2", "revoked"}, delivered: []string{"2"}, revocable: []string{"0", "5"}, unanswered: true,
		},
		{
			name: "Paysera", kind: paysera,
			ends:      []string{"done", "rejected", "revoked", "failed"},
			delivered: []string{"waiting_funds", "waiting_registration", "waiting_password", "reserved", "rejected", "revoked", "failed", "done"},
			revocable: []string{"new", "waiting", "waiting_funds", "waiting_registration", "waiting_password", "reserved"},
		},
		{
			name: "Paysera with a final set of its own", kind: paysera, final: []string{"done"},
			ends:      []string{"done", "revoked"},
			delivered: []string{"waiting_funds", "waiting_registration", "waiting_password", "reserved", "rejected", "revoked", "failed", "done"},
			revocable: []string{"new", "waiting", "waiting_funds", "waiting_registration", "waiting_password", "reserved"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules := tt.kind.Rules(tt.final)
			require.Equal(t, "revoked", rules.Revoked)
			require.Equal(t, tt.unanswered, rules.DeliversUnanswered)
			require.Equal(t, tt.unanswered, rules.NoAnswer["respStatus"] == "504")
			var ends, delivered, revocable []string
			statuses := tt.kind.Vocabulary
			if tt.kind.Name == "ukrcard" {
				statuses = append(append([]string{}, statuses...), "revoked")
			}
			for _, status := range append(append([]string{}, statuses...), "unheard_of") {
				if rules.IsFinal(status) {
					ends = append(ends, status)
				}
				if rules.Delivers(status) {
					delivered = append(delivered, status)
				}
				if rules.IsRevocable(status) {
					revocable = append(revocable, status)
				}
			}
			require.ElementsMatch(t, tt.ends, ends, "final")
			require.ElementsMatch(t, tt.delivered, delivered, "delivered")
			require.ElementsMatch(t, tt.revocable, revocable, "revocable")
		})
	}
}

func TestRulesBelongToTheirCaller(t *testing.T) {
	t.Parallel()
	for _, kind := range source.Kinds {
		spoilt := kind.Rules(nil)
		for _, set := range [][]string{spoilt.Final, spoilt.Delivered, spoilt.Revocable} {
			for i := range set {
				set[i] = "spoilt"
			}
		}
		require.NotContains(t, kind.Rules(nil).Final, "spoilt", kind.Name)
		require.NotContains(t, kind.Rules(nil).Delivered, "spoilt", kind.Name)
		require.NotContains(t, kind.Rules(nil).Revocable, "spoilt", kind.Name)
		require.NotContains(t, kind.Vocabulary, "spoilt", kind.Name)
	}
}

func TestTheLimitsOfEachDocument(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind, field string
		right       []string
		wrong       map[string]string // value to a part of the fault
	}{
		{"ukrcard", "operation_id",
			[]string{"1", "A-1", "a/b#c%d", "with a space", strings.Repeat("x", 32)},
			map[string]string{"": "required", strings.Repeat("x", 33): "longer than 32", " 1": "outside", "1 ": "outside", "1\n": "outside", "a\tb": "outside", "їжак": "outside", "\x7f": "outside"}},
		{"ukrcard", "method",
			[]string{"payment", "p2p_transfer", "p2p_a2c", "p2p_c2a"},
			map[string]string{"": "required", "Payment": "not one of payment, p2p_transfer", "preauthorization": "not one of"}},
		{"ukrcard", "reference.order_id",
			[]string{"", "1", "9f1c1d3e-8a77-4c0e-b0a1-2f5f0a6c7e11", strings.Repeat("x", 32)},
			map[string]string{strings.Repeat("x", 37): "longer than 36", "a\r\nb: c": "outside"}},
		{"ukrcard", "reference.registered_at",
			[]string{"2026-11-21T07:30:00.000Z"},
			map[string]string{"": "required"}},
		{"ukrcard", "known_status",
			[]string{"", "0", "6"},
			map[string]string{"7": "not one of 0, 1, 2", "revoked": "not one of"}},
		{"paysera", "operation_id",
			[]string{"239441503", "a_B-1", strings.Repeat("x", 64)},
			map[string]string{"": "required", strings.Repeat("x", 65): "longer than 64", "a/b": "outside", "..": "outside", "a b": "outside", "1\n": "outside"}},
		{"paysera", "method", []string{""}, map[string]string{"payment": "left out"}},
		{"paysera", "reference.order_id", []string{""}, map[string]string{"1": "left out"}},
		{"paysera", "reference.registered_at", []string{""}, map[string]string{"2026-11-21T07:30:00.000Z": "left out"}},
		{"paysera", "known_status",
			[]string{"", "new", "waiting_funds", "failed"},
			map[string]string{"Done": "not one of", "2": "not one of"}},
	} {
		t.Run(tt.kind+"'s "+tt.field, func(t *testing.T) {
			t.Parallel()
			rule := ruleOf(t, tt.kind, tt.field)
			require.NotEmpty(t, rule.Document, "every limit names its document")
			for _, value := range tt.right {
				require.Nil(t, rule.Check(value), "%q", value)
			}
			for value, part := range tt.wrong {
				fault := rule.Check(value)
				require.NotNil(t, fault, "%q", value)
				require.Equal(t, tt.field, fault.Field)
				require.Contains(t, fault.Detail, part)
				require.Contains(t, fault.Detail, rule.Document)
			}
		})
	}
}

func ruleOf(t *testing.T, kind, field string) operation.FieldRule {
	t.Helper()
	found, ok := source.KindByName(kind)
	require.True(t, ok)
	for _, rule := range found.Fields {
		if rule.Field == field {
			return rule
		}
	}
	t.Fatalf("%s has no rule for %s", kind, field)
	return operation.FieldRule{}
}

func TestSettingsAreCheckedAgainstTheCoresDocuments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, kind string
		change     func(*source.Config)
		// wrong are the settings in question, and detail what is said of the last one.
		wrong  []string
		detail string
	}{
		{"nothing", "ukrcard", func(*source.Config) {}, nil, ""},
		{"nothing, without a client certificate's name", "ukrcard", func(c *source.Config) { c.Bases[0].ClientDN = "" }, nil, ""},
		{"no system id", "ukrcard", func(c *source.Config) { c.ExtSystemID = "" }, []string{"ext_system_id"}, "must hold 1 to 50"},
		{"a system id that is too long", "ukrcard", func(c *source.Config) { c.ExtSystemID = strings.Repeat("x", 51) }, []string{"ext_system_id"}, ""},
		{"no login", "ukrcard", func(c *source.Config) { c.Login = "" }, []string{"login"}, "must hold 1 to 30"},
		{"a login that is too long", "ukrcard", func(c *source.Config) { c.Login = strings.Repeat("x", 31) }, []string{"login"}, ""},
		{"a password that is too short", "ukrcard", func(c *source.Config) { c.Password = "hunt" }, []string{"password"}, "must hold 5 to 30"},
		{"a password that is too long", "ukrcard", func(c *source.Config) { c.Password = strings.Repeat("hunter2", 5) }, []string{"password"}, ""},
		{"a password that no header can hold", "ukrcard", func(c *source.Config) { c.Password = "hunter2\n" }, []string{"password"}, "must be printable"},
		{"a certificate's name that is too long", "ukrcard", func(c *source.Config) { c.Bases[0].ClientDN = strings.Repeat("x", 501) }, []string{"client_dn"}, "must hold 0 to 500"},
		{"everything at once", "ukrcard", func(c *source.Config) { *c = source.Config{} }, []string{"ext_system_id", "login", "password"}, ""},
		{"nothing", "paysera", func(*source.Config) {}, nil, ""},
		{"neither MAC id nor key, for a client certificate", "paysera", func(c *source.Config) { c.MACID, c.MACKey = "", "" }, nil, ""},
		{"a MAC id without its key", "paysera", func(c *source.Config) { c.MACKey = "" }, []string{"mac.key"}, "is missing beside mac.id"},
		{"a MAC key without its id", "paysera", func(c *source.Config) { c.MACID = "" }, []string{"mac.id"}, "is missing beside mac.key"},
	} {
		t.Run(tt.kind+": "+tt.name, func(t *testing.T) {
			t.Parallel()
			kind, ok := source.KindByName(tt.kind)
			require.True(t, ok)
			config := source.Config{
				Name: "core", Bases: []source.Base{{URL: "https://core.test/path", ClientDN: "GOLDENBANK"}}, ExtSystemID: "ECOM_GOLD_BANK",
				Login: "gold", Password: "hunter2", MACID: "id", MACKey: "hunter2",
			}
			tt.change(&config)
			var settings []string
			var detail string
			for _, wrong := range kind.Check(config) {
				settings, detail = append(settings, wrong.Setting), wrong.Detail
				require.NotContains(t, wrong.Detail, "hunt", "a value may be a secret")
			}
			require.Equal(t, tt.wrong, settings)
			require.Contains(t, detail, tt.detail)
		})
	}
}
