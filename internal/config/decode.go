package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFileBytes bounds the configuration file and every file that it names.
const maxFileBytes = 1 << 20

// place is where a value stands in the file.
type place struct{ line, column int }

// decoder fills Config from a YAML document. The library parses; the walk over
// its tree is ours, since the library's own decoder stops at the first error
// and keeps no position for the checks that come after it.
type decoder struct {
	file string
	// dir is what relative paths are relative to.
	dir    string
	lookup func(string) (string, bool)
	// places are the positions of all values read, by path.
	places   map[string]place
	anchors  map[string]ast.Node
	faults   []*Fault
	warnings []string
	// unreadable says that there is no document to check further.
	unreadable bool
	// sealed are the secrets and the contents of files, by path, for the hash.
	sealed map[string]string
}

func newDecoder(file string, lookup func(string) (string, bool)) *decoder {
	return &decoder{
		file: file, dir: filepath.Dir(file), lookup: lookup,
		places: map[string]place{}, anchors: map[string]ast.Node{}, sealed: map[string]string{},
	}
}

// document parses data and decodes it into target, a pointer to a struct.
func (d *decoder) document(data []byte, target any) {
	if len(data) > maxFileBytes {
		d.faultAt(place{1, 1}, "", "the file is larger than %d bytes", maxFileBytes)
		d.unreadable = true
		return
	}
	body := d.parse(data)
	if body == nil {
		d.unreadable = true
		return
	}
	d.collectAnchors(body)
	d.value(body, reflect.ValueOf(target).Elem(), "", startOf(body))
}

func (d *decoder) parse(data []byte) (body ast.Node) {
	// The library panics on some malformed documents; for a reload of a
	// running program that must be an error like any other.
	defer func() {
		if p := recover(); p != nil {
			d.faultAt(place{1, 1}, "", "this is not YAML: the parser gave up")
			body = nil
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.syntax(err)
		return nil
	}
	if len(file.Docs) > 1 && file.Docs[1].Body != nil {
		d.faultAt(startOf(file.Docs[1].Body), "", "a second document begins here: allowed is one document")
		return nil
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		d.faultAt(place{1, 1}, "", "the file is empty: allowed are %s", keysOf(reflect.TypeFor[Config]()))
		return nil
	}
	return file.Docs[0].Body
}

// syntax takes the library's message and position only: its full text quotes
// the lines around the error, and they may hold what must not be shown.
func (d *decoder) syntax(err error) {
	var positioned yaml.Error
	if !errors.As(err, &positioned) || positioned.GetToken() == nil {
		d.faultAt(place{1, 1}, "", "this is not YAML")
		return
	}
	d.faultAt(placeOfToken(positioned.GetToken()), "", "%s", positioned.GetMessage())
}

func (d *decoder) collectAnchors(root ast.Node) {
	ast.Walk(anchorVisitor(d.anchors), root)
}

type anchorVisitor map[string]ast.Node

// Visit keeps the value of every anchor by its name.
func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok && anchor.Name != nil {
		v[anchor.Name.GetToken().Value] = anchor.Value
	}
	return v
}

// value decodes n into target. at is the place of its key, used for mappings
// and lists, whose own tokens stand at a colon or a dash.
func (d *decoder) value(n ast.Node, target reflect.Value, path string, at place) {
	n, ok := d.resolve(n, path)
	if !ok {
		return
	}
	if scalar, ok := n.(ast.ScalarNode); ok && n.Type() != ast.NullType {
		at = placeOf(scalar)
	}
	d.places[path] = at
	if target.Type() == reflect.TypeFor[BaseURL]() && isScalar(n) {
		target = target.Field(0) // a URL alone
	}
	if n.Type() == ast.NullType {
		d.null(target, path)
		return
	}
	if leaf, ok := leaves[target.Type()]; ok {
		d.leaf(n, target, path, leaf)
		return
	}
	switch target.Kind() {
	case reflect.Struct:
		d.structure(n, target, path)
	case reflect.Map:
		d.mapping(n, target, path)
	case reflect.Slice:
		d.list(n, target, path)
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		d.value(n, target.Elem(), path, at)
	default:
		panic("config: no decoder for " + target.Type().String())
	}
}

