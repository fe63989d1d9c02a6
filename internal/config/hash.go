package config

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// hashRounds makes guessing a weak password from the hash, which anybody who
// reads /readyz or the metrics sees, cost about 20 ms a guess.
const hashRounds = 100_000

// hashOf is the first 12 hexadecimal digits of the SHA-256 over the canonical
// configuration (JSON, in which secrets and paths of files do not show) and a
// slow hash of what is sealed: secrets and the contents of files, by path.
func hashOf(c *Config, sealed map[string]string) (string, error) {
	canonical, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write the configuration as JSON: %w", err)
	}
	hash := sha256.New()
	hash.Write(canonical)
	if len(sealed) > 0 {
		var all strings.Builder
		for _, path := range slices.Sorted(maps.Keys(sealed)) {
			fmt.Fprintf(&all, "%q=%q\n", path, sealed[path])
		}
		slow, err := pbkdf2.Key(sha256.New, all.String(), []byte("ringback configuration"), hashRounds, sha256.Size)
		if err != nil {
			return "", fmt.Errorf("hash the secrets: %w", err)
		}
		hash.Write(slow)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))[:12], nil
}
