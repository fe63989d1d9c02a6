package expression

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"ringback/internal/headername"
)

// Fault is what is wrong with one value of a definition.
type Fault struct {
	// Path is where the value stands in its definition, such as "answer.status" or
	// "request.headers.X-Token".
	Path string
	// Line and Column count from 1 in the value's own text; 0: the whole value.
	Line, Column int
	Detail       string
}

// Error is the fault in one line.
func (f Fault) Error() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Detail
	}
	return fmt.Sprintf("%s: %d:%d: %s", f.Path, f.Line, f.Column, f.Detail)
}

// At is the fault at a path.
func (f *Fault) At(path string) Fault {
	at := *f
	at.Path = path
	return at
}

// Faultf is a fault of the whole value at path.
func Faultf(path, format string, args ...any) Fault {
	return Fault{Path: path, Detail: fmt.Sprintf(format, args...)}
}

// Faults collects what is wrong with a definition while its parts are compiled.
type Faults []Fault

// Add notes what is wrong with the whole value at path.
func (f *Faults) Add(path, format string, args ...any) {
	*f = append(*f, Faultf(path, format, args...))
}

// Require notes it unless ok.
func (f *Faults) Require(ok bool, path, format string, args ...any) {
	if !ok {
		f.Add(path, format, args...)
	}
}

// Expression compiles the text at path; nil where it is empty or wrong.
func (f *Faults) Expression(s *Scope, path, text string, want Type) *Expression {
	if text == "" {
		return nil
	}
	return f.compile(s, path, text, want)
}

func (f *Faults) compile(s *Scope, path, text string, want Type) *Expression {
	e, fault := s.Compile(text, want)
	if fault != nil {
		*f = append(*f, fault.At(path))
		return nil
	}
	e.Path = path
	return e
}

// Secrets notes which of a definition's names of secrets can't be one.
func (f *Faults) Secrets(names []string) {
	for i, name := range names {
		f.Require(secretName.MatchString(name) && !slices.Contains(names[:i], name), Indexed("secrets", i),
			"must be a name of its own; allowed: lower-case letters, digits and _, a letter first")
	}
}

// Headers compiles headers, whose names must not be those that Ringback sets itself,
// but for own, and whose credentials are secrets.
func (f *Faults) Headers(s *Scope, path string, headers Members, own ...string) Fields {
	fault := func(name string) string {
		if slices.Contains(own, http.CanonicalHeaderKey(name)) {
			return ""
		}
		return headername.Fault(name)
	}
	seen := map[string]bool{}
	for _, header := range headers {
		at, canonical := PathTo(path, header.Name), http.CanonicalHeaderKey(header.Name)
		f.Require(fault(header.Name) == "", at, "%s", fault(header.Name))
		f.Require(!seen[canonical], at, "occurs twice: header names ignore case")
		seen[canonical] = true
	}
	fields := f.Fields(s, path, headers, Header)
	for _, field := range fields {
		switch literal, isText := field.Expression.constant.(string); {
		case !isText || fault(field.Name) != "":
		case headername.IsCredential(field.Name):
			f.Add(field.Expression.Path, "%s; allowed: secret.NAME, which is named in the definition's secrets", headername.SecretWritten)
		case literal != "" && !headername.IsValue(literal):
			f.Add(field.Expression.Path, "cannot be sent; allowed: %s", headername.ValueWords)
		}
	}
	return fields
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// PathTo is the path of key within path.
func PathTo(path, key string) string {
	if !plainKey.MatchString(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// Indexed is the path of an element of the list at path.
func Indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
