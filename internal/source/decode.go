package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"ringback/internal/cardnumber"
	"ringback/internal/httpanswer"
)

// maxDetailText bounds one text of an extended answer, in bytes.
const maxDetailText = 512

// scalar is a JSON number or string, as its text: cores write codes as either.
// A null is the empty one.
type scalar string

// UnmarshalJSON refuses objects, arrays and truth values.
func (s *scalar) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*s = scalar(text)
		return nil
	}
	var number json.Number
	if json.Unmarshal(data, &number) != nil {
		return errors.New("not a number or a string")
	}
	*s = scalar(number.String())
	return nil
}

// object reads a JSON object with its names in lower case: the documents spell
// one name in more than one way (orderStatus, OrderStatus).
func object(body []byte) (map[string]json.RawMessage, bool) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(body, &raw) != nil || raw == nil {
		return nil, false
	}
	lower := make(map[string]json.RawMessage, len(raw))
	for name, value := range raw {
		lower[strings.ToLower(name)] = value
	}
	return lower, true
}

// detail is one allow-listed value of an extended answer: a number, a text or
// a truth value, with anything that looks like a card number masked. Objects,
// arrays and nulls are left out.
func detail(raw json.RawMessage) (any, bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	return masked(value)
}

// masked is a number, a text or a truth value with anything that looks like a card
// number masked.
func masked(value any) (any, bool) {
	switch v := value.(type) {
	case bool:
		return v, true
	case json.Number, int64, uint64, float64:
		digits := number(v)
		if cardnumber.In(digits) {
			return cardnumber.Mask(digits), true
		}
		return json.Number(digits), true
	case string:
		return httpanswer.Tidy(v, maxDetailText-len("…")), true
	}
	return nil, false
}

// number is a number as JSON writes it.
func number(value any) string {
	text, _ := json.Marshal(value) // of numbers that JSON can hold
	return string(text)
}

// details picks the named values of an object, by the names given.
func details(from map[string]json.RawMessage, names ...string) map[string]any {
	picked := map[string]any{}
	for _, name := range names {
		if value, ok := detail(from[strings.ToLower(name)]); ok {
			picked[name] = value
		}
	}
	return picked
}
