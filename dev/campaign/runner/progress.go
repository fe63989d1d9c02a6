package runner

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"ringback/dev/campaign/journal"
)

// glimpse is between two lines about how far a campaign is.
const glimpse = 15 * time.Second

// Progress tells how far the campaign is, until ctx ends.
func (s *Stage) Progress(ctx context.Context) {
	var t tally
	for {
		if until(ctx, time.Now().Add(glimpse)) != nil {
			return
		}
		t.read(s.Dir)
		s.Say("%d of %d operations accepted, %d polls, %d requests to receivers", t.accepted, len(s.plan.Operations), t.polls, t.requests)
	}
}

// tally counts lines of journals as they grow.
type tally struct {
	accepted, polls, requests int
	// read so far, by the journal's path.
	offsets map[string]int64
}

func (t *tally) read(dir string) {
	if t.offsets == nil {
		t.offsets = map[string]int64{}
	}
	for _, role := range []string{coresRole, receiversRole, startersRole} {
		t.follow(filepath.Join(dir, role+journal.Extension))
	}
}

// follow counts what a journal has got since; one that is not there has nothing.
func (t *tally) follow(path string) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(t.offsets[path], io.SeekStart); err != nil {
		return
	}
	grown, err := io.ReadAll(file)
	if err != nil {
		return
	}
	whole := bytes.LastIndexByte(grown, '\n') + 1
	t.offsets[path] += int64(whole)
	for line := range bytes.Lines(grown[:whole]) {
		t.count(line)
	}
}

// count looks at a line without decoding it: there are many, and it is only told.
func (t *tally) count(line []byte) {
	switch {
	case bytes.HasPrefix(line, []byte(`{"poll"`)) && bytes.Contains(line, []byte(`"ended"`)):
		t.polls++
	case bytes.HasPrefix(line, []byte(`{"request"`)) && !bytes.Contains(line, []byte(`"ended"`)):
		t.requests++
	case bytes.HasPrefix(line, []byte(`{"call"`)) && bytes.Contains(line, []byte(`"http_status":201`)):
		t.accepted++
	}
}
