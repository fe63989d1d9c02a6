package receiver

import (
	"sync"
	"time"
)

const (
	// onceFor is how long a result is remembered: longer than the server takes to
	// hand a workflow task out again whose completion it refused.
	onceFor = time.Minute
	// onceKept bounds how many are.
	onceKept = 10_000
)

// Once remembers the results of calls made inside workflow tasks. The server
// refuses a task's completion where a Signal came in meanwhile, and hands the
// task out again: the call is not to be made again. The zero value is ready for
// use, also concurrently.
type Once[T any] struct {
	mu    sync.Mutex
	byKey map[string]*remembered[T]
	// queue has the keys in the order in which they came.
	queue []*remembered[T]
}

type remembered[T any] struct {
	key    string
	at     time.Time
	done   chan struct{}
	result T
	err    error
}

// Do returns call's result. A call with the key of one within the last minute gets
// that one's result, and waits for it where it is still in flight. An error (the
// call was held back) is not remembered.
func (o *Once[T]) Do(key string, call func() (T, error)) (T, error) {
	earlier, mine := o.enter(key)
	if !mine {
		<-earlier.done
		return earlier.result, earlier.err
	}
	defer close(earlier.done)
	earlier.err = errNotMade // unless call returns
	defer func() {
		if earlier.err != nil {
			o.forget(earlier)
		}
	}()
	earlier.result, earlier.err = call()
	return earlier.result, earlier.err
}

func (o *Once[T]) enter(key string) (entry *remembered[T], mine bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.expire(now)
	if found := o.byKey[key]; found != nil {
		return found, false
	}
	if o.byKey == nil {
		o.byKey = map[string]*remembered[T]{}
	}
	entry = &remembered[T]{key: key, at: now, done: make(chan struct{})}
	o.byKey[key] = entry
	o.queue = append(o.queue, entry)
	return entry, true
}

// expire drops what is too old or too many. A caller that waits for one of
// them still gets its result.
func (o *Once[T]) expire(now time.Time) {
	for len(o.queue) > 0 && (len(o.queue) >= onceKept || now.Sub(o.queue[0].at) > onceFor) {
		o.drop(o.queue[0])
		o.queue[0] = nil
		o.queue = o.queue[1:]
	}
}

func (o *Once[T]) forget(entry *remembered[T]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(entry)
}

func (o *Once[T]) drop(entry *remembered[T]) {
	if o.byKey[entry.key] == entry {
		delete(o.byKey, entry.key)
	}
}
