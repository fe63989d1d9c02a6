package actors

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// Cores are both cores: wsGate at the first address of o.Listen, Paysera's
// Transfers API at the second, and at the third what stands in front of both for
// sources that are fronted. They answer by the plan's steps and the clock, and are
// as strict about what they are asked as the documents are. ready is called once
// they listen; they end with ctx, which is no error.
func Cores(ctx context.Context, o Options, ready func()) error {
	return play(ctx, o, 3, func(ctx context.Context, r *role) error {
		c := &cores{role: r, ctx: ctx, run: time.Now().UnixNano()}
		stop, err := c.start() //nolint:contextcheck // they end by stop
		if err != nil {
			return err
		}
		ready()
		<-ctx.Done()
		return stop()
	})
}

// cores answer questions by the plan.
type cores struct {
	*role
	// ctx ends the answers that take their time.
	ctx context.Context //nolint:containedctx // the simulators' callbacks get none
	// run tells the questions of this process from those of the ones before it.
	run       int64
	questions atomic.Int64
}

func (c *cores) start() (stop func() error, err error) {
	wsgate, err := simulator.StartWSGate(c.Listen[0], simulator.WSGateOptions{
		ExtSystemID: extSystemID, Login: login, Password: password, ClientDN: clientDN, Answer: c.confirm,
	})
	if err != nil {
		return nil, err
	}
	paysera, err := simulator.StartPayseraCore(c.Listen[1], simulator.PayseraOptions{MACID: macID, MACKey: macKey, Answer: c.transfer})
	if err != nil {
		return nil, errors.Join(err, wsgate.Close())
	}
	front, err := c.startFront()
	if err != nil {
		return nil, errors.Join(err, wsgate.Close(), paysera.Close())
	}
	return func() error { return errors.Join(front(), wsgate.Close(), paysera.Close()) }, nil
}

// confirm answers an order's question. The plan has digits for Ukrcard.
func (c *cores) confirm(order string, q simulator.Question) (simulator.WSGateAnswer, bool) {
	step, known := c.answer(order, q)
	if step.Forbidden {
		return simulator.WSGateAnswer{HTTPStatus: http.StatusForbidden}, known
	}
	orderStatus, err := strconv.Atoi(step.Status)
	return simulator.WSGateAnswer{OrderStatus: orderStatus}, known && err == nil
}

func (c *cores) transfer(id string, q simulator.Question) (simulator.TransferStep, bool) {
	step, known := c.answer(id, q)
	if step.Forbidden {
		return simulator.TransferStep{HTTPStatus: http.StatusForbidden}, known
	}
	return simulator.TransferStep{Status: step.Status}, known
}

// answer is what held at the core when the operation's question came, after the
// time that the core takes. It is in the journal before it is sent.
func (c *cores) answer(id string, q simulator.Question) (step plan.Step, known bool) {
	operation, known := c.operations[id]
	poll := c.question(operation.Endpoint, id, q.At)
	poll.Refused = q.Refused
	switch {
	case poll.Refused == simulator.NonceUsed:
		poll.Refused, poll.Repeated = "", true
	case poll.Refused != "":
	case !known:
		poll.Refused = "there is no such operation"
	default:
		step = operation.Step(q.At.Sub(c.Began))
		c.write(journal.Entry{Poll: &poll})
		sleep(c.ctx, operation.Latency)
	}
	poll.Forbidden = step.Forbidden
	if !step.Forbidden {
		poll.Status = step.Status
	}
	poll.Ended = time.Now()
	c.write(journal.Entry{Poll: &poll})
	return step, known
}

func (c *cores) question(endpoint, id string, at time.Time) journal.Poll {
	return journal.Poll{
		Span: journal.Span{Began: at},
		Key:  operation.Key{Endpoint: endpoint, OperationID: id},
		Name: strconv.FormatInt(c.run, 10) + "-" + strconv.FormatInt(c.questions.Add(1), 10),
	}
}
