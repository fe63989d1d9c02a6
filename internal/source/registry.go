package source

import (
	"slices"

	"ringback/internal/operation"
)

// Kinds are the sorts of core, each added by its own file.
var Kinds []Kind

// KindByName is the kind of that name.
func KindByName(name string) (Kind, bool) {
	for _, kind := range Kinds {
		if kind.Name == name {
			return kind, true
		}
	}
	return Kind{}, false
}

// KindNames are the kinds' names, for messages that say what is allowed.
func KindNames() []string {
	names := make([]string, 0, len(Kinds))
	for _, kind := range Kinds {
		names = append(names, kind.Name)
	}
	return names
}

// statusRevoked is what Ringback records when it is told of a revocation; it
// ends the watch whatever the core's own final statuses are.
const statusRevoked = "revoked"

// finalAnd is the final set with "revoked" in it.
func finalAnd(final []string) []string {
	if slices.Contains(final, statusRevoked) {
		return slices.Clone(final)
	}
	return append(slices.Clone(final), statusRevoked)
}

// observation completes o, whose poll began at begun, with the present time.
func observation(begun operation.Time, status string, raw map[string]string) operation.Observation {
	return operation.Observation{Status: status, Raw: raw, BegunAt: begun, ObservedAt: now()}
}
