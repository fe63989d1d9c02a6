package app

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
)

func TestAnActivitySlotWaitsForRoomInTheQueueOfRecords(t *testing.T) {
	t.Parallel()
	full := errors.New("the queue is full")
	var room error
	s, err := newTuner(func(context.Context) error { return room })
	require.NoError(t, err)
	require.Equal(t, activitySlots, s.GetActivityTaskSlotSupplier().MaxSlots())

	permit, err := s.GetActivityTaskSlotSupplier().ReserveSlot(t.Context(), nil)
	require.NoError(t, err)
	require.NotNil(t, permit)

	room = full
	for name, supplier := range map[string]worker.SlotSupplier{
		"workflow tasks":   s.GetWorkflowTaskSlotSupplier(),
		"local activities": s.GetLocalActivitySlotSupplier(),
	} {
		_, err = supplier.ReserveSlot(t.Context(), nil)
		require.NoErrorf(t, err, "%s are not recorded", name)
	}
	_, err = s.GetActivityTaskSlotSupplier().ReserveSlot(t.Context(), nil)
	require.ErrorIs(t, err, full)
}
