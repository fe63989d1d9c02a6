package operation_test

import (
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestAWorkflowIDNamesItsOperation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, id string
		key      operation.Key
	}{
		{"plain", "SHOP/1", operation.Key{Endpoint: "SHOP", OperationID: "1"}},
		{"an operation id may hold slashes", "SHOP/a/b#c%", operation.Key{Endpoint: "SHOP", OperationID: "a/b#c%"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.id, tt.key.WorkflowID())
			parsed, ok := operation.ParseWorkflowID(tt.id)
			require.True(t, ok)
			require.Equal(t, tt.key, parsed)
		})
	}
	_, ok := operation.ParseWorkflowID("no-slash")
	require.False(t, ok)
}

func TestNoOutcomeIsNullInJSONAndEveryOtherItsName(t *testing.T) {
	t.Parallel()
	for _, outcome := range append([]operation.Outcome{operation.OutcomeNone}, operation.Outcomes...) {
		data, err := json.Marshal(outcome)
		require.NoError(t, err)
		if outcome == operation.OutcomeNone {
			require.Equal(t, "null", string(data))
		} else {
			require.Equal(t, `"`+string(outcome)+`"`, string(data))
		}
		read := operation.Outcome("")
		require.NoError(t, json.Unmarshal(data, &read))
		require.Equal(t, outcome, read)
	}
}

func TestAnErrorTellsItsFieldsAndKeepsItsCause(t *testing.T) {
	t.Parallel()
	invalid := operation.Invalid(
		operation.FieldError{Field: "method", Detail: "is required"},
		operation.FieldError{Field: "operation_id", Detail: "is longer than 32 characters"},
	)
	require.Equal(t, operation.ProblemInvalid, invalid.Problem)
	require.ErrorContains(t, invalid, " method: is required; operation_id: is longer than 32 characters")

	refused := operation.Refuse(operation.ProblemClosed, "%s has ended", "SHOP/1")
	require.EqualError(t, refused, "SHOP/1 has ended")
	refused.Err = io.ErrUnexpectedEOF
	require.ErrorIs(t, refused, io.ErrUnexpectedEOF)
	require.NotContains(t, refused.Error(), io.ErrUnexpectedEOF.Error(), "the cause is for logs only")
	var found *operation.Error
	require.ErrorAs(t, error(refused), &found)
}
