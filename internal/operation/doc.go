// Package operation is Ringback's domain: operations, observations, callbacks,
// attempts and the rules between them ([Lifecycle]). It imports the standard library
// only: no Temporal, no HTTP, no configuration. The words are those of the glossary
// in README.md.
package operation
