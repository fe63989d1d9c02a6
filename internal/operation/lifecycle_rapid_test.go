package operation_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ringback/internal/operation"
)

// TestALifecycleHoldsItsPromisesInAnyOrder feeds an operation facts in any order and
// holds what it does against a model that knows much less.
func TestALifecycleHoldsItsPromisesInAnyOrder(t *testing.T) {
	t.Parallel()
	// rapid makes 100 runs; three times as many find more.
	for range 3 {
		rapid.Check(t, inAnyOrder)
	}
}

func inAnyOrder(t *rapid.T) {
	m := newModel(t)
	// What goes on is likelier than what ends, so that runs get somewhere.
	t.Repeat(map[string]func(*rapid.T){
		"see": m.observe, "see more": m.observe, "see even more": m.observe,
		"start": m.start, "start or settle": m.startOrSettle, "settle": m.settle,
		"revoke": m.rarely(m.revoke), "withdraw": m.rarely(m.withdraw), "endWatch": m.rarely(m.endWatch),
		"": m.check,
	})
	m.finish(t)
}

// model records what an observer sees: no rules of delivery, only the order
// of things.
type model struct {
	op       *operation.Lifecycle
	rules    operation.Rules
	statuses []string
	now      operation.Time

	// has are the callbacks that the client has or that are pending; bodies what
	// each looked like at first.
	has    map[string]bool
	bodies map[string]operation.Observation
	// attempts are those made for each callback.
	attempts map[string]int
	// inProgress is the callback being delivered.
	inProgress *operation.Callback
	// settled are the outcomes of deliveries that were not superseded.
	settled []settlement
	// final is the first final status, by whatever way.
	final string
	// known is the last status, and observed when the last answer was recorded.
	known    string
	observed operation.Time
	// withdrawn says that there was something to withdraw, saved that the
	// attempt then in flight was acknowledged.
	withdrawn, saved bool
	atWithdrawal     string
}

// settlement is how the delivery of a callback ended.
type settlement struct {
	id      string
	outcome operation.DeliveryOutcome
}

func newModel(t *rapid.T) *model {
	o := operation.LifecycleOptions{Key: key, Rules: payseraRules}
	statuses := []string{"waiting_password", "waiting_funds", "reserved", "processing", "done", "rejected", "revoked", ""}
	if rapid.IntRange(0, 3).Draw(t, "ukrcard") == 0 {
		o.Rules, statuses = ukrcardRules, []string{"0", "1", "2", "3", "5", ""}
	}
	statuses = rapid.Permutation(statuses).Draw(t, "statuses")[:5]
	o.Supersede = rapid.SampledFrom([]string{operation.SupersedeLatest, operation.SupersedeEvery}).Draw(t, "supersede")
	o.KnownStatus = rapid.SampledFrom([]string{"", "", statuses[0]}).Draw(t, "known")
	if rapid.IntRange(0, 3).Draw(t, "filtered") == 0 {
		o.Statuses = slices.Clone(statuses[:3])
	}
	return &model{
		op: operation.NewLifecycle(o), rules: o.Rules, statuses: statuses, has: map[string]bool{}, bodies: map[string]operation.Observation{}, attempts: map[string]int{},
		now: operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)),
	}
}

func (m *model) rarely(action func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		if rapid.IntRange(0, 2).Draw(t, "rarely") == 2 {
			action(t)
		}
	}
}

func (m *model) tick() { m.now = m.now.Add(time.Second) }

// observe brings a poll's answer or a push; some polls began long ago.
func (m *model) observe(t *rapid.T) {
	m.tick()
	status := rapid.SampledFrom(m.statuses).Draw(t, "status")
	if m.rules.IsFinal(status) && rapid.IntRange(0, 3).Draw(t, "final yet") > 0 {
		status = m.statuses[0]
	}
	begun := m.now.Add(-rapid.SampledFrom([]time.Duration{0, 0, 0, 1500 * time.Millisecond, time.Minute}).Draw(t, "began ago"))
	recorded := m.op.Observe(operation.Observation{Status: status, BegunAt: begun, ObservedAt: m.now})
	if recorded == operation.ObservedStale {
		require.True(t, begun.Before(m.observed), "dropped although nothing newer was recorded")
		require.False(t, m.rules.IsFinal(status), "a final status was dropped for its age")
		return
	}
	if m.final != "" {
		return
	}
	if status != "" && status != m.known {
		m.observed, m.known = m.now, status
	} else if !begun.Before(m.observed) {
		m.observed = m.now
	}
	if m.rules.IsFinal(status) {
		m.final = status
	}
	require.Equal(t, m.final != "", m.op.State().Status != nil && m.op.State().Status.Final)
}

func (m *model) start(t *rapid.T) {
	m.tick()
	if m.inProgress != nil || !m.op.HasPending() {
		return
	}
	c, record := m.op.StartDelivery()
	require.False(t, m.has[c.ID], "the client has the callback about %q", c.Observation.Status)
	if body, dueBefore := m.bodies[c.ID]; dueBefore {
		require.Equal(t, body, c.Observation, "one id, two bodies")
	}
	require.Len(t, record.Delivery.Attempts, m.attempts[c.ID], "attempt numbers don't go on")
	require.False(t, m.withdrawn, "%q is delivered after the withdrawal", c.Observation.Status)
	require.False(t, m.op.ShouldStopDelivery(), "%q is unwanted before it begins", c.Observation.Status)
	m.bodies[c.ID], m.has[c.ID], m.inProgress = c.Observation, true, &c
}

