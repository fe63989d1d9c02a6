package operation

import (
	"slices"
	"strings"
)

// Revocation is the core's statement that the operation itself was revoked.
type Revocation struct {
	// InitiatedBy is "client", "user" or "core".
	InitiatedBy string `json:"initiated_by"`
	Reason      string `json:"reason,omitempty"`
	At          Time   `json:"at,omitzero"`
}

// Initiators are the values of Revocation.InitiatedBy.
var Initiators = []string{InitiatedByClient, "user", "core"}

// InitiatedByClient marks a revocation that the client made itself: it is not delivered
// (Paysera: callbacks are for events not initiated by the client).
const InitiatedByClient = "client"

// CheckRevocation is the reason why the operation can't be revoked now, or nil
// (promise 7).
func (l *Lifecycle) CheckRevocation(r Revocation) error {
	id := l.options.Key.WorkflowID()
	switch {
	case !slices.Contains(Initiators, r.InitiatedBy):
		return Invalid(FieldError{Field: "initiated_by", Detail: "is not one of " + strings.Join(Initiators, ", ")})
	case l.revoked():
		return nil
	case l.withdrawal != nil:
		return Refuse(ProblemNotRevocable, "The operation %s was withdrawn; it is not watched any more.", id)
	case l.final:
		return Refuse(ProblemNotRevocable, "The operation %s is final with status %q and can't be revoked.", id, l.status)
	case !l.options.Rules.IsRevocable(l.status):
		return Refuse(ProblemNotRevocable, "The operation %s has status %q, which can't be revoked.", id, l.status)
	}
	return nil
}

// Revoke records that the operation was revoked in the core. That is its final
// status, and supersedes what is pending. A second revocation changes nothing, also
// where a poll was the first to find the operation revoked.
func (l *Lifecycle) Revoke(r Revocation) error {
	if err := l.CheckRevocation(r); err != nil || l.revoked() {
		return err
	}
	l.revocation = &r
	revoked := l.options.Rules.Revoked
	l.status, l.final = revoked, true
	l.watch.Last = &Observation{Status: revoked, BegunAt: r.At, ObservedAt: r.At}
	l.supersedeWaiting(ReasonRevoked)
	if r.InitiatedBy != InitiatedByClient && l.isDelivered(revoked) && !l.clientHas(revoked) {
		l.enqueue(Callback{Final: true, Observation: *l.watch.Last})
	}
	return nil
}

func (l *Lifecycle) revoked() bool {
	return l.revocation != nil || (l.final && l.status == l.options.Rules.Revoked)
}
