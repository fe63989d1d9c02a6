package config_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/config"
)

// codecKey is the base64 of 32 bytes, each n.
func codecKey(n byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string([]byte{n}), 32)))
}

func TestTheCodecsKeys(t *testing.T) {
	t.Setenv("NEW", codecKey(2))
	t.Setenv("OLD", codecKey(1))
	t.Setenv("AGAIN", codecKey(2))
	t.Setenv("SHORT", base64.StdEncoding.EncodeToString([]byte("31 bytes are not enough for it.")))
	t.Setenv("HEX", strings.Repeat("0f", 32))
	for _, row := range []struct{ name, codec, want string }{
		{"none", `{}`, ""},
		{"one that writes and one that only reads", `{keys: [{id: b, key: "${env:NEW}"}, {id: a, key: "${env:OLD}"}]}`, ""},
		{"migrating", `{keys: [{id: b, key: "${env:NEW}"}], migrating: true}`, ""},
		{"origins", `{server: {origins: ["https://temporal.example", "http://127.0.0.1:8233"]}}`, ""},
		{"a key that is written out", `{keys: [{id: a, key: "` + codecKey(1) + `"}]}`,
			"f:1:29: codec.keys[0].key: a secret must not be written in this file; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}"},
		{"a key that is too short", `{keys: [{id: a, key: "${env:SHORT}"}]}`,
			"f:1:29: codec.keys[0].key: is not the base64 of 32 bytes; make one: starter keygen codec"},
		{"a key in hexadecimal digits", `{keys: [{id: a, key: "${env:HEX}"}]}`,
			"f:1:29: codec.keys[0].key: is not the base64 of 32 bytes; make one: starter keygen codec"},
		{"no key", `{keys: [{id: a}]}`, "f:1:16: codec.keys[0].key: is missing; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}"},
		{"no id", `{keys: [{key: "${env:NEW}"}]}`, `f:1:16: codec.keys[0].id: is missing; allowed: 1 to 50 letters, digits, _ and -`},
		{"one id for two keys", `{keys: [{id: a, key: "${env:NEW}"}, {id: a, key: "${env:OLD}"}]}`,
			`f:1:49: codec.keys[1].id: "a" occurs twice`},
		{"one key under two ids", `{keys: [{id: a, key: "${env:NEW}"}, {id: b, key: "${env:AGAIN}"}]}`,
			"f:1:57: codec.keys[1].key: is the same as that of another id; keys must differ"},
		{"any origin", `{server: {origins: ["*"]}}`, `f:1:28: codec.server.origins[0]: "*" is not an origin; allowed: a scheme and a host such as https://temporal.example, without a path`},
		{"an origin with a path", `{server: {origins: ["https://temporal.example/ui"]}}`,
			`f:1:28: codec.server.origins[0]: "https://temporal.example/ui" is not an origin; allowed: a scheme and a host such as https://temporal.example, without a path`},
		{"an origin with a wildcard", `{server: {origins: ["https://*.example"]}}`,
			`f:1:28: codec.server.origins[0]: "https://*.example" is not an origin; allowed: a scheme and a host such as https://temporal.example, without a path`},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := config.Parse("f", []byte("codec: "+row.codec+"\n"))
			if row.want != "" {
				require.EqualError(t, err, row.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.Codec.Migrating, len(c.Warnings) == 1, "a change-over is not forgotten: %v", c.Warnings)
			for _, key := range c.Codec.Keys {
				require.Len(t, key.Bytes(), 32)
			}
		})
	}
}

func TestAnotherCodecKeyIsAnotherConfiguration(t *testing.T) {
	file := []byte(`codec: {keys: [{id: a, key: "${env:KEY}"}]}`)
	t.Setenv("KEY", codecKey(1))
	one, err := config.Parse("f", file)
	require.NoError(t, err)
	t.Setenv("KEY", codecKey(2))
	other, err := config.Parse("f", file)
	require.NoError(t, err)
	require.NotEqual(t, one.Hash, other.Hash)
}
