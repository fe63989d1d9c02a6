package runner

import (
	"context"
	"errors"
	"sync"
	"time"

	"ringback/dev/campaign/actors"
)

// Play plays a campaign from its beginning to the last operation's end. What it
// saw is in the journals then. An error says that it could not be played, or that
// a program did what none may: end by itself, or not when it was told to.
func Play(ctx context.Context, o Options) (err error) {
	s, ctx, err := Open(ctx, o)
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	if err == nil {
		err = s.play(ctx)
	}
	if err != nil {
		s.fail(err)
	}
	return err
}

func (s *Stage) play(ctx context.Context) error {
	if err := s.Begin(ctx); err != nil {
		return err
	}
	var progress sync.WaitGroup
	watched, seen := context.WithCancel(ctx)
	progress.Go(func() { s.Progress(watched) })
	defer progress.Wait()
	defer seen()
	s.Say("%d operations and %d faults in %s, seed %d", len(s.plan.Operations), len(s.plan.Faults), s.plan.Length, s.plan.Seed)
	if err := s.Faults(ctx); err != nil {
		return err
	}
	if err := s.awaitStarters(ctx); err != nil {
		return err
	}
	s.Say("everything is said and whole: waiting for what is open")
	if err := s.statesUnderStarts(ctx); err != nil {
		return err
	}
	return until(ctx, time.Now().Add(settling))
}

// statesUnderStarts is States while starts are said again, which tell the checker
// how the engine does meanwhile.
func (s *Stage) statesUnderStarts(ctx context.Context) error {
	starting, enough := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- actors.Again(starting, s.outside(), s.journal) }()
	err := s.States(ctx)
	enough()
	return errors.Join(err, <-ended)
}

// awaitStarters waits until the payment cores have said everything and were
// answered.
func (s *Stage) awaitStarters(ctx context.Context) error {
	starters := s.subjects[startersRole].(*program)
	ctx, cancel := context.WithDeadline(ctx, s.began.Add(s.plan.Length+patience))
	defer cancel()
	return starters.ended(ctx)
}

// settling is from the last operation's end to that of the world: what should
// not come any more has the time to.
const settling = 3 * time.Second
