package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api/client"
	"ringback/internal/operation"
)

const bulkID = "rd_mfrggzdfmztwq2lknnwg23tpob"

func bulk(phase client.BulkRedeliveryPhase, done, failed, skipped int) client.BulkRedelivery {
	r := client.BulkRedelivery{
		ID: bulkID, Phase: phase, Filter: client.Filter{Endpoint: "SHOP", Outcome: client.OutcomeExhausted, Since: at(0), Until: at(59)},
		RatePerSecond: 20, By: "anna", Reason: "receiver repaired", Matched: 4, Exact: true,
		BulkRedeliveryProgress: operation.BulkRedeliveryProgress{Done: done, Failed: failed, Skipped: skipped},
		StartedAt:              at(1), RunID: "run", UIURL: "http://127.0.0.1:8233/r",
	}
	if phase == client.BulkRedeliveryDone {
		r.EndedAt = pointer(at(9))
	}
	if failed > 0 {
		r.Failures = []operation.Failure{{Key: shop, Detail: "The endpoint SHOP is not registered any more."}}
	}
	return r
}

func TestABulkRedeliveryIsStartedByFilterAndFollowed(t *testing.T) {
	t.Parallel()
	running := client.BulkRedeliveryRunning
	since, until := at(0), at(59)
	plain := client.BulkRedeliveryRequest{
		Filter:        client.Filter{Endpoint: "SHOP", Status: "2", Outcome: client.OutcomeExhausted, Since: since, Until: until},
		RatePerSecond: 20, Force: true, Reason: "receiver repaired", By: nobody,
	}
	flags := []string{
		"redeliver", "--endpoint", "SHOP", "--status", "2", "--outcome", "exhausted", "--since", since.String(), "--until", until.String(),
		"--rate", "20", "--force", "--reason", "receiver repaired", "--yes",
	}
	sample := client.DryRun{Filter: plain.Filter, Matched: 57, Exact: true, Endpoints: []client.CountGroup{{Endpoint: "SHOP", Count: 57}}, Sample: []client.Summary{summary("5", 5, client.OutcomeExhausted)}}
	for name, tt := range map[string]struct {
		fake  *fake
		args  []string
		asked client.BulkRedeliveryRequest
		code  int
		says  string
	}{
		"redeliver-many": {
			&fake{many: []client.BulkRedelivery{bulk(running, 0, 0, 0), bulk(running, 0, 0, 0), bulk(running, 1, 0, 0), bulk(running, 1, 0, 0), bulk(client.BulkRedeliveryDone, 3, 0, 1)}},
			[]string{"--every", "10ms"}, plain, exitOK, "",
		},
		"redeliver-many-failed": {
			&fake{many: []client.BulkRedelivery{bulk(running, 0, 0, 0), bulk(client.BulkRedeliveryDone, 3, 1, 0)}},
			nil, plain, exitPartly, "1 of 4 could not be redelivered",
		},
		"redeliver-many-stopped": {
			&fake{many: []client.BulkRedelivery{bulk(running, 0, 0, 0), bulk(client.BulkRedeliveryStopped, 2, 0, 0)}},
			nil, plain, exitCutShort, "stopped at 2 of 4; resume it with: starter redeliveries resume " + bulkID,
		},
		"redeliver-many-ended": {
			&fake{many: []client.BulkRedelivery{bulk(running, 0, 0, 0), bulk(client.BulkRedeliveryEnded, 2, 0, 0)}},
			nil, plain, exitCutShort, "ended by an operator at 2 of 4",
		},
		"redeliver-many-json": {
			&fake{many: []client.BulkRedelivery{bulk(running, 0, 0, 0), bulk(running, 0, 0, 0), bulk(client.BulkRedeliveryDone, 4, 0, 0)}},
			[]string{"--every", "10ms", "-o", "json"}, plain, exitOK, "",
		},
		"redeliver-many-detached": {
			&fake{many: []client.BulkRedelivery{bulk(running, 0, 0, 0)}},
			[]string{"--detach"}, plain, exitOK, "stop    starter redeliveries stop " + bulkID,
		},
		"redeliver-many-left": {
			&fake{many: []client.BulkRedelivery{bulk(running, 0, 0, 0)}},
			[]string{"--every", "10ms", "--for", "50ms"}, plain, exitStillRunning, "follow  starter redeliveries follow " + bulkID,
		},
		"redeliver-dry-run":      {&fake{dryRun: sample}, []string{"--dry-run"}, dry(plain), exitOK, ""},
		"redeliver-dry-run-json": {&fake{dryRun: sample}, []string{"--dry-run", "-o", "json"}, dry(plain), exitOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := place{}.at(t, tt.fake).run(context.Background(), append(flags, tt.args...)...)
			require.Equal(t, tt.code, got.code, got.err)
			require.Contains(t, got.err, tt.says)
			require.Equal(t, tt.asked, tt.fake.calls()[0])
			golden(t, name, got.out)
		})
	}
}

