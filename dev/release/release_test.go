package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// builtFolder is a folder with three programs of one platform, which are all this one:
// a program that the go command built from a commit.
func builtFolder(t *testing.T) string {
	t.Helper()
	clone, folder := t.TempDir(), t.TempDir()
	for name, content := range map[string]string{"go.mod": "module ringback\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() {}\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(clone, name), []byte(content), 0o600))
	}
	for _, arguments := range []string{
		"git init --quiet", "git add .", "git -c user.name=t -c user.email=t@example.com commit --quiet --message=one",
		"go build -trimpath -buildvcs=true -o " + filepath.Join(folder, "api-linux-amd64") + " .",
	} {
		words := strings.Fields(arguments)
		command := exec.CommandContext(t.Context(), words[0], words[1:]...)
		command.Dir, command.Env = clone, append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0", "GOWORK=off")
		output, err := command.CombinedOutput()
		require.NoErrorf(t, err, "%s: %s", arguments, output)
	}
	program, err := os.ReadFile(filepath.Join(folder, "api-linux-amd64"))
	require.NoError(t, err)
	for _, name := range []string{"worker-linux-amd64", "starter-linux-amd64", "api-linux-amd64.cdx.json", "LICENSE", "THIRD-PARTY-LICENSES"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), program, 0o600))
	}
	return folder
}

const root = "../.." // the clone whose Dockerfile and go.sum files are read

// unpacked are the files of an archive.
func unpacked(t *testing.T, archive io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		require.Zero(t, header.Uid)
		files[header.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return content
}

func TestTheImageIsThatOfTheDockerfileAndTheSameAgain(t *testing.T) {
	t.Parallel()
	folder := builtFolder(t)
	require.NoError(t, pack(root, folder, "urn:test"))
	archive := read(t, folder, imageFile)
	require.NoError(t, pack(root, folder, "urn:test"))
	require.Equal(t, sha(archive), sha(read(t, folder, imageFile)))

	files := unpacked(t, bytes.NewReader(archive))
	blob := func(d descriptor) []byte {
		content := files[blobs+strings.TrimPrefix(d.Digest, "sha256:")]
		require.Equal(t, d.Digest, "sha256:"+sha(content))
		require.Len(t, content, d.Size)
		return content
	}
	var list struct{ Manifests []descriptor }
	require.NoError(t, json.Unmarshal(files["index.json"], &list))
	require.NoError(t, json.Unmarshal(blob(list.Manifests[0]), &list))
	require.Equal(t, map[string]string{"os": "linux", "architecture": "amd64"}, list.Manifests[0].Platform)
	var image struct {
		Config descriptor
		Layers []descriptor
	}
	require.NoError(t, json.Unmarshal(blob(list.Manifests[0]), &image))
	var config struct {
		Config struct {
			User         string
			Cmd          []string
			ExposedPorts map[string]any
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	require.NoError(t, json.Unmarshal(blob(image.Config), &config))
	require.Equal(t, "65532:65532", config.Config.User)
	require.Equal(t, "/api", config.Config.Cmd[0])
	require.Contains(t, config.Config.ExposedPorts, "8080/tcp")

	compressed, err := gzip.NewReader(bytes.NewReader(blob(image.Layers[0])))
	require.NoError(t, err)
	layer, err := io.ReadAll(compressed)
	require.NoError(t, err)
	require.Equal(t, []string{"sha256:" + sha(layer)}, config.RootFS.DiffIDs)
	require.True(t, bytes.HasSuffix(layer, make([]byte, 1024)), "other programs than Go's miss the archive's end")
	content := unpacked(t, bytes.NewReader(layer))
	require.Equal(t, sha(read(t, folder, "worker-linux-amd64")), sha(content["worker"]))
	require.Greater(t, strings.Count(string(content["etc/ssl/certs/ca-certificates.crt"]), "BEGIN CERTIFICATE"), 100)
}

func TestTheProvenanceNamesEveryFileAndItsSource(t *testing.T) {
	t.Parallel()
	folder := builtFolder(t)
	require.NoError(t, pack(root, folder, "urn:test"))
	var statement struct {
		Subject   []resource
		Predicate struct {
			BuildDefinition struct{ ResolvedDependencies []resource }
			RunDetails      struct{ Builder struct{ ID string } }
		}
	}
	require.NoError(t, json.Unmarshal(read(t, folder, provenanceFile), &statement))
	named := map[string]string{}
	for _, subject := range statement.Subject {
		named[subject.Name] = subject.Digest["sha256"]
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, named, len(entries), "the files without the provenance, and the image's digest")
	for _, entry := range entries {
		if entry.Name() != provenanceFile {
			require.Equal(t, sha(read(t, folder, entry.Name())), named[entry.Name()], entry.Name())
		}
	}
	require.Equal(t, "urn:test", statement.Predicate.RunDetails.Builder.ID)
	sources := statement.Predicate.BuildDefinition.ResolvedDependencies
	require.Len(t, sources[0].Digest["gitCommit"], 40)
	require.Contains(t, sources, resource{Name: "go.sum", Digest: map[string]string{"sha256": sha(read(t, root, "go.sum"))}})
}

func TestAFolderWithoutProgramsIsRefused(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, pack(root, t.TempDir(), ""), "there is no api-OS-ARCHITECTURE")
}
