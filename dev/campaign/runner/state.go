package runner

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	apiclient "ringback/api/client"
	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

const (
	// patience is how long operations may stay open after the last call and fault:
	// longer than every attempt of a delivery with every interval.
	patience = 4 * time.Minute
	// readers is how many states are read at once, readInterval how long open
	// operations are left alone between two reads.
	readers      = 8
	readInterval = time.Second
	readTimeout  = 30 * time.Second
)

// readStates waits until every operation of the plan is closed, for at most
// patience, and writes each one's state to the journal.
func (r *runner) readStates(ctx context.Context) error {
	open := make([]operation.Key, len(r.plan.Operations))
	for i, o := range r.plan.Operations {
		open[i] = o.Key()
	}
	deadline := time.Now().Add(patience)
	for reads := 0; ; reads++ {
		last := time.Now().After(deadline)
		var err error
		if open, err = r.readClosed(ctx, open, last); err != nil || len(open) == 0 {
			return err
		}
		if reads%10 == 0 {
			r.Log("%d operations are still open", len(open))
		}
		if err := sleepUntil(ctx, time.Now().Add(readInterval)); err != nil {
			return err
		}
	}
}

// readClosed reads each operation once, writes the closed ones to the journal, or
// all of them at the last read, and returns the others.
func (r *runner) readClosed(ctx context.Context, keys []operation.Key, last bool) (open []operation.Key, err error) {
	var mu sync.Mutex
	var reading errgroup.Group
	reading.SetLimit(readers)
	for i, key := range keys {
		reading.Go(func() error {
			state := readState(ctx, r.api(i), key)
			closed := state.HTTPStatus == http.StatusNotFound || state.HTTPStatus == http.StatusOK && apiclient.Closed(state.State)
			if closed || last {
				return r.journal.Write(journal.Entry{State: &state})
			}
			mu.Lock()
			defer mu.Unlock()
			open = append(open, key)
			return nil
		})
	}
	err = reading.Wait()
	return open, err
}

// readState reads one state. A failure is recorded by its HTTP status, 0 if no
// answer came.
func readState(ctx context.Context, api *apiclient.Client, key operation.Key) journal.State {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	state, err := api.State(ctx, key)
	if err != nil {
		return journal.State{Key: key, HTTPStatus: apiclient.Status(err)}
	}
	return journal.State{Key: key, HTTPStatus: http.StatusOK, State: state}
}