func dry(r client.BulkRedeliveryRequest) client.BulkRedeliveryRequest {
	r.DryRun = true
	return r
}

func TestABulkRedeliveryHasTheDefaultRate(t *testing.T) {
	t.Parallel()
	f := &fake{many: []client.BulkRedelivery{bulk(client.BulkRedeliveryDone, 4, 0, 0)}}
	got := place{}.at(t, f).run(context.Background(), "redeliver", "--endpoint", "SHOP", "--yes")
	require.Equal(t, exitOK, got.code, got.err)
	require.Equal(t, client.BulkRedeliveryRequest{
		Filter: client.Filter{Endpoint: "SHOP"}, RatePerSecond: client.DefaultRatePerSecond, By: nobody,
	}, f.calls()[0])
}

func TestAHintHoldsNoOthersCommand(t *testing.T) {
	t.Parallel()
	stopped := bulk(client.BulkRedeliveryStopped, 2, 0, 0)
	stopped.ID = "x;touch PWNED1\u202E"
	got := place{}.at(t, &fake{many: []client.BulkRedelivery{stopped}}).run(context.Background(), "redeliveries", "follow", bulkID)
	require.Equal(t, exitCutShort, got.code, got.err)
	require.Contains(t, got.err, "x;touch PWNED1\uFFFD is stopped at 2 of 4; resume it with: starter redeliveries\n")
}

