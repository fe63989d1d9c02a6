package ui

import (
	"fmt"

	"ringback/internal/operation"
)

// Outage is an endpoint's health in Markdown.
func Outage(endpoint string, h operation.Health) string {
	if !h.Failing {
		return fmt.Sprintf("**recovered** · the endpoint %s acknowledged an attempt at %s\n", Code(endpoint), h.At)
	}
	return fmt.Sprintf("**failing** · the endpoint %s acknowledged none of the last %s of one worker, the latest at %s: %s\n",
		Code(endpoint), count(h.Attempts, "attempt"), h.At, Code(h.Reason))
}
