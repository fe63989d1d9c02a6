package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"ringback/internal/egress"
	"ringback/internal/expression"
	"ringback/internal/nearest"
)

// decoder fills a Config from a YAML document. goccy/go-yaml parses it; its own
// decoder stops at the first error and reads the string 0042 as 34 and the number
// 2.5 as 2.
type decoder struct {
	file string
	// files are those that were read.
	files Files
	// positions are those of all values in the file, by path.
	positions map[string]*token.Position
	// texts are the scalars in the file, by path, and lines its lines: for places in them.
	texts map[string]ast.Node
	lines []string
	// nodes counts the values of bodies.
	nodes int
	// anchors are those read so far, by name.
	anchors  map[string]ast.Node
	faults   []*Fault
	warnings []string
	// secrets are the secrets and the contents of files, by path, for the hash.
	secrets map[string]string
}

// decode reads text into c; ok is false if there is no document to check further.
func (d *decoder) decode(text string, c *Config) (ok bool) {
	root := d.parse(text)
	if root == nil {
		return false
	}
	d.value(root, reflect.ValueOf(c).Elem(), "", positionOf(root))
	return true
}

func (d *decoder) parse(text string) (root ast.Node) {
	// The parser panics on some malformed documents.
	defer func() {
		if recover() != nil {
			d.fault("", "this is not YAML: the parser failed")
			root = nil
		}
	}()
	if strings.HasPrefix(text, "\xFF\xFE") || strings.HasPrefix(text, "\xFE\xFF") {
		d.fault("", "this file is not UTF-8") // but UTF-16
		return nil
	}
	tokens := lexer.Tokenize(text)
	if deep := tooDeep(tokens); deep != nil {
		d.positions[""] = deep.Position
		d.fault("", "nests too deep here; allowed: %d levels", maxNesting)
		return nil
	}
	file, err := parser.Parse(tokens, 0)
	var syntax yaml.Error
	switch {
	case errors.As(err, &syntax) && syntax.GetToken() != nil:
		// Its full text quotes the lines around the error, which may hold a secret.
		d.positions[""] = syntax.GetToken().Position
		detail := inOurWords(syntax.GetMessage())
		if tab := d.indentingTab(); tab != nil {
			d.positions[""], detail = tab, "a tab begins this line; allowed: spaces, by which YAML nests"
		}
		d.fault("", "%s", detail)
	case err != nil:
		d.fault("", "this is not YAML")
	case len(file.Docs) > 1 && file.Docs[1].Body != nil:
		d.positions[""] = positionOf(file.Docs[1].Body)
		d.fault("", "a second document begins here; allowed: one document")
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		d.empty()
	default:
		return file.Docs[0].Body
	}
	return nil
}

func (d *decoder) empty() {
	d.fault("", "the file is empty; allowed: %s", strings.Join(keysOf(reflect.TypeFor[Config]()), ", "))
}

// syntaxErrors are the parser's messages about typical mistakes, by how they begin, and ours.
var syntaxErrors = []struct{ begins, words string }{
	{"mapping value is not allowed", "this value has keys in it or below it; allowed: keys of one mapping in one column, and quotes around a text with a colon and a space"},
	{"value is not allowed", "this belongs to nothing before it; allowed: lines of one mapping or list in one column, and quotes and brackets that end"},
	{"unexpected key name", noKey}, {"non-map value is specified", noKey},
}

const noKey = "this is no key with a value; allowed: a colon and a space between them"

func inOurWords(message string) string {
	for _, known := range syntaxErrors {
		if strings.HasPrefix(message, known.begins) {
			return known.words
		}
	}
	return message
}

// indentingTab is where a tab indents the line of a syntax error, or the line before; nil:
// nowhere.
func (d *decoder) indentingTab() *token.Position {
	last := min(d.positions[""].Line, len(d.lines))
	for line := last; line >= max(last-1, 1); line-- {
		text := d.lines[line-1]
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		if at := strings.IndexByte(indent, '\t'); at >= 0 {
			return &token.Position{Line: line, Column: at + 1}
		}
	}
	return nil
}

