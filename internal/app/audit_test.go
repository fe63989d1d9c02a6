package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
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
