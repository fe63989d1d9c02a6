package activities

import "sync"

// onceKept is how many results are remembered, and twice that at most: enough to
// outlast the time that the server takes to hand out again a workflow task whose
// completion it refused.
const onceKept = 10_000

// once remembers the results of calls made inside workflow tasks. The server
// refuses a task's completion where a Signal came in meanwhile, and hands the task
// out again: the call must not be made again. The zero value is ready for use,
// also concurrently.
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

// do returns call's result. A call with the key of a remembered one gets that
// one's result, and waits for it where it is still in flight. An error (the call
// was held back) is not remembered.
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
