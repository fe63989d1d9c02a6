package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
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
)

// position is where a value stands in the file; both count from 1.
type position struct{ line, column int }

// decoder fills a Config from a YAML document. goccy/go-yaml parses it, but its
// strict decoder is not used: it reports the first error only, without the path
// and what is allowed, and reads the text 0042 as 34 and the number 2.5 as 2.
type decoder struct {
	file string
	// positions are those of all values in the file, by path.
	positions map[string]position
	// anchors are those read so far: an alias comes after its anchor.
	anchors  map[string]ast.Node
	faults   []*Fault
	warnings []string
	// secrets are the secrets and the contents of files, by path, for the hash.
	secrets map[string]string
}

func newDecoder(file string) *decoder {
	return &decoder{
		file: file, positions: map[string]position{"": {1, 1}}, anchors: map[string]ast.Node{}, secrets: map[string]string{},
	}
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
			d.fault("", "this is not YAML: the parser gave up")
			root = nil
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	var syntax yaml.Error
	switch {
	case errors.As(err, &syntax) && syntax.GetToken() != nil:
		// Its full text quotes the lines around the error, which may hold a secret.
		d.positions[""] = positionOfToken(syntax.GetToken())
		d.fault("", "%s", syntax.GetMessage())
	case err != nil:
		d.fault("", "this is not YAML")
	case len(file.Docs) > 1 && file.Docs[1].Body != nil:
		d.positions[""] = positionOf(file.Docs[1].Body)
		d.fault("", "a second document begins here: allowed is one document")
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		d.fault("", "the file is empty: allowed are %s", keysOf(reflect.TypeFor[Config]()))
	default:
		return file.Docs[0].Body
	}
	return nil
}

// value decodes n into target. keyAt is the position of its key, kept for
// mappings, lists and nulls: their own tokens stand at a colon or a dash.
func (d *decoder) value(n ast.Node, target reflect.Value, path string, keyAt position) {
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
	_, isScalar := scalarText(n)
	if target.Type() == reflect.TypeFor[BaseURL]() && isScalar {
		target = target.Field(0) // a URL alone
	}
	leaf, isLeaf := leaves[target.Type()]
	switch {
	case n.Type() == ast.NullType && isLeaf:
		d.fault(path, "is empty: allowed is %s", leaf.allowed)
	case n.Type() == ast.NullType:
		// A mapping or a list without content.
	case isLeaf:
		d.leaf(n, target, path, leaf)
	case target.Kind() == reflect.Slice:
		d.list(n, target, path)
	case target.Kind() == reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		d.value(n, target.Elem(), path, keyAt)
	default:
		d.mapping(n, target, path)
	}
}

// resolve follows anchors and aliases to the value that they stand for; nil if
// there is none.
func (d *decoder) resolve(n ast.Node, path string) ast.Node {
	for range 8 {
		switch node := n.(type) {
		case *ast.AnchorNode:
			d.anchors[node.Name.GetToken().Value] = node.Value
			n = node.Value
		case *ast.AliasNode:
			name := node.Value.GetToken().Value
			n = d.anchors[name]
			if n == nil {
				d.fault(path, "there is no anchor &%s", name)
				return nil
			}
		case *ast.TagNode:
			d.fault(path, "YAML tags are not allowed")
			return nil
		default:
			return n
		}
	}
	d.fault(path, "this alias leads to itself")
	return nil
}

// defaulter is a struct that has values where the file is silent.
type defaulter interface{ defaults() }

// mapping decodes into a struct, or into a map by name.
func (d *decoder) mapping(n ast.Node, target reflect.Value, path string) {
	mapping, ok := n.(*ast.MappingNode)
	if !ok {
		d.fault(path, "is not a mapping: allowed are keys with values")
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
			d.fault(keyPath, "allowed as keys are plain names; merge keys (<<) are not: an alias may stand for a whole value")
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
func (d *decoder) field(n ast.Node, target reflect.Value, key, path string, at position) {
	for i := range target.NumField() {
		if key != "" && keyOf(target.Type().Field(i)) == key {
			d.value(n, target.Field(i), path, at)
			return
		}
	}
	d.positions[path] = at
	d.fault(path, "unknown key: allowed are %s", keysOf(target.Type()))
}

func (d *decoder) list(n ast.Node, target reflect.Value, path string) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fault(path, "is not a list: allowed is a list such as [a, b]")
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(sequence.Values), len(sequence.Values)))
	for i, element := range sequence.Values {
		d.value(element, target.Index(i), indexed(path, i), positionOf(element))
	}
}

