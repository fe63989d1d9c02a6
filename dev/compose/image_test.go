package compose_test

import (
	"database/sql"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

func query(t *testing.T, dsn, statement string) string {
	t.Helper()
	db, err := sql.Open("postgres", dsn+"?sslmode=disable")
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	var value string
	require.NoError(t, db.QueryRowContext(t.Context(), statement).Scan(&value))
	return value
}

// TestTheImageIsBuiltFromWhatItIsGiven runs the Dockerfile's build on the files
// that .dockerignore lets through, and looks at what comes out.
func TestTheImageIsBuiltFromWhatItIsGiven(t *testing.T) {
	t.Parallel()
	context, out := t.TempDir(), t.TempDir()
	copyContext(t, context)
	_, err := os.Stat(filepath.Join(context, "dev"))
	require.ErrorIs(t, err, os.ErrNotExist, "the context is the product alone")

	build := regexp.MustCompile(`(?s)CGO_ENABLED=0 go build .*?\n`).FindString(read(t, "Dockerfile"))
	require.NotEmpty(t, build)
	require.Contains(t, read(t, "Dockerfile"), "\nARG VERSION=local\n", "an image always has a version")
	build = strings.Replace(build, "/out/", out+"/", 1)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", build)
	cmd.Dir, cmd.Env = context, append(os.Environ(), "VERSION=v1.2.3")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))

	for _, program := range []string{"api", "worker", "starter"} {
		require.Contains(t, read(t, "Dockerfile"), "/out/"+program, "copied into the image")
		requireStatic(t, filepath.Join(out, program))
		said, err := exec.CommandContext(t.Context(), filepath.Join(out, program), "-version").CombinedOutput()
		require.NoError(t, err)
		require.Equal(t, program+" version v1.2.3\n", string(said))
	}
}

func requireStatic(t *testing.T, program string) {
	t.Helper()
	file, err := elf.Open(program)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	libraries, err := file.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
	for _, segment := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, segment.Type, "it wants a loader, and the image has none")
	}
}

// copyContext copies what .dockerignore, which ignores all and takes back by
// name, lets through.
func copyContext(t *testing.T, to string) {
	t.Helper()
	for line := range strings.Lines(read(t, ".dockerignore")) {
		taken, ok := strings.CutPrefix(strings.TrimSpace(line), "!")
		if !ok {
			continue
		}
		err := filepath.WalkDir(filepath.Join(root, taken), func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			if entry.IsDir() || strings.HasSuffix(name, "_test.go") {
				return nil
			}
			relative, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			return copyFile(name, filepath.Join(to, relative))
		})
		require.NoError(t, err)
	}
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}

func TestTheImageRunsAsNobody(t *testing.T) {
	t.Parallel()
	lines := strings.Split(read(t, "Dockerfile"), "\n")
	last := ""
	for _, line := range lines {
		if strings.HasPrefix(line, "USER ") {
			last = line
		}
	}
	require.Equal(t, "USER 65532:65532", last)
	require.Contains(t, lines, "FROM scratch", "nothing in it but the programs")
}
