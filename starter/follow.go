package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// following is how something is followed until it ends.
type following struct {
	every, within time.Duration
}

// fastest is the shortest gap between two looks: the API counts reads.
const fastest = 10 * time.Millisecond

func (f *following) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.every, "every", time.Second, "look every `TIME`")
	cmd.Flags().DurationVar(&f.within, "for", 0, "give up after this `TIME`; 0: never")
}

func (f *following) check() error {
	switch {
	case f.every < fastest:
		return usage("--every %s is below %s", f.every, fastest)
	case f.within < 0:
		return usage("--for %s is negative", f.within)
	}
	return nil
}

// follow looks again and again until look says that it is over. Once there was
// an answer, what may pass is told and waited out.
func (t *tool) follow(ctx context.Context, f following, look func(context.Context) (over bool, err error)) error {
	var giveUp <-chan time.Time
	if f.within > 0 {
		giveUp = time.After(f.within)
	}
	for answered := false; ; {
		over, err := t.lookOnce(ctx, look)
		if over || (err != nil && (!answered || !passes(err) || ctx.Err() != nil)) {
			return err
		}
		answered = true
		if err != nil {
			t.note("%s; trying again", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-giveUp:
			return end(exitGoesOn, "given up after %s; what was followed goes on", f.within)
		case <-time.After(max(f.every, retryAfterOf(err))):
		}
	}
}

func (t *tool) lookOnce(ctx context.Context, look func(context.Context) (bool, error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return look(ctx)
}

// passes reports whether err says that the API can't answer now.
func passes(err error) bool {
	var unreachable *unreachableError
	var refused *apiError
	return errors.As(err, &unreachable) ||
		errors.As(err, &refused) && (refused.status >= http.StatusInternalServerError || refused.status == http.StatusTooManyRequests)
}

func retryAfterOf(err error) time.Duration {
	var refused *apiError
	if !errors.As(err, &refused) {
		return 0
	}
	seconds, _ := strconv.Atoi(refused.retryAfter)
	return time.Duration(seconds) * time.Second
}

// note tells something beside the output.
func (t *tool) note(format string, args ...any) {
	_, _ = fmt.Fprintf(t.err, "starter: "+format+"\n", args...)
	if t.canvas != nil {
		t.canvas.drawn = 0 // the note stands below what was drawn
	}
}
