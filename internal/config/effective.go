package config

import (
	"fmt"
	"maps"
	"net/url"
	"os"

	"github.com/goccy/go-yaml"
)

// Effective is c as a YAML file: defaults filled in, what is not set left out,
// and each secret and the query of each URL, which may be one, as "[redacted]".
// But for those it is read as c again.
func (c *Config) Effective() ([]byte, error) {
	shown := *c
	if shown.Notices.Endpoint == "" {
		shown.Notices = Notices{} // the rest of it has no effect then, and is refused
	}
	shown.Endpoints = maps.Clone(c.Endpoints)
	for name, e := range shown.Endpoints {
		e.URL = withoutQuery(e.URL)
		shown.Endpoints[name] = e
	}
	content, err := yaml.MarshalWithOptions(shown, yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("write the configuration as YAML: %w", err)
	}
	return content, nil
}

// MarshalYAML is the URL alone where there is nothing else.
func (b BaseURL) MarshalYAML() (any, error) {
	if !b.TLS.isSet() {
		return b.URL, nil
	}
	type both BaseURL
	return both(b), nil
}

func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.RawQuery == "" {
		return raw
	}
	u.RawQuery = ""
	return u.String() + "?" + redacted
}

// FileWarnings are about the file's own permissions: anyone who can change it
// decides where callbacks go. Load warns of its content.
func FileWarnings(path string) []string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o006 == 0 {
		return nil
	}
	can := "read"
	if info.Mode().Perm()&0o002 != 0 {
		can = "change"
	}
	return []string{fmt.Sprintf("%s: every user of this machine can %s this file (mode %04o): 0600 would do", path, can, info.Mode().Perm())}
}
