package operation

// The scopes: what a key of the API may be allowed to do.
const (
	// ScopeStart: start an operation.
	ScopeStart = "start"
	// ScopePush: push a status, or have the source polled now.
	ScopePush = "push"
	// ScopeWithdraw: end an operation without a callback.
	ScopeWithdraw = "withdraw"
	// ScopeRevoke: record that an operation was revoked.
	ScopeRevoke = "revoke"
	// ScopeRead: state, list, details.
	ScopeRead = "read"
	// ScopeRedeliver: redeliver what ended unacknowledged.
	ScopeRedeliver = "redeliver"
	// ScopeRedirect: with redeliver, call another URL than the start's.
	ScopeRedirect = "redirect"
	// ScopeForce: with redeliver, redeliver also what was acknowledged.
	ScopeForce = "force"
	// ScopePing: send an endpoint a test callback.
	ScopePing = "ping"
	// ScopeCodec: open what is sealed.
	ScopeCodec = "codec"
)

// Scopes are all scopes.
var Scopes = []string{ScopeStart, ScopePush, ScopeWithdraw, ScopeRevoke, ScopeRead, ScopeRedeliver, ScopeRedirect, ScopeForce, ScopePing, ScopeCodec}