func (m *model) startOrSettle(t *rapid.T) {
	if m.inProgress != nil {
		m.settle(t)
		return
	}
	m.start(t)
}

func (m *model) settle(t *rapid.T) {
	m.tick()
	if m.inProgress == nil {
		return
	}
	outcomes := []operation.DeliveryOutcome{operation.DeliveryAcknowledged, operation.DeliveryExhausted, operation.DeliveryGone}
	if m.op.ShouldStopDelivery() {
		outcomes = append(outcomes, operation.DeliverySuperseded)
	}
	outcome := rapid.SampledFrom(outcomes).Draw(t, "outcome")
	record, delivering := m.op.CurrentDelivery()
	require.True(t, delivering)
	record.BeginAttempt(m.now)
	record.Delivery.Outcome = outcome
	m.op.RecordDelivery(record)
	m.attempts[m.inProgress.ID]++
	m.has[m.inProgress.ID] = outcome == operation.DeliveryAcknowledged
	m.settled = slices.DeleteFunc(m.settled, func(s settlement) bool { return s.id == m.inProgress.ID })
	if outcome != operation.DeliverySuperseded {
		m.settled = append(m.settled, settlement{m.inProgress.ID, outcome})
	}
	if outcome == operation.DeliveryAcknowledged && m.inProgress.ID == m.atWithdrawal {
		m.saved = true
	}
	m.inProgress = nil
}

func (m *model) revoke(t *rapid.T) {
	m.tick()
	by := rapid.SampledFrom(operation.Initiators).Draw(t, "by")
	before := m.op.State()
	err := m.op.Revoke(operation.Revocation{InitiatedBy: by, At: m.now})
	if err == nil && m.final == m.rules.Revoked {
		require.Equal(t, before, m.op.State(), "what was revoked already was revoked again")
		return
	}
	if err == nil && before.Revocation == nil {
		require.Empty(t, m.final, "revoked after a final status")
		require.False(t, m.withdrawn, "revoked after a withdrawal")
		m.final, m.known, m.observed = m.rules.Revoked, m.rules.Revoked, m.now
	}
	if err != nil {
		require.Equal(t, before, m.op.State(), "a refused revocation changed something")
	}
}

func (m *model) withdraw(*rapid.T) {
	m.tick()
	left := m.op.Watching() || !m.op.Closed() && !(m.inProgress != nil && m.op.ShouldStopDelivery() && m.final != "" && len(m.queued()) == 0)
	silent := m.op.Closed() && m.final == "" && len(m.settled) == 0
	if !m.withdrawn && !m.op.Withdrawn() && (left || silent) {
		m.withdrawn = true
		if m.inProgress != nil {
			m.atWithdrawal = m.inProgress.ID
		}
	}
	m.op.Withdraw()
}

// queued are the pending deliveries that have not begun.
func (m *model) queued() []operation.Delivery {
	var queued []operation.Delivery
	for _, d := range m.op.State().Deliveries {
		if d.Outcome == operation.DeliveryPending && (m.inProgress == nil || d.CallbackID != m.inProgress.ID) {
			queued = append(queued, d)
		}
	}
	return queued
}

func (m *model) endWatch(t *rapid.T) {
	m.tick()
	m.op.EndWatch(rapid.SampledFrom([]string{operation.ReasonPollsUsedUp, operation.ReasonLifetimeOver}).Draw(t, "reason"), m.now)
	require.False(t, m.op.Watching())
}

// check is true at any time.
func (m *model) check(t *rapid.T) {
	s := m.op.State()
	ids := map[string]bool{}
	for _, d := range s.Deliveries {
		require.False(t, ids[d.CallbackID], "two deliveries of one callback: %v", s.Deliveries)
		ids[d.CallbackID] = true
	}
	if m.final != "" {
		require.Equal(t, m.final, s.Status.Value, "a final status changed")
		require.True(t, s.Status.Final)
	}
	if m.inProgress != nil && (m.withdrawn || s.Revocation != nil && !m.inProgress.Final) {
		require.True(t, m.op.ShouldStopDelivery(), "a delivery goes on that is not wanted")
	}
	if s.Phase == operation.Closed {
		require.Equal(t, m.outcome(), s.Outcome)
	}
}

// outcome is promise 12, written a second time. What was due again and then dropped has
// not ended as it did before.
func (m *model) outcome() operation.Outcome {
	for _, d := range m.op.State().Deliveries {
		if d.Outcome == operation.DeliverySuperseded {
			m.settled = slices.DeleteFunc(m.settled, func(s settlement) bool { return s.id == d.CallbackID })
		}
	}
	switch last := len(m.settled) - 1; {
	case m.withdrawn && m.saved:
		return operation.OutcomeAcknowledged
	case m.withdrawn:
		return operation.OutcomeWithdrawn
	case last >= 0:
		return operation.Outcome(m.settled[last].outcome)
	case m.final == m.rules.Revoked:
		return operation.OutcomeRevoked
	case m.final != "":
		return operation.OutcomeAcknowledged
	}
	return operation.OutcomeExpired
}

// finish lets the watch end and everything pending settle: then it is over.
func (m *model) finish(t *rapid.T) {
	m.endWatch(t)
	for range 2*len(m.statuses) + 2 {
		m.start(t)
		m.settle(t)
	}
	require.True(t, m.op.Closed(), "nothing is pending, and it is not over: %+v", m.op.State())
	require.NotEmpty(t, m.op.State().Outcome)
	m.check(t)
}
