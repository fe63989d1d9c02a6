package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"ringback/internal/config"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	content, err := config.Schema()
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("ringback.schema.json", document))
	compiled, err := compiler.Compile("ringback.schema.json")
	require.NoError(t, err)
	return compiled
}

// withColon is what the parser takes for a mapping within brackets; the decoder mends that.
var withColon = regexp.MustCompile(`([^"][\[ ])([^][\s{}",]+:[^][\s{}",]+)([],])`)

// judge is what the schema says of a file; ok is false where the file is not YAML.
func judge(t *testing.T, s *jsonschema.Schema, file string) (ok bool, err error) {
	t.Helper()
	content, err := yaml.YAMLToJSON(withColon.ReplaceAll([]byte(file), []byte(`$1"$2"$3`)))
	if err != nil {
		return false, err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	require.NoError(t, err)
	return true, s.Validate(instance)
}

func TestTheSchemaInDeployIsTheDecoders(t *testing.T) {
	t.Parallel()
	want, err := config.Schema()
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join("..", "..", "deploy", "ringback.schema.json"))
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "write it anew: starter config schema > deploy/ringback.schema.json")
}

func TestTheSchemaTakesWhatTheDecoderTakes(t *testing.T) {
	t.Parallel()
	s := compiledSchema(t)
	for name, file := range map[string]string{
		"the base of the refused files": base, "a whole file": example, "every key": everyKey, "a file without secrets": withoutSecrets,
		"the example in deploy": string(exampleInDeploy(t)), "kinds and dialects of its own": ownEvery,
	} {
		ok, err := judge(t, s, file)
		require.True(t, ok, name)
		require.NoError(t, err, name)
	}
}

// beyondASchema are the faults that the decoder alone finds, by what they are about.
var beyondASchema = []struct{ about, faults string }{
	{"YAML itself", `already defined|a second document|could not find end|a tab begins|keys in it or below|belongs to nothing|no key with a value|not UTF-8|no anchor|tags are not allowed|merge key`},
	{"the environment and other files", `environment variable|cannot read the file|the file .* is empty|not a regular file|PEM data|contains no certificate`},
	{"durations", `\d(s|ms|h) is (below|above) |whole number of milliseconds|add up to|last longer`},
	{"another key beside it", `together with|without keys|beside|, or .* instead$|must be left out|cannot be used with|is missing: auth|occurs twice|is the same as|secrets\.|names no secrets`},
	{"names in other sections, and the words of a kind", `(dialect|source|kind|methods\[\d\]|statuses\[\d\]|endpoints\[\d\]|notices\.endpoint): "[^"]*" is unknown`},
	{"URLs, hosts, addresses and zones", `\bURLs?\b|egress to|egress\.|address|is not a host|a port outside|no bit set|time zone`},
	{"what may be left out but not empty", `must not be empty; (leave it out|allowed: (hosts|the URL))`},
	{"expressions and their examples", `(answer\.status|request\.path|request\.query\S*|examples\[\d\]\S*|details_request\S*):`},
	{"names that are built in", `is built in`},
	{"what a text holds", `must hold|set by Ringback itself|sent twice|cannot be sent|X-Api-Key: a secret must not|expanded only in secrets|whsec_|which no key has`},
}

func TestTheSchemaRefusesWhatIsWrongByItsForm(t *testing.T) {
	t.Parallel()
	s := compiledSchema(t)
	taken := map[string]bool{}
	rows := map[string]string{} // the errors by file
	for _, row := range refused {
		rows[replaceLine(t, base, row.line, row.with)] = row.want
	}
	for _, row := range refusedOwn {
		rows[replaceLine(t, ownBase, row.line, row.with)] = row.want
	}
	for file, want := range rows {
		ok, err := judge(t, s, file)
		var formal []string
		for fault := range strings.Lines(strings.TrimSpace(want)) {
			about := aboutOf(fault)
			if about == "" {
				formal = append(formal, fault)
			}
			taken[about] = taken[about] || err == nil
		}
		if len(formal) > 0 {
			require.True(t, ok, formal)
			require.Error(t, err, formal)
		}
	}
	for _, beyond := range beyondASchema {
		require.True(t, taken[beyond.about], "the schema finds every fault about %s: take it out of the list", beyond.about)
	}
}

// aboutOf is what a fault beyond the schema is about; empty: it is not beyond it.
func aboutOf(fault string) string {
	for _, beyond := range beyondASchema {
		if regexp.MustCompile(beyond.faults).MatchString(fault) {
			return beyond.about
		}
	}
	return ""
}
