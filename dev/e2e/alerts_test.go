package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/drill"
	"ringback/dev/proc"
)

const (
	alertsFile    = "../../deploy/prometheus/alerts.yml"
	dashboardFile = "../../deploy/grafana/ringback.json"
)

func rules(t *testing.T) []drill.Alert {
	t.Helper()
	all, err := drill.Alerts(alertsFile)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

// panel is one of the dashboard's.
type panel struct {
	Title   string
	Targets []struct{ Expr string }
}

func panels(t *testing.T) []panel {
	t.Helper()
	content, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	var dashboard struct{ Panels []panel }
	require.NoError(t, json.Unmarshal(content, &dashboard))
	require.NotEmpty(t, dashboard.Panels)
	return dashboard.Panels
}

// expressions are those of the rules and of the dashboard, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range rules(t) {
		all["rule "+r.Record+r.Name] = r.Expr
	}
	for _, p := range panels(t) {
		for i, target := range p.Targets {
			all[fmt.Sprintf("panel %q, query %d", p.Title, i+1)] = target.Expr
		}
	}
	return all
}

var (
	quotedText = regexp.MustCompile(`"(\\.|[^"\\])*"`)
	selector   = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:\\.|[^"\\])*)"`)
	grouping   = regexp.MustCompile(`\bby\s*\(([^)]*)\)`)
	ranges     = regexp.MustCompile(`\[[^\]]*\]`)
	identifier = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	// functions are the words of the language that the files use.
	functions = []string{"sum", "max", "count", "rate", "increase", "histogram_quantile", "avg_over_time", "max_over_time", "vector", "absent", "and", "or", "on"}
	// ofScrapes are the labels that Prometheus adds, namespace under its operator.
	ofScrapes = []string{"job", "instance", "namespace"}
)

func TestEveryMetricAndLabelThatTheRulesAndTheDashboardNameIsShown(t *testing.T) {
	i := install(t)
	i.exercise(t)
	var shown map[string]map[string]map[string]bool
	// A worker polls, and a metric is shown with the first of what it counts.
	require.Eventually(t, func() bool {
		shown = i.shown(t)
		return shown["ringback_breaker_open"]["name"]["locked"] && shown["temporal_request_failure_total"] != nil
	}, patience, 100*time.Millisecond)
	// Shown where Temporal's database is away: TestAPostgreSQLThatDiesLosesNothing.
	for _, code := range []string{"UNAVAILABLE", "DEADLINE_EXCEEDED"} {
		shown["temporal_request_failure_total"]["status_code"][code] = true
	}
	shown["up"] = map[string]map[string]bool{"job": {"ringback-api": true, "ringback-worker": true}}
	for _, r := range rules(t) {
		if r.Record != "" {
			shown[r.Record] = map[string]map[string]bool{}
		}
	}
	documented(t, shown)
	for where, expression := range expressions(t) {
		t.Run(where, func(t *testing.T) { requireShown(t, shown, expression) })
	}
}

// documented checks that the page on operations names each metric of ours.
func documented(t *testing.T, shown map[string]map[string]map[string]bool) {
	t.Helper()
	content, err := os.ReadFile("../../docs/operations/telemetry.md")
	require.NoError(t, err)
	parts := regexp.MustCompile(`_(bucket|sum|count)$`)
	for name := range shown {
		if strings.HasPrefix(name, "ringback_") {
			require.Contains(t, string(content), "| `"+parts.ReplaceAllString(name, "")+"` |")
		}
	}
}

// requireShown checks that each metric of an expression is shown, with its labels and
// their values.
func requireShown(t *testing.T, shown map[string]map[string]map[string]bool, expression string) {
	t.Helper()
	labels := slices.Clone(ofScrapes)
	for _, found := range selector.FindAllStringSubmatch(expression, -1) {
		for _, m := range matcher.FindAllStringSubmatch(found[2], -1) {
			matched(t, shown[found[1]], found[1], m[1], m[2], m[3])
		}
	}
	bare := ranges.ReplaceAllString(expression, "")
	grouped := grouping.FindAllStringSubmatch(bare, -1)
	bare = grouping.ReplaceAllString(selector.ReplaceAllString(bare, "$1"), "")
	for _, name := range identifier.FindAllString(quotedText.ReplaceAllString(bare, ""), -1) {
		if slices.Contains(functions, name) {
			continue
		}
		require.Containsf(t, shown, name, "a metric of %s", expression)
		for label := range shown[name] {
			labels = append(labels, label)
		}
	}
	for _, group := range grouped {
		for label := range strings.SplitSeq(group[1], ",") {
			require.Containsf(t, labels, strings.TrimSpace(label), "a label of %s", expression)
		}
	}
}

// matched checks one matcher: that the label is there, and what it is compared
// with as well.
func matched(t *testing.T, metric map[string]map[string]bool, name, label, operator, value string) {
	t.Helper()
	if slices.Contains(ofScrapes, label) {
		return
	}
	require.Containsf(t, metric, label, "a label of %s", name)
	if strings.Contains(value, "$endpoint") {
		return
	}
	if !strings.HasSuffix(operator, "~") {
		require.Truef(t, metric[label][value], "%s{%s%s%q}; there are %v", name, label, operator, value, metric[label])
		return
	}
	for alternative := range strings.SplitSeq(value, "|") {
		pattern := regexp.MustCompile("^(?:" + strings.ReplaceAll(alternative, `\\`, `\`) + ")$")
		found := false
		for shown := range metric[label] {
			found = found || pattern.MatchString(shown)
		}
		require.Truef(t, found, "%s{%s%s%q}; there are %v", name, label, operator, value, metric[label])
	}
}

func TestPromtoolAcceptsTheRulesAndEachAlertFires(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{
		{"check", "rules", "alerts.yml"},
		{"check", "config", "--syntax-only", "prometheus.yml"},
		{"test", "rules", "alerts_test.yml"},
	} {
		command := exec.CommandContext(t.Context(), "promtool", arguments...)
		command.Dir = filepath.Dir(alertsFile)
		said, err := command.CombinedOutput()
		require.NoErrorf(t, err, "promtool %s: %s", strings.Join(arguments, " "), said)
	}
	tests, err := os.ReadFile("../../deploy/prometheus/alerts_test.yml")
	require.NoError(t, err)
	for _, r := range rules(t) {
		if r.Name != "" {
			require.Regexpf(t, `alertname: `+r.Name+`,?\s+exp_alerts`, string(tests), "no test lets %s fire", r.Name)
		}
	}
}

// prometheus is a Prometheus that scrapes an installation each second and
// evaluates the rules, as it is in Debian.
func (i *installation) prometheus(t *testing.T) string {
	t.Helper()
	address := unused(t)
	rules, err := filepath.Abs(alertsFile)
	require.NoError(t, err)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - {job_name: ringback-api, static_configs: [{targets: [%q]}]}
  - {job_name: ringback-worker, static_configs: [{targets: [%q]}]}
`, rules, i.apiAddress, i.workerAddress), 0o600))
	process, err := proc.Start(exec.Command("prometheus", "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = process.Stop(syscall.SIGKILL, grace) })
	return "http://" + address
}

// ask asks Prometheus' API and reads its answer's data.
func ask(t *testing.T, address string, data any) (ok bool) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		return false
	}
	defer func() { require.NoError(t, response.Body.Close()) }()
	if response.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Equal(t, "success", answer.Status, "%s: %s", address, answer.Error)
	return true
}

