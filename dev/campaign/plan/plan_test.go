package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/plan"
	"ringback/internal/cardnumber"
	"ringback/internal/source"
)

// seeds are how many plans the tests of chance look at.
const seeds = 40

// manyOperations have every history several times.
const manyOperations = 1500

func TestTheSameSeedMakesTheSamePlan(t *testing.T) {
	t.Parallel()
	o := plan.Options{Seed: 7, Operations: 200, Length: 2 * time.Minute}
	one := plan.Make(o)
	require.Equal(t, one, plan.Make(o))
	other := o
	other.Seed = 8
	require.NotEqual(t, plan.Make(o).Operations, plan.Make(other).Operations)
	require.NotEqual(t, plan.Make(o).Faults, plan.Make(other).Faults)
}

func TestACalmPlanHasTheSameOperationsAndNoFaults(t *testing.T) {
	t.Parallel()
	o := plan.Options{Seed: 7, Operations: 200, Length: 2 * time.Minute}
	calm := o
	calm.Calm = true
	require.Equal(t, plan.Make(o).Operations, plan.Make(calm).Operations)
	require.Empty(t, plan.Make(calm).Faults)
}

var everyKind = []plan.FaultKind{
	plan.Kill, plan.Terminate, plan.Freeze, plan.Latency, plan.Reset, plan.Blackhole, plan.SlowClose,
	plan.CoreDown, plan.SkewedClock, plan.SlotsFull, plan.DatabaseRefuses,
}

func TestACampaignOf90SecondsHasEveryKindOfFault(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{90 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute} {
		for seed := range uint64(seeds) {
			found := map[plan.FaultKind]bool{}
			for _, f := range plan.Make(plan.Options{Seed: seed, Length: length}).Faults {
				found[f.Kind] = true
			}
			for _, kind := range everyKind {
				require.True(t, found[kind], "%s in %s of seed %d", kind, length, seed)
			}
		}
	}
}

func TestALongCampaignHasEveryFaultOnEveryTarget(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seeds) {
		found := map[string]bool{}
		for _, f := range plan.Make(plan.Options{Seed: seed, Length: 20 * time.Minute}).Faults {
			found[fmt.Sprint(f.Kind, " on ", f.On)] = true
		}
		for _, kind := range []plan.FaultKind{plan.Kill, plan.Terminate} {
			for _, on := range plan.Programs {
				require.True(t, found[fmt.Sprint(kind, " on ", on)], "%s on %s", kind, on)
			}
		}
		for _, kind := range []plan.FaultKind{plan.Latency, plan.Reset, plan.Blackhole, plan.SlowClose} {
			for _, on := range plan.Links {
				require.True(t, found[fmt.Sprint(kind, " on ", on)], "%s on %s", kind, on)
			}
		}
	}
}

// leastPause is the shortest time between two faults.
const leastPause = 1500 * time.Millisecond

func TestFaultsDoNotOverlap(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{0, 10 * time.Second, 90 * time.Second, 5 * time.Minute} {
		for seed := range uint64(seeds) {
			faults := plan.Make(plan.Options{Seed: seed, Length: length}).Faults
			end := time.Duration(0)
			for _, f := range faults {
				require.GreaterOrEqual(t, f.At, end+leastPause, "%+v", f)
				require.Positive(t, f.Last)
				require.True(t, slices.Contains(plan.Programs, f.On) || slices.Contains(plan.Links, f.On), "%+v", f)
				end = f.At + f.Last
			}
			require.LessOrEqual(t, end, length)
		}
	}
}

// kindOf describes a kind of receiver.
func kindOf(r plan.Receiver) string {
	return fmt.Sprint(r.Behaviour, ", always: ", r.First == plan.Always, ", slow: ", r.Delay > 0)
}

var everyReceiver = []string{
	"acknowledges, always: false, slow: false", "acknowledges, always: false, slow: true",
	"fails, always: false, slow: false", "fails, always: true, slow: false",
	"hangs up, always: false, slow: false", "hangs up, always: true, slow: false",
	"drops its answer, always: false, slow: false", "skewed, always: true, slow: false", "gone, always: true, slow: false",
}