// value decodes n into target. keyAt is the position of its key.
func (d *decoder) value(n ast.Node, target reflect.Value, path string, keyAt *token.Position) {
	n = d.enter(n, path, keyAt)
	if n == nil {
		return
	}
	written, isScalar := scalarText(n)
	if target.Type() == reflect.TypeFor[BaseURL]() && isScalar {
		target = target.Field(0) // a URL alone
	}
	single, wantsScalar := scalarTypes[target.Type()]
	switch {
	case n.Type() == ast.NullType && path == "":
		d.empty()
	case n.Type() == ast.NullType && !wantsScalar:
		// A mapping or a list without content.
	case n.Type() == ast.NullType:
		d.fault(path, "must not be empty; allowed: %s", single.allowed)
	case wantsScalar && !isScalar:
		d.fault(path, "must be a single value; allowed: %s", single.allowed)
	case wantsScalar:
		d.scalar(written, target, path)
	default:
		d.composite(n, target, path, keyAt)
	}
	if isMapping(target.Type()) {
		d.complete(target, path)
	}
}

// composite decodes what is not a single value.
func (d *decoder) composite(n ast.Node, target reflect.Value, path string, keyAt *token.Position) {
	switch into := target.Addr().Interface().(type) {
	case *expression.Node:
		*into = d.node(n, path, keyAt, 0)
		return
	case *expression.Members:
		*into = d.members(n, path, 0)
		return
	}
	switch target.Kind() {
	case reflect.Slice:
		d.list(n, target, path)
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		d.value(n, target.Elem(), path, keyAt)
	case reflect.Map:
		d.byName(n, target, path)
	default:
		for entry := range d.entries(n, path) {
			d.field(entry, target)
		}
	}
}

// enter notes where the value at path stands, and gives what n stands for; nil if there
// is nothing. keyAt is the position of its key, kept for mappings, lists and nulls: their
// own tokens stand at a colon or a dash.
func (d *decoder) enter(n ast.Node, path string, keyAt *token.Position) ast.Node {
	d.positions[path] = keyAt
	switch n.(type) {
	case *ast.MappingNode, *ast.SequenceNode, *ast.NullNode, nil:
	default:
		d.positions[path] = positionOf(n)
	}
	n = d.resolve(n, path)
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		d.texts[path] = n
	}
	return n
}

// resolve follows anchors and aliases to the value that they stand for; nil if
// there is none.
func (d *decoder) resolve(n ast.Node, path string) ast.Node {
	switch node := n.(type) {
	case *ast.AnchorNode:
		n = d.resolve(node.Value, path)
		d.anchors[node.Name.GetToken().Value] = n
	case *ast.AliasNode:
		name := node.Value.GetToken().Value
		if n = d.anchors[name]; n == nil {
			d.fault(path, "there is no anchor &%s before this alias", name)
			return nil
		}
	case *ast.TagNode:
		d.fault(path, "YAML tags are not allowed")
		return nil
	}
	return n
}

// defaulter is a struct that has values where the file is silent.
type defaulter interface{ defaults() }

// entry is a key with its value.
type entry struct {
	key, path string
	at        *token.Position
	value     ast.Node
}

// entries are the keys of a mapping that are plain names.
func (d *decoder) entries(n ast.Node, path string) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		mapping, ok := n.(*ast.MappingNode)
		if !ok {
			d.fault(path, "must be a mapping of keys to values")
			return
		}
		for _, value := range mapping.Values {
			e := entry{key: value.Key.GetToken().Value, at: positionOf(value.Key), value: value.Value}
			e.path = pathTo(path, e.key)
			if _, isScalar := value.Key.(ast.ScalarNode); !isScalar || value.Key.IsMergeKey() {
				d.positions[e.path] = e.at
				d.fault(e.path, "keys must be plain names; instead of a merge key (<<), an alias may stand for a whole value")
			} else if !yield(e) {
				return
			}
		}
	}
}

// byName decodes into a map.
func (d *decoder) byName(n ast.Node, target reflect.Value, path string) {
	target.Set(reflect.MakeMap(target.Type()))
	for entry := range d.entries(n, path) {
		element := reflect.New(target.Type().Elem())
		if withDefaults, ok := element.Interface().(defaulter); ok {
			withDefaults.defaults()
		}
		d.value(entry.value, element.Elem(), entry.path, entry.at)
		target.SetMapIndex(reflect.ValueOf(entry.key), element.Elem())
	}
}

