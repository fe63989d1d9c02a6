package operation

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Contradicts reports whether a JSON object names one of its members twice with
// different values, as {"status": 200, "status": 500} does: parsers disagree
// which of them counts, so that neither does. same says whether a name of the
// object is one of those asked about; other members, and those within members,
// are not looked at. It is false where body is no JSON object.
func Contradicts(body []byte, same func(name, member string) bool, members ...string) bool {
	tokens := json.NewDecoder(bytes.NewReader(body))
	if opening, err := tokens.Token(); err != nil || opening != json.Delim('{') {
		return false
	}
	said := map[string][]byte{}
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
		if before, twice := said[members[at]]; twice && !bytes.Equal(before, value) {
			return true
		}
		said[members[at]] = value
	}
	return false
}
