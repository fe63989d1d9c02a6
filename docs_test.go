package ringback_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"ringback/internal/config"
	"ringback/internal/dialect"
	"ringback/internal/source"
)

var (
	fenced      = regexp.MustCompile("(?s)```.*?```")
	inlineCode  = regexp.MustCompile("`[^`\n]*`")
	headings    = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	linkTargets = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	goFiles     = regexp.MustCompile("`((?:[a-z0-9_]+/)+[a-z0-9_]+\\.go)`")
	firstCells  = regexp.MustCompile(`(?m)^\|[^|]+\|`)
	yamlBlock   = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	// promise is a heading of docs/promises.md; promised is a reference to promises,
	// "promise 5" or "promises 3, 4 and 12".
	promise  = regexp.MustCompile(`(?m)^## Promise (\d+): .+$`)
	promised = regexp.MustCompile(`(?i)\bpromises? (\d+(?:(?:,| and|, and) \d+)*)`)
	number   = regexp.MustCompile(`\d+`)
	// testName is a test as documents name it.
	testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	// whose are the folders that hold no document of ours.
	whose = regexp.MustCompile(`(^|/)(\.git|bin|node_modules|testdata)(/|$)`)
)

// documents are our Markdown files by name, what is fenced left out.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(".", func(name string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && whose.MatchString(filepath.ToSlash(name)):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		content, err := os.ReadFile(name)
		found[name] = fenced.ReplaceAllString(string(content), "")
		return err
	}))
	require.Contains(t, found, "README.md")
	return found
}

// TestEngineersGetTheKeyThatTheRunbookNeeds: the drill types the runbook with that key.
func TestEngineersGetTheKeyThatTheRunbookNeeds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "deploy/ringback.example.yml", "dev/drill/site.go"} {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Regexpf(t, `\{name: engineers, sha256: \S+, scopes: \[read, redeliver, ping\]\}`, string(content), "%s", name)
	}
}

// TestNoDocumentUsesAFlagThatOlderCurlsLack: --json came with curl 7.82.
func TestNoDocumentUsesAFlagThatOlderCurlsLack(t *testing.T) {
	t.Parallel()
	for name := range documents(t) {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotContainsf(t, string(content), " --json ", "%s: -H 'Content-Type: application/json' -d does the same", name)
	}
}

// anchors are a document's headings as code hosts write them in an address.
func anchors(document string) []string {
	var all []string
	for _, heading := range headings.FindAllStringSubmatch(document, -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading[1])))
	}
	return all
}

func TestEveryLinkBetweenDocumentsLeadsSomewhere(t *testing.T) {
	t.Parallel()
	documents := documents(t)
	for name, document := range documents {
		for _, link := range linkTargets.FindAllStringSubmatch(inlineCode.ReplaceAllString(document, ""), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(link[1], "#")
			target := name
			if file != "" {
				target = filepath.Join(filepath.Dir(name), filepath.FromSlash(file))
			}
			_, err := os.Stat(target)
			require.NoErrorf(t, err, "%s links to %s", name, link[1])
			if anchor != "" {
				require.Containsf(t, anchors(documents[target]), anchor, "%s links to %s", name, link[1])
			}
		}
	}
}

func TestEveryGoFileThatADocumentNamesExists(t *testing.T) {
	t.Parallel()
	for name, document := range documents(t) {
		for _, file := range goFiles.FindAllStringSubmatch(document, -1) {
			if !strings.Contains(file[1], "ostriv") { // the example of a new dialect and source
				require.FileExistsf(t, file[1], "%s names it", name)
			}
		}
	}
}

// TestTheWayOfAnOperationIsTrue holds that the functions, methods, types and files
// that docs/design/one-operation.md names exist.
func TestTheWayOfAnOperationIsTrue(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("docs/design/one-operation.md")
	require.NoError(t, err)
	var source strings.Builder
	for _, name := range command(t, "git", "ls-files", "workflows/*.go", "activities/*.go", "api/*.go", "internal/*.go") {
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		require.NoError(t, err)
		source.Write(content)
	}
	for _, code := range regexp.MustCompile("`([^`\\s]+)`").FindAllStringSubmatch(string(document), -1) {
		name := code[1]
		of, member, dotted := strings.Cut(name, ".")
		switch {
		case strings.HasSuffix(name, ".go"):
			require.FileExists(t, name)
		case dotted:
			declared := regexp.MustCompile(`(?m)^func \(\w+ \*?` + of + `\) ` + member + `\(|^type ` + member + ` |^\t` + member + ` +\S`)
			require.Regexpf(t, declared, source.String(), "%s is not declared", name)
		}
	}
	steps := regexp.MustCompile(`(?m)^\d+\. `).FindAllString(string(document), -1)
	require.LessOrEqual(t, len(steps), 40)
}

// promises are the chapters of docs/promises.md by their number.
func promises(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile("docs/promises.md")
	require.NoError(t, err)
	chapters := map[string]string{}
	starts := promise.FindAllStringSubmatchIndex(string(content), -1)
	for i, at := range starts {
		end := len(content)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		number := string(content[at[2]:at[3]])
		require.NotContainsf(t, chapters, number, "promise %s has two headings", number)
		chapters[number] = string(content[at[1]:end])
	}
	require.NotEmpty(t, chapters)
	return chapters
}

