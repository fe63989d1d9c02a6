package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// screen is a terminal's size in characters; the zero screen is no terminal.
type screen struct{ width, height int }

func (s screen) is() bool { return s.width > 0 && s.height > 0 }

// screenOf is the terminal that w writes to.
func screenOf(w io.Writer) screen {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return screen{}
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return screen{}
	}
	return screen{width, height}
}

// canvas is a part of a terminal that is drawn again and again.
type canvas struct {
	w     io.Writer
	size  func() screen
	drawn int
}

// draw replaces what was drawn before. Lines that are too long are cut, and of
// too many lines the last are shown: what has left the screen can't be replaced.
func (c *canvas) draw(text string) error {
	size := c.size()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if most := size.height - 1; size.is() && len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	var b bytes.Buffer
	if c.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", c.drawn)
	}
	b.WriteString("\x1b[J")
	for _, line := range lines {
		b.WriteString(cut(line, size.width) + "\n")
	}
	c.drawn = len(lines)
	_, err := c.w.Write(b.Bytes())
	return err
}

func cut(line string, width int) string {
	if runes := []rune(line); width > 1 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return line
}
