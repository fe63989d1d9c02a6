package operation

import (
	"fmt"
	"strings"
	"time"
)

// Problem is the kind of an error to a caller of the API, the last part of problem+json's type.
type Problem string

// The problems.
const (
	// ProblemInvalid: a field is at fault; Fields says which.
	ProblemInvalid Problem = "invalid"
	// ProblemNotFound: no such operation within the namespace's retention.
	ProblemNotFound Problem = "not-found"
	// ProblemConflict: the same operation was started with other content.
	ProblemConflict Problem = "conflict"
	// ProblemClosed: the operation has ended.
	ProblemClosed Problem = "closed"
	// ProblemNotRevocable: the last known status does not allow a revocation.
	ProblemNotRevocable Problem = "not-revocable"
	// ProblemNotRedeliverable: the operation may not be redelivered so.
	ProblemNotRedeliverable Problem = "not-redeliverable"
	// ProblemUnavailable: Temporal, or a core, does not answer.
	ProblemUnavailable Problem = "unavailable"
	// ProblemOverloaded: refused for lack of capacity; nothing was changed.
	ProblemOverloaded Problem = "overloaded"
)

// FieldError says what is wrong with one field, and what is allowed.
type FieldError struct {
	// Field is the JSON path, such as "reference.order_id".
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error is an error to show to the caller of the API.
type Error struct {
	Problem Problem
	Detail  string
	Fields  []FieldError
	// RetryAfter is when to retry, for ProblemUnavailable and ProblemOverloaded.
	RetryAfter time.Duration
	// Err is the cause. It is logged, and not shown to the caller.
	Err error
}

// Error is the detail with the fields at fault.
func (e *Error) Error() string {
	var faults []string
	for _, f := range e.Fields {
		faults = append(faults, f.Field+": "+f.Detail)
	}
	return strings.TrimSuffix(e.Detail+" "+strings.Join(faults, "; "), " ")
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Refuse builds an Error with a formatted detail.
func Refuse(p Problem, format string, args ...any) *Error {
	return &Error{Problem: p, Detail: fmt.Sprintf(format, args...)}
}

// Invalid builds the Error for fields at fault.
func Invalid(fields ...FieldError) *Error {
	return &Error{Problem: ProblemInvalid, Detail: "The request is not valid; nothing was changed.", Fields: fields}
}
