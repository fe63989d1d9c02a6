package story

import (
	"context"
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
	plain   colour = ""
	good    colour = "\x1b[32m"
	bad     colour = "\x1b[31m"
	warning colour = "\x1b[33m"
	faint   colour = "\x1b[2m"
	reset          = "\x1b[0m"
)

const (
	// delay is how long a line waits for earlier ones: the API shows what a running
	// activity did only after the activity's next heartbeat.
	delay = 4500 * time.Millisecond
	// undelayed is the beginning of the story, which is printed at once.
	undelayed = 1500 * time.Millisecond
)

// printer prints the story's lines in the order in which things happened, and
// each once, however often a state shows it.
type printer struct {
	out     io.Writer
	colour  bool
	started time.Time

	mu      sync.Mutex
	seen    map[string]bool
	waiting []line
}

// line is one thing that happened to an operation.
type line struct {
	at         time.Time
	key        operation.Key
	what, text string
	colour     colour
}

func newPrinter(out io.Writer, colour bool) *printer {
	return &printer{out: out, colour: colour, started: time.Now(), seen: map[string]bool{}}
}

// start prints what is due until stop is called, which prints the rest.
func (p *printer) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var printing sync.WaitGroup
	printing.Go(func() {
		for ctx.Err() == nil {
			p.flush(time.Now())
			_ = wait(ctx, 50*time.Millisecond)
		}
	})
	return func() {
		cancel()
		printing.Wait()
		p.flush(time.Now().Add(delay))
	}
}

func (p *printer) flush(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(p.waiting, func(a, b line) int { return a.at.Compare(b.at) })
	due := func(l line) bool { return now.Sub(l.at) >= delay || l.at.Sub(p.started) < undelayed }
	for len(p.waiting) > 0 && due(p.waiting[0]) {
		p.write(p.waiting[0])
		p.waiting = p.waiting[1:]
	}
}

// now adds one thing that happens to an operation now.
func (p *printer) now(key operation.Key, what, text string, c colour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, line{time.Now(), key, what, text, c})
}

func (p *printer) write(l line) {
	passed := max(l.at.Sub(p.started), 0)
	minutes := passed.Truncate(time.Minute)
	clock := fmt.Sprintf("%02d:%04.1f", int(minutes.Minutes()), (passed - minutes).Seconds())
	// The longest name of the demo is ECOM_GOLD_BANK/A2C-1001.
	body := fmt.Sprintf("%-23s  %-10s  %s", l.key.WorkflowID(), l.what, l.text)
	if p.colour {
		clock, body = string(faint)+clock+reset, string(l.colour)+body+reset
	}
	_, _ = fmt.Fprintf(p.out, "%s  %s\n", clock, body)
}

// show adds what is new in a state.
func (p *printer) show(s operation.State) {
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

func (p *printer) showStatus(s operation.State) {
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
	// The run of a redelivery shows the same status again.
	p.once(s.WorkflowID()+"status"+text+s.Status.ObservedAt.String(), line{s.Status.ObservedAt.Time, s.Key, what, text, plain})
}

// showDelivery returns when the latest attempt of the delivery ended.
func (p *printer) showDelivery(s operation.State, d operation.Delivery) (last time.Time) {
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
			text, c = fmt.Sprintf("%s: %s", a.Verdict, a.Reason), warning
		}
		p.once(fmt.Sprint(d.CallbackID, a.Number), line{last, s.Key, fmt.Sprintf("attempt %d", a.Number), text, c})
	}
	if d.Outcome == operation.DeliverySuperseded {
		p.once(d.CallbackID+"superseded", line{time.Now(), s.Key, "callback", about + " is superseded", warning})
	}
	return last
}

// once adds a line whose id was not added before.
func (p *printer) once(id string, l line) {
	if p.seen[id] {
		return
	}
	p.seen[id] = true
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
