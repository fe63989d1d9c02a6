package plan

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Programs are the processes of a campaign that a fault can be done to.
var Programs = []string{"worker-0", "worker-1", "api-0", "api-1", "temporal", "postgres", "cores", "receivers"}

// Links are the connections between them that a fault can be done to.
var Links = []string{
	"api-0>temporal", "api-1>temporal", "worker-0>temporal", "worker-1>temporal", "temporal>postgres",
	"ringback>cores", "ringback>receivers", "starters>api-0", "starters>api-1",
}

// breakage is a kind of fault: what it can be done to, and how long it lasts, a
// share of the campaign within bounds.
type breakage struct {
	kind        FaultKind
	on          []string
	share       int
	least, most time.Duration
}

var breakages = []breakage{
	{Kill, Programs, 40, time.Second, 3 * time.Second},
	{Terminate, Programs, 40, time.Second, 3 * time.Second},
	{Freeze, []string{"worker-0", "worker-1", "api-0", "api-1", "temporal", "cores", "receivers"}, 10, 3 * time.Second, 20 * time.Second},
	{Latency, Links, 30, 2 * time.Second, 5 * time.Second},
	{Reset, Links, 30, 2 * time.Second, 5 * time.Second},
	{Blackhole, Links, 30, 2 * time.Second, 5 * time.Second},
	{SlowClose, Links, 30, 2 * time.Second, 5 * time.Second},
	{CoreDown, []string{"cores"}, 10, 3 * time.Second, 2 * time.Minute},
	{SkewedClock, []string{"receivers"}, 15, 3 * time.Second, 8 * time.Second},
	// Longer than an attempt may take.
	{SlotsFull, []string{"receivers"}, 15, timeout + time.Second, 8 * time.Second},
	{DatabaseRefuses, []string{"postgres"}, 10, 3 * time.Second, time.Minute},
}

// longCampaign is one that has the time for a database that is away for a minute.
const longCampaign = 5 * time.Minute

func (b breakage) last(length time.Duration) time.Duration {
	share := length / time.Duration(b.share)
	if b.kind == DatabaseRefuses && length >= longCampaign {
		share = b.most
	}
	return min(max(share, b.least), b.most).Round(time.Millisecond)
}

// The time without a fault between two, in which what the last one did is seen
// to mend.
const (
	shortestPause = 2 * time.Second
	longestPause  = 6 * time.Second
)

// faults are one of each kind at first, then the others on all that they can be
// done to, in an order of chance, again and again while there is time.
func faults(r *rand.Rand, length time.Duration) []Fault {
	first, others := drawn(r, length)
	rest := pause(first, length)
	var planned []Fault
	at := rest
	for next := append(first, others...); ; next = next[1:] {
		if len(next) == 0 {
			first, others = drawn(r, length)
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

// drawn are all faults that there can be, one of each kind and then the others.
func drawn(r *rand.Rand, length time.Duration) (first, others []Fault) {
	for _, b := range breakages {
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

// pause lets the first faults fit into length, where they can.
func pause(first []Fault, length time.Duration) time.Duration {
	left := length
	for _, f := range first {
		left -= f.Last
	}
	return min(max(left/time.Duration(len(first)+1), shortestPause), longestPause).Round(time.Millisecond)
}
