package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// report is a run with what it was made on.
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

// versions are those of Go and of what the figures depend on most.
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

func (r *report) versions() string {
	var names []string
	for name, version := range r.Versions {
		names = append(names, name+" "+version)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (r *report) text(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "\n%s, %s, took %s\n", r.Machine, r.At.Format(time.RFC3339), r.Took); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, r.versions()); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\ndatabase\tmeasure\tmin\tmedian\tmax\tunit\ttarget\t") // a tabwriter fails at Flush
	for _, row := range r.Rows {
		verdict := ""
		if row.Target != nil {
			verdict = "missed"
			if row.met() {
				verdict = "ok"
			}
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%.4g\t%.4g\t%.4g\t%s\t%v\t%s\n", row.Database, row.Measure,
			slices.Min(row.Values), row.median(), slices.Max(row.Values), row.Unit, row.Target, verdict)
	}
	return t.Flush()
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

// writeSVG draws, for each figure with an upper bound, how much of it is used:
// a bar that ends before 1 is a target reached.
func (r *report) writeSVG(path string) error {
	drawn, err := r.svg()
	if err == nil {
		err = os.WriteFile(path, drawn, 0o644) //nolint:gosec // for everybody to see
	}
	if err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return nil
}

func (r *report) svg() ([]byte, error) {
	labels, used := r.used()
	if len(used) == 0 {
		return nil, errors.New("no figure of this run has a target")
	}
	bars, err := plotter.NewBarChart(used, vg.Points(9))
	if err != nil {
		return nil, err
	}
	bars.Horizontal = true
	bars.Color = color.RGBA{R: 0x2f, G: 0x6f, B: 0x9f, A: 0xff}
	bars.LineStyle.Width = 0
	limit, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(used)) - 0.5}})
	if err != nil {
		return nil, err
	}
	limit.Color = color.RGBA{R: 0xb0, A: 0xff}
	// The letters of all monospaced fonts are as wide as each other: the labels
	// keep their place where this one is missing.
	plot.DefaultFont.Variant = "Mono"
	p := plot.New()
	p.Title.Text = "How much of each target is used (less is better, 1 is the target)"
	p.X.Min, p.X.Max = 0, 2
	p.Add(plotter.NewGrid(), bars, limit)
	p.NominalY(labels...)
	drawing, err := p.WriterTo(36*vg.Centimeter, vg.Length(len(used))*vg.Points(14)+vg.Points(70), "svg")
	if err != nil {
		return nil, err
	}
	var drawn bytes.Buffer
	if _, err := drawing.WriteTo(&drawn); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(drawn.Bytes(), []byte("font-family:Liberation Mono"), []byte("font-family:Liberation Mono,monospace")), nil
}

// used is how much of each target is used, the last row first; 2 is the most that
// is drawn.
func (r *report) used() (labels []string, used plotter.Values) {
	for _, row := range slices.Backward(r.Rows) {
		if row.Target == nil || row.Target.AtMost == nil && *row.Target.AtLeast <= 0 || row.Target.AtMost != nil && *row.Target.AtMost == 0 {
			continue
		}
		share := row.median()
		if row.Target.AtMost != nil {
			share /= *row.Target.AtMost
		} else {
			share = *row.Target.AtLeast / share
		}
		if math.IsNaN(share) || math.IsInf(share, 0) {
			continue
		}
		labels = append(labels, row.Database+": "+row.Measure)
		used = append(used, min(max(share, 0), 2))
	}
	return labels, used
}