func TestEveryPromiseThatCodeNamesHasItsChapter(t *testing.T) {
	t.Parallel()
	chapters := promises(t)
	for _, name := range command(t, "git", "ls-files", "*.go", "*.md") {
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		require.NoError(t, err)
		for _, reference := range promised.FindAllStringSubmatch(string(content), -1) {
			for _, n := range number.FindAllString(reference[1], -1) {
				require.Containsf(t, chapters, n, "%s names %q, which docs/promises.md does not have", name, reference[0])
			}
		}
	}
}

func TestEveryPromiseNamesItsTests(t *testing.T) {
	t.Parallel()
	for n, chapter := range promises(t) {
		_, line, found := strings.Cut(chapter, "\nTests: ")
		require.Truef(t, found, "promise %s names no tests", n)
		line, _, _ = strings.Cut(line, "\n")
		requireTests(t, "promise "+n, line)
	}
}

func TestEveryTestThatADocumentNamesExists(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, name := range command(t, "git", "ls-files", "*_test.go") {
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		require.NoError(t, err)
		for _, test := range declaration.FindAllStringSubmatch(string(content), -1) {
			declared[test[1]] = true
		}
	}
	for name, document := range documents(t) {
		for _, test := range testName.FindAllStringSubmatch(document, -1) {
			require.Containsf(t, declared, test[1], "%s names it", name)
		}
	}
}

func TestTheConfigurationInTheREADMEIsGood(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	block := yamlBlock.FindStringSubmatch(string(readme))
	require.NotNil(t, block)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mac.key"), []byte("of no use\n"), 0o600))
	t.Setenv("WSGATE_PASSWORD", "of no use")
	t.Setenv("LEDGER_SECRET", "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	c, err := config.Parse(filepath.Join(dir, "ringback.yml"), []byte(block[1]))
	require.NoError(t, err)
	require.Empty(t, c.Warnings)
}

func TestEveryKeyOfTheConfigurationIsDocumented(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("docs/configuration.md")
	require.NoError(t, err)
	named := strings.Join(firstCells.FindAllString(string(document), -1), "")
	var c config.Config
	for _, section := range []any{c.API, c.Egress, c.Telemetry, config.Source{}, config.Endpoint{}} {
		for _, key := range keysOf(reflect.TypeOf(section)) {
			require.Containsf(t, named, "`"+key+"`", "a key of %T", section)
		}
	}
}

// TestEveryKeyOfKindsAndDialectsIsDocumented: each part of the page has its own tables.
func TestEveryKeyOfKindsAndDialectsIsDocumented(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("docs/kinds-and-dialects.md")
	require.NoError(t, err)
	kind, rest, _ := strings.Cut(string(document), "\n## A dialect\n")
	dialects, examples, _ := strings.Cut(rest, "\n## Examples\n")
	ofKinds, ofDialects, found := strings.Cut(examples, "| key of a dialect's example |")
	require.True(t, found)
	for _, part := range []struct {
		text       string
		definition any
	}{
		{kind, source.Definition{}}, {dialects, dialect.Definition{}}, {ofKinds, source.Example{}}, {ofDialects, dialect.Example{}},
	} {
		named := strings.Join(firstCells.FindAllString(part.text, -1), "")
		for _, key := range keysOf(reflect.TypeOf(part.definition)) {
			whole, _, inside := strings.Cut(key, ".")
			if inside && whole == "details_request" || whole == "examples[]" {
				key = strings.TrimSuffix(whole, "[]") // as the request, and in tables of their own
			}
			key = strings.TrimSuffix(key, ".<name>")
			require.Regexpf(t, "`"+regexp.QuoteMeta(key)+"(`|\\.<)", named, "a key of %T", part.definition)
		}
	}
}

// keysOf are the keys of a section, those within others with a dot between.
func keysOf(section reflect.Type) []string {
	var keys []string
	for i := range section.NumField() {
		key, _, _ := strings.Cut(section.Field(i).Tag.Get("yaml"), ",")
		of := section.Field(i).Type
		if key == "" || key == "-" {
			continue
		}
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		switch within := yamlFields(of); {
		case of.Kind() == reflect.Slice && len(yamlFields(of.Elem())) > 0:
			keys = append(keys, under(key+"[]", yamlFields(of.Elem()))...)
		case of.Kind() == reflect.Map:
			keys = append(keys, key+".<name>")
		case len(within) > 0:
			keys = append(keys, under(key, within)...)
		default:
			keys = append(keys, key)
		}
	}
	return keys
}

func yamlFields(of reflect.Type) []string {
	if of.Kind() != reflect.Struct {
		return nil
	}
	return keysOf(of)
}

func under(key string, within []string) []string {
	keys := make([]string, len(within))
	for i, inner := range within {
		keys[i] = key + "." + inner
	}
	return keys
}
