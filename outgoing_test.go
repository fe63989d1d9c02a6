package ringback_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Nothing calls out but by the egress guard's clients (docs/adr/0013): what makes a
// client, a transport or a connection stands in these files alone.
func TestOutgoingConnectionsAreMadeByTheEgressGuardAlone(t *testing.T) {
	t.Parallel()
	makes := regexp.MustCompile(`http\.(Client|Transport)\{|http\.Default(Client|Transport)|net\.Dial|net\.Dialer|tls\.Dial|http\.(Get|Post|Head|PostForm)\(`)
	allowed := map[string]string{
		"internal/egress/guard.go":         "the guard",
		"internal/egress/dial.go":          "the guard",
		"internal/app/temporal_mistake.go": "the programs ask Temporal, which the operator names, whether it speaks TLS",
		"api/client/tls.go":                "the client calls the API that its user names",
		"starter/connect.go":               "the command line calls the API that its user names",
	}
	found := map[string]bool{}
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == "dev" || path == "tools" || path == "bin" || strings.HasPrefix(path, ".git")):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		code, err := os.ReadFile(path)
		if err == nil && makes.Match(code) {
			found[filepath.ToSlash(path)] = true
			require.Contains(t, allowed, filepath.ToSlash(path), "it makes a connection of its own")
		}
		return err
	}))
	for path := range allowed {
		require.True(t, found[path], "%s makes none any more: take it off the list", path)
	}
}
