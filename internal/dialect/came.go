package dialect

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

var bom = []byte("\uFEFF")

// withoutBOM is a body without the one byte order mark that some servers begin
// UTF-8 with; JSON has none (RFC 8259, 8.1).
func withoutBOM(body []byte) []byte { return bytes.TrimPrefix(body, bom) }

// encodings are the names that a reason repeats (IANA, HTTP Content Coding
// Registry); anything else could be any text.
var encodings = []string{"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"}

// whatCame names in a few words, with a comma after them, what an answer holds
// instead of the JSON object that it should; empty where there is no name for it.
func whatCame(a Answer) string {
	body := bytes.ToLower(bytes.TrimSpace(a.Body))
	switch encoding := strings.ToLower(strings.TrimSpace(a.ContentEncoding)); {
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
