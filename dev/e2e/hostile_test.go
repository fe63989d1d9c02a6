package e2e_test

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

var hostileTable = flag.String("hostile-table", "", "write the table of hostile inputs into this file")

// leastHostile is how many rows the table has at the least.
const leastHostile = 150

// card is a card number of no account, for inputs; it may come back in none.
const card = "4111111111111111"

// hostile is one bad input: a row of the table.
type hostile struct {
	// input is what is put in, in a few words; want is what must come back, or
	// be a part of it.
	input, want string
	// exactly: want is the whole of what must come back.
	exactly bool
	// try puts it in and says what came back.
	try func(t *testing.T) string
}

// tried are the rows that were put in, by where they stand in the table.
type tried struct {
	mu   sync.Mutex
	rows map[int][]string
}

func (all *tried) add(at int, surface string, row hostile, got string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.rows[at] = []string{surface, row.input, row.want, shortened(got)}
}

// shortened is one line of a table.
func shortened(text string) string {
	const most = 110
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most]) + "…"
}

// TestHostile requires that each bad input on every surface is answered as its row
// says, and that nothing was started, sent or lost. make hostile shows its table.
func TestHostile(t *testing.T) {
	h := newHostileEnvironment(t)
	all := &tried{rows: map[int][]string{}}
	at := 0
	for _, surface := range []struct {
		name string
		rows []hostile
		// parallel rows have operations of their own; after the others, nothing
		// at all may have been asked, sent or changed.
		parallel bool
	}{
		{"API: bodies", h.bodies(), false},
		{"API: starts", h.starts(), false},
		{"API: paths and queries", h.paths(), false},
		{"API: keys", h.keys(), false},
		{"API: operations", h.changes(), false},
		{"API: hosts and scopes", h.hosts(), false},
		{"keys and audit", h.keyUses(), false},
		{"API: connections", h.connections(), false},
		{"listeners and reloads", h.listeners(), false},
		{"CLI", h.commands(), false},
		{"configuration", h.configurations(), false},
		{"texts", h.texts(), false},
		{"texts of answers", h.answeredTexts(), true},
		{"callbacks' answers", h.callbackAnswers(), true},
		{"sources' answers", h.sourceAnswers(), true},
		{"signals and updates", h.signals(), true},
		{"Temporal UI", h.shown(), true},
		{"sealed payloads", h.sealed(t), true},
		{"API: pushes", h.pushes(), true},
	} {
		t.Run(surface.name, func(t *testing.T) {
			for _, row := range surface.rows {
				at++
				here := at
				t.Run(row.input, func(t *testing.T) {
					if surface.parallel {
						t.Parallel()
					}
					h.hold(t, row, surface.parallel, func(got string) { all.add(here, surface.name, row, got) })
				})
			}
		})
		if !surface.parallel {
			h.requireUnchanged(t)
		}
	}
	h.requireOpenOnesComplete(t)
	all.show(t)
}

// hold puts one row in, and tells what came back.
func (h *hostileEnvironment) hold(t *testing.T, row hostile, parallel bool, tell func(got string)) {
	t.Helper()
	before := ""
	if !parallel {
		before = h.snapshot(t)
	}
	got := row.try(t)
	tell(got)
	if row.exactly {
		require.Equal(t, row.want, got)
	}
	require.Contains(t, got, row.want)
	require.NotContains(t, got, card, "what was refused is not repeated")
	require.NotContains(t, got, "goroutine ", "no panic")
	if !parallel {
		require.Equal(t, before, h.snapshot(t), "nothing was asked, sent or changed")
	}
}

// show writes the table where it is asked for, and holds that it is whole.
func (all *tried) show(t *testing.T) {
	t.Helper()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "SURFACE\tINPUT\tEXPECTED\tGOT")
	surfaces := map[string]int{}
	for _, at := range slices.Sorted(maps.Keys(all.rows)) {
		row := all.rows[at]
		surfaces[row[0]]++
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	fmt.Fprintf(&table, "\n%d hostile inputs on %d surfaces; nothing was started, sent or lost.\n", len(all.rows), len(surfaces))
	t.Logf("%d hostile inputs on %d surfaces", len(all.rows), len(surfaces))
	require.GreaterOrEqual(t, len(all.rows), leastHostile)
	if *hostileTable != "" {
		require.NoError(t, os.WriteFile(*hostileTable, []byte(table.String()), 0o600))
	}
}

// The endpoints of the hostile environment beside gold, shop and ledger.
const (
	// idle polls once an hour: what is open there stays as it is.
	idle = "IDLE"
	// off takes no starts.
	off = "OFF"
)

// The API's keys.
const (
	keyAll    = "key-of-a-core-that-may-do-everything"
	keyReader = "key-that-may-read"
	keyBound  = "key-for-one-endpoint"
	keyStart  = "key-that-may-start"
)

// hostileEnvironment is a Ringback whose cores and receivers are under the test's control, with two
// bystanders: an operation that is open and one that has ended.
type hostileEnvironment struct {
	environment
	*ringback
	fakeServers  *fakeServers
	open, closed operation.Key
}

