package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	// checkTime is how long a run with -check may take. Within it, a measure that missed
	// a target is taken maxAgain more times, and the median of all its rounds counts.
	checkTime = 4 * time.Minute
	maxAgain  = 2
)

// taken is a measure that was taken on a database.
type taken struct {
	on      *testbed
	measure measure
	took    time.Duration
	again   int
	// late: it was to be taken again, and there was no time.
	late bool
}

// takeAgain takes the measures again that missed a target, while there is time.
func (b *bench) takeAgain(ctx context.Context) error {
	for range maxAgain {
		for _, t := range b.taken {
			missed := b.table.missed(t.on.database, t.measure.name)
			if t.late = len(missed) > 0 && time.Since(b.begun)+t.took > b.checkTime; t.late || len(missed) == 0 {
				continue
			}
			t.again++
			b.log("%s: %s, again: %s is missed", t.on.database, t.measure.name, missed[0].Measure)
			if err := t.on.takeOnce(ctx, t.measure); err != nil {
				return err
			}
		}
	}
	return nil
}

// check says which measures were taken again, and names each target that is missed.
func (b *bench) check(stdout io.Writer) error {
	for _, t := range b.taken {
		if t.again > 0 {
			_, _ = fmt.Fprintf(stdout, "measured %d times on %s: %s\n", t.again+1, t.on.database, t.measure.name)
		}
		if t.late && t.again < maxAgain {
			_, _ = fmt.Fprintf(stdout, "missed on %s, with no time to measure again: %s\n", t.on.database, t.measure.name)
		}
	}
	missed := slices.DeleteFunc(slices.Clone(b.table.rows), row.met)
	for _, r := range missed {
		_, _ = fmt.Fprintf(stdout, "MISSED on %s: %s is %.4g %s, wanted %v (%.4g)\n", r.Database, r.Measure, r.median(), r.Unit, r.Target, r.Values)
	}
	if len(missed) > 0 {
		return fmt.Errorf("%d targets are missed", len(missed))
	}
	_, err := fmt.Fprintln(stdout, "every target is reached")
	return err
}
