package operation

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
)

// Members are the names and values in a JSON object, in order, up to the first malformed one.
func Members(body []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		tokens := json.NewDecoder(bytes.NewReader(body))
		if opening, err := tokens.Token(); err != nil || opening != json.Delim('{') {
			return
		}
		for tokens.More() {
			token, err := tokens.Token()
			name, isName := token.(string)
			var value json.RawMessage
			if err != nil || !isName || tokens.Decode(&value) != nil || !yield(name, value) {
				return
			}
		}
	}
}

// Contradicts reports whether a JSON object has one of the members twice with different
// values: parsers disagree on which of them counts. same compares a name in the object
// with a member's.
func Contradicts(body []byte, same func(name, member string) bool, members ...string) bool {
	first := map[string][]byte{}
	for name, value := range Members(body) {
		at := slices.IndexFunc(members, func(member string) bool { return same(name, member) })
		if at < 0 {
			continue
		}
		if before, twice := first[members[at]]; twice && !bytes.Equal(before, value) {
			return true
		}
		first[members[at]] = value
	}
	return false
}
