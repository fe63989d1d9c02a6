package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"ringback/internal/dialect"
	"ringback/internal/expression"
	"ringback/internal/nearest"
	"ringback/internal/source"
)

// Kind is the kind of source of that name: a built-in one, or one of the file.
func (c *Config) Kind(name string) (source.Kind, bool) {
	if kind, ok := c.kinds[name]; ok {
		return kind, true
	}
	return source.KindByName(name)
}

// Dialect is the dialect of that name: a built-in one, or one of the file.
func (c *Config) Dialect(name string) (dialect.Dialect, bool) {
	if d, ok := c.dialects[name]; ok {
		return d, true
	}
	return dialect.ByName(name)
}

// Vocabulary are the statuses of all kinds of source.
func (c *Config) Vocabulary() []string {
	var statuses []string
	for _, name := range c.kindNames() {
		kind, _ := c.Kind(name)
		for _, status := range kind.Vocabulary {
			if !slices.Contains(statuses, status) {
				statuses = append(statuses, status)
			}
		}
	}
	return statuses
}

// Examples is how many examples the file's kinds and dialects have, all of them right.
func (c *Config) Examples() int {
	n := 0
	for _, kind := range c.Kinds {
		n += len(kind.Examples)
	}
	for _, d := range c.Dialects {
		n += len(d.Examples)
	}
	return n
}

func (c *Config) kindNames() []string {
	return withOwn(source.KindNames(), c.Kinds)
}

// DialectNames are the dialects' names: the built-in ones, and those of the file.
func (c *Config) DialectNames() []string {
	return withOwn(dialect.Names(), c.Dialects)
}

func withOwn[D any](builtIn []string, own map[string]D) []string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(own)), func(name string) bool { return slices.Contains(builtIn, name) })
	return append(builtIn, names...)
}

// definition is a kind or a dialect as data, which compiles to a T.
type definition[T any] interface {
	Compile(name string) (T, []expression.Fault)
	RunExamples() []expression.Fault
}

// define compiles the definitions of a section, and runs the examples of those that
// are right. builtIn are names that they may not have.
func define[T any, D definition[T]](v *validator, section string, definitions map[string]D, builtIn []string) map[string]T {
	compiled := map[string]T{}
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		path := pathTo(section, name)
		v.require(!slices.Contains(builtIn, name), path, "is built in and cannot be replaced; give yours another name")
		if v.broken(path) {
			continue
		}
		made, faults := definitions[name].Compile(name)
		if len(faults) == 0 {
			compiled[name] = made
			faults = definitions[name].RunExamples()
		}
		for _, f := range faults {
			v.faultIn(path, f)
		}
	}
	return compiled
}

// namedSecrets checks that those are given which a kind or dialect names, and no others. It
// sends them as headers, but for those that it signs with.
func (v *validator) namedSecrets(path string, given map[string]Secret, of string, named []string, signsWith func(name string) bool) {
	if len(named) == 0 {
		v.require(!v.present(path), path, "must be left out: %s names no secrets", of)
		return
	}
	for _, name := range named {
		at, value := pathTo(path, name), given[name].Reveal()
		if _, ok := given[name]; !ok {
			v.missing(at, referenceWords)
		}
		if !signsWith(name) {
			v.sendable(at, given[name])
			continue
		}
		fault, weakness := expression.KeyFault([]byte(value)), expression.KeyWeakness([]byte(value))
		v.require(fault == "", at, "%s", fault)
		if fault == "" && weakness != "" {
			v.warn(at, "%s", weakness)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		v.require(slices.Contains(named, name), pathTo(path, name), "%s names no such secret%s; allowed: %s",
			of, nearest.Hint(name, named), strings.Join(named, ", "))
	}
}

// revealed are secrets by name.
func revealed(secrets map[string]Secret) map[string]string {
	values := make(map[string]string, len(secrets))
	for name, secret := range secrets {
		values[name] = secret.Reveal()
	}
	return values
}

// settings refuses the keys that the source's kind has no use for.
func (v *validator) settings(path string, s *Source, kind source.Kind) {
	why := "has none"
	if kind.Push != nil {
		why = "is never polled"
	}
	allowed := append([]string{"kind", "final_statuses", "secrets"}, kind.Settings...)
	for _, key := range keysOf(reflect.TypeFor[Source]()) {
		v.require(!v.present(path+"."+key) || slices.Contains(allowed, key), path+"."+key, "must be left out: a source of the kind %s %s", s.Kind, why)
	}
	if v.present(path+".mac") && v.present(path+".auth") {
		v.fault(path+".auth", "cannot be set together with mac")
	}
	v.authorizedOnce([]string{path + ".auth", path + ".mac"}, "the kind "+s.Kind, v.config.Kinds[s.Kind])
}

// authorizedOnce refuses settings that write the header which a definition sets itself.
func (v *validator) authorizedOnce(paths []string, of string, definition interface{ Sets(header string) bool }) {
	for _, path := range paths {
		v.require(!v.present(path) || !definition.Sets("Authorization"), path, "cannot be set: %s sets the header Authorization itself", of)
	}
}
