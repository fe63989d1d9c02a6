package ui_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/internal/ui"
)

var update = flag.Bool("update", false, "write the golden details instead of comparing with them")

var accepted = operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))

// The policies of the two systems.
var (
	ukrcard = operation.Policy{
		Poll:     operation.PollPolicy{ScheduleMS: []int64{5000, 10_000, 15_000}, LifetimeMS: 1_200_000},
		Delivery: operation.DeliveryPolicy{IntervalMS: 3000, Attempts: 10, TimeoutMS: 10_000},
	}
	paysera = operation.Policy{
		Poll:     operation.PollPolicy{IntervalMS: 600_000, LifetimeMS: 720 * 3_600_000},
		Delivery: operation.DeliveryPolicy{IntervalMS: 60_000, Attempts: 20, TimeoutMS: 10_000},
	}
)

func key() operation.Key { return operation.Key{Endpoint: "SHOP", OperationID: "order 1"} }

// missed are attempts that were not acknowledged, numbered from first.
func missed(first, n int, reason string) []operation.Attempt {
	attempts := make([]operation.Attempt, n)
	for i := range attempts {
		attempts[i] = operation.Attempt{
			Number: first + i, At: accepted.Add(time.Duration(i+1) * time.Minute), TookMS: 12,
			HTTPStatus: 503, Verdict: operation.Unacknowledged, Reason: reason,
		}
	}
	return attempts
}

func aboutStatus(status string, outcome operation.DeliveryOutcome, attempts []operation.Attempt) operation.Delivery {
	return operation.Delivery{CallbackID: operation.CallbackID(key(), status), Status: status, Outcome: outcome, Attempts: attempts}
}

func observed(status string, final bool) *operation.Status {
	return &operation.Status{Value: status, Final: final, Raw: map[string]string{"status": status, "code": "7"}, ObservedAt: accepted.Add(time.Second)}
}

// detailed are details of every kind.
func detailed() map[string]ui.Details {
	of := func(s operation.State) ui.Details {
		s.Key = key()
		return ui.Details{State: s, Policy: paysera, Source: "wallet", AcceptedAt: accepted, Namespace: "default"}
	}
	acknowledged := []operation.Attempt{{Number: 1, At: accepted.Add(time.Second), TookMS: 3, HTTPStatus: 200, Verdict: operation.Acknowledged,
		RemoteAddress: "93.184.216.34:443", TLSVersion: "TLS 1.3", FirstByteMS: 2}}
	redelivered := of(operation.State{
		Phase: operation.Delivering, Status: observed("done", true), Polls: 1,
		Deliveries: []operation.Delivery{aboutStatus("done", operation.DeliveryPending, missed(1, 2, "HTTP 503 is not 2xx"))},
	})
	redelivered.EarlierRunID, redelivered.Reason = "01234567-89ab", "receiver `repaired`"
	bulk := redelivered
	bulk.By, bulk.BulkRedeliveryWorkflow = "ops | team", "redeliveries:rd_mfrggzdfmztwq2lknnwg23tpob"
	elsewhere := redelivered
	elsewhere.By, elsewhere.Host = "ops", "b.example:8443"
	elsewhere.State.Deliveries = []operation.Delivery{elsewhere.State.Deliveries[0]}
	elsewhere.State.Deliveries[0].Host = "b.example`:8443"
	reset := redelivered
	reset.EarlierRunID, reset.ResetFrom = "", "01234567-89ab"
	scheduled := of(operation.State{Phase: operation.Watching, Status: observed("reserved", false), Polls: 3})
	scheduled.Policy, scheduled.PolledAt = ukrcard, accepted.Add(15*time.Second)
	scheduled.Refused = []ui.Refused{{At: accepted.Add(time.Minute), Name: "revoke", Why: "The operation SHOP/order 1 has status `reserved`, which can't be revoked."}}
	plainNames := of(operation.State{Phase: operation.Closed, Outcome: operation.OutcomeExhausted, Polls: 6})
	plainNames.State.OperationID = "order-1"
	pushOnly := of(operation.State{Phase: operation.Watching, Status: observed("reserved", false)})
	pushOnly.PushOnly = true
	neverPolled := of(operation.State{Phase: operation.Closed, Outcome: operation.OutcomeExpired})
	neverPolled.State.OperationID, neverPolled.PushOnly = "order-1", true
	onHold := redelivered
	onHold.State.Phase = operation.OnHold
	return map[string]ui.Details{
		"on-hold":           onHold,
		"push-only":         pushOnly,
		"push-only-expired": neverPolled,
		"accepted":          of(operation.State{Phase: operation.Watching}),
		"scheduled":         scheduled,
		"acknowledged": of(operation.State{
			Phase: operation.Closed, Outcome: operation.OutcomeAcknowledged, Status: observed("done", true), Polls: 1,
			Deliveries: []operation.Delivery{aboutStatus("done", operation.DeliveryAcknowledged, acknowledged)},
		}),
		"redelivered":           redelivered,
		"redelivered-with-many": bulk,
		"redelivered-elsewhere": elsewhere,
		"reset":                 reset,
		"exhausted": of(operation.State{
			Phase: operation.Closed, Outcome: operation.OutcomeExhausted, Status: observed("done", true), Polls: 12, Repeated: 1, Contradicted: 2,
			Deliveries: []operation.Delivery{
				aboutStatus("reserved", operation.DeliverySuperseded, missed(1, 2, "no answer within 10000 ms")),
				aboutStatus("done", operation.DeliveryExhausted, missed(1, 3, "HTTP 503 is not 2xx")),
			},
		}),
		"unanswered": of(operation.State{
			Phase: operation.Delivering, Polls: 4, Status: &operation.Status{Raw: map[string]string{"respStatus": "504"}, ObservedAt: accepted},
			Deliveries: []operation.Delivery{{
				CallbackID: operation.CallbackID(key(), ""), Reason: operation.ReasonPollsUsedUp, Outcome: operation.DeliveryPending,
				Attempts: []operation.Attempt{{Number: 1, At: accepted}},
			}},
		}),
		"revoked": of(operation.State{
			Phase: operation.Closed, Outcome: operation.OutcomeRevoked, Status: observed("revoked", true), Polls: 1,
			Revocation: &operation.Revocation{InitiatedBy: "client", Reason: "changed | their\nmind", At: accepted},
		}),
		"exhausted-plain-names": plainNames,
		"expired":               of(operation.State{Phase: operation.Closed, Outcome: operation.OutcomeExpired, Polls: 6, PollFailure: "no answer: connection refused"}),
	}
}

