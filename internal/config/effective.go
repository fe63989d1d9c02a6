package config

import (
	"encoding"
	"fmt"
	"maps"
	"net/url"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
)

// Effective is c as a YAML file: defaults filled in, what is not set left out,
// and each secret and the query of each URL, which may be one, as "[redacted]".
// But for those it is read as c again.
func (c *Config) Effective() ([]byte, error) {
	whole := *c
	if whole.Notices.Endpoint == "" {
		whole.Notices = Notices{} // the rest of it says nothing then, and is refused
	}
	content, err := yaml.MarshalWithOptions(shownStruct(reflect.ValueOf(whole)), yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("write the configuration as YAML: %w", err)
	}
	return content, nil
}

// shownStruct is what a struct's keys hold, in their order.
func shownStruct(v reflect.Value) yaml.MapSlice {
	all := yaml.MapSlice{}
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		if value, set := shown(v.Field(i)); set {
			all = append(all, yaml.MapItem{Key: key, Value: value})
		}
	}
	return all
}

// shown is how a value stands in the file; set is false where leaving it out
// says the same.
func shown(v reflect.Value) (value any, set bool) {
	switch leaf := v.Interface().(type) {
	case Secret:
		return redacted, leaf.IsSet()
	case Header:
		return redacted, true
	case BaseURL:
		if !leaf.TLS.isSet() {
			return withoutQuery(leaf.URL), true
		}
	case time.Duration:
		return leaf.String(), leaf != 0
	case encoding.TextMarshaler:
		text, err := leaf.MarshalText()
		return string(text), err == nil && len(text) > 0
	}
	switch v.Kind() {
	case reflect.Bool, reflect.Float64:
		return v.Interface(), true
	case reflect.Int:
		return v.Interface(), !v.IsZero()
	case reflect.String:
		return withoutQuery(v.String()), v.String() != ""
	case reflect.Pointer:
		if v.IsNil() {
			return nil, false
		}
		return shown(v.Elem())
	case reflect.Slice:
		return shownList(v), v.Len() > 0
	case reflect.Map:
		return shownMap(v), v.Len() > 0
	case reflect.Struct:
		all := shownStruct(v)
		return all, len(all) > 0
	default:
		panic("config: can't show a " + v.Type().String())
	}
}

func shownList(v reflect.Value) []any {
	all := make([]any, v.Len())
	for i := range all {
		all[i], _ = shown(v.Index(i))
	}
	return all
}

func shownMap(v reflect.Value) yaml.MapSlice {
	all := yaml.MapSlice{}
	byName := map[string]reflect.Value{}
	for _, key := range v.MapKeys() {
		byName[key.String()] = v.MapIndex(key)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		value, _ := shown(byName[name])
		all = append(all, yaml.MapItem{Key: name, Value: value})
	}
	return all
}

func withoutQuery(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery == "" {
		return text
	}
	u.RawQuery = ""
	return u.String() + "?" + redacted
}

// FileWarnings are what should be seen to about the configuration file itself,
// whose content Load warns of: it names every receiver, and who changes it
// decides where callbacks go.
func FileWarnings(path string) []string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o002 != 0:
		return []string{fmt.Sprintf("%s: every user of this machine can change this file (mode %04o): 0600 would do", path, mode)}
	case mode&0o004 != 0:
		return []string{fmt.Sprintf("%s: every user of this machine can read this file (mode %04o): 0600 would do", path, mode)}
	}
	return nil
}
