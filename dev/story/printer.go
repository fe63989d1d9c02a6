package story

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	apiclient "ringback/api/client"
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
	// The beginning of the story is printed sooner: its states are read at once.
	beginning      = 1500 * time.Millisecond
	beginningDelay = 700 * time.Millisecond
)

// Printer prints what happens to every operation, in the order in which it happened, and
// each thing once, however often a state shows it.
type Printer struct {
	out     io.Writer
	colour  bool
	started time.Time

	mu      sync.Mutex
	seen    map[string]bool
	waiting []line
	// open are the operations of which something was logged and whose end was not
	// shown yet, by when that was logged.
	open map[operation.Key]time.Time
	// began is when something was first logged of a run.
	began map[string]time.Time
	// polls counts those of each operation, and final has its final status.
	polls map[operation.Key]int
	final map[operation.Key]string
	// quiet is the operation that is not told of.
	quiet operation.Key
}

// line is one thing that happened to an operation.
type line struct {
	at         time.Time
	key        operation.Key
	what, text string
	colour     colour
	// status is what a poll of that run answered.
	status, run string
}

// NewPrinter prints to out, with a terminal's colours or without.
func NewPrinter(out io.Writer, colour bool) *Printer {
	return &Printer{
		out: out, colour: colour, started: time.Now(), seen: map[string]bool{},
		open: map[operation.Key]time.Time{}, began: map[string]time.Time{}, polls: map[operation.Key]int{}, final: map[operation.Key]string{},
	}
}

// Follow reads every operation that the log tells of, until ctx ends.
func (p *Printer) Follow(ctx context.Context, api *apiclient.Client) {
	for wait(ctx, 250*time.Millisecond) == nil {
		p.mu.Lock()
		open := maps.Clone(p.open)
		p.mu.Unlock()
		for key, logged := range open {
			state, err := api.State(ctx, key)
			if err == nil {
				p.show(state)
			}
			if apiclient.Status(err) == http.StatusNotFound || err == nil && state.Phase == operation.Closed {
				p.close(key, logged)
			}
		}
	}
}

// close forgets an operation, unless something was logged of it since.
func (p *Printer) close(key operation.Key, logged time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[key].Equal(logged) {
		delete(p.open, key)
	}
}

// Print prints what is due until stop is called, which prints the rest.
func (p *Printer) Print(ctx context.Context) (stop func()) {
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

func (p *Printer) flush(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(p.waiting, func(a, b line) int { return a.at.Compare(b.at) })
	due := func(l line) bool {
		waited := now.Sub(l.at)
		// A poll follows its run's start, and says whether its status is final.
		complete := l.run == "" || p.seen[l.run+"status"]
		return waited >= delay || complete && waited >= beginningDelay && l.at.Sub(p.started) < beginning
	}
	for len(p.waiting) > 0 && due(p.waiting[0]) {
		p.write(p.waiting[0])
		p.waiting = p.waiting[1:]
	}
}

// now adds one thing that happens to an operation now.
func (p *Printer) now(key operation.Key, what, text string, c colour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(line{at: time.Now(), key: key, what: what, text: text, colour: c})
}

// begin begins the story: times are counted from now.
func (p *Printer) begin(quiet operation.Key) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started, p.quiet = time.Now(), quiet
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.quiet = operation.Key{}
	}
}

func (p *Printer) write(l line) {
	passed := max(l.at.Sub(p.started), 0)
	minutes := passed.Truncate(time.Minute)
	clock := fmt.Sprintf("%02d:%04.1f", int(minutes.Minutes()), (passed - minutes).Seconds())
	// The longest name of the demo is ECOM_GOLD_BANK/A2C-1001.
	if l.status != "" && l.status == p.final[l.key] {
		l.text += ", final"
	}
	body := fmt.Sprintf("%-23s  %-10s  %s", l.key.WorkflowID(), l.what, l.text)
	if p.colour {
		clock, body = string(faint)+clock+reset, string(l.colour)+body+reset
	}
	_, _ = fmt.Fprintf(p.out, "%s  %s\n", clock, body)
}

// show adds what is new in a state.
func (p *Printer) show(s operation.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.showBeginning(s)
	if s.Status != nil {
		p.seen[s.RunID+"status"] = true
		if s.Status.Final {
			p.final[s.Key] = s.Status.Value
		}
	}
	if r := s.Revocation; r != nil {
		p.once(s.WorkflowID()+"revoked", line{at: r.At.Time, key: s.Key, what: "revocation", text: "POST …/revocation, initiated by " + r.InitiatedBy})
	}
	last := time.Now()
	for _, d := range s.Deliveries {
		last = p.showDelivery(s, d)
	}
	if s.Phase == operation.Closed {
		p.once(s.RunID+"closed", line{at: last, key: s.Key, what: "ended", text: ending(s), colour: outcomeColour(s.Outcome)})
	}
}

// showBeginning adds what began a run.
func (p *Printer) showBeginning(s operation.State) {
	at, logged := p.began[s.RunID]
	if !logged {
		return
	}
	began := line{at: at.Add(-time.Millisecond), key: s.Key, what: "started", text: "POST /v1/operations"}
	if s.Redelivery != nil {
		began.what, began.text = "redelivery", "POST …/redelivery: "+s.Redelivery.Reason
	}
	p.once(s.RunID, began)
}

// showDelivery returns when the latest attempt of the delivery ended.
func (p *Printer) showDelivery(s operation.State, d operation.Delivery) (last time.Time) {
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
			p.once(d.CallbackID, line{at: a.At.Time, key: s.Key, what: "callback", text: about})
		}
		if a.Verdict == "" {
			continue
		}
		last = a.End().Time
		text, c := fmt.Sprintf("%s in %d ms", a.Verdict, a.TookMS), good
		if a.Verdict == operation.Unacknowledged {
			text, c = fmt.Sprintf("%s: %s", a.Verdict, a.Reason), warning
		}
		p.once(fmt.Sprint(d.CallbackID, a.Number), line{at: last, key: s.Key, what: fmt.Sprintf("attempt %d", a.Number), text: text, colour: c})
	}
	if d.Outcome == operation.DeliverySuperseded {
		p.once(d.CallbackID+"superseded", line{at: time.Now(), key: s.Key, what: "callback", text: about + " is superseded", colour: warning})
	}
	return last
}

// once adds a line whose id was not added before.
func (p *Printer) once(id string, l line) {
	if p.seen[id] {
		return
	}
	p.seen[id] = true
	p.add(l)
}

func (p *Printer) add(l line) {
	if l.key != p.quiet {
		p.waiting = append(p.waiting, l)
	}
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
