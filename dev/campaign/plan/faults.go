package plan

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Programs are the processes that faults can be injected on.
var Programs = []string{"worker-0", "worker-1", "api-0", "api-1", "temporal", "postgres", "cores", "receivers"}

// Links are the connections that faults can be injected on.
var Links = []string{
	"api-0>temporal", "api-1>temporal", "worker-0>temporal", "worker-1>temporal", "temporal>postgres",
	"ringback>cores", "ringback>receivers", "starters>api-0", "starters>api-1",
}

// faultType is a kind of fault with its possible targets. It lasts for the campaign's
// length divided by share, within bounds.
type faultType struct {
	kind        FaultKind
	on          []string
	share       int
	least, most time.Duration
}

var faultTypes = []faultType{
	{Kill, Programs, 40, time.Second, 3 * time.Second},
	{Terminate, Programs, 40, time.Second, 3 * time.Second},
	{Freeze, []string{"worker-0", "worker-1", "api-0", "api-1", "temporal", "cores", "receivers"}, 10, 3 * time.Second, 20 * time.Second},
	{Latency, Links, 30, 2 * time.Second, 5 * time.Second},
	{Reset, Links, 30, 2 * time.Second, 5 * time.Second},
	{Blackhole, Links, 30, 2 * time.Second, 5 * time.Second},
	{SlowClose, Links, 30, 2 * time.Second, 5 * time.Second},
	{CoreDown, []string{"cores"}, 10, 3 * time.Second, 2 * time.Minute},
	{SkewedClock, []string{"receivers"}, 15, 3 * time.Second, 8 * time.Second},
	// Longer than an attempt's time-out.
	{SlotsFull, []string{"receivers"}, 15, timeout + time.Second, 8 * time.Second},
	{DatabaseRefuses, []string{"postgres"}, 10, 3 * time.Second, time.Minute},
}

// longCampaign is long enough for the database to be away for a minute.
const longCampaign = 5 * time.Minute

func (b faultType) last(length time.Duration) time.Duration {
	share := length / time.Duration(b.share)
	if b.kind == DatabaseRefuses && length >= longCampaign {
		share = b.most
	}
	return min(max(share, b.least), b.most).Round(time.Millisecond)
}

// The time between two faults, in which Ringback recovers from the first.
const (
	shortestPause = 2 * time.Second
	longestPause  = 6 * time.Second
)

// faults are one of each kind first, then every kind on each of its other targets,
// in random order, repeated while there is time.
func faults(r *rand.Rand, length time.Duration) []Fault {
	first, others := shuffled(r, length)
	rest := pause(first, length)
	var planned []Fault
	at := rest
	for next := append(first, others...); ; next = next[1:] {
		if len(next) == 0 {
			first, others = shuffled(r, length)
			next = append(first, others...)
		}
		f := next[0]
		if at+f.Last > length {
			return planned
		}
		f.At = at
		planned = append(planned, f)
		at += f.Last + between(r, rest*3/4, rest)
	}
}

// shuffled are all possible faults: one of each kind, and the others.
func shuffled(r *rand.Rand, length time.Duration) (first, others []Fault) {
	for _, b := range faultTypes {
		on := slices.Clone(b.on)
		r.Shuffle(len(on), func(i, j int) { on[i], on[j] = on[j], on[i] })
		for i, name := range on {
			f := Fault{Kind: b.kind, On: name, Last: b.last(length)}
			if i == 0 {
				first = append(first, f)
				continue
			}
			others = append(others, f)
		}
	}
	for _, some := range [][]Fault{first, others} {
		r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	}
	return first, others
}

// pause is short enough for the first faults to fit into length, if possible.
func pause(first []Fault, length time.Duration) time.Duration {
	left := length
	for _, f := range first {
		left -= f.Last
	}
	return min(max(left/time.Duration(len(first)+1), shortestPause), longestPause).Round(time.Millisecond)
}
