// Package temporalserver runs a real Temporal server inside this process: on
// SQLite, in memory or in a directory, for development and tests, and on
// PostgreSQL for tests of a production's topology.
//
// Every timer behaves as on a server that nobody has tuned, which is what
// Ringback's promises are kept on. What is tuned otherwise is left out by
// [Options.Stock].
package temporalserver
