package expression

import "regexp"

// sentences say in plain words what CEL says of typical mistakes. Types stand in braces.
var sentences = []struct {
	says     *regexp.Regexp
	sentence string
}{
	{regexp.MustCompile(`^Syntax error: token recognition error at: '["'].*`), "the text that begins here has no quote at its end"},
	{regexp.MustCompile(`^Syntax error: token recognition error at: '=.*`), "a single = compares nothing; allowed: =="},
	{regexp.MustCompile(`^Syntax error: token recognition error at: '(\S).*`), "$1 means nothing here"},
	{regexp.MustCompile(`^Syntax error: (?:mismatched|extraneous) input '<EOF>'.*`), "the expression ends too early"},
	{regexp.MustCompile(`^Syntax error: (?:mismatched|extraneous) input '(.+)' expecting .*`), "$1 does not belong here"},
	{regexp.MustCompile(`^Syntax error: missing '(.+)' at .*`), "$1 is missing here"},
	{regexp.MustCompile(`^Syntax error: no viable alternative .*`), "a part is missing here"},
	{regexp.MustCompile(`^found no matching overload for '_\?_:_' applied to '\((?:bool|dyn), (.+)\)'`), "? : gives values of different types: {$1}"},
	{regexp.MustCompile(`^found no matching overload for '_\?_:_' applied to '\((\w+), .+\)'`), "{$1} stands before ?; allowed: a bool"},
	{regexp.MustCompile(`^found no matching overload for '_\[_\]' applied to '\((.+), (.+)\)'`), "[ ] of {$1} does not take {$2}"},
	{regexp.MustCompile(`^found no matching overload for '[_@]*([^'_]+)_?' applied to '(\w+)\.\((.*)\)'`), "$1 of {$2} does not take ({$3})"},
	{regexp.MustCompile(`^found no matching overload for '[_@]*([^'_]+)_?' applied to '\((.*)\)'`), "$1 does not take ({$2})"},
	{regexp.MustCompile(`^expected type '(.+)' but found '(.+)'`), "the value here is {$2}; allowed: {$1}"},
	{regexp.MustCompile(`^expression of type '(.+)' cannot be range of a comprehension.*`), "{$1} has no elements; allowed: a list or an object"},
	{regexp.MustCompile(`^type '(.+)' does not support field selection`), "{$1} has no members"},
}

var (
	// parameters are those of a type: no sentence needs them.
	parameters = regexp.MustCompile(`\b(map|list|optional_type|type)\([^()]*\)`)
	inBraces   = regexp.MustCompile(`\{([^{}]+)\}`)
	typeNames  = regexp.MustCompile(`[\w.]+`)
)

// sentence is a message of CEL's in plain words, where there are any for it.
func sentence(message string) string {
	plain := withoutParameters(message)
	for _, s := range sentences {
		if s.says.MatchString(plain) {
			plain = s.says.ReplaceAllString(plain, s.sentence)
			return inBraces.ReplaceAllStringFunc(plain, func(types string) string { return typesInWords(types[1 : len(types)-1]) })
		}
	}
	return message
}

func withoutParameters(types string) string {
	for parameters.MatchString(types) {
		types = parameters.ReplaceAllString(types, "$1")
	}
	return types
}

// wordsOfTypes are the documents' words for CEL's types.
var wordsOfTypes = map[string]string{
	"int": "a whole number", "uint": "a whole number", "double": "a fractional number", "string": "a string", "bool": "a bool",
	"null": "null", "null_type": "null", "list": "a list", "map": "an object", "dyn": "any value", "optional_type": "an optional value",
	"timestamp": "a timestamp", "google.protobuf.Timestamp": "a timestamp", "duration": "a duration", "google.protobuf.Duration": "a duration",
	"bytes": "bytes", "secret": "a secret", "type": "a type",
}

func typesInWords(types string) string {
	return typeNames.ReplaceAllStringFunc(withoutParameters(types), func(name string) string {
		if words, known := wordsOfTypes[name]; known {
			return words
		}
		return name
	})
}
