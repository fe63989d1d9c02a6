package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"ringback/activities"
	"ringback/internal/config"
	"ringback/internal/operation"
)

// buildChecks are what this build has to pass before it is promoted.
func (p *process) buildChecks() []activities.BuildCheck {
	return []activities.BuildCheck{
		{Type: activities.TypeConfigurationFails, Check: p.checkConfiguration},
		{Type: activities.TypeCodecFails, Check: p.service.CheckSealed},
		{Type: activities.TypeSourceFails, Check: p.checkSources},
		{Type: activities.TypeEndpointFails, Check: p.checkEndpoint},
	}
}

// checkConfiguration loads the file anew, with its secrets and certificates.
func (p *process) checkConfiguration(context.Context) error {
	c, _, err := config.ReadAgain(p.ConfigPath)
	if err != nil {
		return err
	}
	_, err = p.config.newSnapshot(c)
	return err
}

// dialTimeout bounds the dials of all cores, so that the gate can say which did not answer.
const dialTimeout = 30 * time.Second

// checkSources dials every core, all at once.
func (p *process) checkSources(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c := p.config.file()
	names := slices.Sorted(maps.Keys(c.Sources))
	failed := make([]error, len(names))
	var dials sync.WaitGroup
	for i, name := range names {
		dials.Go(func() { failed[i] = checkSource(ctx, c, name) })
	}
	dials.Wait()
	return errors.Join(failed...)
}

// checkSource dials a core's addresses, which stand in for each other as in a poll.
func checkSource(ctx context.Context, c *config.Config, name string) (failed error) {
	for _, base := range c.Sources[name].BaseURLs {
		err := c.Guard.Dial(ctx, base.URL)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("dialling %s of the source %s: %w", base.URL, name, err))
	}
	return failed
}

// checkEndpoint sends a test callback to the endpoint that was named for it, if one was.
func (p *process) checkEndpoint(ctx context.Context) error {
	if p.GatePing == "" {
		return nil
	}
	ping, err := apiService{Service: p.service, config: &p.config}.Ping(ctx, p.GatePing, operation.PingRequest{})
	if err != nil {
		return fmt.Errorf("sending a test callback to the endpoint %s: %w", p.GatePing, err)
	}
	if ping.Verdict != operation.Acknowledged {
		return fmt.Errorf("the endpoint %s did not acknowledge a test callback: %s", p.GatePing, ping.Reason)
	}
	return nil
}
