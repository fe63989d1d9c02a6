// Package operation is Ringback's domain and its rules ([Lifecycle]). Beside the standard
// library it imports internal/cardnumber only. The words are those of docs/glossary.md.
package operation
