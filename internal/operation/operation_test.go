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

func TestTheLastHTTPStatusIsThatOfTheLastCallbackOwed(t *testing.T) {
	t.Parallel()
	answered := func(outcome operation.DeliveryOutcome, statuses ...int) operation.Delivery {
		d := operation.Delivery{Outcome: outcome}
		for _, status := range statuses {
			d.Attempts = append(d.Attempts, operation.Attempt{HTTPStatus: status})
		}
		return d
	}
	for name, tt := range map[string]struct {
		deliveries []operation.Delivery
		want       []string
	}{
		"none without a callback":          {nil, nil},
		"none without an attempt":          {[]operation.Delivery{answered(operation.DeliveryGone)}, nil},
		"the last attempt's, with a class": {[]operation.Delivery{answered(operation.DeliveryExhausted, 200, 503)}, []string{"503", "5xx"}},
		"of an attempt without an answer":  {[]operation.Delivery{answered(operation.DeliveryExhausted, 503, 0)}, []string{"none"}},
		"not of what was superseded": {[]operation.Delivery{answered(operation.DeliveryExhausted, 404), answered(operation.DeliverySuperseded, 503)},
			[]string{"404", "4xx"}},
	} {
		require.Equal(t, tt.want, operation.State{Deliveries: tt.deliveries}.LastHTTPStatus(), name)
	}
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
