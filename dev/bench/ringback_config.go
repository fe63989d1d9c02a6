package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// secretVariable is the environment variable of the cores' secret.
	secretVariable = "RINGBACK_BENCH_SECRET" //nolint:gosec // a variable's name
	secretValue    = "not-a-secret-1"
)

// The endpoints of the bench's configuration.
const (
	endpointOK = "OK"
	// endpointOpen polls so rarely that its operations stay open.
	endpointOpen    = "OPEN"
	endpointFailing = "FAILING"
	// endpointRevocable is Paysera's, with a callback about a revocable status.
	endpointRevocable = "REVOCABLE"
	// endpointSchedule polls every scheduleGap, endpointSecond every second.
	endpointSchedule = "SCHEDULE"
	endpointSecond   = "SECOND"
	// endpointDue fails every dueGap, for longer than an overload.
	endpointDue = "DUE"
	// endpointMixUkrcard and endpointMixPaysera are those of the mix.
	// Each status of Paysera's is delivered, as plain does, also where it comes late.
	endpointMixUkrcard = "MIX_UKRCARD"
	endpointMixPaysera = "MIX_PAYSERA"
)

// scheduleGap stands for Ukrcard's gaps, which are 5 s to 10 min.
const scheduleGap = 11 * time.Second

const (
	dueGap      = 2 * time.Second
	dueAttempts = 40
)

func endpointGap(h time.Duration) string { return fmt.Sprintf("GAP%d", h.Milliseconds()) }

// endpointDown fails until its operations are finished.
func endpointDown(h time.Duration) string { return fmt.Sprintf("DOWN%d", h.Milliseconds()) }

func endpointSlow(d time.Duration) string { return fmt.Sprintf("SLOW%d", d.Milliseconds()) }

// endpointAttempts acknowledges the n-th attempt.
func endpointAttempts(n int) string { return fmt.Sprintf("ATTEMPTS%d", n) }

// writeConfig writes Ringback's configuration, with authentication, and returns its
// path.
func writeConfig(dir, simulator, key string, e extent) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `api:
  listen: 127.0.0.1:0
  keys: [{name: bench, sha256: %x, scopes: [start, push, withdraw, revoke, read]}]
  rate_limit: {per_second: 2000, burst: 2000}
egress: {allow: [127.0.0.0/8]}
sources:
  wsgate: {kind: ukrcard, base_urls: [%[2]q], ext_system_id: BENCH, login: bench, password: "${env:%[3]s}", client_dn: BENCH}
  wallet: {kind: paysera, base_urls: [%[2]q], mac: {id: bench, key: "${env:%[3]s}"}}
endpoints:
`, sha256.Sum256([]byte(key)), simulator, secretVariable)
	const quickly = "{schedule: [500ms, 1s, 5s], lifetime: 20m}"
	ukrcard := func(name, how, poll, delivery string) {
		fmt.Fprintf(&b, "  %s: {dialect: ukrcard, source: wsgate, url: %q, push: trust, poll: %s, delivery: %s}\n", name, simulator+"/callback/"+how, poll, delivery)
	}
	ukrcard(endpointOK, "ok", quickly, "{interval: 3s, attempts: 10, timeout: 10s}")
	ukrcard(endpointOpen, "ok", "{schedule: [12h, 12h, 24h], max_polls: 100, lifetime: 720h}", "{interval: 3s, attempts: 10, timeout: 10s}")
	ukrcard(endpointFailing, "fail", quickly, fmt.Sprintf("{interval: %s, attempts: %d, timeout: 10s}", failingGap, failingAttempts))
	ukrcard(endpointDue, "fail", quickly, fmt.Sprintf("{interval: %s, attempts: %d, timeout: 10s}", dueGap, dueAttempts))
	ukrcard(endpointSchedule, "ok", fmt.Sprintf("{interval: %s, lifetime: 20m}", scheduleGap), "{interval: 3s, attempts: 10, timeout: 10s}")
	ukrcard(endpointSecond, "ok", "{interval: 1s, lifetime: 20m}", "{interval: 3s, attempts: 10, timeout: 10s}")
	for _, d := range []time.Duration{slow, slower} {
		ukrcard(endpointSlow(d), endpointPath(d), quickly, "{interval: 3s, attempts: 10, timeout: 30s}")
	}
	for _, h := range distinct(e.Gaps, secondAttemptGaps) {
		ukrcard(endpointGap(h), "first1", quickly, fmt.Sprintf("{interval: %s, attempts: 3, timeout: 10s}", h))
	}
	for _, h := range distinct([]time.Duration{shortGap, longGap, e.RestartGap}) {
		ukrcard(endpointDown(h), "down", quickly, fmt.Sprintf("{interval: %s, attempts: 100, timeout: 10s}", h))
	}
	for _, n := range []int{fewAttempts, manyAttempts} {
		ukrcard(endpointAttempts(n), fmt.Sprintf("first%d", n-1), quickly, "{interval: 50ms, attempts: 20, timeout: 10s}")
	}
	fmt.Fprintf(&b, "  %s: {dialect: paysera, source: wallet, callback_url: per_operation, poll: {interval: 10m, lifetime: 720h}, delivery: {interval: 60s, attempts: 20, timeout: 30s}}\n", endpointRevocable)
	poll := fmt.Sprintf("{schedule: [%s], max_polls: %d, lifetime: 20m}", strings.ReplaceAll(strings.Trim(fmt.Sprint(e.Mix.Schedule), "[]"), " ", ", "), len(e.Mix.Schedule)+1)
	delivery := func(h time.Duration) string {
		return fmt.Sprintf("{interval: %s, attempts: %d, timeout: %s}", h, mixAttempts, mixTimeout)
	}
	ukrcard(endpointMixUkrcard, mixHow, poll, delivery(e.Mix.Ukrcard))
	fmt.Fprintf(&b, "  %s: {dialect: paysera, source: wallet, callback_url: per_operation, supersede: every, poll: %s, delivery: %s}\n", endpointMixPaysera, poll, delivery(e.Mix.Paysera))
	path := filepath.Join(dir, "ringback.yml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return "", fmt.Errorf("write Ringback's configuration: %w", err)
	}
	return path, nil
}

func distinct(gaps ...[]time.Duration) []time.Duration {
	all := slices.Concat(gaps...)
	slices.Sort(all)
	return slices.Compact(all)
}

func endpointPath(d time.Duration) string { return fmt.Sprintf("slow%d", d.Milliseconds()) }
