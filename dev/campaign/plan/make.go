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

// The streams of random numbers: more operations do not change the faults.
const (
	operationsStream = 1
	faultsStream     = 2
)

// Make makes the plan of these options, always the same one. A Length of 90 s or more
// has every kind of fault; Operations of Enough or more have every history and every
// kind of receiver.
func Make(o Options) Plan {
	made := Plan{
		Options:    o,
		Operations: operations(rand.New(rand.NewPCG(o.Seed, operationsStream)), o), //nolint:gosec // a seed is what is wanted
	}
	if !o.Calm {
		made.Faults = faults(rand.New(rand.NewPCG(o.Seed, faultsStream)), o.Length) //nolint:gosec // a seed is what is wanted
	}
	return made
}

// Enough operations have every history and every kind of receiver.
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

// Step is the one that holds at a time since the campaign's beginning.
func (o Operation) Step(sinceBegin time.Duration) Step {
	current := o.Steps[0]
	for _, step := range o.Steps {
		if step.After <= sinceBegin-o.StartAt {
			current = step
		}
	}
	return current
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

// forbidApart is the time between the starts of two forbidden operations: if two are
// forbidden at a time, Ringback rests the whole source.
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

// operationOf makes operation number i. The first ones go through every history, the
// next ones through every kind of receiver.
func operationOf(r *rand.Rand, i int) Operation {
	h, receiving := pick(r, histories, history.frequency), pick(r, receivers, receiver.frequency)
	switch {
	case i < len(histories):
		h = histories[i]
	case i < Enough:
		h = pick(r, slices.DeleteFunc(slices.Clone(histories), history.dedicated), history.frequency)
		receiving = receivers[i-len(histories)]
	}
	endpoint := h.endpointFor(r, receiving)
	if h.dedicated() {
		receiving = dedicatedReceivers[endpoint.Receivers]
	}
	operation := Operation{
		Endpoint: endpoint.Name, ID: id(r, endpoint.SourceKind, i), History: h.name, Starts: 1,
		Receiver: receiving.make(r),
	}
	if endpoint.SourceKind == ukrcard {
		operation.Method = one(r, "payment", "p2p_transfer", "p2p_a2c", "p2p_c2a")
	}
	h.script(r, vocabularies[endpoint.SourceKind], &operation)
	return operation
}

// id is unique. Some have digits alone, which Paysera answers as a number; some of
// Ukrcard's have characters that a path must escape.
func id(r *rand.Rand, sourceKind string, i int) string {
	switch {
	case r.IntN(3) > 0:
		return fmt.Sprintf("op-%06d", i)
	case sourceKind == ukrcard:
		return fmt.Sprintf("A/%d #%%2F?&", i)
	}
	return strconv.Itoa(700_000_000 + i)
}

// pick picks one at random, by weight.
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
	panic("the weights don't add up")
}

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// upTo is a random time in whole milliseconds below most.
func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(max(most.Milliseconds(), 1))) * time.Millisecond
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + upTo(r, most-least)
}
