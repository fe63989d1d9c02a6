package app

import (
	"context"

	"go.temporal.io/sdk/worker"
)

// activitySlots bounds the polls and deliveries that wait in one worker.
const activitySlots = 10_000

// slots are a worker's. What the SDK has for activities is handed out only when
// there is room for records too: what is taken up and can't be recorded has only
// to tell the server, again and again, that it is alive. Left on the server it
// waits for nothing, or for another worker (docs/adr/0046).
type slots struct {
	worker.WorkerTuner
	room func(context.Context) error
}

func newSlots(room func(context.Context) error) (slots, error) {
	fixed, err := worker.NewFixedSizeTuner(worker.FixedSizeTunerOptions{NumActivitySlots: activitySlots})
	return slots{fixed, room}, err
}

// GetActivityTaskSlotSupplier implements [worker.WorkerTuner].
func (s slots) GetActivityTaskSlotSupplier() worker.SlotSupplier {
	return activitySupplier{s.WorkerTuner.GetActivityTaskSlotSupplier(), s.room}
}

type activitySupplier struct {
	worker.SlotSupplier
	room func(context.Context) error
}

// ReserveSlot implements [worker.SlotSupplier].
func (s activitySupplier) ReserveSlot(ctx context.Context, info worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	if err := s.room(ctx); err != nil {
		return nil, err
	}
	return s.SlotSupplier.ReserveSlot(ctx, info)
}
