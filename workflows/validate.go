package workflows

import "ringback/internal/operation"

// The Temporal UI and CLI reach a run past the API, so that Updates and Signals
// are held to the API's own rules.

func validatePush(p Push) error { return operation.Validate(operation.StatusRule.Check(p.Status)) }

// reasonDropped stands for the reason of a revocation by Signal that breaks the rule.
const reasonDropped = "(the reason given was not kept: too long, or it looks like it holds a card number)"

// withValidReason is a revocation that came by Signal, its reason replaced if it
// breaks the rule: a Signal can't be refused, and the operation was revoked
// whatever the reason.
func withValidReason(r operation.Revocation) operation.Revocation {
	if operation.ReasonRule.Check(r.Reason) != nil {
		r.Reason = reasonDropped
	}
	return r
}
