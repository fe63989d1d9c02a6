package liar_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ringback/dev/campaign/liar"
	"ringback/dev/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ring sends a callback about an operation through the liar, as Ringback would.
func ring(t *testing.T, l *liar.Liar, operation, status, id string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	body := fmt.Sprintf(`{"orderNumber":%q,"respStatus":200,"orderStatus":%s}`, operation, status)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.Address()+"/ukrcard/GOLD", bytes.NewBufferString(body))
	require.NoError(t, err)
	r.Header.Set("webhook-id", id)
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// The liar chooses by the id: of these it lies about the one and not the other.
const (
	lied   = "cb_27"
	honest = "cb_1"
)

func start(t *testing.T, bug liar.Bug) (*liar.Liar, *simulator.Receiver) {
	t.Helper()
	receiver, err := simulator.StartReceiver("127.0.0.1:0", "ukrcard")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, receiver.Close()) })
	l, err := liar.Start(t.Context(), bug, strings.TrimPrefix(receiver.URL(), "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l, receiver
}

func await(t *testing.T, r *simulator.Receiver, operation string, n int) []simulator.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	received, err := r.Await(ctx, operation, n)
	require.NoError(t, err)
	return received
}

func TestWhatIsNotChosenIsHandedOnAsItIs(t *testing.T) {
	for _, bug := range liar.Bugs {
		l, receiver := start(t, bug)
		receiver.Script("o1", simulator.Reply{HTTPStatus: http.StatusServiceUnavailable}, simulator.Acknowledge)
		for range 2 {
			ring(t, l, "o1", "2", honest)
		}
		received := await(t, receiver, "o1", 2)
		require.Len(t, received, 2)
		require.Equal(t, received[0].Body, received[1].Body)
		require.Equal(t, honest, received[1].CallbackID)
	}
}

func TestDropAcknowledgesAndHandsNothingOn(t *testing.T) {
	l, receiver := start(t, liar.Drop)
	status, answer := ring(t, l, "o1", "2", lied)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"orderNumber":"o1","applicationStatus":200}`, answer)
	require.Empty(t, receiver.Received("o1"))
}

func TestForgetRefusesAndHandsNothingOn(t *testing.T) {
	l, receiver := start(t, liar.Forget)
	status, _ := ring(t, l, "o1", "2", lied)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Empty(t, receiver.Received("o1"))
}

func TestTwiceHandsOnAgain(t *testing.T) {
	l, receiver := start(t, liar.Twice)
	ring(t, l, "o1", "2", lied)
	require.Len(t, await(t, receiver, "o1", 2), 2)
}

func TestLateHoldsACallback(t *testing.T) {
	l, receiver := start(t, liar.Late)
	begun := time.Now()
	ring(t, l, "o1", "2", lied)
	require.Greater(t, await(t, receiver, "o1", 1)[0].At.Sub(begun), 3*time.Second)
}

func TestOvertakeHandsAnOlderOneOnAfterANewerOne(t *testing.T) {
	l, receiver := start(t, liar.Overtake)
	ring(t, l, "o1", "1", lied)
	require.Empty(t, receiver.Received("o1"))
	ring(t, l, "o1", "2", honest)
	received := await(t, receiver, "o1", 2)
	require.Equal(t, "2", received[0].Status)
	require.Equal(t, "1", received[1].Status)
}

func TestRenameAndRewordChangeTheSecondRequest(t *testing.T) {
	for _, bug := range []liar.Bug{liar.Rename, liar.Reword} {
		l, receiver := start(t, bug)
		for range 2 {
			ring(t, l, "o1", "2", lied)
		}
		received := await(t, receiver, "o1", 2)
		require.Equal(t, lied, received[0].CallbackID)
		require.Equal(t, bug == liar.Rename, received[1].CallbackID != lied)
		require.Equal(t, bug == liar.Reword, !bytes.Equal(received[0].Body, received[1].Body))
	}
}

func TestALiarKnowsItsBugs(t *testing.T) {
	_, err := liar.Start(t.Context(), "invent", "127.0.0.1:1")
	require.ErrorContains(t, err, "no bug")
}
