package checker

import (
	"slices"
	"strings"
)

// rules are what a source's statuses mean, from docs/dialects-and-sources.md.
type rules struct {
	final, delivered, revocable []string
	// deliversTimeouts says that the end of a watch without a final status is delivered.
	deliversTimeouts bool
}

const revoked = "revoked"

var rulesOf = map[string]rules{
	"ukrcard": {
		final: []string{"1", "2", revoked}, delivered: []string{"1", "2"},
		revocable: []string{"0", "5"}, deliversTimeouts: true,
	},
	"paysera": {
		final: []string{"done", "rejected", revoked, "failed"},
		delivered: []string{
			"waiting_funds", "waiting_registration", "waiting_password", "reserved",
			"done", "rejected", revoked, "failed",
		},
		revocable: []string{"new", "waiting", "reserved"},
	},
}

// rulesFor are the rules of an endpoint. Every dialect but Ukrcard's delivers a
// revocation.
func rulesFor(dialect, source string) rules {
	r := rulesOf[source]
	if dialect != "ukrcard" && !slices.Contains(r.delivered, revoked) {
		r.delivered = append(slices.Clone(r.delivered), revoked)
	}
	return r
}

func (r rules) isFinal(status string) bool { return slices.Contains(r.final, status) }

func (r rules) isRevocable(status string) bool {
	return status == "" || slices.Contains(r.revocable, status) ||
		strings.HasPrefix(status, "waiting_") && slices.Contains(r.revocable, "waiting")
}

// isDelivered reports whether a status has a callback for a client who wants these
// statuses, or all if there are none.
func (r rules) isDelivered(status string, wanted []string) bool {
	return slices.Contains(r.delivered, status) && (len(wanted) == 0 || slices.Contains(wanted, status))
}
