package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

func (t *tool) watch() *cobra.Command {
	var f following
	cmd := &cobra.Command{
		Use:   "watch" + operationUse,
		Short: "Follow an operation live until it ends",
		Long: `Follow an operation live until it ends. On a terminal its state is drawn again
with each change; elsewhere each change is one line, and with -o json the whole
state in one line. Ctrl-C ends the watching and changes nothing.

The exit code tells the outcome: 0 acknowledged, 10 exhausted, 11 gone,
12 revoked, 13 withdrawn, 14 expired, 15 terminated; 9 if --for was over before.`,
		Example: `  starter watch ECOM_GOLD_BANK ORDER-1
  starter watch WALLET_SHOP/239441503 --for 10m -o json`,
		Args:              operationArgs,
		ValidArgsFunction: t.completeOperation,
	}
	f.flags(cmd)
	cmd.RunE = t.onOperationUnbounded(func(cmd *cobra.Command, c *client, key operation.Key) error {
		if err := f.check(); err != nil {
			return err
		}
		w := t.watcher()
		err := t.follow(cmd.Context(), f, func(ctx context.Context) (bool, error) {
			r, err := c.call(ctx, http.MethodGet, path(key, ""), nil)
			if err != nil {
				return false, err
			}
			return w.see(r)
		})
		if err != nil {
			return err
		}
		return w.outcome()
	})
	return cmd
}

// watcher tells what changed of an operation from one look to the next.
type watcher struct {
	last *operation.State
	raw  []byte
	show func(before *operation.State, now operation.State, r reply) error
}

func (t *tool) watcher() *watcher {
	switch size := t.screen(t.out); {
	case t.output == outputJSON:
		return &watcher{show: func(_ *operation.State, _ operation.State, r reply) error { return t.showLine(r) }}
	case size.is():
		t.canvas = &canvas{w: t.out, size: func() screen { return t.screen(t.out) }}
		return &watcher{show: func(_ *operation.State, now operation.State, _ reply) error {
			var b bytes.Buffer
			writeState(&b, now)
			if now.Phase != operation.Closed {
				b.WriteString("\nFollowing; Ctrl-C ends it and changes nothing.\n")
			}
			return t.canvas.draw(b.String())
		}}
	}
	return &watcher{show: func(before *operation.State, now operation.State, _ reply) error {
		return t.showChanges(changes(before, now))
	}}
}

// see takes a look, and says whether it was the last.
func (w *watcher) see(r reply) (over bool, err error) {
	var now operation.State
	if err := r.into(&now); err != nil {
		return false, err
	}
	if !bytes.Equal(r.body, w.raw) {
		if err := w.show(w.last, now, r); err != nil {
			return true, err
		}
	}
	w.last, w.raw = &now, r.body
	return now.Phase == operation.Closed, nil
}

// outcome is nil where the operation ended acknowledged.
func (w *watcher) outcome() error {
	outcome := w.last.Outcome
	code, known := exitOutcome[outcome]
	switch {
	case code == exitOK && known:
		return nil
	case !known:
		code = exitFailed
	}
	return end(code, "%s ended: %s", printable(w.last.WorkflowID()), printable(orNone(string(outcome))))
}

// change is one thing that happened to an operation.
type change struct {
	at         operation.Time
	what, text string
}

// changes are what happened from before, nil if nothing was known, to now. An
// operation that was redelivered in between is told from its beginning.
func changes(before *operation.State, now operation.State) []change {
	if before == nil || before.RunID != now.RunID {
		run := []change{{operation.At(time.Now()), "run", orNone(now.RunID)}}
		before = &operation.State{Key: now.Key, RunID: now.RunID}
		return append(run, changes(before, now)...)
	}
	all := statusChanges(*before, now)
	if now.Revocation != nil && before.Revocation == nil {
		all = append(all, change{now.Revocation.At, "revocation", revocation(*now.Revocation)})
	}
	known := map[string]operation.Delivery{}
	for _, d := range before.Deliveries {
		known[d.CallbackID] = d
	}
	for _, d := range now.Deliveries {
		all = append(all, deliveryChanges(known[d.CallbackID], d)...)
	}
	if now.Phase == operation.Closed && before.Phase != operation.Closed {
		all = append(all, change{operation.At(time.Now()), "ended", orNone(string(now.Outcome))})
	}
	return all
}

func statusChanges(before, now operation.State) []change {
	changed := (before.Status == nil) != (now.Status == nil) ||
		(now.Status != nil && (now.Status.Value != before.Status.Value || now.Status.Final != before.Status.Final))
	if !changed && before.Polls == now.Polls {
		return nil
	}
	at, text := operation.At(time.Now()), "no answer read yet"
	if now.Status != nil {
		at, text = now.Status.ObservedAt, orNone(now.Status.Value)
		if now.Status.Final {
			text += ", final"
		}
	}
	if now.Polls == before.Polls+1 && now.Revocation == nil {
		return []change{{at, fmt.Sprintf("poll %d", now.Polls), "status " + text}}
	}
	// Several polls since, or none: it may have been pushed, or revoked.
	return []change{{at, "status", fmt.Sprintf("%s (%d polls)", text, now.Polls)}}
}

func deliveryChanges(before, now operation.Delivery) []change {
	var all []change
	if before.CallbackID != now.CallbackID {
		before = operation.Delivery{Outcome: operation.DeliveryPending}
		all = append(all, change{operation.At(time.Now()), "callback", now.CallbackID + " about status " + orNone(now.Status)})
	}
	told := 0
	for _, a := range before.Attempts {
		if a.Verdict != "" {
			told = a.Number
		}
	}
	for _, a := range now.Attempts {
		if a.Number > told && a.Verdict != "" {
			all = append(all, change{a.At, fmt.Sprintf("attempt %d", a.Number), verdict(a)})
		}
	}
	if now.Outcome != before.Outcome && now.Outcome != operation.DeliveryAcknowledged {
		text := string(now.Outcome)
		if now.Reason != "" {
			text += ": " + now.Reason
		}
		all = append(all, change{operation.At(time.Now()), "callback", text})
	}
	return all
}

func verdict(a operation.Attempt) string {
	text := fmt.Sprintf("%s in %d ms", a.Verdict, a.TookMS)
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	return text
}

// showChanges writes each change as a line, in columns of fixed width: there
// is no telling what will come.
func (t *tool) showChanges(all []change) error {
	var b bytes.Buffer
	for _, c := range all {
		fmt.Fprintf(&b, "%s  %-10s  %s\n", c.at, printable(c.what), printable(c.text))
	}
	_, err := t.out.Write(b.Bytes())
	return err
}

// showLine writes the API's own JSON in one line.
func (t *tool) showLine(r reply) error {
	var b bytes.Buffer
	if err := json.Compact(&b, r.body); err != nil {
		return fmt.Errorf("the API's answer can't be read: %w", err)
	}
	b.WriteByte('\n')
	_, err := t.out.Write(b.Bytes())
	return err
}
