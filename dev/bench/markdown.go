package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// The table stands between these two lines of a document.
const (
	tableBegins = "<!-- bench: written by make bench -->"
	tableEnds   = "<!-- /bench -->"
)

// writeInto puts the table of what has a target into a Markdown document,
// between the two marks.
func (r *report) writeInto(path string) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("put the table into %s: %w", path, err)
	}
	before, rest, begun := strings.Cut(string(document), tableBegins)
	_, after, ended := strings.Cut(rest, tableEnds)
	if !begun || !ended {
		return fmt.Errorf("put the table into %s: it has no lines %q and %q", path, tableBegins, tableEnds)
	}
	text := before + tableBegins + "\n" + r.markdown() + tableEnds + after
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // for everybody to read
		return fmt.Errorf("put the table into %s: %w", path, err)
	}
	return nil
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s; took %s; %s.\n\n", r.Machine, r.At.Format("2006-01-02 15:04 MST"), r.Took, r.versions())
	b.WriteString("| database | measure | min | median | max | target | |\n|---|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		if row.Target == nil {
			continue
		}
		verdict := "**missed**"
		if row.met() {
			verdict = "reached"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %v | %s |\n", row.Database, strings.TrimSpace(row.Measure+unit(row)),
			figure(slices.Min(row.Values)), figure(row.median()), figure(slices.Max(row.Values)), row.Target, verdict)
	}
	return b.String()
}

func unit(r row) string {
	if r.Unit == "" {
		return ""
	}
	return ", " + r.Unit
}

// figure has as many digits as a reader compares.
func figure(v float64) string { return fmt.Sprintf("%.3g", v) }
