package app

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/overload"
	"ringback/internal/telemetry"
	"ringback/workflows"
)

const (
	// cachedRuns bounds the runs that a worker keeps in memory between workflow tasks,
	// about 70 KiB each.
	cachedRuns = 2000
	// activitySlots bounds the polls and deliveries that wait in one worker.
	activitySlots = 10_000
	// minPollers is above the 4 partitions that a task queue has by default: a task in one
	// without a poller may wait for a minute, a long poll.
	minPollers = 8
	maxPollers = 16
)

func (p *process) newWorkers() error {
	p.activities = p.newActivities()
	p.outcomes = telemetry.NewOperations(p.registry, func(name string) bool {
		_, ok := p.config.endpoint(name)
		return ok
	})
	p.registry.MustRegister(activities.IsolationMetrics(p.activities))
	tuner, err := newTuner(p.overload.Pace().Await)
	if err != nil {
		return fmt.Errorf("sizing the worker: %w", err)
	}
	pollers := worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{
		InitialNumberOfPollers: minPollers, MinimumNumberOfPollers: minPollers, MaximumNumberOfPollers: maxPollers,
	})
	worker.SetStickyWorkflowCacheSize(cachedRuns)
	common := worker.New(p.client, workflows.TaskQueue, worker.Options{
		Tuner:                      tuner,
		ActivityTaskPollerBehavior: pollers,
		WorkflowTaskPollerBehavior: pollers,
		WorkerStopTimeout:          p.config.longestAttempt() + drainMargin,
		Interceptors:               []interceptor.WorkerInterceptor{p.outcomes},
		DeploymentOptions:          deploymentOptions(p.Build),
	})
	workflows.Register(common, p.activities)
	own := worker.New(p.client, workflows.InterruptQueue(p.Temporal.Identity), worker.Options{
		DisableWorkflowWorker:      true,
		ActivityTaskPollerBehavior: worker.NewPollerBehaviorSimpleMaximum(worker.PollerBehaviorSimpleMaximumOptions{MaximumNumberOfPollers: 1}),
	})
	own.RegisterActivity(p.activities.InterruptHere)
	p.workers = []worker.Worker{common, own}
	return nil
}

func (p *process) newActivities() *activities.Activities {
	return &activities.Activities{
		Endpoint:           p.config.endpoint,
		InDialect:          p.config.inDialect,
		Source:             p.config.source,
		Heartbeat:          p.service.RecordHeartbeat,
		Yield:              p.service.RetryLater,
		Complete:           p.service.CompleteActivity,
		Pending:            p.service.PendingActivity,
		MatchedRuns:        p.service.MatchedRuns,
		RedeliverRun:       p.service.RedeliverRun,
		ReportHealth:       p.reportHealth,
		FailingAfter:       p.config.failingAfter,
		AttemptBegan:       func(late time.Duration) { p.overload.ObserveDelay(overload.Callback, late) },
		PollBegan:          func(late time.Duration) { p.overload.ObserveDelay(overload.Poll, late) },
		PollGivesWay:       func() bool { return !p.overload.Allow(overload.Poll) },
		RedeliveryGivesWay: func() bool { return !p.overload.Allow(overload.Redelivery) },
		BuildChecks:        p.buildChecks(),
		Pace:               p.overload.Pace(),
		Identity:           p.Temporal.Identity,
		Slots:              activitySlots,
		Metrics:            activities.NewMetrics(p.registry),
		Log:                p.Log,
	}
}

// troubled is what this program's worker knows of an endpoint: nothing where there is none.
func (p *process) troubled(endpoint string) bool {
	return p.activities != nil && activities.Troubled(p.activities, endpoint)
}

// reportHealth notifies the recipient of notices about an endpoint, if there is one.
func (p *process) reportHealth(ctx context.Context, endpoint string, h operation.Health) error {
	recipient := p.config.file().NoticeRecipient(endpoint)
	if recipient == nil {
		return nil
	}
	return p.service.ReportHealth(ctx, *recipient, endpoint, h)
}

// tuner gives out an activity slot only while the queue of records has room: an activity
// that cannot be recorded yet is better left to another worker (docs/adr/0003).
type tuner struct {
	worker.WorkerTuner
	awaitRoom func(context.Context) error
}

func newTuner(awaitRoom func(context.Context) error) (tuner, error) {
	fixed, err := worker.NewFixedSizeTuner(worker.FixedSizeTunerOptions{NumActivitySlots: activitySlots})
	return tuner{fixed, awaitRoom}, err
}

// GetActivityTaskSlotSupplier implements [worker.WorkerTuner].
func (t tuner) GetActivityTaskSlotSupplier() worker.SlotSupplier {
	return activitySlotSupplier{t.WorkerTuner.GetActivityTaskSlotSupplier(), t.awaitRoom}
}

type activitySlotSupplier struct {
	worker.SlotSupplier
	awaitRoom func(context.Context) error
}

// ReserveSlot implements [worker.SlotSupplier].
func (s activitySlotSupplier) ReserveSlot(ctx context.Context, info worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	if err := s.awaitRoom(ctx); err != nil {
		return nil, err
	}
	return s.SlotSupplier.ReserveSlot(ctx, info)
}
