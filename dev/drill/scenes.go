package drill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	apiclient "ringback/api/client"
	"ringback/dev/demo"
	"ringback/dev/simulator"
	"ringback/internal/operation"
	"ringback/internal/telemetry"
)

// Scene brings about what one alert is for.
type Scene struct {
	Alert string
	// Cause says what is broken now, or why this drill can't break it.
	Cause string
	// Endpoint, Source and Operation are what the runbook's commands are about.
	Endpoint, Source, Operation string
	// Shown is a pattern of the metrics, behind their program's name, and Logged one of
	// the log, that show the cause.
	Shown, Logged string
	// AfterMending is the first of the chapter's blocks of commands that is for after the
	// mending; 0: none is.
	AfterMending int
	Mended       string

	// cause is nil where the drill can't bring it about.
	cause, mend func(context.Context) error
	// over waits until it is over, and returns what shows that.
	over func(context.Context) (string, error)
}

const (
	gold   = demo.UkrcardEndpoint
	shop   = demo.PayseraEndpoint
	ledger = demo.StandardEndpoint
)

// scenes are those of all alerts, by their names.
func (s *site) scenes() map[string]Scene {
	return map[string]Scene{
		"RingbackCallbacksLate":         s.nobodyAnswers(),
		"RingbackCallbacksLateForHours": s.someAreLate(),
		"RingbackEndpointFailing":       s.ourSecretIsWrong(),
		"RingbackExhaustedRising":       s.receiverIsDown(),
		"RingbackSourceRefusesUs":       s.coreRefusesUs(),
		"RingbackSourceFailing":         s.coreAnswersRubbish(),
		"RingbackHeldBack":              s.receiverIsSlow(),
		"RingbackShedding":              s.startsFlood(),
		"RingbackSlotsExhausted": {Cause: "This drill can't bring it about: a worker has 1,000 slots for workflow tasks and 10,000 for\n" +
			"activities, more than this machine can fill. See how many are free:"},
		"RingbackBacklog":              s.noWorkerRuns(),
		"RingbackWorkflowTaskFailing":  s.codecKeyIsMissing(),
		"RingbackConfigurationsDiffer": s.filesDiffer(),
		"RingbackConfigurationRefused": s.fileIsRefused(),
		"RingbackConfigurationMissing": s.endpointIsMissing(),
		"RingbackCardNumberRefused":    s.cardNumberIsSent(),
		"RingbackUnknownStatus":        s.coreSaysSomethingNew(),
		"RingbackTemporalAway":         s.temporalDies(),
		"RingbackNoBuildCurrent":       s.noBuildIsCurrent(),
		"RingbackTemporalFailing":      s.temporalStandsStill(),
		"RingbackDown":                 s.workerIsKilled(),
	}
}

var (
	down    = simulator.Reply{HTTPStatus: http.StatusServiceUnavailable}
	refused = simulator.Reply{HTTPStatus: http.StatusUnauthorized}
)

// ids are the ids of n operations of a scene.
func ids(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = prefix + "-" + strconv.Itoa(i+1)
	}
	return all
}