// resolve follows aliases and anchors to the value that they stand for.
func (d *decoder) resolve(n ast.Node, path string) (ast.Node, bool) {
	for range 8 {
		switch node := n.(type) {
		case *ast.AnchorNode:
			n = node.Value
		case *ast.AliasNode:
			name := node.Value.GetToken().Value
			target, ok := d.anchors[name]
			if !ok {
				d.places[path] = placeOf(node)
				d.fault(path, "there is no anchor &%s", name)
				return nil, false
			}
			n = target
		case *ast.TagNode:
			d.places[path] = placeOf(node)
			d.fault(path, "YAML tags are not allowed")
			return nil, false
		case nil:
			return nil, false
		default:
			return n, true
		}
	}
	d.fault(path, "this alias leads to itself")
	return nil, false
}

// null leaves a mapping or a list empty; a value that is written as nothing is
// an error.
func (d *decoder) null(target reflect.Value, path string) {
	leaf, ok := leaves[target.Type()]
	if !ok {
		return
	}
	d.fault(path, "is empty: allowed is %s", leaf.allowed)
}

func (d *decoder) structure(n ast.Node, target reflect.Value, path string) {
	entries, ok := d.entries(n, path)
	if !ok {
		return
	}
	fields := fieldsOf(target.Type())
	for _, entry := range entries {
		index, known := fields[entry.key]
		if !known {
			d.faultAt(entry.at, pathTo(path, entry.key), "unknown key: allowed are %s", keysOf(target.Type()))
			continue
		}
		d.value(entry.value, target.Field(index), pathTo(path, entry.key), entry.at)
	}
}

// defaulter is a struct that has values where the file is silent.
type defaulter interface{ defaults() }

func (d *decoder) mapping(n ast.Node, target reflect.Value, path string) {
	entries, ok := d.entries(n, path)
	if !ok {
		return
	}
	target.Set(reflect.MakeMapWithSize(target.Type(), len(entries)))
	for _, entry := range entries {
		element := reflect.New(target.Type().Elem())
		if withDefaults, ok := element.Interface().(defaulter); ok {
			withDefaults.defaults()
		}
		d.value(entry.value, element.Elem(), pathTo(path, entry.key), entry.at)
		target.SetMapIndex(reflect.ValueOf(entry.key), element.Elem())
	}
}

func (d *decoder) list(n ast.Node, target reflect.Value, path string) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fault(path, "is not a list: allowed is a list such as [a, b]")
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(sequence.Values), len(sequence.Values)))
	for i, element := range sequence.Values {
		d.value(element, target.Index(i), fmt.Sprintf("%s[%d]", path, i), startOf(element))
	}
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	at    place
	value ast.Node
}

func (d *decoder) entries(n ast.Node, path string) ([]entry, bool) {
	mapping, ok := n.(*ast.MappingNode)
	if !ok {
		d.fault(path, "is not a mapping: allowed are keys with values")
		return nil, false
	}
	seen := map[string]place{}
	entries := make([]entry, 0, len(mapping.Values))
	for _, value := range mapping.Values {
		e := entry{key: value.Key.GetToken().Value, at: placeOf(value.Key), value: value.Value}
		if _, scalar := value.Key.(ast.ScalarNode); !scalar || value.Key.IsMergeKey() {
			d.faultAt(e.at, path, "allowed as keys are plain names; merge keys (<<) are not: an alias may stand for a whole value")
			continue
		}
		if first, twice := seen[e.key]; twice {
			d.faultAt(e.at, pathTo(path, e.key), "is already set in line %d: allowed is each key once", first.line)
			continue
		}
		seen[e.key] = e.at
		entries = append(entries, e)
	}
	return entries, true
}

func (d *decoder) leaf(n ast.Node, target reflect.Value, path string, leaf leaf) {
	text, ok := scalarText(n)
	if !ok {
		d.fault(path, "is not a single value: allowed is %s", leaf.allowed)
		return
	}
	switch secret := target.Addr().Interface().(type) {
	case *Secret:
		*secret = NewSecret(d.expand(text, path))
		return
	case *Header:
		*secret = d.header(text, path)
		return
	}
	if reference.MatchString(text) {
		d.fault(path, "references are expanded in secrets only: allowed is %s", leaf.allowed)
		return
	}
	parsed, err := leaf.parse(text)
	if err != nil {
		shown := quote(text)
		if _, ok := target.Addr().Interface().(*Digest); ok {
			shown = "what stands here" // perhaps the key itself
		}
		d.fault(path, "%s %w: allowed is %s", shown, err, leaf.allowed)
		return
	}
	target.Set(reflect.ValueOf(parsed))
}

