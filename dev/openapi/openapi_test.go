// Package openapi_test holds that a client can be generated from the API's document.
package openapi_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/oapi-codegen/runtime" // what is generated imports it
	"github.com/stretchr/testify/require"

	"ringback/api/rest"
	"ringback/internal/operation"
)

// operations keeps operations in memory; what the caller does not use is missing.
type operations struct {
	rest.Operations
	mu     sync.Mutex
	starts map[operation.Key]operation.StartRequest
}

func (o *operations) Start(_ context.Context, r operation.StartRequest) (operation.State, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, known := o.starts[r.Key()]
	if known && before.KnownStatus != r.KnownStatus {
		refused := operation.Refuse(operation.ProblemConflict, "Other content.")
		refused.Fields = []operation.FieldError{{Field: "known_status", Detail: "is not what the operation was started with"}}
		return operation.State{}, false, refused
	}
	o.starts[r.Key()] = r
	return operation.State{Key: r.Key(), Phase: operation.Watching}, !known, nil
}

func (o *operations) State(_ context.Context, k operation.Key) (operation.State, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.starts[k]; !known {
		return operation.State{}, operation.Refuse(operation.ProblemNotFound, "There is no such operation.")
	}
	return operation.State{Key: k, Phase: operation.Watching, Status: &operation.Status{Value: "reserved", ObservedAt: operation.At(time.Unix(0, 0))}}, nil
}

func (o *operations) Revoke(_ context.Context, k operation.Key, r operation.Revocation) (operation.State, error) {
	return operation.State{Key: k, Phase: operation.Closed, Outcome: operation.OutcomeRevoked, Revocation: &r}, nil
}

func (o *operations) List(_ context.Context, q operation.ListQuery) (operation.Page, error) {
	page := operation.Page{Operations: []operation.Summary{}}
	if q.Undelivered && q.ByClose && q.Since == operation.At(time.Unix(0, 0)) {
		page.Operations = append(page.Operations, operation.Summary{
			Key: operation.Key{Endpoint: q.Endpoint, OperationID: "7"}, Phase: operation.Closed, Outcome: operation.OutcomeExhausted})
	}
	return page, nil
}

func TestAGeneratedClientCompilesAndCallsTheAPI(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	generated, caller := filepath.Join(folder, "generated.go"), filepath.Join(folder, "caller.go")
	output(t, "go", "-C", "../../tools", "tool", "oapi-codegen", "-generate", "types,client", "-package", "main", "-o", generated, "../api/rest/openapi.yaml")
	text, err := os.ReadFile("testdata/caller.go")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(caller, text, 0o600))
	api := httptest.NewServer(rest.New(rest.Options{Operations: &operations{starts: map[operation.Key]operation.StartRequest{}}}))
	t.Cleanup(api.Close)

	// The module is this folder's, though the files are elsewhere.
	require.Equal(t, `start: 201 watching, at /v1/operations/SHOP/a%2Fb%23c%25
the same again: 200 watching
other content: 409 /problems/conflict known_status
another type: 422 /problems/invalid
state: reserved
no such operation: 404 There is no such operation.
revoke: revoked by client
failed: 1, the first is SHOP/7 exhausted
`, output(t, "go", "run", generated, caller, api.URL))
}

// output is what a program prints.
func output(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	run := exec.CommandContext(t.Context(), name, arguments...)
	var complaints bytes.Buffer
	run.Stderr = &complaints
	out, err := run.Output()
	require.NoErrorf(t, err, "%s %s: %s", name, strings.Join(arguments, " "), complaints.String())
	return string(out)
}
