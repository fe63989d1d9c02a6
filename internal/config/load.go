package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Load reads the file at path. Its error is a joined list of *Fault, one a
// line, or says that the file cannot be read.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", Denied(err, "0640"))
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("read configuration: %s is larger than %d bytes", path, maxFileBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", Denied(err, "0640"))
	}
	c, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	inline := ""
	if name := c.withQuery(); name != "" {
		inline = ", and the query of " + pathTo("endpoints", name) + ".url may hold a secret"
	}
	if open := openToAll(info.Mode(), inline != ""); open != "" && info.Mode().IsRegular() {
		c.Warnings = append([]string{path + ": " + open + inline}, c.Warnings...)
	}
	return c, nil
}

// withQuery names an endpoint whose URL has a query, which is written here in full.
func (c *Config) withQuery() string {
	for _, name := range slices.Sorted(maps.Keys(c.Endpoints)) {
		if url := c.Endpoints[name].URL; withoutQuery(url) != url {
			return name
		}
	}
	return ""
}

// openToAll says what every user of the machine may do to a file of that mode, and how
// to mend it; empty where that is right. Who can change a file decides where callbacks
// go, and what is trusted.
func openToAll(mode fs.FileMode, secret bool) string {
	switch {
	case mode.Perm()&0o002 != 0:
		return fmt.Sprintf("every user of this machine can change this file (mode %04o): chmod o-w", mode.Perm())
	case secret && mode.Perm()&0o004 != 0:
		return fmt.Sprintf("every user of this machine can read this file (mode %04o): 0640 will do, with the group of the programs (65532 in the image)", mode.Perm())
	}
	return ""
}

// Denied adds to an error about permissions who the program is, since a machine knows the
// image's user by no name, and the mode that the file, or the folder where it is, should
// have for its group.
func Denied(err error, mode string) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w to this program's user %d and group %d: give it that owner, or that group and mode %s; its folder must let it in, too", err, os.Getuid(), os.Getgid(), mode)
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
