package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"ringback/internal/egress"
)

// decoder fills a Config from a YAML document. goccy/go-yaml parses it; its own
// decoder stops at the first error and reads the string 0042 as 34 and the number
// 2.5 as 2.
type decoder struct {
	file string
	// positions are those of all values in the file, by path.
	positions map[string]*token.Position
	// anchors are those read so far, by name.
	anchors  map[string]ast.Node
	faults   []*Fault
	warnings []string
	// secrets are the secrets and the contents of files, by path, for the hash.
	secrets map[string]string
}

// decode reads data into c; ok is false if there is no document to check further.
func (d *decoder) decode(data []byte, c *Config) (ok bool) {
	root := d.parse(data)
	if root == nil {
		return false
	}
	d.value(root, reflect.ValueOf(c).Elem(), "", positionOf(root))
	return true
}

func (d *decoder) parse(data []byte) (root ast.Node) {
	// The parser panics on some malformed documents.
	defer func() {
		if recover() != nil {
			d.fault("", "this is not YAML: the parser failed")
			root = nil
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	var syntax yaml.Error
	switch {
	case errors.As(err, &syntax) && syntax.GetToken() != nil:
		// Its full text quotes the lines around the error, which may hold a secret.
		d.positions[""] = syntax.GetToken().Position
		d.fault("", "%s", syntax.GetMessage())
	case err != nil:
		d.fault("", "this is not YAML")
	case len(file.Docs) > 1 && file.Docs[1].Body != nil:
		d.positions[""] = positionOf(file.Docs[1].Body)
		d.fault("", "a second document begins here; allowed: one document")
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		d.fault("", "the file is empty; allowed: %s", keysOf(reflect.TypeFor[Config]()))
	default:
		return file.Docs[0].Body
	}
	return nil
}

// value decodes n into target. keyAt is the position of its key, kept for
// mappings, lists and nulls: their own tokens stand at a colon or a dash.
func (d *decoder) value(n ast.Node, target reflect.Value, path string, keyAt *token.Position) {
	d.positions[path] = keyAt
	switch n.(type) {
	case *ast.MappingNode, *ast.SequenceNode, *ast.NullNode, nil:
	default:
		d.positions[path] = positionOf(n)
	}
	n = d.resolve(n, path)
	if n == nil {
		return
	}
	text, isScalar := scalarText(n)
	if target.Type() == reflect.TypeFor[BaseURL]() && isScalar {
		target = target.Field(0) // a URL alone
	}
	allowed, wantsScalar := scalarTypes[target.Type()]
	switch {
	case n.Type() == ast.NullType && !wantsScalar:
		// A mapping or a list without content.
	case n.Type() == ast.NullType:
		d.fault(path, "must not be empty; allowed: %s", allowed)
	case wantsScalar && !isScalar:
		d.fault(path, "must be a single value; allowed: %s", allowed)
	case wantsScalar:
		d.scalar(text, target, path)
	case target.Kind() == reflect.Slice:
		d.list(n, target, path)
	case target.Kind() == reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		d.mapping(n, target.Elem(), path)
	default:
		d.mapping(n, target, path)
	}
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

// mapping decodes into a struct, or into a map by name.
func (d *decoder) mapping(n ast.Node, target reflect.Value, path string) {
	mapping, ok := n.(*ast.MappingNode)
	if !ok {
		d.fault(path, "must be a mapping of keys to values")
		return
	}
	if target.Kind() == reflect.Map {
		target.Set(reflect.MakeMapWithSize(target.Type(), len(mapping.Values)))
	}
	for _, entry := range mapping.Values {
		key, at := entry.Key.GetToken().Value, positionOf(entry.Key)
		keyPath := pathTo(path, key)
		switch _, isScalar := entry.Key.(ast.ScalarNode); {
		case !isScalar || entry.Key.IsMergeKey():
			d.positions[keyPath] = at
			d.fault(keyPath, "keys must be plain names; instead of a merge key (<<), an alias may stand for a whole value")
		case target.Kind() == reflect.Map:
			element := reflect.New(target.Type().Elem())
			if withDefaults, ok := element.Interface().(defaulter); ok {
				withDefaults.defaults()
			}
			d.value(entry.Value, element.Elem(), keyPath, at)
			target.SetMapIndex(reflect.ValueOf(key), element.Elem())
		default:
			d.field(entry.Value, target, key, keyPath, at)
		}
	}
}

// field decodes n into the field of target that key names.
func (d *decoder) field(n ast.Node, target reflect.Value, key, path string, at *token.Position) {
	for i := range target.NumField() {
		if key != "" && keyOf(target.Type().Field(i)) == key {
			d.value(n, target.Field(i), path, at)
			return
		}
	}
	d.positions[path] = at
	d.fault(path, "unknown key; allowed: %s", keysOf(target.Type()))
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

// scalarTypes are the types of single values, with what is allowed for each.
var scalarTypes = map[reflect.Type]string{
	reflect.TypeFor[Secret]():         referenceWords,
	reflect.TypeFor[Header]():         "a string, or " + referenceWords,
	reflect.TypeFor[string]():         "a string",
	reflect.TypeFor[int]():            "a whole number",
	reflect.TypeFor[float64]():        "a number",
	reflect.TypeFor[time.Duration]():  durationWords,
	reflect.TypeFor[bool]():           "true or false",
	reflect.TypeFor[netip.Prefix]():   "a network in CIDR notation such as 10.0.0.0/8, with no bit set after the prefix",
	reflect.TypeFor[egress.Network](): "a network in CIDR notation such as 10.0.0.0/8, with no bit set after the prefix, or one port of it such as 10.0.0.0/8:443 or [fd00::/8]:443",
	reflect.TypeFor[time.Time]():      "a time such as 2027-06-30T18:00:00Z, or a date such as 2027-06-30",
	reflect.TypeFor[Digest]():         "a SHA-256 in 64 hexadecimal digits; make a key and its digest by starter keygen api-key",
}

func (d *decoder) scalar(text string, target reflect.Value, path string) {
	allowed, shown := scalarTypes[target.Type()], quote(text)
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
	if strings.Contains(text, "${env:") || strings.Contains(text, "${file:") {
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
	at := d.nearest(path)
	d.faults = append(d.faults, &Fault{
		File: d.file, Line: at.Line, Column: at.Column, Path: path, Detail: fmt.Errorf(format, args...).Error(),
	})
}

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

func keysOf(t reflect.Type) string {
	var keys []string
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// pathTo is the path of key within path.
func pathTo(path, key string) string {
	if !plainKey.MatchString(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// indexed is the path of an element of the list at path.
func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// quote repeats a value in an error, cut to 80 bytes.
func quote(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return strconv.Quote(s)
}