func TestDetailsAnswerInTenSeconds(t *testing.T) {
	t.Parallel()
	for name, d := range detailed() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("testdata", "details", name+".md")
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(d.Markdown()), 0o600))
			}
			golden, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(golden), d.Markdown())
		})
	}
}

func TestAnAnswerForgesNoMarkdown(t *testing.T) {
	t.Parallel()
	for name, reason := range map[string]string{
		"a code span does not end":               "HTTP 500: `[all well](https://evil.example)`",
		"no cell and no row is added":            "x |\n| 9 | 2026-11-21 | 200 | acknowledged | |",
		"a backslash keeps no cell open":         `x \`,
		"a line stays one line":                  "x\r\n\r\n# acknowledged\u2028# acknowledged\u0085y",
		"the writing direction stays":            "x \u202Eeruces\u200By",
		"what is no text stays one line as well": "x \xff\x00 y",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := detailed()["exhausted"]
			plain := d.Markdown()
			d.State.Deliveries[1].Attempts = missed(1, 3, reason)
			d.State.Status.Raw = map[string]string{"code": reason, "status": reason}
			d.State.Status.Value, d.State.Deliveries[1].Status = reason, reason
			forged := d.Markdown()
			require.Equal(t, strings.Count(plain, "\n"), strings.Count(forged, "\n"))
			for i, line := range strings.Split(forged, "\n") {
				want := strings.Split(plain, "\n")[i]
				require.Equal(t, strings.Count(want, "|"), strings.Count(line, "|"), line)
				require.Equal(t, strings.Count(want, "`"), strings.Count(line, "`"), line)
				require.NotContains(t, line, `\`)
				require.NotContains(t, line, "\u202E")
			}
		})
	}
}

func TestDetailsAreBounded(t *testing.T) {
	t.Parallel()
	d := detailed()["exhausted"]
	d.State.Deliveries = nil
	long := strings.Repeat("𝄞|`", 2000)
	for n := range 40 {
		d.State.Deliveries = append(d.State.Deliveries, aboutStatus(fmt.Sprint(n, long), operation.DeliverySuperseded, missed(1, 50, long)))
	}
	d.State.Status.Raw = map[string]string{}
	for n := range 500 {
		d.State.Status.Raw[fmt.Sprint(n)] = long
	}
	text := d.Markdown()
	require.Less(t, len(text), 64<<10)
	require.Equal(t, 50, strings.Count(text, "| 503\u00A0 |"), "the newest attempts")
	require.Contains(t, text, "28 older callbacks are not shown")
}

// BenchmarkDetails is what the happy path pays for them, once.
func BenchmarkDetails(b *testing.B) {
	d := detailed()["acknowledged"]
	b.ReportAllocs()
	for b.Loop() {
		_ = d.Markdown()
	}
}

func TestACommandIsShownOnlyOfPlainWords(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		endpoint, id string
		want         string
	}{
		"plain":                       {"SHOP", "order-1", "fixed: `starter redeliver SHOP order-1 --reason REASON`"},
		"a shell's command":           {"SHOP", "x`;touch PWNED1;`", "(/namespaces/default/workflows/SHOP%2Fx%60%3Btouch%20PWNED1%3B%60)'s names. Find it with `starter list --outcome exhausted`."},
		"an option":                   {"SHOP", "--force", "(/namespaces/default/workflows/SHOP%2F--force)'s names. Find it with `starter list --outcome exhausted`."},
		"an endpoint that is another": {"a b", "1", "(/namespaces/default/workflows/a%20b%2F1)'s names. Find it with `starter list --outcome exhausted`."},
		"longer than what is shown":   {"SHOP", strings.Repeat("x", 200), "'s names. Find it with `starter list --outcome exhausted`."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := detailed()["exhausted"]
			d.State.Key = operation.Key{Endpoint: row.endpoint, OperationID: row.id}
			text := d.Markdown()
			require.Contains(t, text, row.want)
			require.NotContains(t, text, "touch PWNED")
		})
	}
}

func TestASummaryIsNoMarkdownOfOthers(t *testing.T) {
	t.Parallel()
	require.Equal(t, "`p2p'(x)`, dialect `ukrcard`, at most 10 attempts, 3s apart", ui.Started("p2p`(x)", "ukrcard", ukrcard.Delivery))
	require.Equal(t, "dialect `standard`, at most 20 attempts, 1m0s apart", ui.Started("", "standard", paysera.Delivery))
	require.Equal(t, "by `ops`: `[Approve](https://evil.example)`", ui.Summary("by %s: %s", "ops", "[Approve](https://evil.example)"))
	require.Equal(t, "watch `x';y z` at ` `", ui.Summary("watch %s at %s", "x`;y\u202Ez", ""))
}
