package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const plainQueue = "plain"

// plain is the same job as a good sample would write it: a regular activity that polls
// by its retry policy, and one that delivers by its own.
type plain struct {
	client client.Client
	http   *http.Client
	// simulator is the base URL of the core and the receivers.
	simulator string
}

func openPlain(_ context.Context, s Setup) (handlers, func() error, string, error) {
	c, err := dial(s.Temporal, client.ConnectionOptions{})
	if err != nil {
		return nil, nil, "", err
	}
	p := &plain{client: c, simulator: s.Simulator, http: keepAlive()}
	w := worker.New(c, plainQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(p.operation, workflow.RegisterOptions{Name: "Plain"})
	w.RegisterActivity(p.Poll)
	w.RegisterActivity(p.Deliver)
	return handlers{"start": makes(p.start)}, closing(w, c), "", w.Start()
}

// keepAlive is a client that keeps as many connections as it uses.
func keepAlive() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 512
	return &http.Client{Transport: t, Timeout: 30 * time.Second}
}

type plainInput struct {
	ID string `json:"id"`
	// How is the receiver's path.
	How string `json:"how"`
}

func (p *plain) start(ctx context.Context, endpoint, id string) error {
	_, err := p.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: plainQueue},
		"Plain", plainInput{ID: id, How: endpoint})
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
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1, MaximumAttempts: 5},
	})
	return workflow.ExecuteActivity(delivering, p.Deliver, in, status).Get(ctx, nil)
}

// Poll polls once. A status that is not final is a benign failure, so that the retry
// policy polls again.
func (p *plain) Poll(ctx context.Context, in plainInput) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.simulator+"/Confirm", http.NoBody)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Ordernumber", in.ID)
	var answer struct {
		OrderStatus int `json:"orderStatus"`
	}
	if err := p.do(r, &answer); err != nil {
		return 0, err
	}
	if answer.OrderStatus != 1 && answer.OrderStatus != 2 {
		return 0, temporal.NewApplicationErrorWithOptions("not final", "NotFinal",
			temporal.ApplicationErrorOptions{Category: temporal.ApplicationErrorCategoryBenign})
	}
	return answer.OrderStatus, nil
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
