package app

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"ringback/internal/config"
)

// reloadOnHangup reads the configuration again at each SIGHUP.
func (p *process) reloadOnHangup() (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangups {
			p.reload()
		}
	}()
	return func() { signal.Stop(hangups); close(hangups); <-done }
}

// reload puts the file as it is now in force. A file that is invalid, or does not fit
// the open listeners or takes away the last key, is refused, and the old configuration stays.
func (p *process) reload() {
	before := p.config.hash()
	auditFile := p.config.file().Audit.File
	if err := p.openAudit(p.config.file()); err != nil { // also before a file that is refused
		p.Log.Error("the audit's file can't be opened anew; the one that is open is written to", zap.Error(err))
	}
	c, err := p.load()
	if err != nil {
		p.Log.Error("the configuration is refused; the one before stays in force",
			zap.String("config_hash", before), zap.Error(err))
		return
	}
	if p.API && auditFile != "" && c.Audit.File == "" {
		p.Log.Warn("audit.file is taken away: the audit is in this log from now on", zap.String("before", auditFile))
	}
	p.showConfig(c)
	p.Log.Info("the configuration is reloaded", zap.String("before", before), zap.String("config_hash", c.Hash))
}

func (p *process) load() (*config.Config, error) {
	c, err := config.Load(p.ConfigPath)
	if err != nil {
		return nil, err
	}
	if err := p.replace(c); err != nil {
		return nil, fmt.Errorf("%s: %w", p.ConfigPath, err)
	}
	return c, nil
}

// replace puts c in force. The audit moves once nothing else can refuse c.
func (p *process) replace(c *config.Config) error {
	if err := errors.Join(p.checkListeners(c), p.config.file().CheckReload(c)); err != nil {
		return err
	}
	s, err := p.config.newSnapshot(c)
	if err != nil {
		return err
	}
	if err := p.openAudit(c); err != nil {
		return err
	}
	p.config.put(s)
	return nil
}
