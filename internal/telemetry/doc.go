// Package telemetry is how a program shows what it does: the Temporal SDK's
// metrics in our registry, how operations end, the API's requests, and traces
// from a request through the workflow to the callback.
//
// Labels are names of the configuration and closed lists. What comes from
// elsewhere is bounded (docs/adr/0029).
package telemetry

// Other stands for every label value beyond those that are shown.
const Other = "other"
