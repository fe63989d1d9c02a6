package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/proc"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// These tests hold promise 14: what changes while operations are open.

func configHash(t *testing.T, api *apiclient.Client) string {
	t.Helper()
	ready, err := probes(t, api).Ready(t.Context())
	require.NoError(t, err)
	return ready.ConfigHash
}

// rewrite changes the configuration's text and has the program read it again.
func (w *environment) rewrite(t *testing.T, process *proc.Process, change func(string) string) {
	t.Helper()
	w.edit(t, change)
	require.NoError(t, process.Signal(syscall.SIGHUP))
}

func TestAReloadReachesOpenOperationsButNotTheirPolicies(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), policies{
		poll:     "{interval: 100ms, lifetime: 1m}",
		delivery: "{interval: 1s, attempts: 10, timeout: 5s}",
	})
	process, api := w.api(t, "127.0.0.1:0")
	elsewhere := receiver(t, "standard")
	before := configHash(t, api)
	w.core.SetStatus("901", "done")
	w.standard.Script("901", failing(http.StatusServiceUnavailable))
	key := start(t, api, entry("901"))
	awaitCallbacks(t, w.standard, "901", 2)

	w.rewrite(t, process, func(text string) string {
		text = strings.ReplaceAll(text, w.standard.URL(), elsewhere.URL())
		return strings.ReplaceAll(text, "interval: 1s, attempts: 10", "interval: 10m, attempts: 1")
	})
	state := awaitClosed(t, api, key)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	moved := elsewhere.Received("901")
	require.Len(t, moved, 1, "the fixed URL is looked up at each attempt")
	attempts := state.Deliveries[0].Attempts
	last := attempts[len(attempts)-1]
	require.Less(t, last.At.Sub(attempts[len(attempts)-2].End().Time), patience, "h is that of the start")
	require.NotEqual(t, before, configHash(t, api))
}

func TestABadConfigurationIsRefusedAndTheOldOneStays(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	process, api := w.api(t, "127.0.0.1:0")
	before := configHash(t, api)
	w.rewrite(t, process, func(text string) string { return strings.ReplaceAll(text, "attempts: 4", "attempts: 0") })
	awaitOutput(t, process, `(the configuration is refused; the one before stays in force)`)
	require.Equal(t, before, configHash(t, api))
	w.core.SetStatus("911", "done")
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, start(t, api, entry("911"))).Outcome)
}

func TestAnEndpointMissingFromTheFileCostsNoAttempt(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), policies{
		poll:     "{interval: 100ms, lifetime: 1m}",
		delivery: "{interval: 500ms, attempts: 40, timeout: 5s}",
	})
	process, api := w.api(t, "127.0.0.1:0")
	w.core.SetStatus("921", "done")
	w.standard.Script("921", failing(http.StatusServiceUnavailable))
	key := start(t, api, entry("921"))
	awaitCallbacks(t, w.standard, "921", 1)
	whole, err := os.ReadFile(w.config)
	require.NoError(t, err)
	w.rewrite(t, process, func(text string) string { return regexp.MustCompile(`(?m)^  LEDGER:.*\n`).ReplaceAllString(text, "") })
	awaitOutput(t, process, `(an endpoint is not in this program's configuration; its deliveries wait)`)
	w.standard.Script("921", simulator.Acknowledge)
	w.rewrite(t, process, func(string) string { return string(whole) })
	state := awaitClosed(t, api, key)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	require.Len(t, state.Deliveries[0].Attempts, len(w.standard.Received("921")), "what was held back is no attempt")
	requireNumbered(t, state.Deliveries[0].Attempts, 1)
}

