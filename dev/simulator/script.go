package simulator

// scripts hold the steps that a simulator answers with, by operation. Callers
// hold the simulator's lock.
type scripts[T any] struct {
	steps map[string][]T
	// fallback is for operations without steps of their own.
	fallback []T
	// turns counts the steps taken by each operation.
	turns map[string]int
}

func newScripts[T any](fallback []T) scripts[T] {
	return scripts[T]{steps: map[string][]T{}, fallback: fallback, turns: map[string]int{}}
}

func (s *scripts[T]) set(operation string, steps []T) {
	s.steps[operation] = steps
	s.turns[operation] = 0
}

// current is the operation's step now; false if it has none.
func (s *scripts[T]) current(operation string) (T, bool) {
	steps, found := s.steps[operation]
	if !found {
		steps = s.fallback
	}
	return turn(steps, s.turns[operation])
}

// next is the current step, and moves on to the one after it.
func (s *scripts[T]) next(operation string) (T, bool) {
	step, found := s.current(operation)
	s.turns[operation]++
	return step, found
}

// turn is the step of a script for request number n, counted from 0: the last
// step repeats.
func turn[T any](script []T, n int) (T, bool) {
	if len(script) == 0 {
		var none T
		return none, false
	}
	return script[min(n, len(script)-1)], true
}
