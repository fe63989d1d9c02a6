package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxDepth bounds how deep the objects and lists of a JSON value stand in each other.
	maxDepth = 64
	// maxValues bounds how many values an answer holds.
	maxValues = 5_000
)

// DecodeJSON reads a JSON value as nil, bool, string, []any, map[string]any and
// numbers: a whole one becomes an int64, or a uint64, or its digits as a string where
// it is larger; another becomes a float64. An object that has a member twice with
// different values is refused: parsers disagree on which of them counts. The errors go
// on after "it is" and repeat nothing of the data.
func DecodeJSON(data []byte) (any, error) {
	if !json.Valid(data) {
		return nil, errors.New("not JSON")
	}
	return (&jsonDecoder{data: data, left: maxValues}).value(maxDepth)
}

// jsonDecoder reads data that is known to be JSON: encoding/json's own decoder takes
// three times as long, which each poll would feel.
type jsonDecoder struct {
	data []byte
	// at is where the next byte is read, and left how many more values are.
	at, left int
}

// next is the next byte that is no space.
func (d *jsonDecoder) next() byte {
	for d.data[d.at] <= ' ' {
		d.at++
	}
	return d.data[d.at]
}

// more steps over the comma before a further element, or over the end of a list or an object.
func (d *jsonDecoder) more(end byte) bool {
	next := d.next()
	if next == ',' || next == end {
		d.at++
	}
	return next != end
}

func (d *jsonDecoder) value(depth int) (any, error) {
	if d.left--; d.left < 0 {
		return nil, fmt.Errorf("JSON of more than %d values", maxValues)
	}
	next := d.next()
	if depth == 0 && (next == '{' || next == '[') {
		return nil, fmt.Errorf("JSON deeper than %d levels", maxDepth)
	}
	switch next {
	case '{':
		return d.object(depth - 1)
	case '[':
		return d.list(depth - 1)
	case '"':
		return d.text()
	case 't':
		d.at += len("true")
		return true, nil
	case 'f':
		d.at += len("false")
		return false, nil
	case 'n':
		d.at += len("null")
		return nil, nil
	}
	begin := d.at
	for d.at < len(d.data) && strings.IndexByte("+-.0123456789eE", d.data[d.at]) >= 0 {
		d.at++
	}
	return number(string(d.data[begin:d.at]))
}

func (d *jsonDecoder) object(depth int) (any, error) {
	object := map[string]any{}
	for d.at++; d.more('}'); {
		d.next()
		name, err := d.text()
		if err != nil {
			return nil, err
		}
		d.next()
		d.at++ // the colon
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		if before, twice := object[name]; twice && !reflect.DeepEqual(before, value) {
			return nil, errors.New("JSON with a member twice, of different values")
		}
		object[name] = value
	}
	return object, nil
}

func (d *jsonDecoder) list(depth int) (any, error) {
	list := []any{}
	for d.at++; d.more(']'); {
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}

// text reads a string.
func (d *jsonDecoder) text() (text string, err error) {
	begin, plain := d.at, true
	for d.at++; d.data[d.at] != '"'; d.at++ {
		if d.data[d.at] == '\\' {
			d.at++
			plain = false
		}
	}
	d.at++
	if inner := d.data[begin+1 : d.at-1]; plain && utf8.Valid(inner) {
		return string(inner), nil
	}
	if err := json.Unmarshal(d.data[begin:d.at], &text); err != nil {
		return "", fmt.Errorf("JSON with a string that can't be read: %w", err)
	}
	return text, nil
}

func number(digits string) (any, error) {
	if !strings.ContainsAny(digits, ".eE") {
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
			return n, nil
		}
		return digits, nil
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return nil, errors.New("JSON with a number out of range")
	}
	return n, nil
}

// EncodeJSON is JSON text that leaves <, > and & as they are.
func EncodeJSON(value any) ([]byte, error) {
	into := newJSONWriter()
	err := into.encode(value)
	return into.Bytes(), err
}

// jsonWriter writes JSON texts one after the other.
type jsonWriter struct {
	bytes.Buffer
	encoder *json.Encoder
}

func newJSONWriter() *jsonWriter {
	into := &jsonWriter{}
	into.encoder = json.NewEncoder(into)
	into.encoder.SetEscapeHTML(false)
	return into
}

func (w *jsonWriter) encode(value any) error {
	if err := w.encoder.Encode(value); err != nil {
		return fmt.Errorf("write as JSON: %w", err)
	}
	w.Truncate(w.Len() - 1) // the line feed after each value
	return nil
}
