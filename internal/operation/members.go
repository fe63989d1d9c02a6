package operation

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Contradicts reports whether a JSON object has one of the members twice with
// different values, as {"status": 200, "status": 500} has: parsers disagree on which
// of them counts. same compares names; nested objects are not checked. It is false
// where body is no JSON object.
func Contradicts(body []byte, same func(name, member string) bool, members ...string) bool {
	tokens := json.NewDecoder(bytes.NewReader(body))
	if opening, err := tokens.Token(); err != nil || opening != json.Delim('{') {
		return false
	}
	seen := map[string][]byte{}
	for tokens.More() {
		token, err := tokens.Token()
		name, isName := token.(string)
		var value json.RawMessage
		if err != nil || !isName || tokens.Decode(&value) != nil {
			return false
		}
		at := slices.IndexFunc(members, func(member string) bool { return same(name, member) })
		if at < 0 {
			continue
		}
		if before, twice := seen[members[at]]; twice && !bytes.Equal(before, value) {
			return true
		}
		seen[members[at]] = value
	}
	return false
}
