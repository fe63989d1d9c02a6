package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ringback/internal/expression"
)

// jsonMessage writes body without escaping: an "&" in an order number stays one.
func jsonMessage(body any) (Message, error) {
	written, err := expression.EncodeJSON(body)
	if err != nil {
		return Message{}, fmt.Errorf("writing a callback: %w", err)
	}
	return Message{
		ContentType: "application/json",
		Accept:      "application/json",
		Body:        written,
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

// withoutBOM is a body without the one byte order mark that some servers begin
// UTF-8 with; JSON has none (RFC 8259, 8.1).
func withoutBOM(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\uFEFF")) }

// encodings are the names that a reason repeats (IANA, HTTP Content Coding
// Registry); anything else could be any text.
var encodings = []string{"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"}

// describeBody names in a few words, with a comma after them, what an answer holds
// instead of the JSON object that it should; empty where there is no name for it.
func describeBody(a Answer) string {
	body := bytes.ToLower(bytes.TrimSpace(a.Body))
	switch encoding := strings.ToLower(strings.TrimSpace(strings.Join(a.Header.Values("Content-Encoding"), ","))); {
	case len(body) == 0:
		return "empty, "
	case slices.Contains(encodings, encoding):
		return "compressed (Content-Encoding: " + encoding + "), "
	case encoding != "" && encoding != "identity":
		return "encoded (its Content-Encoding is not one we know), "
	case bytes.HasPrefix(body, []byte("<!doctype html")), bytes.HasPrefix(body, []byte("<html")):
		return "an HTML page, "
	case body[0] == '<':
		return "XML or HTML, "
	case json.Valid(a.Body):
		return "JSON but "
	}
	return ""
}