// field decodes a value into the field of target that its key names.
func (d *decoder) field(e entry, target reflect.Value) {
	for i := range target.NumField() {
		if e.key != "" && keyOf(target.Type().Field(i)) == e.key {
			d.value(e.value, target.Field(i), e.path, e.at)
			d.check(formOf(target.Type(), e.key), target.Field(i), e.path)
			return
		}
	}
	keys := keysOf(target.Type())
	d.positions[e.path] = e.at
	d.fault(e.path, "unknown key%s; allowed: %s", nearest.Hint(e.key, keys), strings.Join(keys, ", "))
}

func (d *decoder) list(n ast.Node, target reflect.Value, path string) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fault(path, "must be a list such as [a, b]")
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(sequence.Values), len(sequence.Values)))
	for i, element := range sequence.Values {
		d.value(element, target.Index(i), indexed(path, i), positionOf(element))
	}
}

// scalarText is a single value as it is written.
func scalarText(n ast.Node) (string, bool) {
	switch node := n.(type) {
	case *ast.LiteralNode:
		return node.Value.Value, true
	case ast.ScalarNode:
		return node.GetToken().Value, true
	case *ast.MappingNode:
		return rejoined(node)
	default:
		return "", false
	}
}

// rejoined mends a mistake of the parser: within braces it takes the last colon
// of [http://localhost:9001] for a mapping's, though no space follows it.
func rejoined(n *ast.MappingNode) (string, bool) {
	if len(n.Values) != 1 || n.GetToken().Type == token.MappingStartType {
		return "", false
	}
	key, colon, value := n.Values[0].Key.GetToken(), n.Values[0].Start.Position, n.Values[0].Value.GetToken()
	_, isScalar := n.Values[0].Value.(ast.ScalarNode)
	if !isScalar || key.Indicator == token.QuotedScalarIndicator || value.Position.Line != colon.Line || value.Position.Column != colon.Column+1 {
		return "", false
	}
	return key.Value + ":" + value.Value, true
}

const durationWords = "a duration such as 500ms, 3s or 10m"

// scalarType is what is allowed for a type of single values, in words and as a schema.
type scalarType struct {
	allowed string
	schema  schema
}

const networkWords = "a network in CIDR notation such as 10.0.0.0/8, with no bit set after the prefix"

var scalarTypes = map[reflect.Type]scalarType{
	reflect.TypeFor[Secret]():         {referenceWords, text(wholeReference)},
	reflect.TypeFor[Header]():         {"a string, or " + referenceWords, anyText},
	reflect.TypeFor[string]():         {"a string", anyText},
	reflect.TypeFor[int]():            {"a whole number", schema{"type": "integer"}},
	reflect.TypeFor[float64]():        {"a number", schema{"type": "number"}},
	reflect.TypeFor[time.Duration]():  {durationWords, text(`^(0|((\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h))+)$`)},
	reflect.TypeFor[bool]():           {"true or false", schema{"type": "boolean"}},
	reflect.TypeFor[Enabled]():        {"true, false or hold", schema{"enum": []any{true, false, EnabledHold}}},
	reflect.TypeFor[netip.Prefix]():   {networkWords, text(`^[0-9A-Fa-f:.]+/\d{1,3}$`)},
	reflect.TypeFor[egress.Network](): {networkWords + ", or one port of it such as 10.0.0.0/8:443 or [fd00::/8]:443", text(`^\[?[0-9A-Fa-f:.]+/\d{1,3}\]?(:\d+)?$`)},
	reflect.TypeFor[time.Time]():      {"a time such as 2027-06-30T18:00:00Z, or a date such as 2027-06-30", text(`^\d{4}-\d{2}-\d{2}(T.+)?$`)},
	reflect.TypeFor[Digest]():         {"a SHA-256 in 64 hexadecimal digits; make a key and its digest by starter keygen api-key", text(`^[0-9A-Fa-f]{64}$`)},
}

func (d *decoder) scalar(text string, target reflect.Value, path string) {
	allowed, shown := scalarTypes[target.Type()].allowed, quote(text)
	switch into := target.Addr().Interface().(type) {
	case *Secret:
		*into = d.secret(path, text)
		return
	case *Header:
		*into = d.header(path, text)
		return
	case *Digest:
		shown = "this value" // perhaps the key itself
	}
	if strings.Contains(text, "${env:") || strings.Contains(text, "${file:") || strings.Contains(text, "${credential:") {
		d.fault(path, "references are expanded only in secrets; allowed: %s", allowed)
	} else if !parseScalar(text, target.Addr().Interface()) {
		d.fault(path, "%s is not %s", shown, allowed)
	}
}

