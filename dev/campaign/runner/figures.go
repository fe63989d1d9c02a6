package runner

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Figure is one thing that a scenario measured.
type Figure struct {
	What, Value string
	// Target is what is wanted; empty: it is only told.
	Target string
	Missed bool
}

// Figures are all of them.
type Figures []Figure

// told adds what has no target.
func (f *Figures) told(what string, value any) {
	*f = append(*f, Figure{What: what, Value: fmt.Sprint(value)})
}

// wanted adds what has one.
func (f *Figures) wanted(what string, value any, target string, reached bool) {
	*f = append(*f, Figure{What: what, Value: fmt.Sprint(value), Target: target, Missed: !reached})
}

// Missed are those that missed their target.
func (f Figures) Missed() (missed int) {
	for _, figure := range f {
		if figure.Missed {
			missed++
		}
	}
	return missed
}

// Print writes them as a table.
func (f Figures) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, figure := range f {
		verdict := ""
		switch {
		case figure.Missed:
			verdict = "MISSED"
		case figure.Target != "":
			verdict = "reached"
		}
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", figure.What, figure.Value, figure.Target, verdict); err != nil {
			return fmt.Errorf("print the figures: %w", err)
		}
	}
	return table.Flush()
}
