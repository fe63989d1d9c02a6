// Package operation is Ringback's domain: operations, observations, callbacks,
// attempts and the rules between them. It knows no Temporal, no HTTP and no
// configuration file, and imports the standard library only.
//
// The words are those of the glossary in README.md, and each means one thing.
package operation