// asDashboard fills in what Grafana does.
func asDashboard(expression string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$endpoint", ".*").Replace(expression)
}

func TestPromtoolsPrometheusEvaluatesEveryRuleAndFillsEveryPanel(t *testing.T) {
	i := install(t)
	address := i.prometheus(t)
	require.Eventually(t, func() bool {
		var found struct{ Result []any }
		return ask(t, address+"/api/v1/query?query="+url.QueryEscape("count(up == 1) == 2"), &found) && len(found.Result) == 1
	}, patience, 200*time.Millisecond, "both programs are scraped")
	i.exercise(t)

	var evaluated struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	require.Eventually(t, func() bool {
		require.True(t, ask(t, address+"/api/v1/rules", &evaluated))
		for _, group := range evaluated.Groups {
			for _, r := range group.Rules {
				require.Emptyf(t, r.LastError, "%s", r.Name)
				if r.Health != "ok" {
					return false
				}
			}
		}
		return len(evaluated.Groups) > 0
	}, patience, 200*time.Millisecond, "every rule is evaluated")
	for _, p := range panels(t) {
		t.Run(p.Title, func(t *testing.T) {
			for n, target := range p.Targets {
				require.Eventuallyf(t, func() bool {
					var found struct{ Result []any }
					return ask(t, address+"/api/v1/query?query="+url.QueryEscape(asDashboard(target.Expr)), &found) && len(found.Result) > 0
				}, patience, 200*time.Millisecond, "query %d is empty: %s", n+1, target.Expr)
			}
		})
	}
	for _, firing := range []string{"RingbackSourceRefusesUs", "RingbackConfigurationMissing", "RingbackCardNumberRefused", "RingbackUnknownStatus", "RingbackExhaustedRising"} {
		require.Eventuallyf(t, func() bool {
			var found struct{ Result []any }
			return ask(t, address+"/api/v1/query?query="+url.QueryEscape(`ALERTS{alertname="`+firing+`", alertstate="firing"}`), &found) && len(found.Result) > 0
		}, patience, 200*time.Millisecond, "%s fires on the real run", firing)
	}
}