func TestEnoughOperationsHaveEveryHistoryAndKindOfReceiver(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seeds) {
		histories, kinds := map[string]bool{}, map[string]bool{}
		for _, o := range plan.Make(plan.Options{Seed: seed, Operations: plan.Enough, Length: time.Minute}).Operations {
			histories[o.History] = true
			kinds[kindOf(o.Receiver)] = true
		}
		for _, h := range plan.Histories {
			require.True(t, histories[h], "%s of seed %d", h, seed)
		}
		for _, s := range everyReceiver {
			require.True(t, kinds[s], "%s of seed %d", s, seed)
		}
	}
}

func many(seed uint64) []plan.Operation {
	return plan.Make(plan.Options{Seed: seed, Operations: manyOperations, Length: 2 * time.Minute}).Operations
}

func TestOperationsFollowTheDocuments(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	last := time.Duration(0)
	for _, o := range many(1) {
		require.False(t, ids[o.ID], "%s exists twice", o.ID)
		ids[o.ID] = true
		require.GreaterOrEqual(t, o.StartAt, last)
		last = o.StartAt

		e, ok := plan.EndpointByName(o.Endpoint)
		require.True(t, ok)
		kind, ok := source.KindByName(e.SourceKind)
		require.True(t, ok)
		require.False(t, cardnumber.In(o.ID))
		for _, rule := range kind.Fields {
			for _, value := range values(o)[rule.Field] {
				require.Nil(t, rule.Check(value), "%s of %+v", rule.Field, o)
			}
		}
		for _, step := range o.Steps {
			require.Contains(t, kind.Vocabulary, step.Status)
		}
		for _, p := range o.Pushes {
			require.True(t, p.Status == "" || slices.Contains(kind.Vocabulary, p.Status), "%+v", p)
		}
	}
	require.Less(t, last, 2*time.Minute)
}

// values are the fields of the operation's start.
func values(o plan.Operation) map[string][]string {
	return map[string][]string{
		"operation_id": {o.ID}, "method": {o.Method}, "known_status": {o.KnownStatus}, "callback.statuses": o.Wanted,
	}
}

func TestStepsAndPushesAreOrderedByTime(t *testing.T) {
	t.Parallel()
	for _, o := range many(2) {
		require.NotEmpty(t, o.Steps)
		require.Zero(t, o.Steps[0].After)
		require.True(t, slices.IsSortedFunc(o.Steps, func(a, b plan.Step) int { return int(a.After - b.After) }), "%+v", o)
		require.True(t, slices.IsSortedFunc(o.Pushes, func(a, b plan.Push) int { return int(a.After - b.After) }), "%+v", o)
		require.Positive(t, o.Starts)
	}
}

func TestStepIsTheOneThatHolds(t *testing.T) {
	t.Parallel()
	o := plan.Operation{StartAt: 10 * time.Second, Steps: []plan.Step{{Status: "0"}, {After: 2 * time.Second, Status: "5"}, {After: 4 * time.Second, Status: "2"}}}
	for sinceBegin, want := range map[time.Duration]string{
		0: "0", 11 * time.Second: "0", 12*time.Second - 1: "0", 12 * time.Second: "5", 14 * time.Second: "2", time.Hour: "2",
	} {
		require.Equal(t, want, o.Step(sinceBegin).Status, sinceBegin)
	}
}

func TestForbiddenOperationsAreRareAtTheirSource(t *testing.T) {
	t.Parallel()
	found := map[bool]int{}
	last := -time.Hour
	for _, o := range many(8) {
		e, _ := plan.EndpointByName(o.Endpoint)
		if e.SourceName() != "paysera-forbidding" {
			require.False(t, o.Steps[0].Forbidden, "%+v", o)
			continue
		}
		found[o.Steps[0].Forbidden]++
		if o.Steps[0].Forbidden {
			require.GreaterOrEqual(t, o.StartAt, last+15*time.Second, "two at a time would rest the source")
			last = o.StartAt
		}
	}
	require.Greater(t, found[false], found[true])
	require.Positive(t, found[true])
}
