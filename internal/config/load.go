package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"ringback/internal/operation"
)

// Load reads the file at path. Its error is a joined list of *Fault, one a
// line, or says that the file cannot be read.
func Load(path string) (*Config, error) {
	c, _, err := Read(path)
	return c, err
}

// Read is Load, and says what was read, also where there is an error. What can be read
// only once, such as a pipe, has no files: it can't change.
func Read(path string) (*Config, Files, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		c, err := load(path, readOnce, Files{})
		return c, Files{}, err
	}
	return ReadAgain(path)
}

// ReadAgain is Read of a regular file alone: another one, in its place, would be waited for.
func ReadAgain(path string) (*Config, Files, error) {
	files := Files{}
	c, err := load(path, files.read, files)
	return c, files, err
}

func load(path string, read func(string) ([]byte, fs.FileMode, error), files Files) (*Config, error) {
	data, mode, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := parse(path, data, files)
	if err != nil {
		return nil, err
	}
	inline := ""
	if path := c.withQuery(); path != "" {
		inline = ", and the query of " + path + " may hold a secret"
	}
	if open := openToAll(mode, inline != ""); open != "" {
		c.Warnings = append([]string{path + ": " + open + inline}, c.Warnings...)
	}
	return c, nil
}

// withQuery is the path of a URL that has a query, which is written here in full.
func (c *Config) withQuery() string {
	urls := map[string]string{"telemetry.traces.endpoint": c.Telemetry.Traces.Endpoint}
	token := func(path string, a Auth) {
		if a.OAuth2 != nil {
			urls[path+".auth.oauth2.token_url"] = a.OAuth2.TokenURL
		}
	}
	for name, e := range c.Endpoints {
		path := pathTo("endpoints", name)
		urls[path+".url"] = e.URL
		token(path, e.Auth)
	}
	for name, s := range c.Sources {
		token(pathTo("sources", name), s.Auth)
	}
	for _, path := range slices.Sorted(maps.Keys(urls)) {
		if url := urls[path]; operation.WithoutQuery(url) != url {
			return path
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

// newConfig is the configuration of a file that says nothing.
func newConfig() *Config {
	return &Config{API: API{
		Listen:    "127.0.0.1:8080",
		RateLimit: RateLimit{PerSecond: 200, Burst: 400, ChangesPerSecond: 2000, ChangesBurst: 4000},
	}, Telemetry: Telemetry{Listen: "127.0.0.1:9464", Traces: Traces{Ratio: 1}}, Notices: Notices{FailingAfter: 20}, Codec: Codec{Required: true}}
}

// Parse reads data as the content of the file called name.
func Parse(name string, data []byte) (*Config, error) { return parse(name, data, Files{}) }

// lineBreaks makes each line break of YAML (1.2, 5.4) the one by which lines are counted.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// parse is Parse; files gets what the file names.
func parse(name string, data []byte, files Files) (*Config, error) {
	text := lineBreaks.Replace(string(bytes.TrimPrefix(data, []byte("\uFEFF"))))
	d := &decoder{
		file: name, files: files, lines: strings.Split(text, "\n"), positions: map[string]*token.Position{},
		texts: map[string]ast.Node{}, anchors: map[string]ast.Node{}, secrets: map[string]string{},
	}
	c := newConfig()
	if d.decode(text, c) {
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
