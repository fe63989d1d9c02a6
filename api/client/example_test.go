package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"ringback/api/client"
)

// answering is an API that gives one response after the other.
func answering(responses ...func(http.ResponseWriter)) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		next := responses[0]
		responses = responses[1:]
		next(w)
	}))
}

func with(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if status >= http.StatusBadRequest {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

// A payment core hands an operation over. A crash between its own commit and
// this call costs nothing: the same start again is the same operation.
func ExampleClient_Start() {
	const watching = `{"endpoint":"ECOM_GOLD_BANK","operation_id":"ORDER-1","phase":"watching","outcome":null,"run_id":"r"}`
	api := answering(with(http.StatusCreated, watching), with(http.StatusOK, watching))
	defer api.Close()

	ringback := &client.Client{Base: api.URL, Key: "the-api-key"}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	registered := client.At(time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC))
	for range 2 {
		state, created, err := ringback.Start(ctx, client.StartRequest{
			Endpoint: "ECOM_GOLD_BANK", OperationID: "ORDER-1", Method: "p2p_a2c",
			Reference: client.Reference{RegisteredAt: &registered},
		})
		if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Kind() == client.ProblemConflict {
			fmt.Println("started before with other content:", problem.Errors)
			return
		}
		if err != nil {
			fmt.Println("not started yet; send the same again:", err)
			return
		}
		fmt.Println(created, state.WorkflowID(), state.Phase)
	}
	// Output:
	// true ECOM_GOLD_BANK/ORDER-1 watching
	// false ECOM_GOLD_BANK/ORDER-1 watching
}

// The core records that an operation was revoked. Twice is once.
func ExampleClient_Revoke() {
	api := answering(with(http.StatusConflict, `{"type":"/problems/not-revocable","detail":"The operation SHOP/1 is final with status \"done\" and can't be revoked."}`))
	defer api.Close()

	ringback := &client.Client{Base: api.URL, Key: "the-api-key"}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	state, err := ringback.Revoke(ctx, client.Key{Endpoint: "SHOP", OperationID: "1"}, "user", "Ordered twice")
	problem, _ := errors.AsType[*client.Problem](err)
	switch {
	case problem != nil && problem.Kind() == client.ProblemNotRevocable:
		fmt.Println("too late:", problem.Detail)
	case err != nil:
		fmt.Println("not revoked yet; send the same again:", err)
	default:
		fmt.Println(state.Outcome)
	}
	// Output: too late: The operation SHOP/1 is final with status "done" and can't be revoked.
}

// What never arrived since yesterday, page by page.
func ExampleClient_List() {
	api := answering(
		with(http.StatusOK, `{"operations":[{"endpoint":"SHOP","operation_id":"1","outcome":"exhausted"}],"next_page_token":"two"}`),
		with(http.StatusOK, `{"operations":[{"endpoint":"SHOP","operation_id":"2","outcome":"gone"}]}`))
	defer api.Close()

	ringback := &client.Client{Base: api.URL, Key: "the-api-key"}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	query := client.ListQuery{Undelivered: true, ByClose: true, Since: client.At(time.Now().AddDate(0, 0, -1))}
	for more := true; more; more = query.PageToken != "" {
		page, err := ringback.List(ctx, query)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, failed := range page.Operations {
			fmt.Println(failed.WorkflowID(), failed.Outcome)
		}
		query.PageToken = page.NextPageToken
	}
	// Output:
	// SHOP/1 exhausted
	// SHOP/2 gone
}

// A private certificate authority and a client certificate.
func ExampleTLSFiles() {
	transport, err := client.TLSFiles{CA: "ca.pem", Cert: "core.pem"}.Transport()
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = &client.Client{Base: "https://ringback.internal", HTTP: http.Client{Transport: transport}}
	// Output: reading the API's authorities: open ca.pem: no such file or directory
}
