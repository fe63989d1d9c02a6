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

// IsMessage implements codec.Message.
func (Revocation) IsMessage() {}

// Initiators are the values of Revocation.InitiatedBy.
var Initiators = []string{InitiatedByClient, "user", "core"}

// InitiatedByClient marks a revocation that is not delivered: the client made it.
const InitiatedByClient = "client"

// CheckRevocation is why the operation can't be revoked now, or nil (promise 7).
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

// Revoke records the final status "revoked", which supersedes what is pending. A second
// revocation, also one after a poll that found it, changes nothing.
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