func (d *decoder) leaf(n ast.Node, target reflect.Value, path string, leaf leaf) {
	text, ok := scalarText(n)
	if !ok {
		d.fault(path, "is not a single value: allowed is %s", leaf.allowed)
		return
	}
	switch into := target.Addr().Interface().(type) {
	case *Secret:
		*into = d.secret(path, text)
		return
	case *Header:
		*into = d.header(path, text)
		return
	}
	if strings.Contains(text, "${env:") || strings.Contains(text, "${file:") {
		d.fault(path, "references are expanded in secrets only: allowed is %s", leaf.allowed)
		return
	}
	parsed, err := leaf.parse(text)
	if err != nil {
		shown := quote(text)
		if target.Type() == reflect.TypeFor[Digest]() {
			shown = "what stands here" // perhaps the key itself
		}
		d.fault(path, "%s is not %s", shown, leaf.allowed)
		return
	}
	target.Set(reflect.ValueOf(parsed))
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
	key, value := n.Values[0].Key.GetToken(), n.Values[0].Value.GetToken()
	colon, to := positionOfToken(n.Values[0].Start), positionOfToken(value)
	if _, isScalar := n.Values[0].Value.(ast.ScalarNode); !isScalar || key.Indicator == token.QuotedScalarIndicator || to != (position{colon.line, colon.column + 1}) {
		return "", false
	}
	return key.Value + ":" + value.Value, true
}

// leaf is how a single value of one type is read.
type leaf struct {
	allowed string
	parse   func(string) (any, error)
}

func leafOf[T any](allowed string, parse func(string) (T, error)) leaf {
	return leaf{allowed, func(s string) (any, error) { return parse(s) }}
}

// durationWords are what a duration may be.
const durationWords = "a duration such as 500ms, 3s or 10m"

var errNotAllowed = errors.New("not allowed")

var leaves = map[reflect.Type]leaf{
	reflect.TypeFor[Secret]():        {allowed: referenceWords},
	reflect.TypeFor[Header]():        {allowed: "a text, or " + referenceWords},
	reflect.TypeFor[string]():        leafOf("a text", func(s string) (string, error) { return s, nil }),
	reflect.TypeFor[int]():           leafOf("a whole number", strconv.Atoi),
	reflect.TypeFor[float64]():       leafOf("a number", func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }),
	reflect.TypeFor[time.Duration](): leafOf(durationWords, time.ParseDuration),
	reflect.TypeFor[bool](): leafOf("true or false", func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, errNotAllowed
		}
		return s == "true", nil
	}),
	reflect.TypeFor[netip.Prefix](): leafOf("a network in CIDR notation such as 10.0.0.0/8, with no bit set behind the prefix", func(s string) (netip.Prefix, error) {
		prefix, err := netip.ParsePrefix(s)
		if prefix != prefix.Masked() {
			return prefix, errNotAllowed
		}
		return prefix, err
	}),
	reflect.TypeFor[Zone](): leafOf("an IANA time zone such as Europe/Kyiv", func(s string) (Zone, error) {
		if s == "" || s == "Local" {
			return Zone{}, errNotAllowed // depends on the machine
		}
		location, err := time.LoadLocation(s)
		return Zone{location}, err
	}),
	reflect.TypeFor[Digest](): leafOf("a SHA-256 in 64 hexadecimal digits", func(s string) (digest Digest, err error) {
		octets, err := hex.DecodeString(s)
		if len(octets) != len(digest) {
			return digest, errNotAllowed
		}
		return Digest(octets), err
	}),
}

// fault records what is wrong with the value at path, unless a fault is known
// there or around it.
func (d *decoder) fault(path, format string, args ...any) {
	if slices.ContainsFunc(d.faults, func(f *Fault) bool { return isWithin(path, f.Path) }) {
		return
	}
	at := d.positionOf(path)
	// Errorf, so that an error may be written by %w.
	d.faults = append(d.faults, &Fault{
		File: d.file, Line: at.line, Column: at.column, Path: path, Detail: fmt.Errorf(format, args...).Error(),
	})
}

func isWithin(path, outer string) bool {
	rest, within := strings.CutPrefix(path, outer)
	return within && outer != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// warn records what should be seen to about the value at path.
func (d *decoder) warn(path, format string, args ...any) {
	at := d.positionOf(path)
	d.warnings = append(d.warnings, fmt.Sprintf("%s:%d:%d: %s: ", d.file, at.line, at.column, path)+fmt.Sprintf(format, args...))
}

// positionOf is where path stands; for a value that is missing, the nearest
// mapping around it.
func (d *decoder) positionOf(path string) position {
	for {
		if at, ok := d.positions[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// positionOf is where n begins. The token of a mapping without braces is its
// first colon.
func positionOf(n ast.Node) position {
	if mapping, ok := n.(*ast.MappingNode); ok && len(mapping.Values) > 0 && mapping.GetToken().Type != token.MappingStartType {
		n = mapping.Values[0].Key
	}
	return positionOfToken(n.GetToken())
}

func positionOfToken(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{1, 1}
	}
	return position{t.Position.Line, t.Position.Column}
}

// keyOf is the key of a field in the file; empty if it has none.
func keyOf(field reflect.StructField) string {
	key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	return strings.TrimPrefix(key, "-")
}

func keysOf(t reflect.Type) string {
	keys := map[string]bool{}
	for i := range t.NumField() {
		keys[keyOf(t.Field(i))] = true
	}
	delete(keys, "")
	return strings.Join(slices.Sorted(maps.Keys(keys)), ", ")
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