func TestAnInterruptLeavesABulkRedeliveryRunning(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f := &fake{many: []client.BulkRedelivery{bulk(client.BulkRedeliveryRunning, 1, 0, 0)}}
	go func() {
		for len(f.calls()) < 4 { // it was started and is being followed
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	got := place{}.at(t, f).run(ctx, "redeliver", "--endpoint", "SHOP", "--yes", "--every", "10ms")
	require.Equal(t, exitInterrupted, got.code)
	require.Contains(t, got.err, "goes on without this command")
	require.Contains(t, got.err, "starter redeliveries stop "+bulkID)
	require.Contains(t, got.err, "starter: interrupted\n")
	for _, asked := range f.calls()[1:] {
		require.Equal(t, "see "+bulkID, asked, "it was only read")
	}
}

func TestAProgressBarIsDrawnOnlyOnATerminal(t *testing.T) {
	t.Parallel()
	looks := []client.BulkRedelivery{bulk(client.BulkRedeliveryRunning, 0, 0, 0), bulk(client.BulkRedeliveryRunning, 2, 0, 0), bulk(client.BulkRedeliveryDone, 3, 1, 0)}
	args := []string{"redeliveries", "follow", bulkID, "--every", "10ms"}
	got := place{terminal: true}.at(t, &fake{many: looks}).run(context.Background(), args...)
	require.Equal(t, exitPartly, got.code, got.err)
	require.Contains(t, got.err, "(2/4)")
	require.NotContains(t, got.out, "done 2", "the bar shows it")
	require.Contains(t, got.out, "Done        3\n", "the result is the output")

	nothing := bulk(client.BulkRedeliveryDone, 0, 0, 0)
	nothing.Matched = 0
	got = place{terminal: true}.at(t, &fake{many: []client.BulkRedelivery{nothing}}).run(context.Background(), args...)
	require.Equal(t, exitOK, got.code, got.err)

	got = place{}.at(t, &fake{many: looks}).run(context.Background(), args...)
	require.NotContains(t, got.err, "(2/4)")
	require.Contains(t, got.out, "2 of 4  done 2, failed 0, skipped 0\n")
}

func TestBulkRedeliveriesAreListedShownStoppedAndResumed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args  []string
		asked []any
	}{
		"redeliveries":        {nil, []any{"recent"}},
		"redeliveries-json":   {[]string{"-o", "json"}, []any{"recent"}},
		"redeliveries-show":   {[]string{"show", bulkID}, []any{"see " + bulkID}},
		"redeliveries-stop":   {[]string{"stop", bulkID}, []any{"see " + bulkID, "stop " + bulkID}},
		"redeliveries-resume": {[]string{"resume", bulkID, "-o", "json"}, []any{"see " + bulkID, "resume " + bulkID}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{many: []client.BulkRedelivery{bulk(client.BulkRedeliveryRunning, 2, 1, 0)}}
			got := place{}.at(t, f).run(context.Background(), append([]string{"redeliveries"}, tt.args...)...)
			require.Equal(t, exitOK, got.code, got.err)
			require.Equal(t, tt.asked, f.calls())
			golden(t, name, got.out)
		})
	}
	for name, row := range map[string]struct {
		args  []string
		asked []any
		code  int
	}{
		"those of a key":                {[]string{"--key", "engineers"}, []any{"recent engineers"}, exitOK},
		"those of a key, to be stopped": {[]string{"--key", "0d1e2f30", "--stop"}, []any{"recent 0d1e2f30", "see " + bulkID, "stop " + bulkID}, exitOK},
		"a stop of everybody's":         {[]string{"--stop"}, nil, exitUsage},
	} {
		stopped := bulk(client.BulkRedeliveryStopped, 1, 0, 0)
		f := &fake{many: []client.BulkRedelivery{bulk(client.BulkRedeliveryRunning, 1, 0, 0), stopped, bulk(client.BulkRedeliveryDone, 4, 0, 0)}}
		got := place{}.at(t, f).run(context.Background(), append([]string{"redeliveries"}, row.args...)...)
		require.Equal(t, row.code, got.code, "%s: %s", name, got.err)
		require.Equal(t, row.asked, f.calls(), name)
	}
	got := place{}.at(t, &fake{}).run(context.Background(), "redeliveries")
	require.Equal(t, "No bulk redelivery.\n", got.out)
}

func TestFollowInJSONWritesTheFinalState(t *testing.T) {
	t.Parallel()
	f := &fake{many: []client.BulkRedelivery{bulk(client.BulkRedeliveryRunning, 4, 0, 0), bulk(client.BulkRedeliveryDone, 4, 0, 0)}}
	got := place{}.at(t, f).run(context.Background(), "redeliveries", "follow", bulkID, "--every", "10ms", "-o", "json")
	require.Equal(t, exitOK, got.code, got.err)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Len(t, lines, 2)
	var last client.BulkRedelivery
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &last))
	require.Equal(t, client.BulkRedeliveryDone, last.Phase)
}

