package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ringback/activities"
)

// crash is of one subject with deliveries whose receivers are down.
type crash struct {
	subject string
	load    load
	reopen  func(context.Context) error
	most    *target
}

// restartTimeout bounds the first attempts, and the last ones after the restart.
const restartTimeout = 5 * time.Minute

// restart measures how soon callbacks are delivered that are all due when a killed
// process comes back. Their receivers are down until then.
func (s *testbed) restart(ctx context.Context) error {
	due, h := s.extent.Due, s.extent.RestartGap
	crashes := []crash{
		{"ringback", burst(s.prefix(1), due).to(endpointDown(h)), s.openRingback, atMost(15)},
		{"plain", burst(s.prefix(1), due).to(plainEndpoint("down", h)), s.openPlain, nil},
	}
	if s.extent.Quick {
		crashes = crashes[:1]
	}
	for _, c := range crashes {
		s.log("%s: restart: %d operations of %s", s.database, due, c.subject)
		if err := s.killDelivering(ctx, c); err != nil {
			return err
		}
	}
	// One that was under way at the kill is due last: h after the server gave it up.
	time.Sleep(activities.DeliverHeartbeatTimeout + h)
	for _, c := range crashes {
		took, err := s.deliverAfterRestart(ctx, c)
		if err != nil {
			return err
		}
		s.add(fmt.Sprintf("%d due at kill -9, the last one after the restart, %s", due, c.subject), "s", took.Seconds(), c.most,
			fmt.Sprintf("h = %v; down until all are due", h))
	}
	return nil
}

// killDelivering starts the operations and kills their subject after the first attempt
// of each.
func (s *testbed) killDelivering(ctx context.Context, c crash) error {
	if _, err := s.startAll(ctx, c.subject, c.load); err != nil {
		return err
	}
	if err := s.await(ctx, "count arrivals", c.load, c.load.Count, restartTimeout); err != nil {
		return err
	}
	return s.kill(map[string]*role{"plain": s.plain, "ringback": s.ringback}[c.subject])
}

// startAll starts operations at plain or Ringback, again where a start is shed.
func (s *testbed) startAll(ctx context.Context, subject string, l load) (result, error) {
	if subject == "plain" {
		return s.begin(ctx, subject, l)
	}
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	core := s.repeating()
	return s.call(ctx, "starts", l, func(ctx context.Context, endpoint, id string) error {
		_, _, err := core.Start(ctx, startRequest(endpoint, id))
		return err
	})
}

// deliverAfterRestart starts a killed subject, whose receivers are up again, and returns
// how long that and all its callbacks take.
func (s *testbed) deliverAfterRestart(ctx context.Context, c crash) (time.Duration, error) {
	if _, err := s.simulator.ask(ctx, Request{Do: "finish", Prefix: c.load.Prefix + "-"}); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := c.reopen(ctx); err != nil {
		return 0, err
	}
	if err := s.await(ctx, "count acknowledged", c.load, c.load.Count, restartTimeout); err != nil {
		return 0, err
	}
	got, err := s.arrivals(ctx, c.load, time.Minute)
	var last time.Duration
	for _, a := range got {
		acknowledged := slices.IndexFunc(a, func(a arrival) bool { return a.Acknowledged })
		last = max(last, time.Unix(0, a[acknowledged].Answered).Sub(begun))
	}
	return last, err
}