func TestAnEndpointOnHoldIsSentNothingUntilItIsEnabledAgain(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), policies{
		poll:     "{interval: 100ms, lifetime: 1m}",
		delivery: "{interval: 500ms, attempts: 40, timeout: 5s}",
	})
	process, api := w.api(t, "127.0.0.1:0")
	set := func(enabled string) {
		before := configHash(t, api)
		w.rewrite(t, process, func(text string) string {
			text = strings.ReplaceAll(text, "enabled: hold, ", "")
			return strings.Replace(text, "  LEDGER: {", "  LEDGER: {"+enabled, 1)
		})
		require.Eventually(t, func() bool { return configHash(t, api) != before }, patience, 20*time.Millisecond)
	}
	for _, id := range []string{"951", "952", "953"} {
		w.core.SetStatus(id, "done")
	}
	w.standard.Script("951", failing(http.StatusServiceUnavailable))
	retried := start(t, api, entry("951"))
	awaitCallbacks(t, w.standard, "951", 1)
	set("enabled: hold, ")
	begun := start(t, api, entry("952"))
	withdrawn := start(t, api, entry("953"))
	for _, key := range []operation.Key{retried, begun, withdrawn} {
		awaitState(t, api, key, func(s operation.State) bool { return s.Phase == operation.OnHold })
	}
	sent := len(w.standard.Received("951"))
	_, err := api.Withdraw(t.Context(), withdrawn)
	require.NoError(t, err)
	require.Equal(t, operation.OutcomeWithdrawn, awaitClosed(t, api, withdrawn).Outcome)
	ping, err := api.Ping(t.Context(), "LEDGER", "")
	require.NoError(t, err)
	require.Equal(t, operation.Acknowledged, ping.Verdict, "a ping is sent")
	require.Len(t, w.standard.Received("951"), sent)
	require.Empty(t, w.standard.Received("952"))

	w.standard.Script("951", simulator.Acknowledge)
	set("")
	state := awaitClosed(t, api, retried)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	require.Len(t, state.Deliveries[0].Attempts, len(w.standard.Received("951")), "what was on hold is no attempt")
	requireNumbered(t, state.Deliveries[0].Attempts, 1)
	state = awaitClosed(t, api, begun)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	requireNumbered(t, state.Deliveries[0].Attempts, 1)
	require.Empty(t, w.standard.Received("953"))
}

// TestAnEndpointThatChangesWhereItsURLComesFrom requires that callbacks go
// where the start said: at the endpoint's own URL, or at the one that it brought.
func TestAnEndpointThatChangesWhereItsURLComesFrom(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), policies{
		poll:     "{interval: 100ms, lifetime: 1m}",
		delivery: "{interval: 1s, attempts: 50, timeout: 5s}",
	})
	process, api := w.api(t, "127.0.0.1:0")
	elsewhere := receiver(t, "paysera")
	for _, id := range []string{"941", "942"} {
		w.core.SetStatus(id, "done")
	}
	w.standard.Script("941", failing(http.StatusServiceUnavailable))
	w.paysera.Script("942", failing(http.StatusServiceUnavailable))
	fixed, brought := start(t, api, entry("941")), start(t, api, w.transfer("942"))
	awaitCallbacks(t, w.standard, "941", 1)
	awaitCallbacks(t, w.paysera, "942", 1)
	before, err := os.ReadFile(w.config)
	require.NoError(t, err)

	w.rewrite(t, process, func(text string) string {
		text = strings.Replace(text, `url: "`+w.standard.URL()+`/hooks"`, "callback_url: per_operation", 1)
		return strings.Replace(text, "source: wallet, callback_url: per_operation", `source: wallet, url: "`+elsewhere.URL()+`"`, 1)
	})
	awaitOutput(t, process, `(the url of an endpoint is not in this program's configuration)`)
	w.paysera.Script("942", simulator.Acknowledge)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, brought).Outcome)
	require.Empty(t, elsewhere.Received(""), "what a start brought stays that operation's")

	w.standard.Script("941", simulator.Acknowledge)
	require.NoError(t, os.WriteFile(w.config, before, 0o600))
	require.NoError(t, process.Signal(syscall.SIGHUP))
	state := awaitClosed(t, api, fixed)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	require.Len(t, state.Deliveries[0].Attempts, len(w.standard.Received("941")), "what was held back is no attempt")
	requireNumbered(t, state.Deliveries[0].Attempts, 1)
}

func TestNoSecretIsInAHistory(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client
	w.wsgate.Script("A2C-9", simulator.Statuses(0, 2)...)
	w.ukrcard.Script("A2C-9", failing(http.StatusInternalServerError), simulator.Acknowledge)
	w.core.SetStatus("931", "done")
	w.standard.Script("931", failing(http.StatusServiceUnavailable))
	c := w.temporalClient(t)
	for _, r := range []operation.StartRequest{order("A2C-9", "payment"), entry("931")} {
		key := start(t, api, r)
		awaitClosed(t, api, key)
		for _, event := range history(t, c, key) {
			text, err := json.Marshal(event)
			require.NoError(t, err)
			payloads := event.String() + string(text)
			for _, secret := range []string{wsgatePassword, macKey, signingSecret} {
				require.NotContains(t, payloads, secret)
			}
		}
	}
}
