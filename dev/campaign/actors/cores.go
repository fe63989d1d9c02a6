package actors

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// Cores runs both cores and the gateway before them, at the addresses of o.Listen.
// They answer by the plan's steps and the clock, and check requests as strictly as
// their documents do. ready is called once they listen. The end of ctx ends them
// and is no error.
func Cores(ctx context.Context, o Options, ready func()) error {
	return run(ctx, o, func(ctx context.Context, a *actor) error {
		c := &cores{actor: a, ctx: ctx}
		stop, err := c.start() //nolint:contextcheck // stop ends them
		if err != nil {
			return err
		}
		ready()
		<-ctx.Done()
		return stop()
	})
}

type cores struct {
	*actor
	// ctx ends delayed answers.
	ctx context.Context //nolint:containedctx // the simulators' callbacks get none
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
	stopGateway, err := serve(c.ctx, c.Listen[2], c.gateway())
	if err != nil {
		return nil, errors.Join(err, wsgate.Close(), paysera.Close())
	}
	return func() error { return errors.Join(stopGateway(), wsgate.Close(), paysera.Close()) }, nil
}

// confirm answers a poll of Ukrcard's, whose statuses are numbers.
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

// answer is the step that held when the poll came, returned after the operation's
// latency. It is in the journal before it is sent.
func (c *cores) answer(id string, q simulator.Question) (step plan.Step, known bool) {
	operation, known := c.operations[id]
	poll := c.newPoll(operation.Endpoint, id, q.At)
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

func (c *cores) newPoll(endpoint, id string, at time.Time) journal.Poll {
	return journal.Poll{
		Span: journal.Span{Began: at},
		Key:  operation.Key{Endpoint: endpoint, OperationID: id},
		Name: rand.Text(),
	}
}
