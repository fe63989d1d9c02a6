package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// report is a run with its machine and versions.
type report struct {
	At       time.Time         `json:"at"`
	Took     string            `json:"took"`
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Rows     []row             `json:"rows"`
}

func newReport(at time.Time) *report {
	return &report{
		At:       at.UTC().Truncate(time.Second),
		Machine:  fmt.Sprintf("%d CPUs, %s, %s/%s", runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH),
		Versions: versions(),
	}
}

// versions are those of Go and of the modules that the figures depend on most.
func versions() map[string]string {
	v := map[string]string{"go": runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, m := range info.Deps {
		if slices.Contains([]string{"go.temporal.io/server", "go.temporal.io/sdk", "modernc.org/sqlite", "github.com/jackc/pgx/v5"}, m.Path) {
			v[m.Path] = m.Version
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v["ringback"] = s.Value
		}
	}
	return v
}

// writeMarkdown writes every row as a Markdown table.
func (r *report) writeMarkdown(w io.Writer) error {
	var names []string
	for name, version := range r.Versions {
		names = append(names, name+" "+version)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s; %s; took %s; %s.\n\n", r.Machine, r.At.Format("2006-01-02 15:04 MST"), r.Took, strings.Join(names, ", "))
	b.WriteString("| database | measure | min | median | max | target | |\n|---|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		measure, verdict := row.Measure, ""
		if row.Unit != "" {
			measure += ", " + row.Unit
		}
		if row.Target != nil {
			verdict = "**missed**"
			if row.met() {
				verdict = "reached"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %.4g | %.4g | %.4g | %v | %s |\n", row.Database, measure,
			slices.Min(row.Values), row.median(), slices.Max(row.Values), row.Target, verdict)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

func (r *report) writeJSON(path string) error {
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the run as JSON: %w", err)
	}
	if err := os.WriteFile(path, append(encoded, '\n'), 0o644); err != nil { //nolint:gosec // for everybody to read
		return fmt.Errorf("write the run as JSON: %w", err)
	}
	return nil
}
