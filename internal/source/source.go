// Package source holds the adapters to the cores' status interfaces. A new
// source is one file that adds its [Kind] to [Kinds], and its testdata.
package source

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"ringback/internal/operation"
)

// Source polls one configured core. It is safe for concurrent use.
type Source interface {
	// Poll asks for the operation's status. An answer without a status
	// (Ukrcard: respStatus other than 200) is an observation. Every error is an *Error.
	Poll(ctx context.Context, q operation.Query) (operation.Observation, error)
	// Details asks for the extended answer (Ukrcard /ConfirmExt, Paysera GET) and
	// keeps allow-listed fields. Every error is an *Error.
	Details(ctx context.Context, q operation.Query) (map[string]any, error)
}

// Base is one way to a core.
type Base struct {
	// URL is absolute, http or https.
	URL string
	// Client judges addresses, bounds time and carries the client certificate.
	Client *http.Client
	// ClientDN is Ukrcard's: the common name of the client certificate.
	ClientDN string
}

// Config is one configured source, secrets resolved.
type Config struct {
	Name string
	// Bases are tried in turn until one answers.
	Bases []Base
	// ExtSystemID, Login, Password and RegisteredAtZone are Ukrcard's.
	ExtSystemID, Login, Password string
	RegisteredAtZone             *time.Location
	// MACID and MACKey are Paysera's; empty: a client certificate alone.
	MACID, MACKey string
	// Secrets are those of a kind as data, by name.
	Secrets map[string]string
	// Header is set on every request, such as an Authorization.
	Header http.Header
}

// Kind is one sort of core: its documents' limits, its rules, and how to open it.
type Kind struct {
	Name string
	// Vocabulary are the statuses of the core's documents.
	Vocabulary []string
	// Fields are the documents' limits on a start request.
	Fields []operation.FieldRule
	// Methods are all values of method; empty: method is refused.
	Methods []string
	// Settings are the keys that a source of this kind has in the configuration, beside
	// kind, final_statuses and secrets.
	Settings []string
	// Rules are the meaning of statuses, with the final set replaced where
	// the configuration names one.
	Rules func(finalStatuses []string) operation.Rules
	// Check says what is wrong with the settings of a source of this kind.
	Check func(Config) []SettingError
	Open  func(Config) Source
	// Push is set for a kind as data whose core is never polled.
	Push *Push
	// SignsWith reports whether an expression of a kind as data signs with the secret of
	// that name; nil: none does.
	SignsWith func(secret string) bool
}

// SettingError is what is wrong with one setting of a source. It never repeats
// the value, which may be a secret.
type SettingError struct {
	// Setting is its key in the configuration, such as "mac.id".
	Setting, Detail string
}

// Kinds are the sorts of core, each added by its own file.
var Kinds []Kind

// KindByName is the kind of that name.
func KindByName(name string) (Kind, bool) {
	at := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == name })
	if at < 0 {
		return Kind{}, false
	}
	return Kinds[at], true
}

// KindNames are the kinds' names, for messages that say what is allowed.
func KindNames() []string {
	names := make([]string, 0, len(Kinds))
	for _, kind := range Kinds {
		names = append(names, kind.Name)
	}
	return names
}

// statusRevoked is what Ringback records for a revocation; it ends the watch
// whatever the core's own final statuses are.
const statusRevoked = "revoked"

// finalStatuses are those configured, or else the kind's own; and "revoked".
func finalStatuses(configured []string, own ...string) []string {
	if len(configured) > 0 {
		own = configured
	}
	if slices.Contains(own, statusRevoked) {
		return slices.Clone(own)
	}
	return append(slices.Clone(own), statusRevoked)
}

// ErrorKind is why a poll brought no observation.
type ErrorKind string

// The kinds of errors.
const (
	// Unauthorized: 401 or 403, of the core itself or of every base URL;
	// costs no poll (promise 2), see [Refusals].
	Unauthorized ErrorKind = "unauthorized"
	// Throttled: 429; RetryAfter may say when to come back.
	Throttled ErrorKind = "throttled"
	// Unavailable: no answer, a time-out or a 5xx.
	Unavailable ErrorKind = "unavailable"
	// NotFound: the core knows no such operation (yet).
	NotFound ErrorKind = "not_found"
	// Malformed: an answer that can't be read, or a request that can't be built.
	Malformed ErrorKind = "malformed"
)

// Error is a poll without an observation. Every kind but Unauthorized costs a poll.
type Error struct {
	Kind       ErrorKind
	Source     string
	HTTPStatus int
	RetryAfter time.Duration
	// Detail says what was tried, on which base URL, by its place in the list; it holds
	// nothing that the core wrote.
	Detail string
	Err    error
	// FromCore: the core itself answered so, not something in front of it.
	FromCore bool
}

// Error is what was tried and what came back.
func (e *Error) Error() string { return fmt.Sprintf("source %s: %s", e.Source, e.Detail) }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }
