package main

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ringback/api/client"
)

// following is the flags of a command that follows something until it ends.
type following struct {
	interval, limit time.Duration
}

// minInterval bounds --every from below: the API limits reads.
const minInterval = 10 * time.Millisecond

func (f *following) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.interval, "every", time.Second, "read the state every `TIME`")
	cmd.Flags().DurationVar(&f.limit, "for", 0, "give up after this `TIME`; 0: never")
}

func (f *following) check() error {
	switch {
	case f.interval < minInterval:
		return usage("--every %s is below %s", f.interval, minInterval)
	case f.limit < 0:
		return usage("--for %s is negative", f.limit)
	}
	return nil
}

// follow calls poll until it reports the end. After the first success, temporary
// errors of the API are noted and waited out.
func (t *tool) follow(ctx context.Context, f following, poll func(context.Context) (ended bool, err error)) error {
	var giveUp <-chan time.Time
	if f.limit > 0 {
		giveUp = time.After(f.limit)
	}
	for succeeded := false; ; {
		ended, err := poll(ctx)
		if ended || (err != nil && (!succeeded || !client.IsTemporary(err) || ctx.Err() != nil)) {
			return err
		}
		succeeded = true
		wait := f.interval
		if err != nil {
			t.note("%s; trying again", printable(err.Error()))
			wait = max(wait, client.RetryAfter(err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-giveUp:
			return exit(exitStillRunning, "stopped following after %s; what was followed is still running", f.limit)
		case <-time.After(wait):
		}
	}
}

func (t *tool) watch() *cobra.Command {
	var f following
	cmd := t.operationCommand(&cobra.Command{
		Use:   "watch",
		Short: "Follow an operation live until it ends",
		Long: `Follow an operation live until it ends. On a terminal its state is drawn again
with each change; elsewhere each change is one line, and with -o json the whole
state in one line. Ctrl-C ends the watching and changes nothing.

The exit code tells the outcome: 0 acknowledged, 10 exhausted, 11 gone,
12 revoked, 13 withdrawn, 14 expired, 15 terminated; 9 if --for was over before.`,
		Example: `  starter watch ECOM_GOLD_BANK ORDER-1
  starter watch WALLET_SHOP/239441503 --for 10m -o json`,
	}, func(ctx context.Context, api *client.Client, key client.Key) error {
		if err := f.check(); err != nil {
			return err
		}
		var last *client.State
		err := t.follow(ctx, f, func(ctx context.Context) (bool, error) {
			now, err := api.State(ctx, key)
			if err != nil {
				return false, err
			}
			if last != nil && now.RunID == last.RunID && now.Polls < last.Polls {
				return false, nil // the polls of a watch that just ended are not recorded yet
			}
			if last == nil || !reflect.DeepEqual(*last, now) {
				err = t.showChange(last, now)
			}
			last = &now
			return now.Phase == client.PhaseClosed || err != nil, err
		})
		if err != nil {
			return err
		}
		return exitAs(*last)
	})
	f.flags(cmd)
	return cmd
}

// exitAs is nil where the operation ended acknowledged.
func exitAs(s client.State) error {
	code, known := exitOutcome[s.Outcome]
	if !known {
		code = exitFailed
	}
	if code == exitOK {
		return nil
	}
	return exit(code, "%s ended: %s", printable(s.WorkflowID()), printable(orNone(string(s.Outcome))))
}

// showChange writes what happened from last, nil at first, to now.
func (t *tool) showChange(last *client.State, now client.State) error {
	if t.output == outputJSON {
		return t.writeJSON(now, "")
	}
	return t.show(now, func(w io.Writer) {
		if !t.draws(t.out) {
			for _, c := range changes(last, now) {
				// Columns of fixed width, since later lines are not known.
				_, _ = fmt.Fprintf(w, "%s  %-10s  %s\n", c.at, printable(c.what), printable(c.text))
			}
			return
		}
		_, _ = io.WriteString(w, clearTerminal)
		writeState(w, now)
		if now.Phase != client.PhaseClosed {
			_, _ = fmt.Fprint(w, "\nPress Ctrl-C to stop following; the operation is not affected.\n")
		}
	})
}

// change is one thing that happened to an operation.
type change struct {
	at         client.Time
	what, text string
}

// changes are what happened from before, nil if nothing was known, to now, in the order
// in which it happened. A new run, as of a redelivery, is shown from its beginning.
func changes(before *client.State, now client.State) []change {
	var all []change
	if before == nil || before.RunID != now.RunID {
		all = append(all, change{timeOr(now.StartedAt), "run", orNone(now.RunID)})
		before = &client.State{}
	}
	all = append(all, statusChanges(*before, now)...)
	if now.Revocation != nil && before.Revocation == nil {
		all = append(all, change{now.Revocation.At, "revocation", describeRevocation(*now.Revocation)})
	}
	known := map[string]client.Delivery{}
	for _, d := range before.Deliveries {
		known[d.CallbackID] = d
	}
	for _, d := range now.Deliveries {
		all = append(all, deliveryChanges(known[d.CallbackID], d)...)
	}
	slices.SortStableFunc(all, func(a, b change) int { return a.at.Compare(b.at.Time) })
	if now.Phase == client.PhaseClosed && before.Phase != client.PhaseClosed {
		all = append(all, change{timeOr(now.ClosedAt), "ended", orNone(string(now.Outcome))})
	}
	return all
}

// timeOr is a time of the state, or where it has none, that of the read.
func timeOr(at *client.Time) client.Time {
	if at == nil {
		return client.At(time.Now())
	}
	return *at
}

func statusChanges(before, now client.State) []change {
	changed := (before.Status == nil) != (now.Status == nil) ||
		(now.Status != nil && (now.Status.Value != before.Status.Value || now.Status.Final != before.Status.Final))
	if !changed && before.Polls == now.Polls {
		return nil
	}
	at, text := client.At(time.Now()), "no answer read yet"
	if now.Status != nil {
		at, text = now.Status.ObservedAt, orNone(now.Status.Value)
		if now.Status.Final {
			text += ", final"
		}
	}
	if now.PollFailure != "" && now.Polls > before.Polls {
		return []change{{client.At(time.Now()), fmt.Sprintf("poll %d", now.Polls), "no status: " + now.PollFailure}}
	}
	if now.Polls == before.Polls+1 && now.Revocation == nil {
		return []change{{at, fmt.Sprintf("poll %d", now.Polls), "status " + text}}
	}
	// Several polls since, or none: it may have been pushed, or revoked.
	return []change{{at, "status", fmt.Sprintf("%s (%d polls)", text, now.Polls)}}
}

func deliveryChanges(before, now client.Delivery) []change {
	var all []change
	if before.CallbackID != now.CallbackID {
		before = client.Delivery{Outcome: client.DeliveryPending}
		var begun *client.Time
		if len(now.Attempts) > 0 {
			begun = &now.Attempts[0].At
		}
		all = append(all, change{timeOr(begun), "callback", now.CallbackID + " about status " + orNone(now.Status)})
	}
	shown := 0
	for _, a := range before.Attempts {
		if a.Verdict != "" {
			shown = a.Number
		}
	}
	for _, a := range now.Attempts {
		if a.Number > shown && a.Verdict != "" {
			text := withReason(fmt.Sprintf("%s in %d ms", a.Verdict, a.TookMS), a.Reason)
			all = append(all, change{a.At, fmt.Sprintf("attempt %d", a.Number), text})
		}
	}
	if now.Outcome != before.Outcome && now.Outcome != client.DeliveryAcknowledged {
		var ended *client.Time
		if n := len(now.Attempts); n > 0 && now.Outcome != client.DeliverySuperseded {
			ended = new(now.Attempts[n-1].End())
		}
		all = append(all, change{timeOr(ended), "callback", withReason(string(now.Outcome), now.Reason)})
	}
	return all
}
