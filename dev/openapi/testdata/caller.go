// The caller of a client that was generated from openapi.yaml.
package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

func main() {
	api, err := NewClientWithResponses(os.Args[1])
	check(err)
	ctx := context.Background()
	request := StartRequest{Endpoint: "SHOP", OperationId: "a/b#c%", KnownStatus: new("reserved")}

	started, err := api.StartWithResponse(ctx, request)
	check(err)
	fmt.Printf("start: %d %s, at %s\n", started.StatusCode(), started.JSON201.Phase, started.HTTPResponse.Header.Get("Location"))

	again, err := api.StartWithResponse(ctx, request)
	check(err)
	fmt.Printf("the same again: %d %s\n", again.StatusCode(), again.JSON200.Phase)

	request.KnownStatus = nil
	other, err := api.StartWithResponse(ctx, request)
	check(err)
	conflict := other.ApplicationproblemJSON409
	fmt.Printf("other content: %d %s %s\n", conflict.Status, conflict.Type, (*conflict.Errors)[0].Field)

	request.Endpoint = "no endpoint"
	invalid, err := api.StartWithResponse(ctx, request)
	check(err)
	fmt.Printf("another type: %d %s\n", invalid.StatusCode(), invalid.ApplicationproblemJSON422.Type)

	state, err := api.StateWithResponse(ctx, "SHOP", "a/b#c%")
	check(err)
	fmt.Printf("state: %s\n", state.JSON200.Status.Value)

	none, err := api.StateWithResponse(ctx, "SHOP", "none")
	check(err)
	fmt.Printf("no such operation: %d %s\n", none.StatusCode(), none.ApplicationproblemJSON404.Detail)

	revoked, err := api.RevokeWithResponse(ctx, "SHOP", "a/b#c%", RevocationRequest{InitiatedBy: RevocationRequestInitiatedByClient})
	check(err)
	fmt.Printf("revoke: %s by %s\n", *revoked.JSON200.Outcome, revoked.JSON200.Revocation.InitiatedBy)

	failed, err := api.ListWithResponse(ctx, &ListParams{
		Endpoint: new("SHOP"), Outcome: new(ListParamsOutcomeUndelivered), Time: new(ListParamsTimeClosed), Since: new(time.Unix(0, 0)),
	})
	check(err)
	first := failed.JSON200.Operations[0]
	fmt.Printf("failed: %d, the first is %s/%s %s\n", len(failed.JSON200.Operations), first.Endpoint, first.OperationId, *first.Outcome)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
