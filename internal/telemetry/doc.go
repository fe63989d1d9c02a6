// Package telemetry has a program's log, the metrics of the Temporal SDK, of the API's
// requests and of how operations end, and traces from a request through the workflow
// to the callback.
//
// Labels are names of the configuration and closed lists; the SDK's are bounded
// (docs/design/telemetry.md).
package telemetry

// Other stands for endpoints that are not configured.
const Other = "other"
