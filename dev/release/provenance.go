package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// provenanceFile is an in-toto statement with SLSA provenance v1, unsigned.
const provenanceFile = "provenance.json"

type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// writeProvenance writes from what every file of the folder, and the image, was built.
func (r *release) writeProvenance(image, builder string) error {
	subjects := []resource{{Name: "image", Digest: map[string]string{"sha256": strings.TrimPrefix(image, "sha256:")}}}
	entries, err := os.ReadDir(r.folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == provenanceFile {
			continue // of an earlier run
		}
		subject, err := fileResource(r.folder, entry.Name())
		if err != nil {
			return err
		}
		subjects = append(subjects, subject)
	}
	sources := []resource{
		{Name: "source", Digest: map[string]string{"gitCommit": r.revision}},
		{URI: "pkg:generic/go@" + strings.TrimPrefix(r.info.GoVersion, "go")},
	}
	for _, name := range []string{"go.sum", "dev/go.sum", "tools/go.sum"} {
		sum, err := fileResource(r.clone, name)
		if err != nil {
			return err
		}
		sources = append(sources, sum)
	}
	statement := map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "subject": subjects,
		"predicateType": "https://slsa.dev/provenance/v1",
		"predicate": map[string]any{
			"buildDefinition": map[string]any{
				"buildType":            "urn:ringback:make-release",
				"externalParameters":   map[string]any{"source": sources[0], "version": r.version, "targets": r.targets()},
				"internalParameters":   map[string]string{"script": "scripts/release"},
				"resolvedDependencies": sources,
			},
			"runDetails": map[string]any{"builder": map[string]string{"id": builder}},
		},
	}
	text, err := json.MarshalIndent(statement, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.folder, provenanceFile), append(text, '\n'), 0o600)
}

func (r *release) targets() (all []string) {
	for _, platform := range r.platforms {
		all = append(all, platform[0]+"/"+platform[1])
	}
	return all
}

func fileResource(folder, name string) (resource, error) {
	content, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return resource{}, err
	}
	sum := sha256.Sum256(content)
	return resource{Name: name, Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}}, nil
}
