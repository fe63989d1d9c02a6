package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// plainMix starts an operation of the mix. Each of Paysera's brings its callback's URL.
type plainMix struct {
	ID  string `json:"id"`
	URL string `json:"url,omitempty"`
}

func (in plainMix) paysera() bool { return in.URL != "" }

// plainAnswer is a core's at the latest of so many polls.
type plainAnswer struct {
	Status string `json:"status"`
	Final  bool   `json:"final"`
	Polls  int    `json:"polls"`
}

const plainRevoke = "revoke"

func (p *plain) startMix(ctx context.Context, _, id string) error {
	path, _ := mixOf(id) // no other is started
	in := plainMix{ID: id}
	if path.paysera {
		in.URL = p.simulator + "/callback/" + mixHow + "/" + id
	}
	_, err := p.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: plainQueue}, "PlainMix", in)
	return err
}

// changeMix revokes or withdraws the operation whose id is the request's prefix.
func (p *plain) changeMix(ctx context.Context, q Request, _ *Reply) error {
	if path, _ := mixOf(q.Prefix); path.end == mixWithdrawn {
		return p.client.CancelWorkflow(ctx, q.Prefix, "")
	}
	return p.client.SignalWorkflow(ctx, q.Prefix, "", plainRevoke, nil)
}

// mixOperation polls on the schedule until the status is final or the polls are used up.
// At Paysera it delivers each new status, at Ukrcard the last one. A signal revokes the
// operation, a cancellation withdraws it.
func (p *plain) mixOperation(ctx workflow.Context, in plainMix) error {
	watching, stop := workflow.WithCancel(ctx)
	revoked := false
	workflow.Go(ctx, func(ctx workflow.Context) {
		workflow.GetSignalChannel(ctx, plainRevoke).Receive(ctx, nil)
		revoked = true
		stop()
	})
	last := plainAnswer{}
	for !last.Final && last.Polls <= len(p.mix.Schedule) {
		next, err := p.watch(watching, in, last)
		if revoked {
			return p.deliverRevoked(ctx, in)
		}
		if err != nil {
			return err
		}
		changed := next.Status != last.Status
		last = next
		if in.paysera() && changed {
			if err := p.deliverMix(ctx, in, last.Status); err != nil {
				return err
			}
		}
	}
	if in.paysera() {
		return nil // delivered, or without a final status
	}
	return p.deliverMix(ctx, in, last.Status)
}

// watch waits for the next poll and polls until there is something to do.
func (p *plain) watch(ctx workflow.Context, in plainMix, last plainAnswer) (next plainAnswer, err error) {
	if last.Polls > 0 {
		if err := workflow.Sleep(ctx, p.mix.Schedule[last.Polls-1]); err != nil {
			return next, err
		}
	}
	polling := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: 20 * time.Minute, StartToCloseTimeout: 10 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1},
	})
	err = workflow.ExecuteActivity(polling, p.PollMix, in, last).Get(ctx, &next)
	return next, err
}

// deliverRevoked: Ukrcard has no callback about it.
func (p *plain) deliverRevoked(ctx workflow.Context, in plainMix) error {
	if !in.paysera() {
		return nil
	}
	return p.deliverMix(ctx, in, "revoked")
}

func (p *plain) deliverMix(ctx workflow.Context, in plainMix, status string) error {
	h := p.mix.Ukrcard
	if in.paysera() {
		h = p.mix.Paysera
	}
	delivering := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: mixTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: h, BackoffCoefficient: 1, MaximumAttempts: mixAttempts},
	})
	return workflow.ExecuteActivity(delivering, p.DeliverMix, in, status).Get(ctx, nil)
}

// PollMix polls once. Its error asks for the next poll at the gap of the schedule, until
// the status is final, or another one of Paysera's, or the polls are used up.
func (p *plain) PollMix(ctx context.Context, in plainMix, last plainAnswer) (plainAnswer, error) {
	next := plainAnswer{Polls: last.Polls + int(activity.GetInfo(ctx).Attempt)}
	if err := p.askCore(ctx, in, &next); err != nil {
		return next, err
	}
	changed := in.paysera() && next.Status != last.Status
	if next.Final || changed || next.Polls > len(p.mix.Schedule) {
		return next, nil
	}
	return next, notFinal(p.mix.Schedule[next.Polls-1])
}

func (p *plain) askCore(ctx context.Context, in plainMix, next *plainAnswer) error {
	if !in.paysera() {
		status, err := p.confirm(ctx, in.ID)
		next.Status, next.Final = strconv.Itoa(status), ukrcardFinal(status)
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.simulator+"/transfer/rest/v1/transfers/"+in.ID, http.NoBody)
	if err != nil {
		return err
	}
	err = p.do(r, next)
	switch next.Status {
	case "done", "rejected", "revoked", "failed":
		next.Final = true
	}
	return err
}

// DeliverMix makes one attempt. Paysera's is a form, which any 2xx acknowledges.
func (p *plain) DeliverMix(ctx context.Context, in plainMix, status string) error {
	if !in.paysera() {
		number, err := strconv.Atoi(status)
		if err != nil {
			return err
		}
		return p.Deliver(ctx, plainInput{ID: in.ID, How: mixHow}, number)
	}
	form := url.Values{"transfer_id": {in.ID}, "status": {status}, "date": {strconv.FormatInt(time.Now().Unix(), 10)}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, in.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := p.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, bodyLimit)); err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the receiver answered %s", response.Status)
	}
	return nil
}
