package activities

import (
	"context"

	"go.temporal.io/sdk/temporal"
)

// The error types of CheckBuild. They stay readable where messages are sealed.
const (
	// TypeConfigurationFails: the file does not load.
	TypeConfigurationFails = "ConfigurationFails"
	// TypeCodecFails: what is sealed in Temporal can't be opened.
	TypeCodecFails = "CodecFails"
	// TypeSourceFails: a core can't be reached.
	TypeSourceFails = "SourceFails"
	// TypeEndpointFails: the endpoint of one's own does not acknowledge a test callback.
	TypeEndpointFails = "EndpointFails"
)

// BuildCheck is one reason not to promote a build.
type BuildCheck struct {
	// Type is the error type of a failed check.
	Type  string
	Check func(context.Context) error
}

// CheckBuild makes BuildChecks until one fails, and fails with its type.
func (a *Activities) CheckBuild(ctx context.Context) error {
	for _, c := range a.BuildChecks {
		if err := c.Check(ctx); err != nil {
			return temporal.NewApplicationError(err.Error(), c.Type)
		}
	}
	return nil
}
