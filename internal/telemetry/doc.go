// Package telemetry has a program's log, its metrics of requests, operations and the
// Temporal SDK, and traces from a request through the workflow to the callback
// (docs/operations/telemetry.md).
package telemetry

// Other stands for endpoints that are not configured.
const Other = "other"
