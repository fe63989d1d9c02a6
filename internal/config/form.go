package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringback/internal/dialect"
	"ringback/internal/headername"
	"ringback/internal/operation"
	"ringback/internal/source"
)

// form is what the value of a key must be, whatever else the file holds: the decoder
// refuses what it is not, and the schema says it.
type form struct {
	// demanded says that the key must be there. allowed then says what is missing;
	// where it is empty, the validator says so, which knows the names of other sections.
	demanded bool
	allowed  string
	// check says what is wrong with a value; empty: nothing.
	check func(value any) string
	// each is the form of a list's elements, and keys that of a mapping's keys.
	each, keys *form
	// schema are the keywords of JSON Schema that say the same.
	schema schema
}

// forms are by the type that has the key, and the key.
var forms = map[string]form{
	"API.max_starts":               number(0, MaxStarts),
	"RateLimit.per_second":         number(minRate, maxRate),
	"RateLimit.burst":              number[int](1, maxRate),
	"RateLimit.changes_per_second": number(minRate, maxRate),
	"RateLimit.changes_burst":      number[int](1, maxRate),
	"Key.name":                     name.required(nameWords),
	"Key.sha256":                   form{}.required("the key's SHA-256 in 64 hexadecimal digits"),
	"Key.scopes":                   form{each: &scope, schema: schema{"uniqueItems": true}}.required("any of " + strings.Join(operation.Scopes, ", ")),
	"CodecKey.id":                  name.required(nameWords),
	"CodecKey.key":                 form{}.required(referenceWords),
	"Codec.keys":                   listOf(maxCodecKeys, form{}),
	"Traces.ratio":                 number(0.0, 1),
	"Notices.failing_after":        number(1, MaxAttempts),

	"Config.sources": {keys: &name},
	"Source.kind":    form{}.required(""),
	"BaseURL.url":    form{}.required(""),
	"Source.timeout": span(time.Millisecond, MaxTimeout),

	"Config.endpoints":        {keys: &name},
	"Endpoint.dialect":        form{}.required(""),
	"Endpoint.callback_url":   oneOf(PerOperation),
	"Endpoint.supersede":      oneOf(operation.SupersedeLatest, operation.SupersedeEvery),
	"Endpoint.push":           oneOf(operation.PushPolicies...),
	"Endpoint.delivery":       form{}.required(""),
	"Endpoint.headers":        {keys: &form{schema: schema{"pattern": headername.Names.String()}}},
	"Endpoint.max_concurrent": number(1, 1000),
	"Poll.schedule":           listOf(maxScheduleGaps, span(time.Millisecond, MaxSpan)),
	"Poll.interval":           span(minPollInterval, MaxSpan),
	"Poll.max_polls":          number(1, 1_000_000_000),
	"Poll.lifetime":           span(time.Millisecond, MaxSpan).required(durationWords),
	"Delivery.interval":       span(time.Millisecond, MaxSpan).required(durationWords),
	"Delivery.attempts":       number(1, MaxAttempts).required("1 to " + strconv.Itoa(MaxAttempts)),
	"Delivery.timeout":        span(time.Millisecond, MaxTimeout),
	"Basic.username":          form{check: userName, schema: schema{"pattern": "^[^:]+$"}}.required("a user name without a colon"),
	"Basic.password":          form{}.required(referenceWords),
	"OAuth2.token_url":        form{}.required("an https URL"),
	"OAuth2.client_id":        form{}.required("the client's id"),
	"OAuth2.client_secret":    form{}.required(referenceWords),

	"source.Definition.statuses": {each: &form{each: &form{schema: schema{"enum": source.StatusMeanings}}}},
	"dialect.Signature.scheme":   {schema: schema{"enum": dialect.Schemes}},
	"dialect.Example.verdict":    {schema: schema{"enum": dialect.Verdicts}},

	"Config.kinds":    {keys: &name},
	"Config.dialects": {keys: &name},
}

// formOf is the form of the value of a key in t.
func formOf(t reflect.Type, key string) form {
	return forms[strings.TrimPrefix(t.String(), "config.")+"."+key]
}

