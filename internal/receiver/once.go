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

// Once remembers the results of attempts made inside workflow tasks. The server
// refuses a task's completion where a Signal came in meanwhile, and hands the
// task out again: the attempt is not to be sent again. The zero value is ready
// for use, also concurrently.
type Once struct {
	mu    sync.Mutex
	byKey map[string]*remembered
	// queue has the keys in the order in which they came.
	queue []*remembered
}

type remembered struct {
	key    string
	at     time.Time
	done   chan struct{}
	result Result
	err    error
}

// Do returns send's result. A call with the key of one within the last minute
// gets that one's result, and waits for it where it is still in flight. An error
// of send's (the attempt was held back) is not remembered.
func (o *Once) Do(key string, send func() (Result, error)) (Result, error) {
	earlier, mine := o.enter(key)
	if !mine {
		<-earlier.done
		return earlier.result, earlier.err
	}
	defer close(earlier.done)
	earlier.err = errNotMade // unless send returns
	defer func() {
		if earlier.err != nil {
			o.forget(earlier)
		}
	}()
	earlier.result, earlier.err = send()
	return earlier.result, earlier.err
}

func (o *Once) enter(key string) (entry *remembered, mine bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.expire(now)
	if found := o.byKey[key]; found != nil {
		return found, false
	}
	if o.byKey == nil {
		o.byKey = map[string]*remembered{}
	}
	entry = &remembered{key: key, at: now, done: make(chan struct{})}
	o.byKey[key] = entry
	o.queue = append(o.queue, entry)
	return entry, true
}

// expire drops what is too old or too many. Whoever waits for one of them still
// gets its result.
func (o *Once) expire(now time.Time) {
	for len(o.queue) > 0 && (len(o.queue) >= onceKept || now.Sub(o.queue[0].at) > onceFor) {
		o.drop(o.queue[0])
		o.queue[0] = nil
		o.queue = o.queue[1:]
	}
}

func (o *Once) forget(entry *remembered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(entry)
}

func (o *Once) drop(entry *remembered) {
	if o.byKey[entry.key] == entry {
		delete(o.byKey, entry.key)
	}
}
