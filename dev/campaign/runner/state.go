package runner

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	apiclient "ringback/api/client"
	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

const (
	// patience is how long operations may stay open after the last call and the
	// last fault: longer than a delivery's every attempt with every gap.
	patience = 4 * time.Minute
	// readers is how many states are read at once, glance how long after a look at
	// all that were open comes the next.
	readers = 8
	glance  = time.Second
)

// States waits until every operation of the plan is closed, for as long as is
// due, and writes down what the API says of each.
func (s *Stage) States(ctx context.Context) error {
	open := make([]operation.Key, len(s.plan.Operations))
	for i, o := range s.plan.Operations {
		open[i] = operation.Key{Endpoint: o.Endpoint, OperationID: o.ID}
	}
	deadline := time.Now().Add(patience)
	for looks := 0; ; looks++ {
		last := time.Now().After(deadline)
		var err error
		if open, err = s.look(ctx, open, last); err != nil || len(open) == 0 {
			return err
		}
		if looks%10 == 0 {
			s.Say("%d operations are still open", len(open))
		}
		if err := until(ctx, time.Now().Add(glance)); err != nil {
			return err
		}
	}
}

// look reads every operation once, writes down those that are over, or all of
// them where it is the last look, and returns the others.
func (s *Stage) look(ctx context.Context, keys []operation.Key, last bool) (open []operation.Key, err error) {
	var mu sync.Mutex
	var reading sync.WaitGroup
	next := make(chan operation.Key)
	for n := range readers {
		api := s.api(n)
		reading.Go(func() {
			for key := range next {
				state, readErr := read(ctx, api, key)
				over := last || state.HTTPStatus == http.StatusNotFound || state.HTTPStatus == http.StatusOK && apiclient.Closed(state.State)
				if over {
					readErr = s.journal.Write(journal.Entry{State: &state})
				}
				mu.Lock()
				switch {
				case !over:
					open = append(open, key)
				case readErr != nil:
					err = readErr
				}
				mu.Unlock()
			}
		})
	}
	for _, key := range keys {
		next <- key
	}
	close(next)
	reading.Wait()
	return open, err
}

// read asks for one state. An error is told by its HTTP status; 0: no answer came.
func read(ctx context.Context, api *apiclient.Client, key operation.Key) (journal.State, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	state, err := api.State(ctx, key)
	if err != nil {
		return journal.State{Key: key, HTTPStatus: apiclient.Status(err)}, fmt.Errorf("read %s: %w", key.WorkflowID(), err)
	}
	return journal.State{Key: key, HTTPStatus: http.StatusOK, State: state}, nil
}