func isScalar(n ast.Node) bool {
	_, ok := scalarText(n)
	return ok
}

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

// rejoined mends what the library gets wrong: in [http://localhost:9001] within
// braces it takes the last colon for a mapping's, though no space follows it.
func rejoined(n *ast.MappingNode) (string, bool) {
	if len(n.Values) != 1 || n.GetToken().Type == token.MappingStartType {
		return "", false
	}
	key, colon, value := n.Values[0].Key.GetToken(), n.Values[0].Start, n.Values[0].Value.GetToken()
	if _, scalar := n.Values[0].Value.(ast.ScalarNode); !scalar || isQuoted(key) || isQuoted(value) {
		return "", false
	}
	from, middle, to := placeOfToken(key), placeOfToken(colon), placeOfToken(value)
	if middle.column != from.column+utf8.RuneCountInString(key.Value) || to.column != middle.column+1 || from.line != to.line {
		return "", false
	}
	return key.Value + ":" + value.Value, true
}

func isQuoted(t *token.Token) bool { return t.Indicator == token.QuotedScalarIndicator }

// leaf is how a single value of one type is read.
type leaf struct {
	allowed string
	parse   func(string) (any, error)
}

var leaves = map[reflect.Type]leaf{
	reflect.TypeFor[string](): {"a text", func(s string) (any, error) { return s, nil }},
	reflect.TypeFor[Secret](): {"a reference, ${env:NAME} or ${file:PATH}", nil},
	reflect.TypeFor[Header](): {"a text, or a reference, ${env:NAME} or ${file:PATH}", nil},
	reflect.TypeFor[bool](): {"true or false", func(s string) (any, error) {
		if s != "true" && s != "false" {
			return nil, errors.New("is neither true nor false")
		}
		return s == "true", nil
	}},
	reflect.TypeFor[int](): {"a whole number", func(s string) (any, error) {
		n, err := strconv.Atoi(s)
		return n, because(err, "is not a whole number")
	}},
	reflect.TypeFor[float64](): {"a number", func(s string) (any, error) {
		f, err := strconv.ParseFloat(s, 64)
		return f, because(err, "is not a number")
	}},
	reflect.TypeFor[time.Duration](): {"a Go duration such as 500ms, 3s or 10m", func(s string) (any, error) {
		duration, err := time.ParseDuration(s)
		return duration, because(err, "is not a duration")
	}},
	reflect.TypeFor[netip.Prefix](): {"a network in CIDR notation such as 10.0.0.0/8", func(s string) (any, error) {
		prefix, err := netip.ParsePrefix(s)
		if err == nil && prefix != prefix.Masked() {
			return nil, fmt.Errorf("names an address, not a network (meant is perhaps %s)", prefix.Masked())
		}
		return prefix, because(err, "is not a network")
	}},
	reflect.TypeFor[Zone](): {"an IANA time zone such as Europe/Kyiv", func(s string) (any, error) {
		location, err := time.LoadLocation(s)
		if s == "" || s == "Local" {
			return nil, errors.New("depends on the machine")
		}
		return Zone{location}, because(err, "is not a time zone")
	}},
	reflect.TypeFor[Digest](): {"a SHA-256 in 64 hexadecimal digits", func(s string) (any, error) {
		var digest Digest
		n, err := hex.Decode(digest[:], []byte(s[:min(len(s), 2*len(digest))]))
		if err != nil || n != len(digest) || len(s) != 2*n {
			return nil, errors.New("is not a SHA-256")
		}
		return digest, nil
	}},
}

func because(err error, what string) error {
	if err == nil {
		return nil
	}
	return errors.New(what)
}

