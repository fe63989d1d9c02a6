package journal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Extension is how the name of every journal ends.
const Extension = ".jsonl"

// Writer appends to one journal. It is safe for concurrent use.
type Writer struct {
	mu     sync.Mutex
	file   *os.File
	failed error
}

// Open opens the journal at path, which ends in Extension, for appending. It removes
// an incomplete last line, left by a process that died while writing it.
func Open(path string) (*Writer, error) {
	if filepath.Ext(path) != Extension {
		return nil, fmt.Errorf("open the journal %s: the name does not end in %s", path, Extension)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a journal: %w", err)
	}
	if err := removeIncompleteLine(file); err != nil {
		return nil, errors.Join(fmt.Errorf("remove the incomplete line of the journal %s: %w", path, err), file.Close())
	}
	return &Writer{file: file}, nil
}

// removeIncompleteLine leaves the file's offset after its last complete line.
func removeIncompleteLine(file *os.File) error {
	held, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	whole := int64(bytes.LastIndexByte(held, '\n') + 1)
	if err := file.Truncate(whole); err != nil {
		return err
	}
	_, err = file.Seek(whole, io.SeekStart)
	return err
}

// Write appends one entry as one line, which survives a crash of this process but
// not of the machine.
func (w *Writer) Write(e Entry) error {
	line, err := json.Marshal(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		_, err = w.file.Write(append(line, '\n'))
	}
	if err != nil {
		err = fmt.Errorf("append to the journal %s: %w", w.file.Name(), err)
		w.failed = cmp.Or(w.failed, err)
	}
	return err
}

// Close closes the file. It returns the first error of Write, too.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.failed, w.file.Close())
}

// Read reads every journal in dir, in the order of their names and lines. It skips
// an incomplete last line. Of the entries about one poll or request it returns the
// latest, at the place of the first.
func Read(dir string) ([]Entry, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+Extension))
	if err != nil {
		return nil, fmt.Errorf("list the journals in %s: %w", dir, err)
	}
	slices.Sort(names)
	var entries []Entry
	for _, name := range names {
		read, err := ReadFile(name)
		if err != nil {
			return nil, err
		}
		entries = append(entries, read...)
	}
	return entries, nil
}

// ReadFile reads one journal as Read does. A missing one is empty.
func ReadFile(path string) ([]Entry, error) {
	held, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read a journal: %w", err)
	}
	var entries []Entry
	requests := map[string]int{}
	for number := 1; ; number++ {
		line, rest, whole := bytes.Cut(held, []byte{'\n'})
		if !whole {
			return entries, nil
		}
		held = rest
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read line %d of the journal %s: %w", number, path, err)
		}
		name, named := e.name()
		if at, again := requests[name]; named && again {
			entries[at] = e
			continue
		}
		if named {
			requests[name] = len(entries)
		}
		entries = append(entries, e)
	}
}
