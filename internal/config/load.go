package config

import (
	"fmt"
	"os"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Load reads the file at path. Its error is a joined list of *Fault, one a
// line, or says that the file cannot be read.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("read configuration: %s is larger than %d bytes", path, maxFileBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// FileWarnings are about the permissions of the file at path: anyone who can change
// it decides where callbacks go.
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

// Parse reads data as the content of the file called name.
func Parse(name string, data []byte) (*Config, error) {
	d := &decoder{file: name, positions: map[string]*token.Position{}, anchors: map[string]ast.Node{}, secrets: map[string]string{}}
	c := &Config{API: API{
		Listen:    "127.0.0.1:8080",
		RateLimit: RateLimit{PerSecond: 200, Burst: 400, ChangesPerSecond: 2000, ChangesBurst: 4000},
	}, Telemetry: Telemetry{Listen: "127.0.0.1:9464", Traces: Traces{Ratio: 1}}, Notices: Notices{FailingAfter: 20}, Codec: Codec{Required: true}}
	if d.decode(data, c) {
		(&validator{decoder: d, config: c}).validate()
	}
	if err := join(d.faults); err != nil {
		return nil, err
	}
	c.Warnings = d.warnings
	var err error
	c.Hash, c.PageKey, err = hashOf(c, d.secrets)
	return c, err
}
