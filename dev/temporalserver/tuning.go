package temporalserver

import (
	"time"

	"go.temporal.io/server/common/dynamicconfig"
)

// dynamicConfig is what differs from the stock server's defaults while it runs.
func (o Options) dynamicConfig() dynamicconfig.Client {
	settings := dynamicconfig.StaticClient{}
	if o.Retention < shortestRetention {
		// A run is deleted up to half an hour later than its retention says.
		settings[dynamicconfig.RetentionTimerJitterDuration.Key()] = time.Millisecond
	}
	return settings
}

// shortestRetention is the shortest that a server lets anybody ask for while it
// runs: a shorter one is a test's, which waits for the deletion.
const shortestRetention = time.Hour

// keptIndexes are those of visibility that somebody searches by: the lists of
// Ringback, of an operator and of the UI (status, type, workflow id, children),
// and the attributes that Ringback registers, which take the first slots.
var keptIndexes = []string{
	"default_idx", "by_workflow_id", "by_workflow_type", "by_status", "by_parent_workflow_id",
	"by_keyword_01", "by_keyword_02", "by_keyword_03", "by_keyword_04", "by_keyword_05",
	"by_int_01", "by_datetime_01",
}
