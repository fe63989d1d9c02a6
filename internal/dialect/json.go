package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// jsonMessage writes body as it is: an "&" in an order number stays one.
func jsonMessage(body any) (Message, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return Message{}, fmt.Errorf("writing a callback as JSON: %w", err)
	}
	return Message{
		ContentType: "application/json",
		Accept:      "application/json",
		Body:        bytes.TrimSuffix(buffer.Bytes(), []byte("\n")),
	}, nil
}

// scalar is the text of a JSON string or number, empty for anything else.
func scalar(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}

// firstSet is the first that is not empty.
func firstSet(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
