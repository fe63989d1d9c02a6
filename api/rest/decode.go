package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"reflect"
	"strings"
	"unicode/utf8"

	"ringback/internal/operation"
)

// MaxBody is the most bytes that a request's body may have.
const MaxBody = 64 << 10

// decode reads the request's JSON object into into, and refuses a query. An empty
// body is read as {} where optional says so.
func (r *request) decode(into any, optional bool) error {
	if _, err := r.query(); err != nil {
		return err
	}
	body, err := r.readBody(MaxBody)
	if err != nil {
		return err
	}
	if len(body) == 0 && optional {
		return nil
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return operation.Refuse(ProblemUnsupportedMediaType, "Send the body with Content-Type: application/json, in UTF-8.")
	}
	return Decode(body, into)
}

func (r *request) readBody(most int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	if err != nil {
		return nil, &operation.Error{Problem: ProblemMalformed, Detail: "The body ended before its end, or came too slowly.", Err: err}
	}
	if len(body) > most {
		// The rest is not worth reading: the connection is closed instead.
		r.header.Set("Connection", "close")
		return nil, operation.Refuse(ProblemTooLarge, "The body is longer than %d bytes.", most)
	}
	return body, nil
}

func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

// Decode reads one JSON object into the struct that into points to, strictly:
// every member must be a field of the struct, by its exact name, once, of its
// type and not null; strings are sound Unicode without control characters. All
// faults are reported at once, each with its path. The error is a
// *operation.Error: malformed if the body is not JSON at all, else invalid.
func Decode(body []byte, into any) error {
	if !utf8.Valid(body) {
		return operation.Refuse(ProblemMalformed, "The body is not UTF-8 at byte %d.", bytes.IndexRune(body, utf8.RuneError)+1)
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return notJSON(body, err)
	}
	var d decoder
	d.value("", whole, reflect.ValueOf(into).Elem())
	if len(d.faults) > 0 {
		return operation.Invalid(d.faults...)
	}
	return nil
}

func notJSON(body []byte, err error) error {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return &operation.Error{Problem: ProblemMalformed, Detail: "The body is not JSON.", Err: err}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return operation.Refuse(ProblemMalformed, "The body is empty; a JSON object is expected.")
	}
	before := body[:min(int(syntax.Offset), len(body))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return operation.Refuse(ProblemMalformed, "The body is not JSON at line %d, column %d: %s.", line, max(column, 1), syntax)
}

// maxFaults bounds how many faults one response lists.
const maxFaults = 20

// decoder walks a JSON value and a Go type side by side. Its depth is the
// type's, however deep the JSON is.
type decoder struct{ faults []operation.FieldError }

func (d *decoder) fault(path, detail string) {
	if path == "" {
		path = "(body)"
	}
	if len(d.faults) < maxFaults {
		d.faults = append(d.faults, operation.FieldError{Field: path, Detail: detail})
	}
}

var timeType = reflect.TypeFor[operation.Time]()

func (d *decoder) value(path string, raw json.RawMessage, into reflect.Value) {
	switch {
	case bytes.Equal(raw, []byte("null")):
		d.fault(path, "is null; leave it out instead")
	case into.Kind() == reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.value(path, raw, into.Elem())
	case into.Type() == timeType:
		d.scalar(path, raw, into, `an RFC 3339 time in a string, such as "2026-11-21T09:30:00+02:00"`)
	case into.Kind() == reflect.Struct:
		d.object(path, raw, into)
	case into.Kind() == reflect.Slice:
		d.list(path, raw, into)
	case into.Kind() == reflect.String:
		d.scalar(path, raw, into, "a string")
		if fault := operation.CheckText(into.String()); fault != "" {
			d.fault(path, fault)
		}
	case into.Kind() == reflect.Float64:
		d.scalar(path, raw, into, "a number")
	default:
		d.scalar(path, raw, into, "true or false")
	}
}

func (d *decoder) scalar(path string, raw json.RawMessage, into reflect.Value, expected string) {
	if err := json.Unmarshal(raw, into.Addr().Interface()); err != nil {
		d.fault(path, "is not "+expected)
	}
}

func (d *decoder) list(path string, raw json.RawMessage, into reflect.Value) {
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		d.fault(path, "is not a list")
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(elements), len(elements)))
	for i, element := range elements {
		d.value(fmt.Sprintf("%s[%d]", path, i), element, into.Index(i))
	}
}

// object reads a struct's fields. encoding/json alone would match names
// whatever their case and let the last of two equal names win.
func (d *decoder) object(path string, raw json.RawMessage, into reflect.Value) {
	if raw[0] != '{' {
		d.fault(path, "is not a JSON object")
		return
	}
	seen := map[string]bool{}
	for name, member := range operation.Members(raw) {
		memberPath := join(path, name)
		field, known := fieldNamed(into, name)
		switch {
		case !known:
			d.fault(memberPath, "is not a field of this request")
		case seen[name]:
			d.fault(memberPath, "is given twice")
		default:
			d.value(memberPath, member, field)
		}
		seen[name] = true
	}
}

func fieldNamed(object reflect.Value, name string) (reflect.Value, bool) {
	for i := range object.NumField() {
		tag, _, _ := strings.Cut(object.Type().Field(i).Tag.Get("json"), ",")
		if tag == name && tag != "" && tag != "-" {
			return object.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// join is the path of a member; a name that is long or not plain is quoted and
// cut, since it is shown to people.
func join(path, name string) string {
	const most = 60
	if cut := []rune(name); len(cut) > most {
		name = string(cut[:most]) + "…"
	}
	if operation.CheckText(name) != "" || name == "" {
		name = fmt.Sprintf("%q", name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// noBody refuses a body and a query where none is expected.
func (r *request) noBody() error {
	if _, err := r.query(); err != nil {
		return err
	}
	if _, err := io.ReadFull(r.Body, make([]byte, 1)); err == nil {
		return operation.Invalid(operation.FieldError{Field: "(body)", Detail: "this call takes no body"})
	}
	return nil
}
