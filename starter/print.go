package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

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

// shortestCut is how short a cut column may become.
const shortestCut = 10

// cutTo cuts the cells of the last column so that the table is as wide as a terminal.
func (r rows) cutTo(width int) rows {
	last := len(r[0]) - 1
	for column := range last {
		widest := 0
		for _, cells := range r {
			widest = max(widest, utf8.RuneCountInString(cells[column]))
		}
		width -= widest + 2
	}
	width = max(width, shortestCut)
	for _, cells := range r {
		if text := []rune(cells[last]); len(text) > width {
			cells[last] = string(text[:width-1]) + "…"
		}
	}
	return r
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

// tableWidth is how wide a table may be; on a terminal that is wider, as wide as that.
const tableWidth = 80

func columns(file any) int {
	f, ok := file.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return max(width, tableWidth)
}

func (t *tool) isTerminal(file any) bool { return t.columns(file) > 0 }

// draws reports whether w is a terminal on which lines can be drawn again.
func (t *tool) draws(w io.Writer) bool { return t.isTerminal(w) && t.getenv("TERM") != "dumb" }

// canAsk reports whether a person sees a question and can answer it.
func (t *tool) canAsk() bool { return t.isTerminal(t.in) && t.isTerminal(t.err) }

// readLine reads a line of the input, until ctx ends.
func (t *tool) readLine(ctx context.Context) (string, error) {
	if t.lines == nil {
		t.lines = bufio.NewReader(t.in)
	}
	read := make(chan string, 1)
	go func() {
		line, _ := t.lines.ReadString('\n') // where the input ends, what there is
		read <- strings.TrimSpace(line)
	}()
	select {
	case line := <-read:
		return line, nil
	case <-ctx.Done():
		_, _ = fmt.Fprintln(t.err)
		return "", ctx.Err()
	}
}
