package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const (
	plainQueue = "plain"
	// plainAttempts is k, plainGap h unless the load says another.
	plainAttempts = 100
	plainGap      = time.Second
)

// plain is the same job as a good sample would write it: a regular activity that polls
// by its retry policy, and one that delivers by its own.
type plain struct {
	client client.Client
	http   *http.Client
	// simulator is the base URL of the core and the receivers.
	simulator string
	mix       mix
}

func openPlain(_ context.Context, s Setup) (handlers, func() error, string, error) {
	c, err := dial(s.Temporal, client.ConnectionOptions{})
	if err != nil {
		return nil, nil, "", err
	}
	p := &plain{client: c, simulator: s.Simulator, mix: s.Mix, http: keepAlive()}
	w := worker.New(c, plainQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(p.operation, workflow.RegisterOptions{Name: "Plain"})
	w.RegisterActivity(p.Poll)
	w.RegisterActivity(p.Deliver)
	w.RegisterWorkflowWithOptions(p.mixOperation, workflow.RegisterOptions{Name: "PlainMix"})
	w.RegisterActivity(p.PollMix)
	w.RegisterActivity(p.DeliverMix)
	return handlers{"start": makes(p.start), "start mix": makes(p.startMix), "change mix": p.changeMix}, closing(w, c), "", w.Start()
}

// keepAlive is a client that keeps as many connections as it uses.
func keepAlive() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 512
	return &http.Client{Transport: t, Timeout: 30 * time.Second}
}

type plainInput struct {
	ID string `json:"id"`
	// How is the receiver's path, Gap is h.
	How string        `json:"how"`
	Gap time.Duration `json:"gap"`
}

// plainEndpoint is the endpoint of a load whose receiver has this path, with another h.
func plainEndpoint(how string, h time.Duration) string { return how + "@" + h.String() }

func (p *plain) start(ctx context.Context, endpoint, id string) error {
	in := plainInput{ID: id, How: endpoint, Gap: plainGap}
	if how, gap, ok := strings.Cut(endpoint, "@"); ok {
		h, err := time.ParseDuration(gap)
		if err != nil {
			return fmt.Errorf("read h of %q: %w", endpoint, err)
		}
		in.How, in.Gap = how, h
	}
	_, err := p.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: plainQueue}, "Plain", in)
	return err
}

func (p *plain) operation(ctx workflow.Context, in plainInput) error {
	var status int
	polling := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: 20 * time.Minute, StartToCloseTimeout: 10 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1},
	})
	if err := workflow.ExecuteActivity(polling, p.Poll, in).Get(ctx, &status); err != nil {
		return err
	}
	delivering := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: in.Gap, BackoffCoefficient: 1, MaximumAttempts: plainAttempts},
	})
	return workflow.ExecuteActivity(delivering, p.Deliver, in, status).Get(ctx, nil)
}

// Poll polls once. A status that is not final is a benign failure, so that the retry
// policy polls again.
func (p *plain) Poll(ctx context.Context, in plainInput) (int, error) {
	status, err := p.confirm(ctx, in.ID)
	if err == nil && !ukrcardFinal(status) {
		err = notFinal(0)
	}
	return status, err
}

func ukrcardFinal(status int) bool { return status == 1 || status == 2 }

// notFinal lets the retry policy poll again, after a gap or its own interval.
func notFinal(gap time.Duration) error {
	return temporal.NewApplicationErrorWithOptions("not final", "NotFinal",
		temporal.ApplicationErrorOptions{Category: temporal.ApplicationErrorCategoryBenign, NextRetryDelay: gap})
}

// confirm asks Ukrcard's core.
func (p *plain) confirm(ctx context.Context, id string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.simulator+"/Confirm", http.NoBody)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Ordernumber", id)
	var answer struct {
		OrderStatus int `json:"orderStatus"`
	}
	err = p.do(r, &answer)
	return answer.OrderStatus, err
}

// Deliver makes one attempt.
func (p *plain) Deliver(ctx context.Context, in plainInput, status int) error {
	body, err := json.Marshal(map[string]any{"orderNumber": in.ID, "orderStatus": status, "respStatus": 200})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.simulator+"/callback/"+in.How, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	var answer struct {
		ApplicationStatus int `json:"applicationStatus"`
	}
	if err := p.do(r, &answer); err != nil {
		return err
	}
	if answer.ApplicationStatus != http.StatusOK {
		return fmt.Errorf("the receiver answered applicationStatus %d", answer.ApplicationStatus)
	}
	return nil
}

func (p *plain) do(r *http.Request, into any) error {
	response, err := p.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", r.URL.Path, response.Status)
	}
	return json.Unmarshal(body, into)
}
