package app

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"ringback/internal/service"
	"ringback/internal/telemetry"
	"ringback/internal/version"
)

const openConfig = `
egress: {allow: [127.0.0.0/8]}
sources:
  wallet: {kind: paysera, base_urls: ["http://127.0.0.1:9002"]}
endpoints:
  LEDGER: {dialect: standard, source: wallet, url: "http://127.0.0.1:9103/hooks", poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
`

const keyedConfig = openConfig + `
api: {keys: [{name: core, sha256: 7c9e0a3d1f2b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5, scopes: [start]}]}
`

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// loaded is a program with that configuration in force, and what it logs.
func loaded(t *testing.T, text string) (*process, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	p := &process{Options: Options{ConfigPath: filepath.Join(t.TempDir(), "ringback.yml"), Log: zap.New(core)}}
	p.registry, p.service = prometheus.NewRegistry(), &service.Service{}
	require.NoError(t, p.openMetrics())
	write(t, p.ConfigPath, text)
	c, err := p.read()
	require.NoError(t, err)
	require.NoError(t, p.config.use(p.ConfigPath, c))
	require.NoError(t, p.chooseListeners())
	return p, logs
}

func TestWithoutKeysTheAPIListensOnLoopbackAlone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config, address string
		allowed         bool
	}{
		"without keys, an IPv4 loopback address is allowed":     {openConfig, "127.0.0.1:8080", true},
		"without keys, an IPv6 loopback address is allowed":     {openConfig, "[::1]:8080", true},
		"without keys, localhost is allowed":                    {openConfig, "localhost:0", true},
		"without keys, every address of the machine is refused": {openConfig, "0.0.0.0:8080", false},
		"without keys, an empty host is every address: refused": {openConfig, ":8080", false},
		"without keys, an address of a network is refused":      {openConfig, "10.0.0.1:8080", false},
		"without keys, what is no address is refused":           {openConfig, "8080", false},
		"with keys, every address of the machine may be used":   {keyedConfig, "0.0.0.0:8080", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := loaded(t, tc.config)
			for _, api := range []bool{true, false} {
				p.API, p.Listen, p.TelemetryListen = api, tc.address, tc.address
				err := p.chooseListeners()
				if tc.allowed {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, tc.address)
				}
			}
		})
	}
}

func TestAProgramWithoutKeysSaysSoAtItsStart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config   string
		warnings int
	}{
		"without keys it warns once":              {openConfig, 1},
		"without keys on purpose it says nothing": {openConfig + "api: {anonymous: true}\n", 0},
		"with keys there is nothing to say":       {keyedConfig, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zapcore.InfoLevel)
			p := &process{Options: Options{ConfigPath: filepath.Join(t.TempDir(), "ringback.yml"), Log: zap.New(core)}, registry: prometheus.NewRegistry()}
			write(t, p.ConfigPath, tc.config)
			require.NoError(t, p.prepare(t.Context()))
			defer p.client.Close()
			require.Len(t, logs.FilterLevelExact(zapcore.WarnLevel).FilterMessageSnippet("api.keys has no keys").All(), tc.warnings)
			require.Equal(t, tc.warnings, logs.Len())
		})
	}
}

func TestABadFileLeavesTheOldConfigurationInForce(t *testing.T) {
	t.Parallel()
	p, logs := loaded(t, openConfig)
	before := p.config.hash()
	write(t, p.ConfigPath, openConfig+"nonsense: true\n")
	p.reload()
	require.Equal(t, before, p.config.hash())
	_, known := p.config.endpoint("LEDGER")
	require.True(t, known)
	refusal := logs.FilterLevelExact(zapcore.ErrorLevel).All()
	require.Len(t, refusal, 1)
	require.Contains(t, refusal[0].ContextMap()["error"], "nonsense", "it says what is wrong, and where")
}

func TestAReloadPutsTheNewConfigurationInForceWhole(t *testing.T) {
	t.Parallel()
	p, _ := loaded(t, openConfig)
	before := p.config.hash()
	write(t, p.ConfigPath, keyedConfig)
	p.reload()
	require.NotEqual(t, before, p.config.hash())
	require.Len(t, p.config.settings().Keys, 1)
}

func TestAReloadSaysWhichWorkflowIDsTheLogMasks(t *testing.T) {
	t.Parallel()
	p, _ := loaded(t, openConfig)
	var out bytes.Buffer
	p.unscreened = &telemetry.Unscreened{}
	log := p.unscreened.NewLogger(&out, zapcore.InfoLevel)
	for _, row := range []struct{ screen, want string }{
		{"true", "LEDGER/411111******1111"}, {"false", "LEDGER/4111111111111111"}, {"true", "LEDGER/411111******1111"},
	} {
		write(t, p.ConfigPath, strings.Replace(openConfig, "source: wallet", "source: wallet, card_number_screen: "+row.screen, 1))
		p.reload()
		out.Reset()
		log.Info("m", zap.String("workflow_id", "LEDGER/4111111111111111"))
		require.Contains(t, out.String(), row.want, "card_number_screen: "+row.screen)
	}
}

func TestACommandReportsItsUsage(t *testing.T) {
	t.Parallel()
	api := Command{Name: "api", Summary: "serves.", API: true}
	for name, tc := range map[string]struct {
		arguments []string
		code      int
		output    string
	}{
		"help shows an example":                    {[]string{"-help"}, 0, "Example:"},
		"the version is said without a file":       {[]string{"-version"}, 0, "api version " + version.String() + "\n"},
		"a missing configuration is a usage error": {nil, 2, "-config is required"},
		"an unknown flag is a usage error":         {[]string{"-nonsense"}, 2, "nonsense"},
		"a file that is not there is named":        {[]string{"-config", "/nonexistent/ringback.yml"}, 1, "/nonexistent/ringback.yml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			require.Equal(t, tc.code, api.Main(tc.arguments, &out, &out))
			require.Contains(t, out.String(), tc.output)
		})
	}
}

func TestTheProbesSayTheVersion(t *testing.T) {
	t.Parallel()
	p, _ := loaded(t, openConfig)
	address := p.serveProbes(t)
	for path, want := range map[string]string{
		"/metrics": `ringback_build_info{version="` + version.String() + `"} 1`,
		"/readyz":  `"version":"` + version.String() + `"`,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		require.NoError(t, err)
		answer, err := new(http.Client).Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, errors.Join(err, answer.Body.Close()))
		require.Contains(t, string(body), want)
	}
}
