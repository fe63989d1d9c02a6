package runner

import (
	"fmt"
	"strings"
	"time"

	"ringback/dev/percentile"
	"ringback/internal/operation"
)

// phase tells what became of the starts of one.
func (o *overload) phase(name string, a *answers) {
	accepted := float64(a.accepted) / a.to.Sub(a.from).Seconds()
	o.figures.told(name+": starts accepted a second", fmt.Sprintf("%.0f", accepted))
	o.figures.told(name+": an accepted start takes, median and p99", medianAndP99(o.took(a.span)))
	o.figures.told(name+": from start to callback, median and p99", medianAndP99(o.rings(a.span)))
}

// lateness tells how late was what is due again in a span; held: against its
// targets.
func (o *overload) lateness(name string, during span, held bool) {
	now := time.Now()
	for _, b := range besides {
		times := o.rungAt
		if b.polled {
			times = o.polledAt
		}
		var all []time.Duration
		for _, id := range o.ids[b.endpoint] {
			all = append(all, late(times(id), b.gap, during, now)...)
		}
		what, value := name+": "+b.what+", median and p99", medianAndP99(all)
		if held {
			o.figures.wanted(what, value, "p99 within "+b.late.String(), percentile.Of(all, 0.99) <= b.late)
		} else {
			o.figures.told(what, value)
		}
	}
}

// late is by how much each came late that was due within a span, one gap after the
// one before it. What has not come is as late as it is now.
func late(came []time.Time, gap time.Duration, during span, now time.Time) (all []time.Duration) {
	for i, at := range came {
		due, next := at.Add(gap), now
		if !during.holds(due) {
			continue
		}
		if i+1 < len(came) {
			next = came[i+1]
		}
		all = append(all, max(next.Sub(due), 0))
	}
	return all
}

// rings is how long after its start each of that span was rung for the first time.
// What has not been rung is as late as it is now.
func (o *overload) rings(during span) (all []time.Duration) {
	now := time.Now()
	for key, start := range o.within(during) {
		rung := append(o.rungAt(key.OperationID), now)
		all = append(all, rung[0].Sub(start.at))
	}
	return all
}

// rungIn is how many were started and rung within a span.
func (o *overload) rungIn(during span) (n int) {
	for key := range o.within(during) {
		if rung := o.rungAt(key.OperationID); len(rung) > 0 && during.holds(rung[0]) {
			n++
		}
	}
	return n
}

// owed is how many accepted operations are rung until they are acknowledged;
// missing are those of them that are not.
func (o *overload) owed() (owed int, missing []operation.Key) {
	for key := range o.within(span{to: time.Now()}) {
		if strings.HasPrefix(key.OperationID, endless) {
			continue
		}
		owed++
		if !acknowledged(o.of(key.OperationID)) {
			missing = append(missing, key)
		}
	}
	return owed, missing
}

func medianAndP99(of []time.Duration) string {
	return fmt.Sprintf("%s, %s", percentile.Of(of, 0.5).Round(time.Millisecond), percentile.Of(of, 0.99).Round(time.Millisecond))
}
