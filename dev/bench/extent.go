package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// extent is how much a run measures.
type extent struct {
	// Floors is how often the floor is measured on both servers, Rounds how often
	// everything else is.
	Floors, Rounds int
	// Burst and PlainBurst are the operations of a burst of Ringback's and plain's.
	Burst, PlainBurst int
	// Steady is how long a load of steadyRate lasts.
	Steady time.Duration
	Gaps   []time.Duration
	// GapsFor is how long operations are started whose first attempt fails.
	GapsFor   time.Duration
	Isolation []disturbance
	// PollsFor is how long the CPU time of polls is measured.
	PollsFor time.Duration
	// Open is how many operations are opened, Idle how long they are left alone.
	Open     int
	Idle     time.Duration
	ReadsFor time.Duration
	// Overload is how long three times the capacity is asked for; 0: not at all.
	Overload time.Duration
	// OnOthers are the steps that are measured on every database, not only the first.
	OnOthers  []string
	Databases []string
	// Only are the beginnings of the steps' names; empty: all.
	Only []string
}

const (
	steadyRate = 50.0
	readRate   = 200.0
	slow       = 5 * time.Second
	slower     = 20 * time.Second
	// The history must not grow from few to many of these.
	fewAttempts, manyAttempts = 2, 8
	fewPolls, manyPolls       = 2, 6
	// stall is nearly a workflow task timeout, which nothing may wait for.
	stall = 9 * time.Second
	// gapMargin is how late an attempt may be at p99 (promise 5).
	gapMargin = 50 * time.Millisecond
	// lateMargin is how late a callback of a healthy endpoint may be at most.
	lateMargin = 250 * time.Millisecond
	// failingFor is how long a delivery to the failing endpoint lasts.
	failingFor = (failingAttempts - 1) * failingGap
	// failingAttempts and failingGap are its k and h.
	failingAttempts = 4
	failingGap      = 3 * time.Second
	// revocationSlow is how long the receiver takes while a revocation is made.
	revocationSlow = 10 * time.Second
)

// disturbance is load on a failing and a slow endpoint beside a healthy one: Each
// operations a second. The healthy one's p99 may become Most times as long.
type disturbance struct {
	Each float64
	Slow time.Duration
	Most float64
}

func (d disturbance) String() string {
	return fmt.Sprintf("%g/s failing and %g/s taking %v", d.Each, d.Each, d.Slow)
}

var disturbances = []disturbance{{10, slow, 2}, {30, slow, 6}, {30, slower, 8}}

// quickExtent takes under three minutes, fullExtent an hour.
var (
	quickExtent = extent{
		Floors: 2, Rounds: 1, Burst: 150, PlainBurst: 100, Steady: 3 * time.Second,
		Gaps: []time.Duration{50 * time.Millisecond, time.Second}, GapsFor: 6 * time.Second,
		Isolation: disturbances[:1],
		PollsFor:  4 * time.Second, ReadsFor: 3 * time.Second,
		OnOthers: []string{"floor"},
	}
	fullExtent = extent{
		Floors: 4, Rounds: 3, Burst: 600, PlainBurst: 200, Steady: 10 * time.Second,
		Gaps: []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, time.Minute}, GapsFor: 20 * time.Second,
		Isolation: disturbances, PollsFor: 11 * time.Second,
		Open: 100_000, Idle: time.Minute, ReadsFor: 8 * time.Second, Overload: 45 * time.Second,
		OnOthers: []string{"floor", "bursts", "steady", "workflow"},
	}
)

func (e extent) wants(name string) bool {
	begins := func(beginning string) bool { return strings.HasPrefix(name, beginning) }
	return len(e.Only) == 0 || name == "subjects" || slices.ContainsFunc(e.Only, begins)
}

// wantsOnOthers reports whether a step is measured on every database.
func (e extent) wantsOnOthers(name string) bool {
	return name == "subjects" || slices.Contains(e.OnOthers, name)
}
