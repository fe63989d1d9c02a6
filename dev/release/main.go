// The program release packs what scripts/release built: it writes the container image
// and the provenance of all files into their folder. The same programs give the same
// bytes, whenever and wherever it runs.
//
//	release [-builder URI] CLONE FOLDER
//
// CLONE is the repository that the programs were built from; FOLDER holds them as
// PROGRAM-OS-ARCHITECTURE.
package main

import (
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

func main() {
	builder := flag.String("builder", "urn:ringback:unattested-builder", "`URI` of who built, as verifiers of provenance know it")
	flag.Parse()
	if err := pack(flag.Arg(0), flag.Arg(1), *builder); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func pack(clone, folder, builder string) error {
	r, err := findRelease(clone, folder)
	if err != nil {
		return err
	}
	digest, err := r.writeImage()
	if err != nil {
		return fmt.Errorf("write the image into %s: %w", folder, err)
	}
	if err := r.writeProvenance(digest, builder); err != nil {
		return fmt.Errorf("write the provenance into %s: %w", folder, err)
	}
	fmt.Printf("release: version %s, image %s\n", r.version, digest)
	return nil
}

// release is what was built, as the programs themselves say.
type release struct {
	clone, folder string
	// platforms are those with programs: [os, architecture].
	platforms         [][2]string
	version, revision string
	committed         time.Time
	info              *buildinfo.BuildInfo
}

var programs = []string{"api", "worker", "starter"}

var platformOf = regexp.MustCompile(`/api-([a-z0-9]+)-([a-z0-9]+)$`)

func findRelease(clone, folder string) (*release, error) {
	found, err := filepath.Glob(filepath.Join(folder, "api-*"))
	if err != nil {
		return nil, err
	}
	r := &release{clone: clone, folder: folder}
	for _, path := range found {
		name := platformOf.FindStringSubmatch(filepath.ToSlash(path))
		if name == nil {
			continue // its SBOM
		}
		if r.info, err = buildinfo.ReadFile(path); err != nil {
			return nil, err
		}
		r.platforms = append(r.platforms, [2]string{name[1], name[2]})
	}
	if r.info == nil {
		return nil, fmt.Errorf("find programs in %s: there is no api-OS-ARCHITECTURE", folder)
	}
	r.version, r.revision = r.info.Main.Version, r.setting("vcs.revision")
	if r.revision == "" {
		return nil, errors.New("find the commit of the programs: they were built without -buildvcs=true")
	}
	r.committed, err = time.Parse(time.RFC3339, r.setting("vcs.time"))
	return r, err
}

func (r *release) setting(key string) string {
	for _, s := range r.info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
