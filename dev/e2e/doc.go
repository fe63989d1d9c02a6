// Package e2e holds the end-to-end tests: Ringback on a real Temporal server,
// reached through its HTTP API only, with real cores and receivers simulated
// over HTTP, and with programs and servers killed.
package e2e