func TestManyAreRedeliveredOnceAPersonAgrees(t *testing.T) {
	t.Parallel()
	all := client.DryRun{Filter: client.Filter{Since: at(0), Until: at(30)}, Matched: 57, Exact: true,
		Endpoints: []client.CountGroup{{Endpoint: "LEDGER", Count: 40}, {Endpoint: "SHOP", Count: 17}}}
	one := all
	one.Filter.Endpoint, one.Endpoints = "SHOP", all.Endpoints[1:]
	uncounted := client.DryRun{Filter: all.Filter, Matched: 20000}
	filter := []string{"--all-endpoints", "--since", at(0).String()}
	for name, tt := range map[string]struct {
		found  client.DryRun
		args   []string
		answer string
		asks   string
		begun  bool
		code   int
	}{
		"at one endpoint":          {one, []string{"--endpoint", "SHOP"}, "y\n", "57 operations at 1 endpoint, 10 a second: begin? [y/N] ", true, exitOK},
		"at all endpoints":         {all, filter, "YES\n", "57 operations at 2 endpoints, 10 a second: begin? [y/N] ", true, exitOK},
		"too many to be counted":   {uncounted, filter, "y\n", "at most 20000 operations at all endpoints, 10 a second: begin? [y/N] ", true, exitOK},
		"an answer of no":          {one, []string{"--endpoint", "SHOP"}, "n\n", "begin? [y/N] starter: nothing was begun\n", false, exitFailed},
		"no answer":                {one, []string{"--endpoint", "SHOP"}, "", "begin? [y/N] starter: nothing was begun\n", false, exitFailed},
		"where nothing matches":    {client.DryRun{Exact: true}, filter, "", "no operation matches, and nothing was begun", false, exitOK},
		"with --yes it never asks": {one, []string{"--endpoint", "SHOP", "--yes"}, "", "", true, exitOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{dryRun: tt.found, many: []client.BulkRedelivery{bulk(client.BulkRedeliveryDone, 4, 0, 0)}}
			got := place{terminal: true, in: tt.answer}.at(t, f).run(context.Background(), append([]string{"redeliver"}, tt.args...)...)
			require.Equal(t, tt.code, got.code, got.err)
			require.Contains(t, got.err, tt.asks)
			calls := f.calls()
			if len(tt.asks) == 0 {
				require.NotContains(t, got.err, "begin?")
			} else {
				require.True(t, calls[0].(client.BulkRedeliveryRequest).DryRun, "it counts first")
				calls = calls[1:]
			}
			require.Equal(t, tt.begun, len(calls) > 0)
			if tt.begun && tt.asks != "" {
				require.Equal(t, tt.found.Filter, calls[0].(client.BulkRedeliveryRequest).Filter, "just what was counted is begun")
			}
		})
	}
}

func TestAnInterruptEndsTheQuestion(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	in, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	f := &fake{dryRun: client.DryRun{Matched: 1, Exact: true}}
	p := place{}.at(t, f)
	go func() {
		for len(f.calls()) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	code := run(ctx, []string{"redeliver", "--endpoint", "SHOP"}, environment{
		getenv: func(name string) string { return p.env[name] }, in: in, out: io.Discard, err: io.Discard, columns: func(any) int { return tableWidth },
	})
	require.Equal(t, exitInterrupted, code)
	require.Len(t, f.calls(), 1, "nothing was begun")
}

// A script with an unset variable must not redeliver what every endpoint ever failed.
func TestAnEmptyOptionIsNotAll(t *testing.T) {
	t.Parallel()
	for _, line := range [][]string{
		{"redeliver", "--endpoint", "", "--since", at(0).String(), "--yes"},
		{"redeliver", "--endpoint", "SHOP", "--status=", "--yes"},
		{"list", "--endpoint", ""},
	} {
		f := &fake{many: []client.BulkRedelivery{bulk(client.BulkRedeliveryDone, 4, 0, 0)}}
		got := place{}.at(t, f).run(context.Background(), line...)
		require.Equal(t, exitUsage, got.code, got.err)
		require.Contains(t, got.err, "is empty: give a value, or leave it out")
		require.Empty(t, f.calls())
	}
}