func (f form) required(allowed string) form {
	f.demanded, f.allowed = true, allowed
	return f
}

func number[T int | float64](least, most T) form {
	return form{
		check:  func(value any) string { return outside(value.(T), least, most) },
		schema: schema{"minimum": least, "maximum": most},
	}
}

// span is a duration within bounds, in whole milliseconds, the unit in which it is
// stored. A schema knows no durations.
func span(least, most time.Duration) form {
	return form{check: func(value any) string {
		d := value.(time.Duration)
		if wrong := outside(d, least, most); wrong != "" || d%time.Millisecond == 0 {
			return wrong
		}
		return fmt.Sprintf("%s is not a whole number of milliseconds; allowed: %s to %s", d, least, most)
	}}
}

func outside[T cmp.Ordered](value, least, most T) string {
	switch {
	case value > most:
		return fmt.Sprintf("%v is above %v; allowed: %v to %v", value, most, least, most)
	case value >= least:
		return ""
	}
	return fmt.Sprintf("%v is below %v; allowed: %v to %v", value, least, least, most) // NaN, too
}

func oneOf(words ...string) form {
	return form{
		check: func(value any) string {
			switch word := value.(string); {
			case slices.Contains(words, word):
				return ""
			case word == "":
				return "must not be empty; allowed: " + listed(words)
			default:
				return unknown(word, words)
			}
		},
		schema: schema{"enum": words},
	}
}

// listOf is a list of at most that many elements.
func listOf(most int, each form) form {
	return form{
		each: &each,
		check: func(value any) string {
			if n := reflect.ValueOf(value).Len(); n > most {
				return fmt.Sprintf("has %d elements; allowed: at most %d", n, most)
			}
			return ""
		},
		schema: schema{"maxItems": most},
	}
}

var (
	nameRule  = operation.EndpointRule
	nameWords = fmt.Sprintf("1 to %d %s", nameRule.MaxLength, nameRule.Alphabet)
	// name is that of an endpoint, a source, a kind, a dialect or a key.
	name = form{
		check: func(value any) string {
			if nameRule.Check(value.(string)) == nil {
				return ""
			}
			return quote(value.(string)) + " is not a valid name; allowed: " + nameWords
		},
		schema: schema{"pattern": nameRule.Pattern.String(), "minLength": 1, "maxLength": nameRule.MaxLength},
	}
)

// scope is one scope of a key.
var scope = form{
	check: func(value any) string {
		if value == "admin" {
			return "admin is two scopes now: write ping for who sends test callbacks, codec for who opens what is sealed"
		}
		return oneOf(operation.Scopes...).check(value)
	},
	schema: schema{"enum": operation.Scopes},
}

func userName(value any) string {
	if name := value.(string); name == "" || strings.Contains(name, ":") {
		return "must be a user name without a colon"
	}
	return ""
}

// check faults what is not in its form.
func (d *decoder) check(f form, value reflect.Value, path string) {
	if f.check != nil && !d.broken(path) {
		if wrong := f.check(value.Interface()); wrong != "" {
			d.fault(path, "%s", wrong)
		}
	}
	if f.each != nil && value.Kind() == reflect.Slice {
		for i := range value.Len() {
			d.check(*f.each, value.Index(i), indexed(path, i))
		}
	}
	if f.keys != nil && f.keys.check != nil {
		for _, key := range value.MapKeys() {
			d.check(*f.keys, key, pathTo(path, key.String()))
		}
	}
}

// complete faults what must be in a mapping and is not there, or is empty.
func (d *decoder) complete(mapping reflect.Value, path string) {
	for i := range mapping.NumField() {
		key, value := keyOf(mapping.Type().Field(i)), mapping.Field(i)
		f, at := formOf(mapping.Type(), key), pathTo(path, key)
		switch {
		case !f.demanded:
		case isMapping(value.Type()) && !d.present(at):
			d.complete(value, at)
		case f.allowed != "" && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0):
			d.missing(at, f.allowed)
		}
	}
}

// isMapping reports whether values of t are mappings with keys of their own.
func isMapping(t reflect.Type) bool {
	_, single := scalarTypes[t]
	return t.Kind() == reflect.Struct && !single
}
