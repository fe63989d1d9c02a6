// Package expression compiles and evaluates the expressions in kinds and dialects that
// a configuration holds as data. The language is CEL (cel.dev): typed, without loops,
// input or output. What one evaluation may cost is bounded, whatever an expression says
// and whatever a core or a receiver answers.
package expression
