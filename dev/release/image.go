package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// imageFile is an OCI image layout in a tar archive, with an image for each platform.
const imageFile = "ringback-image.tar"

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// layout is an image layout in the making: its archive's files.
type layout struct {
	files []file
}

type file struct {
	name    string
	mode    int64
	content []byte
}

const blobs = "blobs/sha256/"

// add adds a blob and returns its descriptor.
func (l *layout) add(mediaType string, content []byte) descriptor {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	l.files = append(l.files, file{blobs + digest, 0o644, content})
	return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(content)}
}

func (l *layout) addJSON(mediaType string, content any) (descriptor, error) {
	text, err := json.Marshal(content)
	return l.add(mediaType, text), err
}

// writeImage writes the image and returns the digest by which all its platforms are pulled.
func (r *release) writeImage() (digest string, err error) {
	run, err := r.runConfig()
	if err != nil {
		return "", err
	}
	l := &layout{}
	var images []descriptor
	for _, platform := range r.platforms {
		image, err := r.addPlatform(l, platform, run)
		if err != nil {
			return "", err
		}
		images = append(images, image)
	}
	index, err := l.addJSON(typeIndex, map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": images})
	if err != nil {
		return "", err
	}
	digest = index.Digest
	index.Annotations = map[string]string{"org.opencontainers.image.ref.name": r.version}
	entry, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{index}})
	if err != nil {
		return "", err
	}
	l.files = append(l.files, file{"index.json", 0o644, entry}, file{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)})
	archive, err := tarred(l.files, r.committed)
	if err != nil {
		return "", err
	}
	return digest, os.WriteFile(filepath.Join(r.folder, imageFile), archive, 0o600)
}

func (r *release) addPlatform(l *layout, platform [2]string, run map[string]any) (descriptor, error) {
	content, err := r.rootFiles(platform)
	if err != nil {
		return descriptor{}, err
	}
	root, err := tarred(content, r.committed)
	if err != nil {
		return descriptor{}, err
	}
	compressed, err := gzipped(root)
	if err != nil {
		return descriptor{}, err
	}
	sum := sha256.Sum256(root)
	config, err := l.addJSON(typeConfig, map[string]any{
		"os": platform[0], "architecture": platform[1], "created": r.committed, "config": run,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return descriptor{}, err
	}
	image, err := l.addJSON(typeManifest, map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []descriptor{l.add(typeLayer, compressed)},
	})
	image.Platform = map[string]string{"os": platform[0], "architecture": platform[1]}
	return image, err
}

// rootFiles are an image's files: what the Dockerfile's image has, and the licenses.
func (r *release) rootFiles(platform [2]string) ([]file, error) {
	files := []file{{"etc/ssl/certs/ca-certificates.crt", 0o644, publicRoots()}}
	for _, program := range programs {
		content, err := os.ReadFile(filepath.Join(r.folder, program+"-"+platform[0]+"-"+platform[1]))
		if err != nil {
			return nil, err
		}
		files = append(files, file{program, 0o755, content})
	}
	for _, name := range []string{"LICENSE", "THIRD-PARTY-LICENSES"} {
		content, err := os.ReadFile(filepath.Join(r.folder, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{"licenses/" + name, 0o644, content})
	}
	return files, nil
}

// publicRoots are Mozilla's certificate authorities, of a version that go.sum holds.
// Those that are trusted with a restriction are left out: a file can't express it.
func publicRoots() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			// Writing into memory does not fail.
			_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return text.Bytes()
}

var (
	user     = regexp.MustCompile(`(?m)^USER (\S+)$`)
	exposed  = regexp.MustCompile(`(?m)^EXPOSE (.+)$`)
	commands = regexp.MustCompile(`(?m)^CMD (\[.+\])$`)
)

// runConfig is how the image runs: as the Dockerfile says.
func (r *release) runConfig() (map[string]any, error) {
	text, err := os.ReadFile(filepath.Join(r.clone, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	who, ports, command := user.FindSubmatch(text), exposed.FindSubmatch(text), commands.FindSubmatch(text)
	if who == nil || ports == nil || command == nil {
		return nil, errors.New("read how the image runs: the Dockerfile lacks USER, EXPOSE or CMD")
	}
	open := map[string]struct{}{}
	for port := range strings.FieldsSeq(string(ports[1])) {
		open[port+"/tcp"] = struct{}{}
	}
	return map[string]any{
		"User": string(who[1]), "ExposedPorts": open, "Cmd": json.RawMessage(command[1]),
		"Labels": map[string]string{"org.opencontainers.image.version": r.version, "org.opencontainers.image.revision": r.revision},
	}, nil
}

// tarred is an archive of files, and of the folders that they are in, of user 0.
func tarred(files []file, at time.Time) ([]byte, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	var folders []string
	for _, f := range files {
		for i, c := range f.name {
			if folder := f.name[:i]; c == '/' && !slices.Contains(folders, folder) {
				folders = append(folders, folder)
				if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755, ModTime: at, Format: tar.FormatUSTAR}); err != nil {
					return nil, err
				}
			}
		}
		header := tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: at, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return archive.Bytes(), err
}

func gzipped(content []byte) ([]byte, error) {
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err := w.Close()
	return compressed.Bytes(), err
}
