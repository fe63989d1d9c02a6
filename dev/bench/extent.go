package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// extent says how much of everything a run makes.
type extent struct {
	// Floors is how often the floor is measured on both servers, Rounds how
	// often everything else is.
	Floors, Rounds int
	// Operations in a burst, and of plain in a burst.
	Burst, PlainBurst int
	// Steady is how long a load of steadyRate lasts.
	Steady time.Duration
	Gaps   []time.Duration
	// GapsFor is how long operations whose first attempt fails are started.
	GapsFor   time.Duration
	Isolation []disturbance
	// PollsFor is how long a crowd is watched to see what one further poll costs.
	PollsFor time.Duration
	// Open operations, 0 for none, and how long they are left alone.
	Open     int
	Idle     time.Duration
	ReadsFor time.Duration
	// Tunings says that each tuning of the server is measured by leaving it out.
	Tunings bool
	// OthersToo are the names of what is measured on other databases than the first.
	OthersToo []string
	// Databases to measure on: everything on the first.
	Databases []string
	// Only are the beginnings of the names of what is measured; empty: all.
	Only []string
}

const (
	steadyRate = 50.0
	readRate   = 200.0
	slow       = 5 * time.Second
	slower     = 20 * time.Second
	// fewAttempts and manyAttempts are what a history must not tell apart.
	fewAttempts, manyAttempts = 2, 8
	fewPolls, manyPolls       = 2, 6
	// stall is the workflow task timeout, which nothing may wait for.
	stall = 9 * time.Second
	// gapMargin is how late an attempt may be at p99 (promise 5).
	gapMargin = 50 * time.Millisecond
	// lateMargin is how late a healthy endpoint may be rung at most.
	lateMargin = 250 * time.Millisecond
	// failingFor is how long a delivery to the failing endpoint goes on.
	failingFor = (failingAttempts - 1) * failingGap
	// failingAttempts and failingGap are its k and h.
	failingAttempts = 4
	failingGap      = 3 * time.Second
	// revocationSlow is how long the receiver takes that a revocation must not wait for.
	revocationSlow = 10 * time.Second
)

// disturbance is what goes to two bad endpoints beside a healthy one's traffic.
type disturbance struct {
	Each float64
	Slow time.Duration
	Most float64
}

func (d disturbance) String() string {
	return fmt.Sprintf("%g/s failing and %g/s taking %v", d.Each, d.Each, d.Slow)
}

var disturbances = []disturbance{{10, slow, 2}, {30, slow, 6}, {30, slower, 8}}

// quickExtent is under three minutes, fullExtent is what a claim should rest on.
var (
	quickExtent = extent{
		Floors: 2, Rounds: 1, Burst: 150, PlainBurst: 100, Steady: 3 * time.Second,
		Gaps: []time.Duration{50 * time.Millisecond, time.Second}, GapsFor: 6 * time.Second,
		Isolation: disturbances[:1],
		PollsFor:  4 * time.Second, ReadsFor: 3 * time.Second,
		OthersToo: []string{"floor"},
	}
	fullExtent = extent{
		Floors: 4, Rounds: 3, Burst: 600, PlainBurst: 200, Steady: 10 * time.Second,
		Gaps: []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, time.Minute}, GapsFor: 20 * time.Second,
		Isolation: disturbances, PollsFor: 11 * time.Second,
		Open: 100_000, Idle: time.Minute, ReadsFor: 8 * time.Second, Tunings: true,
		OthersToo: []string{"floor", "tunings", "bursts", "steady", "workflow"},
	}
)

func (e extent) wants(name string) bool {
	begins := func(beginning string) bool { return strings.HasPrefix(name, beginning) }
	return len(e.Only) == 0 || name == "subjects" || slices.ContainsFunc(e.Only, begins)
}

// wantsOn tells whether something is measured on other databases than the first.
func (e extent) wantsOn(name string) bool {
	return name == "subjects" || slices.Contains(e.OthersToo, name)
}
