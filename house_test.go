package ringback_test

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// command runs a program in the repository's root.
func command(t *testing.T, name string, arguments ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, arguments...).Output()
	require.NoErrorf(t, err, "%s %s", name, strings.Join(arguments, " "))
	return strings.Fields(string(out))
}

const temporalServer = "go.temporal.io/server"

func TestTheRootModuleNeverDependsOnTheTemporalServer(t *testing.T) {
	t.Parallel()
	modules := command(t, "go", "list", "-m", "-f", "{{.Path}}", "all")
	require.Contains(t, modules, "go.temporal.io/sdk", "the list is that of our module")
	require.NotContains(t, modules, temporalServer)
	for _, imported := range command(t, "go", "list", "-deps", "-test", "./...") {
		require.Falsef(t, strings.HasPrefix(imported, temporalServer), "%s is imported", imported)
	}
}

// rules are depguard's in .golangci.yml, each with the files that it is for.
func rules(t *testing.T) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(".golangci.yml")
	require.NoError(t, err)
	var file struct {
		Linters struct {
			Enable   []string
			Settings struct {
				Depguard struct {
					Rules map[string]struct{ Files []string }
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(content, &file))
	require.Contains(t, file.Linters.Enable, "depguard")
	files := map[string][]string{}
	for name, rule := range file.Linters.Settings.Depguard.Rules {
		files[name] = rule.Files
	}
	return files
}

// packages are the folders of the root module that hold Go files other than tests.
func packages(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipped(name, entry.Name())
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			found[filepath.ToSlash(filepath.Dir(name))] = true
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return slices.Sorted(maps.Keys(found))
}

// skipped leaves out the nested modules and what is no package.
func skipped(name, base string) error {
	nested := name == "dev" || name == "tools"
	if nested || base == "testdata" || base != "." && strings.HasPrefix(base, ".") {
		return filepath.SkipDir
	}
	return nil
}

func TestEveryPackageHasItsImportRule(t *testing.T) {
	t.Parallel()
	rules := rules(t)
	packages := packages(t)
	for _, folder := range packages {
		require.Containsf(t, rules[folder], "**/"+path.Clean(folder)+"/*.go", ".golangci.yml has no depguard rule %s for that folder", folder)
		delete(rules, folder)
	}
	delete(rules, "root")
	require.Empty(t, rules, "rules of packages that are not there")
}

func TestNothingCommittedNamesAMachineOrARegistry(t *testing.T) {
	t.Parallel()
	// [/] stands for a slash, so that no pattern matches itself.
	forbidden := regexp.MustCompile(`[/](work|root|farm)[/]|proxy[.]golang|registry[.]npmjs|deb[.]debian|[.]library[/]`)
	for _, name := range command(t, "git", "ls-files") {
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		require.NoError(t, err)
		require.Emptyf(t, forbidden.FindString(string(content)), "%s", name)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
}

// target are the commands of a target of the Makefile.
func target(t *testing.T, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + `:.*\n((?:\t.*\n)+)`).FindStringSubmatch(read(t, "Makefile"))
	require.NotNil(t, found, name)
	return found[1]
}

func TestMakeSaysWhichGoIsMissing(t *testing.T) {
	t.Parallel()
	makeProgram, err := exec.LookPath("make")
	require.NoError(t, err)
	needed := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "go.mod"))[1]
	for name, tc := range map[string]struct{ says, want string }{
		"none":                  {"", "built with go" + needed + " or later, and no go is on PATH"},
		"an old one":            {"go version go1.19.8 linux/amd64", "and go1.19.8 is on PATH"},
		"the one before":        {"go version go1.26.7 linux/amd64", "and go1.26.7 is on PATH"},
		"the very one":          {"go version go" + needed + " linux/amd64", ""},
		"one of the next years": {"go version go1.100.1 linux/amd64", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			for _, tool := range []string{"sed", "cut", "sort", "head"} {
				found, err := exec.LookPath(tool)
				require.NoError(t, err)
				require.NoError(t, os.Symlink(found, filepath.Join(path, tool)))
			}
			if tc.says != "" {
				require.NoError(t, os.WriteFile(filepath.Join(path, "go"), []byte("#!/bin/sh\necho "+tc.says+"\n"), 0o700))
			}
			cmd := exec.CommandContext(t.Context(), makeProgram, "--no-print-directory", "need-go")
			cmd.Env = []string{"PATH=" + path}
			said, err := cmd.CombinedOutput()
			require.Equal(t, tc.want == "", err == nil, string(said))
			require.Contains(t, string(said), tc.want)
		})
	}
}

func TestEveryTargetThatRunsGoAsksForItFirst(t *testing.T) {
	t.Parallel()
	makefile := read(t, "Makefile")
	var asking []string
	for _, found := range regexp.MustCompile(`(?m)^(.+): need-go$`).FindAllStringSubmatch(makefile, -1) {
		asking = append(asking, strings.Fields(found[1])...)
	}
	all := strings.Fields(regexp.MustCompile(`(?m)^\.PHONY: (.+)$`).FindStringSubmatch(makefile)[1])
	require.ElementsMatch(t, all, append(asking, "help", "lint", "clean", "need-go"))
}

// CI runs make test, which has every test of the root module, and make test-long, which
// has every test of dev/: whatever the first leaves out, the second does not. The one
// test behind a build tag has make compose-test.
func TestEveryTestRunsInCI(t *testing.T) {
	t.Parallel()
	require.Contains(t, target(t, "test"), "\tgo test -timeout 10m ./...\n")
	require.Contains(t, target(t, "test-long"), "\tgo -C dev test -timeout 40m ./...\n")
	ci, err := os.ReadFile(".ci/run")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^for step in test lint test-race test-long .* compose-test; do$`, string(ci))
	modules := command(t, "git", "ls-files", "*go.mod")
	require.ElementsMatch(t, []string{"go.mod", "dev/go.mod", "tools/go.mod"}, modules, "the tests of each module run somewhere")
}

func TestNoTestSkipsItself(t *testing.T) {
	t.Parallel()
	skips := regexp.MustCompile(`\b(t|b|f|rt)\.Skip(f|Now)?\(`)
	for _, name := range command(t, "git", "ls-files", "*_test.go") {
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		require.NoError(t, err)
		require.NotRegexpf(t, skips, string(content), "%s", name)
	}
}
