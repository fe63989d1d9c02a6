package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"ringback/activities"
	"ringback/internal/config"
)

// quiet is how long the configuration's files must stay as they are before they are read
// again: a certificate and its key are often written one after the other.
const quiet = 250 * time.Millisecond

// followConfig reads the configuration again at each SIGHUP, and when the content of a
// file has changed that it was read from.
func (p *process) followConfig() (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	watched := watchFolders(p.Log)
	p.reloaded = make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { p.follow(watched, hangups, ctx.Done()) })
	following.Go(func() { p.releaseHolds(ctx) })
	return func() { signal.Stop(hangups); cancel(); following.Wait(); watched.close() }
}

func (p *process) follow(watched *folders, hangups <-chan os.Signal, stopping <-chan struct{}) {
	var seen config.Files
	check := time.After(0) // what has changed since the start
	for {
		changed := true
		select {
		case <-stopping:
			return
		case <-hangups:
			p.reload() // perhaps to files in other folders
		case <-watched.events:
		case err := <-watched.errors: // such as more events than the queue holds
			p.Log.Debug("changes of files may have been missed; the configuration's are checked", zap.Error(err))
		case <-check:
			watched.follow(p.files)
			seen, changed = p.checkFiles(seen)
			check = nil
		}
		if changed && check == nil {
			check = time.After(quiet)
		}
	}
}

// checkFiles reads the configuration again if its files are not as they were when it was
// read, and still as the last check saw them. changed: they have to be checked again.
func (p *process) checkFiles(seen config.Files) (now config.Files, changed bool) {
	now = p.files.Now()
	changed = !maps.Equal(now, p.files)
	if changed && maps.Equal(now, seen) {
		p.reloadChanged()
	}
	return now, changed
}

// reload puts the file as it is now in force. A file that is invalid, or does not fit
// the open listeners or takes away the last key, is refused, and the old configuration stays.
func (p *process) reload() {
	if err := p.openAudit(p.config.file()); err != nil { // also before a file that is refused
		p.Log.Error("the audit's file can't be opened anew; the one that is open is written to", zap.Error(err))
	}
	p.use(p.read())
}

// reloadChanged does so where the new configuration is another one than that which was
// read before, and lets the audit's file be: it may lie in a folder that is watched.
func (p *process) reloadChanged() {
	if c, err := p.read(); err != nil || c.Hash != p.config.hash() || p.refused.Load() {
		p.use(c, err)
	}
}

// read reads the configuration, the first time also from what can be read only once.
func (p *process) read() (c *config.Config, err error) {
	read := config.ReadAgain
	if p.files == nil {
		read = config.Read
	}
	c, p.files, err = read(p.ConfigPath)
	return c, err
}

// use puts c in force, or says why it is refused.
func (p *process) use(c *config.Config, err error) {
	before, auditFile := p.config.hash(), p.config.file().Audit.File
	var replacedKeys []string
	if err == nil {
		replacedKeys = p.config.file().ReplacedCodecKeys(c)
		err = p.replace(c)
	}
	p.refused.Store(err != nil)
	if err != nil {
		p.Log.Error("the configuration is refused; the one before stays in force",
			zap.String("config_hash", before), zap.Error(err))
		return
	}
	if p.API && auditFile != "" && c.Audit.File == "" {
		p.Log.Warn("audit.file is taken away: the audit is in this log from now on", zap.String("before", auditFile))
	}
	if len(replacedKeys) > 0 {
		p.Log.Warn("codec.keys has other keys under the same ids: what the ones before sealed can't be opened now; a new key needs an id of its own",
			zap.Strings("ids", replacedKeys))
	}
	p.showConfig(c)
	p.Log.Info("the configuration is reloaded", zap.String("before", before), zap.String("config_hash", c.Hash))
	select {
	case p.reloaded <- struct{}{}:
	default: // an earlier one is still to be followed up
	}
}

// releaseHolds lets deliveries go on after each reload that ends a hold. Temporal may take
// its time to take them, for which no other reload waits.
func (p *process) releaseHolds(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.reloaded:
			if p.activities != nil {
				activities.ReleaseHolds(ctx, p.activities, false)
			}
		}
	}
}

// replace puts c in force. The audit moves once nothing else can refuse c.
func (p *process) replace(c *config.Config) error {
	err := errors.Join(p.checkListeners(c), p.config.file().CheckReload(c))
	var s *snapshot
	if err == nil {
		s, err = p.config.newSnapshot(c)
	}
	if err == nil {
		err = p.openAudit(c)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.ConfigPath, err)
	}
	p.config.put(s)
	return nil
}