var (
	reference     = regexp.MustCompile(`\$\{(env|file):`)
	anyReference  = regexp.MustCompile(`\$\{([^}]*)(\}?)`)
	variableNames = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// expand replaces every reference in text; a text without one is a literal
// and refused. Nothing of text or of what it stands for is ever shown.
func (d *decoder) expand(text, path string) string {
	if !strings.Contains(text, "${") {
		d.fault(path, "a literal stands where a secret belongs: allowed is a reference, ${env:NAME} or ${file:PATH}")
		return ""
	}
	failed := false
	expanded := anyReference.ReplaceAllStringFunc(text, func(match string) string {
		value, err := d.reference(match, path)
		if err != nil {
			d.fault(path, "%w", err)
			failed = true
		}
		return value
	})
	if failed {
		return ""
	}
	d.sealed[path] = expanded
	return expanded
}

// header reads the value of a header, which may be a literal; whether this
// one may is checked by its name.
func (d *decoder) header(text, path string) Header {
	if strings.Contains(text, "${") {
		return Header{Secret: NewSecret(d.expand(text, path))}
	}
	d.sealed[path] = text
	return Header{Secret: NewSecret(text), literal: true}
}

func (d *decoder) reference(match, path string) (string, error) {
	inner, closed := strings.CutSuffix(strings.TrimPrefix(match, "${"), "}")
	scheme, name, _ := strings.Cut(inner, ":")
	switch {
	case !closed || scheme != "env" && scheme != "file":
		return "", errors.New("this reference can't be read: allowed are ${env:NAME} and ${file:PATH}")
	case scheme == "env":
		return d.variable(name)
	default:
		return d.secretFile(name, path)
	}
}

func (d *decoder) variable(name string) (string, error) {
	if !variableNames.MatchString(name) {
		return "", errors.New("the name of an environment variable holds letters, digits and _ only: allowed is ${env:NAME}")
	}
	value, ok := d.lookup(name)
	if !ok {
		return "", fmt.Errorf("the environment variable %s is not set", name)
	}
	if value == "" {
		return "", fmt.Errorf("the environment variable %s is empty", name)
	}
	return value, nil
}

func (d *decoder) secretFile(name, path string) (string, error) {
	content, err := d.readFile(name, path, true)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(content), "\r\n")
	if value == "" {
		return "", fmt.Errorf("the file %s is empty", quote(name))
	}
	return value, nil
}

// readFile reads a file that the value at path names; private ones should not
// be readable by everybody.
func (d *decoder) readFile(name, path string, private bool) ([]byte, error) {
	if name == "" {
		return nil, errors.New("the name of the file is missing: allowed is ${file:PATH}")
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(d.dir, name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("can't read the file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", quote(name), maxFileBytes)
	}
	if private && info.Mode().Perm()&0o004 != 0 {
		d.warn(path, "every user of this machine can read %s (mode %04o): 0600 would do", name, info.Mode().Perm())
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("can't read the file: %w", err)
	}
	return content, nil
}

// fault records what is wrong with the value at path, unless something is
// known to be wrong there or around it: one mistake is told once.
func (d *decoder) fault(path, format string, args ...any) {
	if !d.faulted(path) {
		d.faultAt(d.placeOf(path), path, format, args...)
	}
}

// warn records what should be seen to about the value at path.
func (d *decoder) warn(path, format string, args ...any) {
	at := d.placeOf(path)
	d.warnings = append(d.warnings, fmt.Sprintf("%s:%d:%d: %s: ", d.file, at.line, at.column, path)+fmt.Sprintf(format, args...))
}

func (d *decoder) faulted(path string) bool {
	return slices.ContainsFunc(d.faults, func(f *Fault) bool {
		rest, within := strings.CutPrefix(path, f.Path)
		return within && f.Path != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

func (d *decoder) faultAt(at place, path, format string, args ...any) {
	// Errorf, so that an error in args may be wrapped by its verb and reads the same.
	d.faults = append(d.faults, &Fault{
		File: d.file, Line: at.line, Column: at.column, Path: path, Detail: fmt.Errorf(format, args...).Error(),
	})
}

// placeOf is where path stands, or for a value that is missing the nearest
// mapping around it.
func (d *decoder) placeOf(path string) place {
	for {
		if at, ok := d.places[path]; ok {
			return at
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return place{1, 1}
		}
		path = path[:cut]
	}
}

// startOf is where an element of a list begins; a mapping's own token may be
// its first colon.
func startOf(n ast.Node) place {
	if mapping, ok := n.(*ast.MappingNode); ok && len(mapping.Values) > 0 && mapping.GetToken().Type != token.MappingStartType {
		return placeOf(mapping.Values[0].Key)
	}
	return placeOf(n)
}

func placeOf(n ast.Node) place { return placeOfToken(n.GetToken()) }

func placeOfToken(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{t.Position.Line, t.Position.Column}
}

func fieldsOf(t reflect.Type) map[string]int {
	fields := map[string]int{}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			fields[name] = i
		}
	}
	return fields
}

func keysOf(t reflect.Type) string {
	return strings.Join(slices.Sorted(maps.Keys(fieldsOf(t))), ", ")
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

// clip keeps a value short enough for an error's line.
func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:80], "") + "…"
}

func quote(s string) string { return strconv.Quote(clip(s)) }
