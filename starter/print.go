package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"
)

// none stands for a missing value in tables.
const none = "-"

func orNone(text string) string { return cmp.Or(text, none) }

// show writes v as indented JSON, or with text for people.
func (t *tool) show(v any, text func(w io.Writer)) error {
	var b bytes.Buffer
	if t.output == outputTable {
		text(&b)
		_, err := t.out.Write(b.Bytes())
		return err
	}
	return t.writeJSON(v, "  ")
}

// writeJSON writes v as JSON: on one line where indent is empty.
func (t *tool) writeJSON(v any, indent string) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	return encoder.Encode(v)
}

// note writes to standard error, beside the output.
func (t *tool) note(format string, args ...any) {
	_, _ = fmt.Fprintf(t.err, "starter: "+format+"\n", args...)
}

// rows are a table for people.
type rows [][]string

func (r *rows) add(cells ...string) { *r = append(*r, cells) }

// write aligns the columns. Cells come from others and must not steer the
// terminal.
func (r rows) write(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range r {
		for i, cell := range cells {
			cells[i] = printable(cell)
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) // into memory: can't fail
	}
	_ = table.Flush()
}

// printable is text with the characters replaced that a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// clearTerminal moves to the upper left corner and clears what is below.
const clearTerminal = "\x1b[H\x1b[2J"

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}
