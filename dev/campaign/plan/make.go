package plan

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"ringback/internal/operation"
)

// The streams that a seed is drawn from: more operations change no fault.
const (
	ofOperations = 1
	ofFaults     = 2
)

// Make makes the plan that follows from o, always the same one. A Length of 90 s
// or more has every kind of fault, and Operations of Enough or more have every
// history and every sort of receiver.
func Make(o Options) Plan {
	made := Plan{
		Options:    o,
		Operations: operations(rand.New(rand.NewPCG(o.Seed, ofOperations)), o), //nolint:gosec // a seed is what is wanted
	}
	if !o.Calm {
		made.Faults = faults(rand.New(rand.NewPCG(o.Seed, ofFaults)), o.Length) //nolint:gosec // a seed is what is wanted
	}
	return made
}

// Enough operations are those that leave nothing out.
var Enough = len(histories) + len(receivers)

// ByID are the operations by their ids.
func (p Plan) ByID() map[string]Operation {
	found := make(map[string]Operation, len(p.Operations))
	for _, o := range p.Operations {
		found[o.ID] = o
	}
	return found
}

// Key names the operation in Ringback.
func (o Operation) Key() operation.Key {
	return operation.Key{Endpoint: o.Endpoint, OperationID: o.ID}
}

// Step is what holds at the core so long after the campaign's beginning.
func (o Operation) Step(since time.Duration) Step {
	held := o.Steps[0]
	for _, step := range o.Steps {
		if step.After <= since-o.StartAt {
			held = step
		}
	}
	return held
}

func operations(r *rand.Rand, o Options) []Operation {
	all := make([]Operation, o.Operations)
	for i := range all {
		all[i] = operationOf(r, i)
		all[i].StartAt = upTo(r, o.Length)
	}
	slices.SortStableFunc(all, func(a, b Operation) int { return cmp.Compare(a.StartAt, b.StartAt) })
	forbidOneAtATime(all)
	return all
}

// forbidApart is how long after one operation that is forbidden the next one starts:
// two at a time are evidence about their source.
const forbidApart = 20 * time.Second

func forbidOneAtATime(all []Operation) {
	free := time.Duration(0)
	for _, o := range all {
		switch {
		case !o.Steps[0].Forbidden:
		case o.StartAt >= free:
			free = o.StartAt + forbidApart
		default:
			for i := range o.Steps {
				o.Steps[i].Forbidden = false
			}
		}
	}
}

// operation is number i. The first ones go through every history, the next ones
// through every sort of receiver, so that none is left to chance.
func operationOf(r *rand.Rand, i int) Operation {
	lived, answering := pick(r, histories, history.often), pick(r, receivers, receiver.often)
	switch {
	case i < len(histories):
		lived = histories[i]
	case i < Enough:
		lived = pick(r, slices.DeleteFunc(slices.Clone(histories), history.choosy), history.often)
		answering = receivers[i-len(histories)]
	}
	endpoint := lived.endpoint(r, answering)
	if lived.choosy() {
		answering = ownReceivers[endpoint.Receivers]
	}
	operation := Operation{
		Endpoint: endpoint.Name, ID: id(r, endpoint.SourceKind, i), History: lived.name, Starts: 1,
		Receiver: answering.make(r),
	}
	if endpoint.SourceKind == ukrcard {
		operation.Method = one(r, "payment", "p2p_transfer", "p2p_a2c", "p2p_c2a")
	}
	lived.script(r, vocabularies[endpoint.SourceKind], &operation)
	return operation
}

// id is one that no other operation has: some of digits alone, which Paysera
// answers as a number, and some of Ukrcard's with what a path must escape.
func id(r *rand.Rand, sourceKind string, i int) string {
	switch {
	case r.IntN(3) > 0:
		return fmt.Sprintf("op-%06d", i)
	case sourceKind == ukrcard:
		return fmt.Sprintf("A/%d #%%2F?&", i)
	}
	return strconv.Itoa(700_000_000 + i)
}

// pick draws one of them, the more often the more it weighs.
func pick[T any](r *rand.Rand, from []T, weight func(T) int) T {
	total := 0
	for _, t := range from {
		total += weight(t)
	}
	at := r.IntN(total)
	for _, t := range from {
		if at -= weight(t); at < 0 {
			return t
		}
	}
	panic("the weights add up to less than themselves")
}

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// upTo is a whole millisecond below most.
func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(max(most.Milliseconds(), 1))) * time.Millisecond
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + upTo(r, most-least)
}
