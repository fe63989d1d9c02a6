package app

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"ringback/internal/config"
)

func TestTheAuditGoesToItsFileAndIsRotated(t *testing.T) {
	t.Parallel()
	p, logs := loaded(t, openConfig)
	p.API = true
	require.NoError(t, p.chooseListeners())
	t.Cleanup(p.audit.Close)
	path := filepath.Join(filepath.Dir(p.ConfigPath), "audit.log")
	size := func(path string) int64 {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Size()
	}
	require.NoError(t, p.writeAudit(zap.String("event", "begun")))
	require.Len(t, logs.FilterMessage("audit").All(), 1, "without a file it is in the log")

	write(t, p.ConfigPath, openConfig+"\naudit: {file: audit.log}\n")
	p.reload()
	require.NoError(t, p.writeAudit(zap.String("event", "begun")))
	require.Len(t, logs.FilterMessage("audit").All(), 1)
	require.Positive(t, size(path))

	for name, config := range map[string]string{
		"a reload":                        openConfig + "\naudit: {file: audit.log}\n",
		"a reload of a file with a fault": "nonsense: true\n",
	} {
		require.NoError(t, os.Rename(path, path+".1"), name)
		write(t, p.ConfigPath, config)
		p.reload()
		require.NoError(t, p.writeAudit(zap.String("event", "begun")))
		require.Positive(t, size(path), name)
	}
}

func TestTheLogWarnsThatAReloadTookTheAuditsFileAway(t *testing.T) {
	t.Parallel()
	const to = openConfig + "\naudit: {file: %s}\n"
	for name, row := range map[string]struct {
		after    string
		warnings int
	}{
		"the file is taken away": {openConfig, 1},
		"the file stays":         {fmt.Sprintf(to, "audit.log"), 0},
		"the file is another":    {fmt.Sprintf(to, "other.log"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, logs := loaded(t, fmt.Sprintf(to, "audit.log"))
			p.API = true
			require.NoError(t, p.chooseListeners())
			t.Cleanup(p.audit.Close)
			write(t, p.ConfigPath, row.after)
			p.reload()
			p.reload()
			require.Len(t, logs.FilterLevelExact(zap.WarnLevel).FilterMessageSnippet("audit.file is taken away").All(), row.warnings)
		})
	}
}

// TestARefusedConfigurationLeavesTheAuditWhereItWas has a configuration that only the
// making of its endpoints refuses.
func TestARefusedConfigurationLeavesTheAuditWhereItWas(t *testing.T) {
	t.Parallel()
	p, _ := loaded(t, openConfig+"\naudit: {file: audit.log}\n")
	p.API = true
	require.NoError(t, p.chooseListeners())
	require.NoError(t, p.openAudit(p.config.file()))
	t.Cleanup(p.audit.Close)
	before := p.config.hash()
	write(t, p.ConfigPath, openConfig+"\naudit: {file: other.log}\n")
	c, err := config.Load(p.ConfigPath)
	require.NoError(t, err)
	ledger := c.Endpoints["LEDGER"]
	ledger.Signing.Secrets = make([]config.Secret, 1) // which no file could have
	c.Endpoints["LEDGER"] = ledger

	require.Error(t, p.replace(c))
	require.Equal(t, before, p.config.hash())
	folder := filepath.Dir(p.ConfigPath)
	require.NoFileExists(t, filepath.Join(folder, "other.log"))
	require.NoError(t, p.writeAudit(zap.String("event", "begun")))
	content, err := os.ReadFile(filepath.Join(folder, "audit.log"))
	require.NoError(t, err)
	require.NotEmpty(t, content)
}

func TestAnAuditThatCannotBeOpenedIsRefused(t *testing.T) {
	t.Parallel()
	p, _ := loaded(t, openConfig)
	p.API = true
	require.NoError(t, p.chooseListeners())
	before := p.config.hash()
	write(t, p.ConfigPath, openConfig+"\naudit: {file: nowhere/audit.log}\n")
	p.reload()
	require.Equal(t, before, p.config.hash(), "by a reload")

	started := &process{Options: p.Options, registry: prometheus.NewRegistry()}
	require.ErrorContains(t, started.prepare(t.Context()), "opening audit.file", "at the start")
}