// start starts operations at an endpoint, whose core says that they are done.
func (s *site) start(ctx context.Context, endpoint string, ids ...string) error {
	for _, id := range ids {
		s.world.PayseraCore.SetStatus(id, "done")
		if err := s.startOne(ctx, endpoint, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) startOne(ctx context.Context, endpoint, id string) error {
	request := operation.StartRequest{Endpoint: endpoint, OperationID: id}
	if endpoint == shop {
		request.Callback.URL = s.world.PayseraReceiver.URL() + "/transfers"
	}
	if endpoint == gold {
		registered := operation.At(time.Now())
		request.Method, request.Reference.RegisteredAt = "p2p_a2c", &registered
	}
	_, _, err := s.core.Start(ctx, request)
	return err
}

// receivers has all receivers answer so; without a reply they acknowledge.
func (s *site) receivers(replies ...simulator.Reply) {
	for _, r := range []*simulator.Receiver{s.world.UkrcardReceiver, s.world.PayseraReceiver, s.world.StandardReceiver} {
		r.Default(replies...)
	}
}

// exhausted waits until operations are exhausted.
func (s *site) exhausted(ctx context.Context, endpoint string, ids ...string) error {
	for _, id := range ids {
		if _, err := s.ended(ctx, operation.Key{Endpoint: endpoint, OperationID: id}, operation.OutcomeExhausted); err != nil {
			return err
		}
	}
	return nil
}

// redeliver has operations that were exhausted delivered again.
func (s *site) redeliver(ctx context.Context, endpoint string, ids ...string) error {
	for _, id := range ids {
		key := operation.Key{Endpoint: endpoint, OperationID: id}
		if _, err := s.engineers.Redeliver(ctx, key, operation.RedeliveryRequest{Reason: "the receiver is back"}); err != nil {
			return err
		}
	}
	return nil
}

// acknowledged is how one sees that operations are delivered.
func (s *site) acknowledged(endpoint string, ids ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (seen string, err error) {
		for _, id := range ids {
			if seen, err = s.ended(ctx, operation.Key{Endpoint: endpoint, OperationID: id}, operation.OutcomeAcknowledged); err != nil {
				return "", err
			}
		}
		return seen, nil
	}
}

func (s *site) shows(pattern string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return s.awaitMetric(ctx, pattern) }
}

func (s *site) nobodyAnswers() Scene {
	failed := map[string][]string{gold: ids("late-gold", 7), shop: ids("late-shop", 7), ledger: ids("late-ledger", 7)}
	each := func(do func(endpoint string, ids ...string) error) error {
		return errors.Join(do(gold, failed[gold]...), do(shop, failed[shop]...), do(ledger, failed[ledger]...))
	}
	return Scene{
		Cause: "All three receivers answer HTTP 503: 21 callbacks are exhausted.",
		Shown: `ringback_operations_total\{endpoint="LEDGER",outcome="exhausted"\} ([7-9]|\d\d)`, Logged: `"msg":"attempt".*HTTP 503`,
		Endpoint: ledger, Operation: failed[ledger][0],
		cause: func(ctx context.Context) error {
			s.receivers(down)
			return errors.Join(
				each(func(endpoint string, ids ...string) error { return s.start(ctx, endpoint, ids...) }),
				each(func(endpoint string, ids ...string) error { return s.exhausted(ctx, endpoint, ids...) }))
		},
		Mended: "the receivers acknowledge, and what was exhausted is redelivered.",
		mend: func(ctx context.Context) error {
			s.receivers()
			return each(func(endpoint string, ids ...string) error { return s.redeliver(ctx, endpoint, ids...) })
		},
		over: s.acknowledged(ledger, failed[ledger]...),
	}
}

func (s *site) someAreLate() Scene {
	bad := ids("hours-bad", 2)
	return Scene{
		Cause: "LEDGER acknowledges on its second attempt, and two of ten callbacks never. The alert needs\nhours of it.",
		Shown: `ringback_acknowledged_after_seconds_count\{endpoint="LEDGER"\} ([8-9]|\d\d)`,
		cause: func(ctx context.Context) error {
			s.world.StandardReceiver.Default(down, simulator.Acknowledge)
			for _, id := range bad {
				s.world.StandardReceiver.Script(id, down)
			}
			return errors.Join(s.start(ctx, ledger, append(ids("hours", 8), bad...)...), s.exhausted(ctx, ledger, bad...))
		},
		Endpoint: ledger, Operation: bad[0],
		Mended: "LEDGER acknowledges at once, and the two are redelivered.",
		mend: func(ctx context.Context) error {
			s.receivers()
			for _, id := range bad {
				s.world.StandardReceiver.Script(id, simulator.Acknowledge)
			}
			return s.redeliver(ctx, ledger, bad...)
		},
		over: s.acknowledged(ledger, bad...),
	}
}

func (s *site) ourSecretIsWrong() Scene {
	failed := ids("secret", 2)
	return Scene{
		Cause:    "LEDGER answers HTTP 401: our signing secret is not its own any more.",
		Endpoint: ledger, Operation: failed[0],
		Shown: `ringback_attempts_total\{endpoint="LEDGER",verdict="unacknowledged"\}`, Logged: `"msg":"attempt".*HTTP 401`,
		cause: func(ctx context.Context) error {
			s.world.StandardReceiver.Default(refused)
			return errors.Join(s.start(ctx, ledger, failed...), s.exhausted(ctx, ledger, failed...))
		},
		Mended: "the receiver has our secret again, and the two are redelivered.",
		mend: func(ctx context.Context) error {
			s.receivers()
			return s.redeliver(ctx, ledger, failed...)
		},
		over: s.acknowledged(ledger, failed...),
	}
}

func (s *site) receiverIsDown() Scene {
	return Scene{
		Cause:    "LEDGER's receiver was down when one operation ended: it is exhausted.",
		Endpoint: ledger, Operation: "down-1",
		Shown: `ringback_operations_total\{endpoint="LEDGER",outcome="exhausted"\}`, AfterMending: 1,
		cause: func(ctx context.Context) error {
			s.world.StandardReceiver.Script("down-1", down)
			return errors.Join(s.start(ctx, ledger, "down-1"), s.exhausted(ctx, ledger, "down-1"))
		},
		Mended: "the receiver is up. Nothing is delivered until you redeliver it:",
		mend: func(context.Context) error {
			s.world.StandardReceiver.Script("down-1", simulator.Acknowledge)
			return nil
		},
		over: func(ctx context.Context) (string, error) {
			key := operation.Key{Endpoint: ledger, OperationID: "down-1"}
			// It is done for those who did not type it: 409 says that it was typed.
			_, err := s.engineers.Redeliver(ctx, key, operation.RedeliveryRequest{Reason: "the receiver is back"})
			if err != nil && apiclient.Status(err) != http.StatusConflict {
				return "", err
			}
			return s.ended(ctx, key, operation.OutcomeAcknowledged)
		},
	}
}

func (s *site) coreRefusesUs() Scene {
	open := ids("refused", 3)
	return Scene{
		Cause:  "The core of LEDGER answers HTTP 401 about every operation: our MAC key was changed there.",
		Source: "wallet", Endpoint: ledger, Operation: open[0],
		Shown: `ringback_polls_total\{result="unauthorized",source="wallet"\} [1-9]`, Logged: `a core refuses our credentials.*wallet`,
		cause: func(ctx context.Context) error {
			for _, id := range open {
				s.world.PayseraCore.Script(id, simulator.TransferStep{HTTPStatus: http.StatusUnauthorized})
				if err := s.startOne(ctx, ledger, id); err != nil {
					return err
				}
			}
			return nil
		},
		Mended: "the core takes our key again. It is tried once in 15 seconds.",
		mend:   func(context.Context) error { s.done(open); return nil },
		over:   s.acknowledged(ledger, open...),
	}
}

// done has the core say that these transfers are done.
func (s *site) done(ids []string) {
	for _, id := range ids {
		s.world.PayseraCore.SetStatus(id, "done")
	}
}

func (s *site) coreAnswersRubbish() Scene {
	orders := ids("rubbish", 3)
	return Scene{
		Cause:  "The core of ECOM_GOLD_BANK answers with a page of HTML.",
		Source: "wsgate", Endpoint: gold, Operation: orders[0], AfterMending: 1,
		Shown: `ringback_polls_total\{result="(malformed|unavailable)",source="wsgate"\} [1-9]`,
		cause: func(ctx context.Context) error {
			for _, id := range orders {
				s.world.WSGate.Script(id, simulator.WSGateAnswer{Body: "<html>Maintenance</html>"})
			}
			if err := s.start(ctx, gold, orders...); err != nil {
				return err
			}
			_, err := s.acknowledged(gold, orders...)(ctx)
			return err
		},
		Mended: "the core is back. What used up its polls was delivered without a status: poll again.",
		mend: func(context.Context) error {
			for _, id := range orders {
				s.world.WSGate.Script(id, simulator.Statuses(2)...)
			}
			return nil
		},
		over: func(ctx context.Context) (string, error) {
			if err := s.start(ctx, gold, "rubbish-over"); err != nil {
				return "", err
			}
			return s.ended(ctx, operation.Key{Endpoint: gold, OperationID: "rubbish-over"}, operation.OutcomeAcknowledged)
		},
	}
}

func (s *site) receiverIsSlow() Scene {
	slow := simulator.Acknowledge
	slow.Delay = 4 * time.Second
	held := ids("slow", 3)
	return Scene{
		Cause:    "NARROW takes one callback at a time (max_concurrent: 1), and takes 4 seconds for each.",
		Endpoint: "NARROW", Operation: held[0],
		Shown: `ringback_held_back_total\{kind="endpoint",name="NARROW"\} [1-9]`,
		cause: func(ctx context.Context) error {
			for _, id := range held {
				s.world.StandardReceiver.Script(id, slow)
			}
			return s.start(ctx, "NARROW", held...)
		},
		Mended: "it is quick again.",
		mend: func(context.Context) error {
			for _, id := range held {
				s.world.StandardReceiver.Script(id, simulator.Acknowledge)
			}
			return nil
		},
		over: s.acknowledged("NARROW", held...),
	}
}

func (s *site) startsFlood() Scene {
	flood := ids("flood", 30)
	var starts sync.WaitGroup
	return Scene{
		Cause:    "Temporal stands still while 30 starts come, of which four may be there at once (max_starts: 4).",
		Endpoint: ledger,
		Shown:    `ringback_shed_total\{reason="queue",work="start"\} [1-9]`,
		cause: func(ctx context.Context) error {
			if err := s.temporal.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			for _, id := range flood {
				s.world.PayseraCore.SetStatus(id, "done")
				starts.Go(func() { // a caller comes again until it is accepted
					_ = s.startOne(ctx, ledger, id)
				})
			}
			return nil
		},
		Mended: "Temporal goes on, and the callers send the same starts again.",
		mend: func(context.Context) error {
			err := s.temporal.Signal(syscall.SIGCONT)
			starts.Wait()
			return err
		},
		over: s.acknowledged(ledger, flood...),
	}
}

func (s *site) noWorkerRuns() Scene {
	waiting := ids("backlog", 5)
	return Scene{
		Cause:    "No worker ran for 7 seconds, and five operations waited. It was just started.",
		Endpoint: ledger, Operation: waiting[0],
		Shown: `worker  temporal_workflow_task_schedule_to_start_latency_seconds_sum\{.* ([5-9]|\d\d+)(\.\d+)?$`,
		cause: func(ctx context.Context) error {
			if err := stop(s.worker); err != nil {
				return err
			}
			if err := s.start(ctx, ledger, waiting...); err != nil {
				return err
			}
			if err := wait(ctx, 7*time.Second); err != nil { // longer than the alert's 5 s
				return err
			}
			return s.startWorker(ctx)
		},
		Mended: "the worker that was started takes what waited.",
		mend:   func(context.Context) error { return nil },
		over:   s.acknowledged(ledger, waiting...),
	}
}

func (s *site) codecKeyIsMissing() Scene {
	right, wrong := codecKey("A"), codecKey("B")
	return Scene{
		Cause:    "The worker's file has another codec key: it can't read what the API sealed.",
		Endpoint: ledger, Operation: "sealed-1",
		Shown: `temporal_workflow_task_execution_failed_total\{.*workflow_type="Operation"`, Logged: `codec.keys holds only B`,
		cause: func(ctx context.Context) error {
			if err := s.rewrite(ctx, "worker", right, wrong); err != nil {
				return err
			}
			return s.start(ctx, ledger, "sealed-1")
		},
		Mended: "the key is back. What failed goes on by itself, at the server's next try; what starts now\nis delivered:",
		mend:   func(ctx context.Context) error { return s.rewrite(ctx, "worker", wrong, right) },
		over: func(ctx context.Context) (string, error) {
			if err := s.start(ctx, ledger, "sealed-2"); err != nil {
				return "", err
			}
			return s.ended(ctx, operation.Key{Endpoint: ledger, OperationID: "sealed-2"}, operation.OutcomeAcknowledged)
		},
	}
}

var configHash = regexp.MustCompile(`ringback_config_info\{hash="\w+"\}`)

func (s *site) filesDiffer() Scene {
	const was, is = "max_concurrent: 1\n", "max_concurrent: 2\n"
	return Scene{
		Cause:    "The worker has read a newer file than the API.",
		Endpoint: ledger,
		Shown:    `worker  ringback_config_info`, Logged: reloaded,
		cause:  func(ctx context.Context) error { return s.rewrite(ctx, "worker", was, is) },
		Mended: "the API has the same file, and has read it.",
		mend:   func(ctx context.Context) error { return s.rewrite(ctx, "api", was, is) },
		over: func(ctx context.Context) (string, error) {
			return awaitLine(ctx, func() []string {
				hashes := configHash.FindAllString(s.metrics(ctx), -1)
				if len(hashes) != 2 || hashes[0] != hashes[1] {
					return nil
				}
				return []string{"both show " + hashes[0]}
			}, "both programs to show one hash")
		},
	}
}

func (s *site) fileIsRefused() Scene {
	const good, bad = "max_concurrent: 2\n", "max_concurrent: many\n"
	return Scene{
		Cause:    "The worker's file has a word where a number should be.",
		Endpoint: ledger,
		Shown:    `worker  ringback_config_refused 1`, Logged: notInForce,
		cause:  func(ctx context.Context) error { return s.reread(ctx, "worker", good, bad, notInForce) },
		Mended: "the number is back in the file, which the worker has read.",
		mend:   func(ctx context.Context) error { return s.rewrite(ctx, "worker", bad, good) },
		over: func(ctx context.Context) (string, error) {
			return s.awaitMetric(ctx, `worker  ringback_config_refused 0`)
		},
	}
}

func (s *site) endpointIsMissing() Scene {
	const there, gone = "\n  NARROW:\n", "\n  NARROWER:\n"
	return Scene{
		Cause:    "The worker's file calls NARROW by another name, and an operation of NARROW is open.",
		Endpoint: "NARROW", Operation: "missing-1", AfterMending: 1,
		Shown: `worker  ringback_missing_configuration_total\{kind="endpoint"\} [1-9]`, Logged: `is not in this program's configuration.*"NARROW"`,
		cause: func(ctx context.Context) error {
			if err := s.rewrite(ctx, "worker", there, gone); err != nil {
				return err
			}
			return s.start(ctx, "NARROW", "missing-1")
		},
		Mended: "NARROW is back in the file, which is read again. The delivery goes on within 30 seconds.",
		mend:   func(ctx context.Context) error { return s.rewrite(ctx, "worker", gone, there) },
		over:   s.acknowledged("NARROW", "missing-1"),
	}
}

func (s *site) cardNumberIsSent() Scene {
	return Scene{
		Cause:    "A core starts an operation whose id looks like a card number. It gets 422.",
		Endpoint: ledger,
		Shown:    `ringback_card_number_refusals_total\{endpoint="LEDGER"\} [1-9]`, Logged: `"action":"start".*"result":"invalid"`,
		cause: func(ctx context.Context) error {
			err := s.startOne(ctx, ledger, "4111111111111111")
			if apiclient.Status(err) != http.StatusUnprocessableEntity {
				return fmt.Errorf("it was not refused: %w", err)
			}
			return nil
		},
		Mended: "the core sends its own number of the payment.",
		mend:   func(ctx context.Context) error { return s.start(ctx, ledger, "card-1") },
		over:   s.acknowledged(ledger, "card-1"),
	}
}

func (s *site) coreSaysSomethingNew() Scene {
	return Scene{
		Cause:  "The core of LEDGER says the status polished, which its documents do not have.",
		Source: "wallet", Endpoint: ledger, Operation: "new-1",
		Shown: `ringback_unknown_statuses_total\{source="wallet"\} [1-9]`,
		cause: func(ctx context.Context) error {
			s.world.PayseraCore.SetStatus("new-1", "polished")
			return s.startOne(ctx, ledger, "new-1")
		},
		Mended: "the core says done.",
		mend:   func(context.Context) error { s.done([]string{"new-1"}); return nil },
		over:   s.acknowledged(ledger, "new-1"),
	}
}

func (s *site) temporalDies() Scene {
	return Scene{
		Cause:    "Temporal was killed.",
		Endpoint: ledger,
		Shown:    `ringback_temporal_reachable 0`,
		cause:    func(context.Context) error { return s.temporal.Kill() },
		Mended:   "Temporal is started again. The programs find it by themselves.",
		mend:     s.startTemporal,
		over: func(ctx context.Context) (string, error) {
			if err := s.start(ctx, ledger, "away-1"); err != nil {
				return "", err
			}
			return s.ended(ctx, operation.Key{Endpoint: ledger, OperationID: "away-1"}, operation.OutcomeAcknowledged)
		},
	}
}

// noBuildIsCurrent leaves both programs versioned.
func (s *site) noBuildIsCurrent() Scene {
	const deployment, build = "ringback", "drill-1"
	return Scene{
		Cause:    "The programs were restarted as the build drill-1, which nobody made current: what starts waits.",
		Endpoint: ledger, Operation: "build-1",
		Shown: `worker  ringback_build_current 0`, Logged: `no build is current`,
		cause: func(ctx context.Context) error {
			s.build = []string{"TEMPORAL_DEPLOYMENT_NAME=" + deployment, "TEMPORAL_WORKER_BUILD_ID=" + build}
			if err := errors.Join(stop(s.api), stop(s.worker)); err != nil {
				return err
			}
			if err := s.startPrograms(ctx); err != nil {
				return err
			}
			return s.start(ctx, ledger, "build-1")
		},
		Mended: "temporal worker deployment set-current-version --deployment-name ringback --build-id drill-1",
		mend: func(ctx context.Context) error {
			c, err := client.DialContext(ctx, client.Options{HostPort: s.temporalAt, Logger: telemetry.TemporalLogger(zap.NewNop())})
			if err != nil {
				return err
			}
			defer c.Close()
			return MakeCurrent(ctx, c, deployment, build)
		},
		over: s.acknowledged(ledger, "build-1"),
	}
}

// MakeCurrent does what temporal worker deployment set-current-version does, as soon as
// the server has seen the build's workers.
func MakeCurrent(ctx context.Context, c client.Client, deployment, build string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	handle := c.WorkerDeploymentClient().GetHandle(deployment)
	for {
		_, err := handle.SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{BuildID: build})
		if err == nil {
			return nil
		}
		if wait(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("making the build %s current: %w", build, err)
		}
	}
}

func (s *site) temporalStandsStill() Scene {
	return Scene{
		Cause:    "Temporal stands still, as when its database is away: calls run into their time-outs.",
		Endpoint: ledger,
		Shown:    `temporal_request_failure_total\{.*(UNAVAILABLE|DEADLINE_EXCEEDED)`,
		cause:    func(context.Context) error { return s.temporal.Signal(syscall.SIGSTOP) },
		Mended:   "Temporal goes on.",
		mend:     func(context.Context) error { return s.temporal.Signal(syscall.SIGCONT) },
		over: func(ctx context.Context) (string, error) {
			if err := s.start(ctx, ledger, "failing-1"); err != nil {
				return "", err
			}
			return s.ended(ctx, operation.Key{Endpoint: ledger, OperationID: "failing-1"}, operation.OutcomeAcknowledged)
		},
	}
}

func (s *site) workerIsKilled() Scene {
	return Scene{
		Cause:    "The worker was killed (kill -9).",
		Endpoint: ledger,
		Shown:    `worker  shows no metrics`,
		cause:    func(context.Context) error { return s.worker.Kill() },
		Mended:   "it is started again.",
		mend:     s.startWorker,
		over:     s.shows(`worker  ringback_temporal_reachable 1`),
	}
}
