package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"time"

	"ringback/internal/expression"
)

// schema is a JSON Schema, or some keywords of one.
type schema map[string]any

// anyText are the texts of the file: the decoder takes 0042 as it is written.
var anyText = schema{"type": []string{"string", "number", "boolean"}}

func text(pattern string) schema { return schema{"type": "string", "pattern": pattern} }

func (s schema) with(keywords schema) schema {
	all := maps.Clone(s)
	maps.Copy(all, keywords)
	return all
}

// Schema is the JSON Schema (draft 7, which editors know) of the file, made of the types
// that the decoder fills and of the forms that it checks. What depends on another value,
// on a secret, on a file or on an address is not in it.
func Schema() ([]byte, error) {
	w := schemaWriter{definitions: map[string]schema{}}
	root := w.mapping(reflect.ValueOf(*newConfig())).with(schema{
		"$schema": "http://json-schema.org/draft-07/schema#",
		"title":   "Ringback's configuration",
	})
	root["definitions"] = w.definitions
	content, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(content, '\n'), nil
}

// schemaWriter gathers the schemas of types that have a name.
type schemaWriter struct{ definitions map[string]schema }

// value is the schema of a key's value, which is v where the file is silent.
func (w schemaWriter) value(v reflect.Value) schema {
	if single, ok := scalarTypes[v.Type()]; ok {
		described := single.schema
		if described["pattern"] != nil {
			described = described.with(schema{"description": single.allowed})
		}
		return withDefault(described, v)
	}
	switch v.Type() {
	case reflect.TypeFor[expression.Node]():
		return schema{}
	case reflect.TypeFor[expression.Members]():
		return schema{"type": []string{"object", "null"}}
	}
	switch v.Kind() { //nolint:exhaustive // the decoder fills no others
	case reflect.Pointer:
		return w.value(reflect.New(v.Type().Elem()).Elem())
	case reflect.Slice:
		return schema{"type": []string{"array", "null"}, "items": w.value(reflect.New(v.Type().Elem()).Elem())}
	case reflect.Map:
		element := reflect.New(v.Type().Elem())
		if withDefaults, ok := element.Interface().(defaulter); ok {
			withDefaults.defaults()
		}
		return schema{"type": []string{"object", "null"}, "additionalProperties": w.value(element.Elem())}
	}
	name := v.Type().String()
	if _, known := w.definitions[name]; !known {
		w.definitions[name] = nil // a type within itself ends here
		w.definitions[name] = w.mapping(v)
	}
	reference := schema{"$ref": "#/definitions/" + name}
	if v.Type() == reflect.TypeFor[BaseURL]() {
		return schema{"anyOf": []schema{anyText, reference}}
	}
	return reference
}

// mapping is the schema of a struct.
func (w schemaWriter) mapping(v reflect.Value) schema {
	properties, demanded := schema{}, []string{}
	for i := range v.NumField() {
		key := keyOf(v.Type().Field(i))
		if key == "" {
			continue
		}
		f := formOf(v.Type(), key)
		properties[key] = f.describe(w.value(v.Field(i)))
		if f.demanded {
			demanded = append(demanded, key)
		}
	}
	all := schema{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
	if len(demanded) > 0 {
		all["type"], all["required"] = "object", demanded
	}
	return all
}

// describe adds what f says to the schema of its value.
func (f form) describe(s schema) schema {
	if s["$ref"] != nil {
		return s // in draft 7 nothing counts beside a reference
	}
	s = s.with(f.schema)
	if f.demanded && s["items"] != nil {
		s["type"], s["minItems"] = "array", 1
	}
	for _, of := range []string{"items", "additionalProperties"} {
		if each, ok := s[of].(schema); ok && f.each != nil {
			s[of] = f.each.describe(each)
		}
	}
	if f.keys != nil {
		s["propertyNames"] = f.keys.schema
	}
	return s
}

func withDefault(s schema, v reflect.Value) schema {
	if v.IsZero() {
		return s
	}
	switch value := v.Interface().(type) {
	case time.Duration:
		return s.with(schema{"default": value.String()})
	case Enabled:
		return s.with(schema{"default": value == EnabledTrue})
	}
	return s.with(schema{"default": v.Interface()})
}
