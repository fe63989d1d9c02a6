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

// A payment core hands an operation over. A crash between its own commit and
// this call costs nothing: the same start again is the same operation.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprint(w, `{"endpoint":"ECOM_GOLD_BANK","operation_id":"ORDER-1","phase":"watching","outcome":null,"run_id":"r"}`)
	}))
	defer server.Close()

	ringback := &client.Client{Base: server.URL, Key: "the-api-key"}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	registered := client.At(time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC))
	state, created, err := ringback.Start(ctx, client.StartRequest{
		Endpoint: "ECOM_GOLD_BANK", OperationID: "ORDER-1", Method: "p2p_a2c",
		Reference: client.Reference{RegisteredAt: &registered},
	})
	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Kind() == client.ProblemConflict {
		fmt.Println("started before with other content:", problem.Detail)
		return
	}
	if err != nil {
		fmt.Println("not started yet; send the same again:", err)
		return
	}
	fmt.Println(created, state.WorkflowID(), state.Phase)
	// Output: true ECOM_GOLD_BANK/ORDER-1 watching
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