func parseScalar(text string, target any) bool {
	var err error
	switch into := target.(type) {
	case *string:
		*into = text
	case *int:
		*into, err = strconv.Atoi(text)
	case *float64:
		*into, err = strconv.ParseFloat(text, 64)
	case *time.Duration:
		*into, err = time.ParseDuration(text)
	case *bool:
		*into = text == "true"
		return *into || text == "false"
	case *Enabled:
		*into = Enabled(text)
		return *into == EnabledTrue || *into == EnabledFalse || *into == EnabledHold
	case *egress.Network:
		*into, err = egress.ParseNetwork(text)
	case *netip.Prefix:
		*into, err = netip.ParsePrefix(text)
		return err == nil && *into == into.Masked()
	case *time.Time:
		if *into, err = time.Parse(time.RFC3339, text); err != nil {
			*into, err = time.Parse(time.DateOnly, text)
		}
	case *Digest:
		octets, err := hex.DecodeString(text)
		copy(into[:], octets)
		return err == nil && len(octets) == len(into)
	}
	return err == nil
}

// fault records what is wrong with the value at path, unless a fault is known
// there or around it. An error may be written by %w.
func (d *decoder) fault(path, format string, args ...any) {
	if slices.ContainsFunc(d.faults, func(f *Fault) bool { return isWithin(path, f.Path) }) {
		return
	}
	d.faultAt(d.nearest(path), path, fmt.Errorf(format, args...).Error())
}

func (d *decoder) faultAt(at *token.Position, path, detail string) {
	d.faults = append(d.faults, &Fault{File: d.file, Line: at.Line, Column: at.Column, Path: path, Detail: detail})
}

// missing faults a value that is not set, or is empty.
func (d *decoder) missing(path, allowed string) {
	d.require(!d.present(path), path, "must not be empty; allowed: %s", allowed)
	d.fault(path, "is missing; allowed: %s", allowed)
}

// require faults the value at path unless ok holds.
func (d *decoder) require(ok bool, path, format string, args ...any) {
	if !ok {
		d.fault(path, format, args...)
	}
}

// present reports whether the file sets the value at path.
func (d *decoder) present(path string) bool { return d.positions[path] != nil }

func isWithin(path, outer string) bool {
	rest, within := strings.CutPrefix(path, outer)
	return within && outer != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// broken reports whether the value at path, or one around or within it, has a fault:
// what depends on it is not judged by what is left of it.
func (d *decoder) broken(path string) bool {
	return slices.ContainsFunc(d.faults, func(f *Fault) bool { return isWithin(path, f.Path) || isWithin(f.Path, path) })
}

// warn records a warning about the value at path.
func (d *decoder) warn(path, format string, args ...any) {
	at := d.nearest(path)
	d.warnings = append(d.warnings, fmt.Sprintf("%s:%d:%d: %s: ", d.file, at.Line, at.Column, path)+fmt.Sprintf(format, args...))
}

// nearest is the position of path; for a value that is missing, of the nearest
// mapping around it.
func (d *decoder) nearest(path string) *token.Position {
	for {
		if at := d.positions[path]; at != nil {
			return at
		}
		if path == "" {
			return &token.Position{Line: 1, Column: 1}
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// positionOf is where n begins. The token of a mapping without braces is its
// first colon.
func positionOf(n ast.Node) *token.Position {
	if mapping, ok := n.(*ast.MappingNode); ok && len(mapping.Values) > 0 && mapping.GetToken().Type != token.MappingStartType {
		n = mapping.Values[0].Key
	}
	return n.GetToken().Position
}

// keyOf is the key of a field in the file; empty if it has none.
func keyOf(field reflect.StructField) string {
	key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	return strings.TrimPrefix(key, "-")
}

func keysOf(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// pathTo and indexed are the paths within a value, also within those of definitions.
var pathTo, indexed = expression.PathTo, expression.Indexed

// quote repeats a value in an error, cut to 80 bytes.
func quote(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return strconv.Quote(s)
}
