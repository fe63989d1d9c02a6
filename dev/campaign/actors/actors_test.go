package actors_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ringback/dev/campaign/actors"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// campaign has the options and plan of a small campaign.
func campaign(t *testing.T) (actors.Options, plan.Plan) {
	t.Helper()
	o := actors.Options{
		Plan: plan.Options{Seed: 1, Operations: 400, Length: time.Minute},
		// Every step of the plan is over.
		Began:   time.Now().Add(-time.Hour),
		Journal: filepath.Join(t.TempDir(), "actor.jsonl"),
	}
	return o, plan.Make(o.Plan)
}

// operationWhere is the first operation that satisfies is.
func operationWhere(t *testing.T, p plan.Plan, is func(plan.Operation, plan.Endpoint) bool) plan.Operation {
	t.Helper()
	for _, o := range p.Operations {
		e, ok := plan.EndpointByName(o.Endpoint)
		require.True(t, ok)
		if is(o, e) {
			return o
		}
	}
	t.Fatal("the plan has no such operation")
	return plan.Operation{}
}

// address is a free loopback address.
func address(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// start runs an actor until the test ends, or the returned function is called.
func start(t *testing.T, o actors.Options, actor func(context.Context, actors.Options, func()) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- actor(ctx, o, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		require.NoError(t, err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(t, <-ended)
	}
	t.Cleanup(stop)
	return stop
}

func read(t *testing.T, o actors.Options) []journal.Entry {
	t.Helper()
	entries, err := journal.ReadFile(o.Journal)
	require.NoError(t, err)
	return entries
}

// do sends one request on a connection of its own and returns its complete answer. It
// follows no redirect.
func do(t *testing.T, method, url string, header http.Header, body string) (status int, answer string, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header, request.Close = header, true
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	var text bytes.Buffer
	_, err = io.Copy(&text, response.Body)
	return response.StatusCode, text.String(), err
}
