package ui

import (
	"strconv"
	"strings"

	"ringback/internal/operation"
)

// BulkRedelivery is a bulk redelivery in Markdown.
func BulkRedelivery(r operation.BulkRedelivery) string {
	var text markdown
	text.put("**%s** · %d of %d operations processed · asked for by %s at %s%s\n\n",
		word(r.Phase), r.Processed(), r.Matched, Code(r.By), r.StartedAt, because(r.Reason))
	forced := ""
	if r.Force {
		forced = ", acknowledged ones as well"
	}
	row(&text, "done", "failed", "skipped")
	text.put("|--:|--:|--:|\n")
	row(&text, strconv.Itoa(r.Done), strconv.Itoa(r.Failed), strconv.Itoa(r.Skipped))
	text.put("\nAt most %g a second%s, where %s.\n", r.RatePerSecond, forced, filterInWords(r.Filter))
	if len(r.Failures) > 0 {
		text.put("\nThe latest that failed:\n\n")
		row(&text, "operation", "why")
		text.put("|---|---|\n")
		for _, f := range r.Failures {
			row(&text, Code(f.WorkflowID()), Code(f.Detail))
		}
	}
	if r.EndedAt != nil {
		return string(text)
	}
	text.put("\nSignal `stop` to redeliver no further operation, `resume` to continue. Redeliveries that were started continue.\n")
	return string(text)
}

func filterInWords(f operation.Filter) string {
	var bounds []string
	add := func(name, value string) {
		if value != "" {
			bounds = append(bounds, name+" "+Code(value))
		}
	}
	add("the endpoint is", f.Endpoint)
	add("the status is", f.Status)
	add("the last HTTP status is", f.HTTPStatus)
	add("the outcome is", string(f.Outcome))
	if !f.Since.IsZero() {
		bounds = append(bounds, "it closed since "+f.Since.String())
	}
	if !f.Until.IsZero() {
		bounds = append(bounds, "it closed before "+f.Until.String())
	}
	return strings.Join(bounds, ", ")
}
