package story

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"ringback/internal/operation"
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

const (
	// hold is how long a line waits for those that happened before it: a
	// running activity tells the server what it did at its next heartbeat, and
	// the API knows it from there.
	hold = 4500 * time.Millisecond
	// prompt is the beginning of the story, of which everything is told at once.
	prompt = 1500 * time.Millisecond
)

// page writes the story's lines in the order in which things happened, and
// remembers what it has told, so that each thing is told once however often it
// is seen.
type page struct {
	out    io.Writer
	colour bool
	began  time.Time

	mu      sync.Mutex
	told    map[string]bool
	waiting []line
}

// line is one thing that happened to an operation.
type line struct {
	at         time.Time
	key        operation.Key
	what, text string
	colour     colour
}

func newPage(out io.Writer, colour bool) *page {
	return &page{out: out, colour: colour, began: time.Now(), told: map[string]bool{}}
}

// turn writes what is due until the func that it returns is called, which
// writes the rest.
func (p *page) turn() (finish func()) {
	done := make(chan struct{})
	var turning sync.WaitGroup
	turning.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				p.flush(now)
			}
		}
	})
	return func() {
		close(done)
		turning.Wait()
		p.flush(time.Now().Add(hold))
	}
}

func (p *page) flush(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(p.waiting, func(a, b line) int { return a.at.Compare(b.at) })
	for len(p.waiting) > 0 && p.due(p.waiting[0], now) {
		p.write(p.waiting[0])
		p.waiting = p.waiting[1:]
	}
}

func (p *page) due(l line, now time.Time) bool {
	return now.Sub(l.at) >= hold || l.at.Sub(p.began) < prompt
}

// now takes down one thing that happens to an operation now.
func (p *page) now(key operation.Key, what, text string, c colour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, line{time.Now(), key, what, text, c})
}

func (p *page) write(l line) {
	passed := max(l.at.Sub(p.began), 0)
	minutes := passed.Truncate(time.Minute)
	clock := fmt.Sprintf("%02d:%04.1f", int(minutes.Minutes()), (passed - minutes).Seconds())
	// The longest name of the demo is ECOM_GOLD_BANK/A2C-1001.
	body := fmt.Sprintf("%-23s  %-10s  %s", l.key.WorkflowID(), l.what, l.text)
	if p.colour {
		clock, body = string(faint)+clock+reset, string(l.colour)+body+reset
	}
	_, _ = fmt.Fprintf(p.out, "%s  %s\n", clock, body)
}

// show takes down what is new in a state.
func (p *page) show(s operation.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.showStatus(s)
	last := time.Now()
	for _, d := range s.Deliveries {
		last = p.showDelivery(s, d)
	}
	if s.Phase == operation.Closed {
		p.once(s.RunID+"closed", line{last, s.Key, "ended", ending(s), outcomeColour(s.Outcome)})
	}
}

func (p *page) showStatus(s operation.State) {
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
	what := fmt.Sprintf("poll %d", s.Polls)
	if s.Revocation != nil {
		what = "final"
	}
	// The run of a redelivery shows the status again: the same one is not news.
	p.once(s.WorkflowID()+"status"+text+s.Status.ObservedAt.String(), line{s.Status.ObservedAt.Time, s.Key, what, text, plain})
}

// showDelivery returns when the last thing of the delivery happened.
func (p *page) showDelivery(s operation.State, d operation.Delivery) (last time.Time) {
	about := "about status " + d.Status
	if d.Status == "" {
		about = "without a status"
	}
	if d.Reason != "" {
		about += ", " + d.Reason
	}
	last = time.Now()
	for i, a := range d.Attempts {
		if i == 0 {
			p.once(d.CallbackID, line{a.At.Time, s.Key, "callback", about, plain})
		}
		if a.Verdict == "" {
			continue
		}
		last = a.End().Time
		text, c := fmt.Sprintf("%s in %d ms", a.Verdict, a.TookMS), good
		if a.Verdict == operation.Unacknowledged {
			text, c = fmt.Sprintf("%s: %s", a.Verdict, a.Reason), uneasy
		}
		p.once(fmt.Sprint(d.CallbackID, a.Number), line{last, s.Key, fmt.Sprintf("attempt %d", a.Number), text, c})
	}
	if d.Outcome == operation.DeliverySuperseded {
		p.once(d.CallbackID+"superseded", line{time.Now(), s.Key, "callback", about + " is superseded", uneasy})
	}
	return last
}

// once takes down a line that was not there before.
func (p *page) once(id string, l line) {
	if p.told[id] {
		return
	}
	p.told[id] = true
	p.waiting = append(p.waiting, l)
}

func ending(s operation.State) string {
	if s.Outcome == operation.OutcomeExhausted && s.UIURL != "" {
		return string(s.Outcome) + ": Failed in the UI, " + s.UIURL
	}
	return string(s.Outcome)
}

func outcomeColour(o operation.Outcome) colour {
	if o == operation.OutcomeAcknowledged {
		return good
	}
	if o == operation.OutcomeExhausted {
		return bad
	}
	return plain
}
