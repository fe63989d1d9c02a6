package ui

import (
	"fmt"
	"strings"

	"ringback/internal/operation"
)

// Outage is an endpoint's health in Markdown.
func Outage(endpoint string, h operation.Health) string {
	if !h.Failing {
		return fmt.Sprintf("**recovered** · the endpoint %s acknowledged an attempt at %s\n", code(endpoint), h.At)
	}
	return fmt.Sprintf("**failing** · the endpoint %s acknowledged none of the last %s of one worker, the latest at %s: %s\n",
		code(endpoint), count(h.Attempts, "attempt"), h.At, code(h.Reason))
}

// BulkRedelivery is a bulk redelivery in Markdown.
func BulkRedelivery(r operation.BulkRedelivery) string {
	var text markdown
	text.put("**%s** · %d of %d runs processed · asked for by %s at %s%s\n\n",
		r.Phase, r.Processed(), r.Matched, code(r.By), r.StartedAt, because(r.Reason))
	text.put("| done | failed | skipped |\n|--:|--:|--:|\n")
	text.put("| %d | %d | %d |\n\n", r.Done, r.Failed, r.Skipped)
	text.put("At most %g a second%s, where %s.\n", r.RatePerSecond, forced(r.Force), filterInWords(r.Filter))
	if len(r.Failures) > 0 {
		text.put("\nThe latest that failed:\n\n| operation | why |\n|---|---|\n")
		for _, f := range r.Failures {
			text.put("| %s | %s |\n", code(f.WorkflowID()), code(f.Detail))
		}
	}
	text.put("\nSignal `stop` to redeliver no further operation, `resume` to continue. Redeliveries that were started continue.\n")
	return text.String()
}

func forced(force bool) string {
	if force {
		return ", acknowledged ones as well"
	}
	return ""
}

func filterInWords(f operation.Filter) string {
	var bounds []string
	add := func(name, value string) {
		if value != "" {
			bounds = append(bounds, name+" "+code(value))
		}
	}
	add("the endpoint is", f.Endpoint)
	add("the status is", f.Status)
	add("the outcome is", string(f.Outcome))
	if !f.Since.IsZero() {
		bounds = append(bounds, "it closed since "+f.Since.String())
	}
	if !f.Until.IsZero() {
		bounds = append(bounds, "it closed before "+f.Until.String())
	}
	return strings.Join(bounds, ", ")
}
