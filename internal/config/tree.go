package config

import (
	"encoding/json"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"ringback/internal/expression"
)

const (
	// maxTreeDepth bounds how deep bodies nest, and maxTreeNodes how many values all of
	// them have together: an alias may stand for a value around it, or for many.
	maxTreeDepth = 32
	maxTreeNodes = 10_000
)

// node decodes a value of a body. An unquoted number, true, false and null are
// themselves; every other text is an expression.
func (d *decoder) node(n ast.Node, path string, keyAt *token.Position, depth int) (read expression.Node) {
	n = d.enter(n, path, keyAt)
	if n == nil {
		return read
	}
	if d.nodes++; depth > maxTreeDepth || d.nodes > maxTreeNodes {
		d.fault(path, "is too deep or too much; allowed: %d levels, and %d values in all bodies together", maxTreeDepth, maxTreeNodes)
		return read
	}
	written, isScalar := scalarText(n)
	switch kind := n.Type(); {
	case kind == ast.NullType:
	case kind == ast.BoolType:
		read.Literal = strings.EqualFold(written, "true")
	case kind == ast.IntegerType || kind == ast.FloatType:
		if !json.Valid([]byte(written)) {
			d.fault(path, "%s is not a number as JSON writes it, such as 42 or 0.5", quote(written))
		}
		read.Literal = json.Number(written)
	case isScalar:
		read.Text = &written
	case kind == ast.SequenceType:
		read.List = []expression.Node{}
		for i, element := range n.(*ast.SequenceNode).Values {
			read.List = append(read.List, d.node(element, indexed(path, i), positionOf(element), depth+1))
		}
	default:
		read.Object = d.members(n, path, depth)
	}
	return read
}

// members decodes named values in their order.
func (d *decoder) members(n ast.Node, path string, depth int) []expression.Member {
	members := []expression.Member{}
	for entry := range d.entries(n, path) {
		members = append(members, expression.Member{Name: entry.key, Value: d.node(entry.value, entry.path, entry.at, depth+1)})
	}
	return members
}

// inside is the position in the file of a place in the text of the value at path, both
// from 1; nil where escapes or line breaks make that inexact.
func (d *decoder) inside(path string, line, column int) *token.Position {
	n := d.texts[path]
	if n == nil || line < 1 || column < 1 {
		return nil
	}
	written, _ := scalarText(n)
	at := *positionOf(n)
	if _, block := n.(*ast.LiteralNode); block {
		lines := strings.Split(written, "\n")
		if at.Line+line > len(d.lines) || line > len(lines) {
			return nil
		}
		indent, exact := strings.CutSuffix(d.lines[at.Line+line-1], lines[line-1])
		if !exact || strings.Trim(indent, " ") != "" {
			return nil
		}
		return &token.Position{Line: at.Line + line, Column: len(indent) + column}
	}
	raw := []rune(d.lines[at.Line-1])
	if n.GetToken().Indicator == token.QuotedScalarIndicator {
		at.Column++
	}
	if line > 1 || at.Column > len(raw) || !strings.HasPrefix(string(raw[at.Column-1:]), written) {
		return nil
	}
	return &token.Position{Line: at.Line, Column: at.Column + column - 1}
}

// faultIn records a fault of a definition at path.
func (d *decoder) faultIn(path string, f expression.Fault) {
	at := path + "." + f.Path
	if f.Path == "" {
		at = path
	}
	place := d.inside(at, f.Line, f.Column)
	if place == nil {
		place = d.nearest(at)
	}
	d.faultAt(place, at, f.Detail)
}

// treesAsJSON writes bodies for what is printed and hashed: as JSON, which reads as the
// same body in the same order.
var treesAsJSON = []yaml.EncodeOption{
	yaml.CustomMarshaler(func(n expression.Node) ([]byte, error) { return asJSON(nil, n), nil }),
	yaml.CustomMarshaler(func(m expression.Members) ([]byte, error) {
		return asJSON(nil, expression.Node{Object: m}), nil
	}),
}

func asJSON(into []byte, n expression.Node) []byte {
	switch {
	case n.Object != nil:
		into = append(into, '{')
		for i, member := range n.Object {
			into = append(scalarJSON(separated(into, i), member.Name), ':', ' ')
			into = asJSON(into, member.Value)
		}
		return append(into, '}')
	case n.List != nil:
		into = append(into, '[')
		for i, element := range n.List {
			into = asJSON(separated(into, i), element)
		}
		return append(into, ']')
	case n.Text != nil:
		return scalarJSON(into, *n.Text)
	}
	return scalarJSON(into, n.Literal)
}

func separated(into []byte, i int) []byte {
	if i > 0 {
		into = append(into, ',', ' ')
	}
	return into
}

func scalarJSON(into []byte, value any) []byte {
	text, _ := json.Marshal(value) // a string, a bool, a number or nil
	return append(into, text...)
}
