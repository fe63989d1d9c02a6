// Package operation is Ringback's domain and its rules ([Lifecycle]). It imports the
// standard library only. The words are those of docs/glossary.md.
package operation
