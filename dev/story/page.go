package story

import (
	"fmt"
	"io"
	"sync"
	"time"

	"ringback/internal/callback"
)

// colour is how a line is written on a terminal.
type colour string

const (
	plain  colour = ""
	good   colour = "\x1b[32m"
	bad    colour = "\x1b[31m"
	uneasy colour = "\x1b[33m"
	faint  colour = "\x1b[2m"
	reset         = "\x1b[0m"
)

// page writes the story's lines and remembers what it has told, so that each
// thing is told once however often it is seen.
type page struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
	began  time.Time
	told   map[string]bool
}

func newPage(out io.Writer, colour bool) *page {
	return &page{out: out, colour: colour, began: time.Now(), told: map[string]bool{}}
}

// line writes one thing that happened to an operation.
func (p *page) line(key callback.Key, what, text string, c colour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write(key, what, text, c)
}

func (p *page) write(key callback.Key, what, text string, c colour) {
	passed := time.Since(p.began)
	clock := fmt.Sprintf("%02d:%04.1f", int(passed.Minutes()), passed.Seconds()-60*float64(int(passed.Minutes())))
	// The longest name of the demo is ECOM_GOLD_BANK/A2C-1001.
	body := fmt.Sprintf("%-23s  %-10s  %s", key.WorkflowID(), what, text)
	if p.colour {
		clock, body = string(faint)+clock+reset, string(c)+body+reset
	}
	_, _ = fmt.Fprintf(p.out, "%s  %s\n", clock, body)
}

// show writes what is new in a state, in the order in which it happened.
func (p *page) show(s callback.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.showStatus(s)
	for _, d := range s.Deliveries {
		p.showDelivery(s, d)
	}
	if s.Phase == callback.Closed {
		p.once(s.RunID+"closed", s.Key, "ended", ending(s), outcomeColour(s.Outcome))
	}
}

func (p *page) showStatus(s callback.State) {
	if s.Status == nil {
		return
	}
	text := "status " + s.Status.Value
	if s.Status.Value == "" {
		text = "no status: respStatus " + s.Status.Raw["respStatus"]
	}
	if s.Status.Final {
		text += ", final"
	}
	// A redelivery's run shows the status again: the same one is not news.
	p.once(s.WorkflowID()+"status"+text+s.Status.ObservedAt.String(), s.Key, fmt.Sprintf("poll %d", s.Polls), text, plain)
}

func (p *page) showDelivery(s callback.State, d callback.Delivery) {
	about := "about status " + d.Status
	if d.Status == "" {
		about = "without a status"
	}
	if d.Reason != "" {
		about += ", " + d.Reason
	}
	p.once(d.CallbackID, s.Key, "callback", about, plain)
	for _, a := range d.Attempts {
		if a.Verdict == "" {
			continue
		}
		text, c := fmt.Sprintf("%s in %d ms", a.Verdict, a.TookMS), good
		if a.Verdict == callback.Unacknowledged {
			text, c = fmt.Sprintf("%s: %s", a.Verdict, a.Reason), uneasy
		}
		p.once(fmt.Sprint(d.CallbackID, a.Number), s.Key, fmt.Sprintf("attempt %d", a.Number), text, c)
	}
	if d.Outcome == callback.DeliverySuperseded {
		p.once(d.CallbackID+"superseded", s.Key, "callback", about+" is superseded", uneasy)
	}
}

// once writes a line that has not been written before.
func (p *page) once(id string, key callback.Key, what, text string, c colour) {
	if p.told[id] {
		return
	}
	p.told[id] = true
	p.write(key, what, text, c)
}

func ending(s callback.State) string {
	if s.Outcome == callback.OutcomeExhausted && s.UIURL != "" {
		return string(s.Outcome) + ": Failed in the UI, " + s.UIURL
	}
	return string(s.Outcome)
}

func outcomeColour(o callback.Outcome) colour {
	switch o {
	case callback.OutcomeAcknowledged:
		return good
	case callback.OutcomeExhausted, callback.OutcomeGone, callback.OutcomeTerminated:
		return bad
	}
	return plain
}
