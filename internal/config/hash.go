package config

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/goccy/go-yaml"
)

// hashRounds makes guessing a weak password from the hash, which /readyz and the
// metrics show, cost about 20 ms a guess.
const hashRounds = 100_000

// hashOf is 12 hexadecimal digits of a slow hash over c as YAML, without the paths
// of certificates, and over the secrets and the contents of files, by path.
// rest is 26 bytes more of it, which nothing shows.
func hashOf(c *Config, secrets map[string]string) (shown string, rest []byte, err error) {
	content, err := yaml.MarshalWithOptions(c, append(treesAsJSON,
		yaml.CustomMarshaler(func(ClientTLS) ([]byte, error) { return []byte("{}"), nil }),
		yaml.CustomMarshaler(func(ServerTLS) ([]byte, error) { return []byte("{}"), nil }))...)
	if err != nil {
		return "", nil, fmt.Errorf("hash the configuration: %w", err)
	}
	for _, path := range slices.Sorted(maps.Keys(secrets)) {
		content = fmt.Appendf(content, "%q=%q\n", path, secrets[path])
	}
	hash, err := pbkdf2.Key(sha256.New, string(content), []byte("ringback configuration"), hashRounds, sha256.Size)
	if err != nil {
		return "", nil, fmt.Errorf("hash the configuration: %w", err)
	}
	return fmt.Sprintf("%x", hash[:6]), hash[6:], nil
}
