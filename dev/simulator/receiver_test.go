package simulator_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/simulator"
)

func startReceiver(t *testing.T, dialect string) *simulator.Receiver {
	t.Helper()
	r, err := simulator.StartReceiver("127.0.0.1:0", dialect)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func deliver(t *testing.T, r *simulator.Receiver, id, body string) (*http.Response, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/callback", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("webhook-id", id)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(text), nil
}

// post is deliver without the answer, for other goroutines.
func post(ctx context.Context, r *simulator.Receiver, id, body string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL(), strings.NewReader(body))
	if err != nil {
		return
	}
	request.Header.Set("webhook-id", id)
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
}

func TestAReceiverReadsItsDialectAndAcknowledgesInIt(t *testing.T) {
	t.Parallel()
	for dialect, tt := range map[string]struct{ body, operation, status, answer string }{
		"ukrcard":  {`{"orderNumber":"A2C-1","respStatus":200,"orderStatus":2}`, "A2C-1", "2", `{"applicationStatus":200,"orderNumber":"A2C-1"}`},
		"paysera":  {"transfer_id=12&status=done&date=1596014146", "12", "done", ""},
		"standard": {`{"type":"operation.done","data":{"operation_id":"x/1","status":"done"}}`, "x/1", "done", ""},
	} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			r := startReceiver(t, dialect)
			response, answer, err := deliver(t, r, "cb_1", tt.body)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, tt.answer, answer)
			got := r.Received(tt.operation)
			require.Len(t, got, 1)
			require.Equal(t, tt.status, got[0].Status)
			require.Equal(t, tt.body, string(got[0].Body))
			require.Equal(t, "cb_1", got[0].CallbackID)
		})
	}
}

func TestAReceiverAnswersItsScriptAndNumbersTheAttempts(t *testing.T) {
	t.Parallel()
	r := startReceiver(t, "ukrcard")
	r.Script("A2C-1",
		simulator.Reply{HTTPStatus: http.StatusInternalServerError, Header: map[string]string{"Retry-After": "7"}},
		simulator.Reply{Body: `{"orderNumber":"{operation}","applicationStatus":500}`},
		simulator.Reply{Drop: true},
		simulator.Acknowledge,
	)
	body := `{"orderNumber":"A2C-1","respStatus":200}`
	response, _, err := deliver(t, r, "cb_1", body)
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, response.StatusCode)
	require.Equal(t, "7", response.Header.Get("Retry-After"))
	_, answer, err := deliver(t, r, "cb_1", body)
	require.NoError(t, err)
	require.JSONEq(t, `{"orderNumber":"A2C-1","applicationStatus":500}`, answer)
	_, _, err = deliver(t, r, "cb_1", body)
	require.Error(t, err)
	_, _, err = deliver(t, r, "cb_2", body)
	require.NoError(t, err)

	got := r.Received("A2C-1")
	require.Len(t, got, 4)
	for i, want := range []int{1, 2, 3, 1} {
		require.Equal(t, want, got[i].Attempt)
		require.False(t, got[i].Overlaps)
	}
}

func TestAGapIsFromTheEndOfAnAnswerToTheNextAttempt(t *testing.T) {
	t.Parallel()
	r := startReceiver(t, "paysera")
	r.Default(simulator.Reply{HTTPStatus: http.StatusBadGateway, Delay: 300 * time.Millisecond}, simulator.Acknowledge)
	_, _, err := deliver(t, r, "cb_1", "transfer_id=1")
	require.NoError(t, err)
	time.Sleep(100 * time.Millisecond)
	_, _, err = deliver(t, r, "cb_1", "transfer_id=1")
	require.NoError(t, err)

	got := r.Received("1")
	require.Zero(t, got[0].Gap)
	require.GreaterOrEqual(t, got[1].Gap, 100*time.Millisecond)
	require.Equal(t, got[1].At.Sub(got[0].EndedAt), got[1].Gap)
	require.GreaterOrEqual(t, got[0].EndedAt.Sub(got[0].At), 300*time.Millisecond)
}

func TestAReceiverSeesAttemptsThatOverlap(t *testing.T) {
	t.Parallel()
	r := startReceiver(t, "paysera")
	r.Default(simulator.Reply{Delay: 200 * time.Millisecond})
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { post(t.Context(), r, "cb_1", "transfer_id=1") })
	}
	both.Wait()
	got := r.Received("1")
	require.False(t, got[0].Overlaps)
	require.True(t, got[1].Overlaps)
}

func TestAwaitReturnsWhenEnoughHasBeenAnswered(t *testing.T) {
	t.Parallel()
	r := startReceiver(t, "paysera")
	for range 2 {
		go post(t.Context(), r, "cb_1", "transfer_id=1")
	}
	got, err := r.Await(t.Context(), "1", 2)
	require.NoError(t, err)
	require.Len(t, got, 2)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = r.Await(ctx, "1", 3)
	require.ErrorContains(t, err, "2 came")
}

func TestAReceiverOfAnUnknownDialectIsAnError(t *testing.T) {
	t.Parallel()
	_, err := simulator.StartReceiver("127.0.0.1:0", "morse")
	require.ErrorContains(t, err, "morse")
}
