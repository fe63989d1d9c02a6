package activities

import "sync"

// onceKept results, and twice that at most, outlast the time that the server takes to
// hand out again a workflow task.
const onceKept = 10_000

// once remembers the results of calls made inside workflow tasks: the server may refuse
// a task's completion and hand it out again. The zero value is ready for concurrent
// use.
type once[T any] struct {
	mu sync.Mutex
	// newer becomes older when it is full.
	newer, older map[string]*remembered[T]
}

type remembered[T any] struct {
	done   chan struct{}
	result T
	err    error
}

// do returns call's result, or that of a remembered call with the same key, waiting
// where that is in flight. An error is not remembered.
func (o *once[T]) do(key string, call func() (T, error)) (T, error) {
	entry, found := o.enter(key)
	if found {
		<-entry.done
		return entry.result, entry.err
	}
	defer close(entry.done)
	entry.err = errNotMade // unless call returns
	defer func() {
		if entry.err != nil {
			o.forget(key, entry)
		}
	}()
	entry.result, entry.err = call()
	return entry.result, entry.err
}

func (o *once[T]) enter(key string) (entry *remembered[T], found bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if entry = o.newer[key]; entry == nil {
		entry = o.older[key]
	}
	if entry != nil {
		return entry, true
	}
	if o.newer == nil || len(o.newer) >= onceKept {
		o.newer, o.older = map[string]*remembered[T]{}, o.newer
	}
	entry = &remembered[T]{done: make(chan struct{})}
	o.newer[key] = entry
	return entry, false
}

func (o *once[T]) forget(key string, entry *remembered[T]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, entries := range []map[string]*remembered[T]{o.newer, o.older} {
		if entries[key] == entry {
			delete(entries, key)
		}
	}
}