func newHostileEnvironment(t *testing.T) *hostileEnvironment {
	t.Helper()
	h := &hostileEnvironment{fakeServers: newFakeServers(t)}
	h.temporal = startServer(t)
	h.writeHostileConfig(t)
	h.ringback = h.run(t)
	h.Key = keyAll

	h.fakeServers.status("open", "processing")
	h.open = start(t, h.Client, operation.StartRequest{Endpoint: idle, OperationID: "open"})
	h.closed = start(t, h.Client, entry("closed"))
	awaitState(t, h.Client, h.open, watchedOn)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, h.Client, h.closed).Outcome)
	require.Eventually(t, func() bool { return len(h.listed(t)) == 2 }, patience, 20*time.Millisecond)
	return h
}

func (h *hostileEnvironment) writeHostileConfig(t *testing.T) {
	t.Helper()
	digest := func(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }
	const quickly = "poll: {interval: 100ms, lifetime: 1m}, delivery: {interval: 50ms, attempts: 3, timeout: 1s}"
	text := fmt.Sprintf(`
api:
  listen: 127.0.0.1:0
  rate_limit: {per_second: 10000, burst: 10000}
  keys:
    - {name: core, sha256: %s, scopes: [start, push, withdraw, revoke, read, redeliver, redirect, ping, codec]}
    - {name: reader, sha256: %s, scopes: [read]}
    - {name: bound, sha256: %s, scopes: [start, push, withdraw, revoke, read, redeliver, ping, codec], endpoints: [LEDGER]}
    - {name: starter, sha256: %s, scopes: [start]}
    - {name: expired, sha256: e4972fc67d8b7b33cdefb3305d6d88333a2e07511d1e0f64774237cf56526168, scopes: [read], expires: 2001-01-01}
    - {name: elsewhere, sha256: 7cdde7060c76a617988c10e073862dc15b84974f65b5650144e77e5fc9ac9224, scopes: [read], from: [192.0.2.0/24]}
telemetry: {listen: 127.0.0.1:0}
egress: {allow: [127.0.0.0/8]}
sources:
  wsgate: {kind: ukrcard, base_urls: [%[5]q], ext_system_id: ECOM_GOLD_BANK, login: gold, timeout: 1s, password: "${env:E2E_WSGATE_PASSWORD}"}
  wallet: {kind: paysera, base_urls: [%[5]q], timeout: 1s}
endpoints:
  ECOM_GOLD_BANK: {dialect: ukrcard, source: wsgate, url: "%[5]s/callbacks", %[6]s}
  WALLET_SHOP: {dialect: paysera, source: wallet, callback_url: per_operation, %[6]s}
  LEDGER: {dialect: standard, source: wallet, url: "%[5]s/callbacks", %[6]s}
  IDLE: {dialect: standard, source: wallet, url: "%[5]s/callbacks", poll: {interval: 1h, lifetime: 2h}, delivery: {interval: 50ms, attempts: 3, timeout: 1s}, push: trust}
  OFF: {dialect: standard, source: wallet, url: "%[5]s/callbacks", enabled: false, %[6]s}
`, digest(keyAll), digest(keyReader), digest(keyBound), digest(keyStart), h.fakeServers.url, quickly)
	text += fmt.Sprintf(hostsConfig, h.fakeServers.url+"/callbacks")
	h.config = filepath.Join(t.TempDir(), "ringback.yml")
	require.NoError(t, os.WriteFile(h.config, []byte(text), 0o600))
}

// snapshot is what no refused input may change: what the cores were asked, what
// the receivers got, and how the two bystanders stand.
func (h *hostileEnvironment) snapshot(t *testing.T) string {
	t.Helper()
	var states []operation.State
	for _, key := range []operation.Key{h.open, h.closed} {
		state, err := h.State(t.Context(), key)
		require.NoError(t, err)
		states = append(states, state)
	}
	text, err := json.MarshalIndent(states, "", " ")
	require.NoError(t, err)
	return fmt.Sprintf("%d requests to cores and receivers\n%s", h.fakeServers.requests(), text)
}

// listed are the ids of all operations that there are.
func (h *hostileEnvironment) listed(t *testing.T) []string {
	t.Helper()
	page, err := h.List(t.Context(), operation.ListQuery{})
	require.NoError(t, err)
	ids := make([]string, 0, len(page.Operations))
	for _, o := range page.Operations {
		ids = append(ids, o.Key.WorkflowID())
	}
	slices.Sort(ids)
	return ids
}

// requireUnchanged holds that no workflow was started: of an operation, nor of
// a bulk redelivery.
func (h *hostileEnvironment) requireUnchanged(t *testing.T) {
	t.Helper()
	require.Equal(t, []string{h.open.WorkflowID(), h.closed.WorkflowID()}, h.listed(t))
	many, err := h.BulkRedeliveries(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, many.Redeliveries)
}

// requireOpenOnesComplete holds that nothing was lost: the operation that was open
// all the while still ends as it should.
func (h *hostileEnvironment) requireOpenOnesComplete(t *testing.T) {
	t.Helper()
	h.completes(t, h.open)
	require.Equal(t, []string{"done"}, h.fakeServers.receivedStatuses("closed"))
}

// completes tells the status that an open operation waits for, and holds that
// it is delivered once and acknowledged.
func (h *hostileEnvironment) completes(t *testing.T, key operation.Key) {
	t.Helper()
	require.NoError(t, h.Push(t.Context(), key, "done"))
	state := awaitState(t, h.Client, key, apiclient.Closed)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	require.Equal(t, []string{"done"}, h.fakeServers.receivedStatuses(key.OperationID))
}
