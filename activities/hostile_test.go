package activities_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/internal/egress"
	"ringback/internal/operation"
	"ringback/internal/source"
)

// outsider is what answers a request at a real address, byte by byte as it likes.
type outsider func(ctx context.Context, conn io.Writer)

// says answers with those bytes and closes the connection.
func says(text string) outsider {
	return func(_ context.Context, conn io.Writer) { _, _ = io.WriteString(conn, text) }
}

// ok answers with HTTP 200 and that body.
func ok(body string) outsider {
	return says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
}

// answeredBy listens on a loopback address and answers each request so; asked
// are the requests' headers.
func answeredBy(t *testing.T, answer outsider) (base string, asked <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	requests := make(chan string, 1000)
	ctx := t.Context()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				head := make([]byte, 4<<10)
				n, _ := conn.Read(head)
				requests <- string(head[:n])
				answer(ctx, conn)
			}()
		}
	}()
	return "http://" + listener.Addr().String(), requests
}

const endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// A source's bulkhead has 256 slots: were one kept by each answer below, the last
// poll would be held back.
func TestNoSlotOfASourceIsKeptByItsAnswers(t *testing.T) {
	t.Parallel()
	registered := operation.At(time.Now())
	query := operation.Query{OperationID: "42", Reference: operation.Reference{RegisteredAt: &registered}}
	for _, kind := range source.Kinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			for _, answer := range []outsider{says(""), says("HTTP/1.1 SECRET " + cardNumber + "\r\n\r\n"), ok("{"), ok(`{"respStatus":200,"id":42,"status":"a","status":"b","orderStatus":1,"OrderStatus":2}`), says(endless + "zz\r\n")} {
				b := newBench()
				base, _ := answeredBy(t, answer)
				client := egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Client(nil, 5*time.Second)
				opened := kind.Open(source.Config{Name: "wallet", Bases: []source.Base{{URL: base, Client: client}}, ExtSystemID: "E", Login: "l", Password: "hunter2"})
				b.Source = func(string) (activities.Source, bool) {
					return activities.Source{Source: opened, Vocabulary: kind.Vocabulary}, true
				}
				for range 260 {
					got, err := b.Poll(t.Context(), activities.PollInput{Source: "wallet", Query: query})
					require.NoError(t, err)
					require.NotContains(t, got.HeldBack, "bulkhead")
					if got.HeldBack != "" {
						break // slow lately, on a crowded machine: says nothing of slots
					}
					require.NotEmpty(t, got.Error)
					require.Nil(t, got.Observation)
					require.NotContains(t, got.Error, "SECRET")
					require.NotContains(t, got.Error, cardNumber)
				}
				client.CloseIdleConnections()
			}
		})
	}
}
