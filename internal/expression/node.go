package expression

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"ringback/internal/headername"
)

// Node is a value of a body in file order: an expression, a literal, a list or an object.
type Node struct {
	// Text is an expression.
	Text *string
	// Literal is nil, a bool, or a json.Number as it is written.
	Literal any
	List    []Node
	Object  []Member
}

// Member is one named value.
type Member struct {
	Name  string
	Value Node
}

// Members are named values in file order, such as those of a query or of headers.
type Members []Member

// Tree is a compiled body.
type Tree struct {
	path       string
	expression *Expression
	// literal is JSON text.
	literal string
	list    []*Tree
	object  []treeMember
	kind    byte
}

type treeMember struct {
	// name is JSON text, with its colon.
	name  string
	value *Tree
}

// Tree compiles the body at path, whose expressions may give any value that JSON can hold.
func (f *Faults) Tree(s *Scope, path string, n Node) *Tree {
	t := &Tree{path: path}
	switch {
	case n.Text != nil:
		t.kind, t.expression = 'e', f.compile(s, path, *n.Text, Value)
	case n.Object != nil:
		t.kind = '{'
		f.object(s, t, n.Object)
	case n.List != nil:
		t.kind = '['
		for i, element := range n.List {
			t.list = append(t.list, f.Tree(s, Indexed(path, i), element))
		}
	default:
		literal, err := EncodeJSON(n.Literal)
		f.Require(err == nil, path, "can't be written as JSON")
		t.literal = string(literal)
	}
	return t
}

func (f *Faults) object(s *Scope, t *Tree, members []Member) {
	seen := map[string]bool{}
	for _, member := range members {
		at := PathTo(t.path, member.Name)
		f.Require(!seen[member.Name], at, "occurs twice")
		seen[member.Name] = true
		name, _ := EncodeJSON(member.Name)
		t.object = append(t.object, treeMember{string(name) + ":", f.Tree(s, at, member.Value)})
	}
}

// JSON is the body: the same bytes for the same variables. Members that are null are
// left out, as is what an expression gives within an object; elements of lists are not.
func (t *Tree) JSON(ctx context.Context, vars map[string]any) ([]byte, error) {
	into := newJSONWriter()
	if _, err := t.write(ctx, vars, into); err != nil {
		return nil, err
	}
	return into.Bytes(), nil
}

// Reads reports whether one of the expressions uses that variable.
func (t *Tree) Reads(name string) bool {
	if t == nil {
		return false
	}
	inObject := slices.ContainsFunc(t.object, func(member treeMember) bool { return member.value.Reads(name) })
	return inObject || t.expression.Reads(name) || slices.ContainsFunc(t.list, func(element *Tree) bool { return element.Reads(name) })
}

// write reports whether the value is null.
func (t *Tree) write(ctx context.Context, vars map[string]any, into *jsonWriter) (null bool, err error) {
	switch t.kind {
	case 'e':
		return t.writeExpression(ctx, vars, into)
	case '{':
		return false, t.writeObject(ctx, vars, into)
	case '[':
		return false, t.writeList(ctx, vars, into)
	}
	into.Buffer.WriteString(t.literal)
	return t.literal == "null", nil
}

func (t *Tree) writeExpression(ctx context.Context, vars map[string]any, into *jsonWriter) (null bool, err error) {
	value, err := t.expression.Eval(ctx, vars)
	if err != nil {
		return false, err
	}
	if err := into.encode(value); err != nil {
		return false, fmt.Errorf("%s: %w", t.path, err)
	}
	return value == nil, nil
}

func (t *Tree) writeObject(ctx context.Context, vars map[string]any, into *jsonWriter) error {
	into.Buffer.WriteByte('{')
	empty := true
	for _, member := range t.object {
		before := into.Len()
		if !empty {
			into.Buffer.WriteByte(',')
		}
		into.Buffer.WriteString(member.name)
		null, err := member.value.write(ctx, vars, into)
		if err != nil {
			return err
		}
		if null {
			into.Truncate(before)
			continue
		}
		empty = false
	}
	into.Buffer.WriteByte('}')
	return nil
}

func (t *Tree) writeList(ctx context.Context, vars map[string]any, into *jsonWriter) error {
	into.Buffer.WriteByte('[')
	for i, element := range t.list {
		if i > 0 {
			into.Buffer.WriteByte(',')
		}
		if _, err := element.write(ctx, vars, into); err != nil {
			return err
		}
	}
	into.Buffer.WriteByte(']')
	return nil
}

// Field is one compiled named value.
type Field struct {
	Name       string
	Expression *Expression
}

// Fields are compiled named values, in file order.
type Fields []Field

// Reads reports whether one of the expressions uses that variable.
func (f Fields) Reads(name string) bool {
	return slices.ContainsFunc(f, func(field Field) bool { return field.Expression.Reads(name) })
}

// Fields compiles named values that each are one expression or literal of type want.
func (f *Faults) Fields(s *Scope, path string, members Members, want Type) (fields Fields) {
	seen := map[string]bool{}
	for _, member := range members {
		at := PathTo(path, member.Name)
		text, single := member.Value.single(want)
		if !single || seen[member.Name] {
			f.Add(at, "must be a single value, and its name may occur once")
			continue
		}
		seen[member.Name] = true
		if e := f.compile(s, at, text, want); e != nil {
			fields = append(fields, Field{member.Name, e})
		}
	}
	return fields
}

// single is an expression that gives the node's value.
func (n Node) single(want Type) (string, bool) {
	switch {
	case n.Text != nil:
		return *n.Text, true
	case n.Object != nil || n.List != nil:
		return "", false
	case n.Literal == nil:
		return "null", true
	}
	literal := fmt.Sprint(n.Literal)
	if want == Text || want == Header {
		literal = strconv.Quote(literal)
	}
	return literal, true
}

// HeaderValue is what is sent in a header.
type HeaderValue struct {
	Text string
	// IsSecret says that it is a [Secret].
	IsSecret bool
}

// HeaderValue is the value of a header; nil where it is null, and nothing is sent.
func (f Field) HeaderValue(ctx context.Context, vars map[string]any) (*HeaderValue, error) {
	value, err := f.Expression.Eval(ctx, vars)
	if err != nil || value == nil {
		return nil, err
	}
	made := &HeaderValue{}
	switch value := value.(type) {
	case string:
		made.Text = value
	case Secret:
		made.Text, made.IsSecret = value.Reveal(), true
	}
	if made.Text != "" && !headername.IsValue(made.Text) {
		return nil, fmt.Errorf("%s: the value cannot be sent: it is not %s", f.Expression.Path, headername.ValueWords)
	}
	return made, nil
}

// Form is the fields as the query of a URL or a form's body. A null is left out.
func (f Fields) Form(ctx context.Context, vars map[string]any) (string, error) {
	var into bytes.Buffer
	for _, field := range f {
		value, err := field.Expression.Eval(ctx, vars)
		if err != nil {
			return "", err
		}
		text, ok := value.(string)
		if !ok {
			continue
		}
		if into.Len() > 0 {
			into.WriteByte('&')
		}
		into.WriteString(url.QueryEscape(field.Name) + "=" + url.QueryEscape(text))
	}
	return into.String(), nil
}
