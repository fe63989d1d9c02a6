package callback_test

import (
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/callback"
)

func TestAWorkflowIDNamesItsOperation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, id string
		key      callback.Key
	}{
		{"plain", "SHOP/1", callback.Key{Endpoint: "SHOP", OperationID: "1"}},
		{"an operation id may hold slashes", "SHOP/a/b#c%", callback.Key{Endpoint: "SHOP", OperationID: "a/b#c%"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.id, tt.key.WorkflowID())
			parsed, ok := callback.ParseWorkflowID(tt.id)
			require.True(t, ok)
			require.Equal(t, tt.key, parsed)
		})
	}
	_, ok := callback.ParseWorkflowID("no-slash")
	require.False(t, ok)
}

func TestNoOutcomeIsNullInJSONAndEveryOtherItsName(t *testing.T) {
	t.Parallel()
	for _, outcome := range append([]callback.Outcome{callback.OutcomeNone}, callback.Outcomes...) {
		data, err := json.Marshal(outcome)
		require.NoError(t, err)
		if outcome == callback.OutcomeNone {
			require.Equal(t, "null", string(data))
		} else {
			require.Equal(t, `"`+string(outcome)+`"`, string(data))
		}
		read := callback.Outcome("")
		require.NoError(t, json.Unmarshal(data, &read))
		require.Equal(t, outcome, read)
	}
}

func TestAnErrorTellsItsFieldsAndKeepsItsCause(t *testing.T) {
	t.Parallel()
	invalid := callback.Invalid(
		callback.FieldError{Field: "method", Detail: "is required"},
		callback.FieldError{Field: "operation_id", Detail: "is longer than 32 characters"},
	)
	require.Equal(t, callback.ProblemInvalid, invalid.Problem)
	require.ErrorContains(t, invalid, "; method: is required; operation_id: is longer than 32 characters")

	refused := callback.Refuse(callback.ProblemClosed, "%s has ended", "SHOP/1")
	require.EqualError(t, refused, "SHOP/1 has ended")
	refused.Err = io.ErrUnexpectedEOF
	require.ErrorIs(t, refused, io.ErrUnexpectedEOF)
	require.NotContains(t, refused.Error(), io.ErrUnexpectedEOF.Error(), "the cause is for logs only")
	var found *callback.Error
	require.ErrorAs(t, error(refused), &found)
}
