package outside

import (
	"context"
	"errors"
	"strconv"
	"time"

	"ringback/dev/simulator"
	"ringback/dev/torture/journal"
	"ringback/internal/callback"
)

// Cores are both cores: wsGate at the first address of o.Listen, Paysera's
// Transfers API at the second. They answer by the plan's steps and the clock,
// and are as strict about what they are asked as the documents are. ready is
// called once they listen; they end with ctx, which is no error.
func Cores(ctx context.Context, o Options, ready func()) error {
	return play(ctx, o, 2, func(ctx context.Context, r *role) error {
		stop, err := r.startCores() //nolint:contextcheck // they end by stop
		if err != nil {
			return err
		}
		ready()
		<-ctx.Done()
		return stop()
	})
}

func (r *role) startCores() (stop func() error, err error) {
	wsgate, err := simulator.StartWSGate(r.Listen[0], simulator.WSGateOptions{
		ExtSystemID: extSystemID, Login: login, Password: password, ClientDN: clientDN, Answer: r.confirm,
	})
	if err != nil {
		return nil, err
	}
	paysera, err := simulator.StartPayseraCore(r.Listen[1], simulator.PayseraOptions{MACID: macID, MACKey: macKey, Answer: r.transfer})
	if err != nil {
		return nil, errors.Join(err, wsgate.Close())
	}
	return func() error { return errors.Join(wsgate.Close(), paysera.Close()) }, nil
}

// confirm answers an order's question. The plan has digits for Ukrcard.
func (r *role) confirm(order string, q simulator.Question) (simulator.WSGateAnswer, bool) {
	status, known := r.answer(order, q)
	orderStatus, err := strconv.Atoi(status)
	return simulator.WSGateAnswer{OrderStatus: orderStatus}, known && err == nil
}

func (r *role) transfer(id string, q simulator.Question) (simulator.TransferStep, bool) {
	status, known := r.answer(id, q)
	return simulator.TransferStep{Status: status}, known
}

// answer is what the core says of the operation now, in its journal before it
// is said.
func (r *role) answer(id string, q simulator.Question) (status string, known bool) {
	operation, known := r.operations[id]
	poll := journal.Poll{
		Span:    journal.Span{Began: q.At},
		Key:     callback.Key{Endpoint: operation.Endpoint, OperationID: id},
		Refused: q.Refused,
	}
	switch {
	case poll.Refused == simulator.NonceUsed:
		poll.Refused, poll.Repeated = "", true
	case poll.Refused != "":
	case !known:
		poll.Refused = "there is no such operation"
	default:
		poll.Status = operation.Status(r.since())
	}
	poll.Ended = time.Now()
	r.write(journal.Entry{Poll: &poll})
	return poll.Status, known
}
