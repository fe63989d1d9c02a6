package config

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// hashRounds makes guessing a weak password from the hash, which /readyz and the
// metrics show, cost about 20 ms a guess.
const hashRounds = 100_000

// hashOf is the first 12 hexadecimal digits of the SHA-256 over c as YAML, in
// which secrets and the files of certificates do not show, and a slow hash of
// the secrets and the contents of files, by path.
func hashOf(c *Config, secrets map[string]string) (string, error) {
	content, err := yaml.MarshalWithOptions(c, yaml.CustomMarshaler(func(ClientTLS) ([]byte, error) { return []byte("{}"), nil }),
		yaml.CustomMarshaler(func(ServerTLS) ([]byte, error) { return []byte("{}"), nil }))
	if err != nil {
		return "", fmt.Errorf("hash the configuration: %w", err)
	}
	hash := sha256.New()
	hash.Write(content)
	if len(secrets) > 0 {
		var all strings.Builder
		for _, path := range slices.Sorted(maps.Keys(secrets)) {
			fmt.Fprintf(&all, "%q=%q\n", path, secrets[path])
		}
		slow, err := pbkdf2.Key(sha256.New, all.String(), []byte("ringback configuration"), hashRounds, sha256.Size)
		if err != nil {
			return "", fmt.Errorf("hash the secrets: %w", err)
		}
		hash.Write(slow)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))[:12], nil
}
