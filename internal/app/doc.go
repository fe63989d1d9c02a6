// Package app wires Ringback's programs: configuration, Temporal, worker and
// API. It is the one place that knows all parts.
package app
