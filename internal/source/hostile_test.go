package source_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/cardnumber"
	"ringback/internal/egress"
	"ringback/internal/source"
)

// hostileTimeout is the question's where only that ends it.
const hostileTimeout = 500 * time.Millisecond

// hostileCore answers each request with head and then with piece, every so
// often, until the other side has had enough; without a piece it closes.
func hostileCore(t *testing.T, head, piece string, every time.Duration) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	ctx := t.Context()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4<<10))
				_, err := io.WriteString(conn, head)
				for ; err == nil && piece != "" && ctx.Err() == nil; _, err = io.WriteString(conn, piece) {
					time.Sleep(every)
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

func with200(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// Whatever a core answers, a poll and details end by their time with an error
// that repeats nothing of it, or with an observation of the core's own words.
func TestEveryKindBearsWhatAHostileCoreAnswers(t *testing.T) {
	t.Parallel()
	const card = "4111111111111111"
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(make([]byte, 100<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	long := strings.Repeat("x", 1000)
	endless := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	none := source.ErrorKind("")
	for _, tt := range []struct {
		name, head, piece string
		every             time.Duration
		// ukrcard and paysera are the kinds of their errors; none: answered.
		ukrcard, paysera source.ErrorKind
	}{
		{name: "a connection that closes at once", ukrcard: source.Unavailable, paysera: source.Unavailable},
		{name: "bytes that are not HTTP", head: "SECRET " + card + "\r\n\r\n", ukrcard: source.Unavailable, paysera: source.Unavailable},
		{name: "a status line of words", head: "HTTP/1.1 SECRET " + card + "\r\n\r\n", ukrcard: source.Unavailable, paysera: source.Unavailable},
		{name: "a header over the cap", head: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n", ukrcard: source.Unavailable, paysera: source.Unavailable},
		{name: "headers without end", head: "HTTP/1.1 200 OK\r\n", piece: "X: " + long + "\r\n", ukrcard: source.Unavailable, paysera: source.Unavailable},
		{name: "headers a byte at a time", head: "HTTP/1.1 200 OK\r\nX: ", piece: "x", every: 20 * time.Millisecond, ukrcard: source.Unavailable, paysera: source.Unavailable},
		{name: "a body a byte at a time", head: "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", piece: " ", every: 20 * time.Millisecond, ukrcard: source.Unavailable, paysera: source.Unavailable},
		{name: "chunks without end", head: endless, piece: "3e8\r\n" + long + "\r\n", ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "a chunk of no size", head: endless + "zz\r\n", ukrcard: source.Unavailable, paysera: source.Unavailable},
		{name: "a compressed answer of 100 MB", head: fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", packed.Len(), packed.String()), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "a redirect to the cloud's metadata", head: "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "a redirect to no URL", head: "HTTP/1.1 302 Found\r\nLocation: http://x/%zz?SECRET\r\n\r\n", ukrcard: source.Unavailable, paysera: source.Unavailable},
		{name: "a Retry-After of centuries", head: "HTTP/1.1 429 Slow\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n", ukrcard: source.Throttled, paysera: source.Throttled},
		{name: "bytes that are not UTF-8", head: with200("\xff\xfe"), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "bytes that are not UTF-8 in a code", head: with200(`{"respStatus":"2` + "\xff" + `0","id":"A-1","status":"do` + "\xff" + `ne"}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "bytes that are not UTF-8 beside the codes", head: with200(`{"respStatus":200,"orderStatus":1,"id":"A-1","status":"done","x":"` + "\xff" + `"}`), ukrcard: none, paysera: none},
		{name: "deep lists", head: with200(`{"respStatus":200,"id":"A-1","status":"done","x":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "deep objects", head: with200(strings.Repeat(`{"status":`, 6_000)), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "a list", head: with200(`[{"respStatus":200,"id":"A-1","status":"done"}]`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "another operation", head: with200(`{"orderNumber":"A-2","respStatus":200,"orderStatus":1,"id":"A-2","status":"done"}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "codes as strings", head: with200(`{"respStatus":"200","orderStatus":"1","id":"A-1","status":"done"}`), ukrcard: none, paysera: none},
		{name: "codes with a fraction", head: with200(`{"respStatus":200.0,"orderStatus":1,"id":"A-1","status":1.0}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "codes with an exponent", head: with200(`{"respStatus":2e2,"orderStatus":1,"id":"A-1","status":1e0}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "a final status with an exponent", head: with200(`{"respStatus":200,"orderStatus":1e0,"id":"A-1","status":["done"]}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "huge numbers", head: with200(`{"respStatus":1e999,"orderStatus":1,"id":1e999,"status":"done"}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "numbers of 50,000 digits", head: with200(`{"respStatus":` + strings.Repeat("2", 50_000) + `,"id":` + strings.Repeat("1", 10_000) + `,"status":"done"}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "two statuses", head: with200(`{"respStatus":200,"orderStatus":2,"orderStatus":1,"id":"A-1","status":"failed","status":"done"}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "two statuses that differ in case", head: with200(`{"respStatus":200,"orderStatus":2,"OrderStatus":1,"id":"A-1","status":"failed","Status":"done"}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "the same status twice", head: with200(`{"respStatus":200,"orderStatus":1,"OrderStatus":1,"id":"A-1","status":"done","status":"done"}`), ukrcard: none, paysera: none},
		{name: "a card number for a status", head: with200(`{"respStatus":200,"orderStatus":` + card + `,"id":"A-1","status":{"pan":"` + card + `"}}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "no status", head: with200(`{}`), ukrcard: source.Malformed, paysera: source.Malformed},
		{name: "null", head: with200(`null`), ukrcard: source.Malformed, paysera: source.Malformed},
	} {
		for _, kind := range allKinds(t) {
			t.Run(kind.label+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				want := tt.paysera
				if kind.Name == "ukrcard" {
					want = tt.ukrcard
				}
				if wants, differs := asDataDiffers[tt.name]; kind.asData && differs {
					want = wants
				}
				client := egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Client(nil, 0)
				t.Cleanup(client.CloseIdleConnections)
				src := kind.Open(configOf(client, hostileCore(t, tt.head, tt.piece, tt.every)))
				timeout := 30 * time.Second
				if tt.every > 0 {
					timeout = hostileTimeout
				}
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				observed, err := src.Poll(ctx, ukrcardQuery())
				requireBorne(t, want, err)
				if err == nil {
					require.Contains(t, kind.Vocabulary, observed.Status)
				}
				client.CloseIdleConnections() // the core has closed that one
				ctx, cancelDetails := context.WithTimeout(t.Context(), timeout)
				defer cancelDetails()
				_, err = src.Details(ctx, ukrcardQuery())
				requireBorne(t, want, err)
			})
		}
	}
}

// What a core answers gets into records and callbacks: a card number does not, unless
// the start brought it as the order id.
func TestNoCardNumberOfACoreIsKept(t *testing.T) {
	t.Parallel()
	const card = "4111111111111111"
	for _, tt := range []struct {
		name, kind, body, orderID string
		raw                       map[string]string
	}{
		{"as order id", "ukrcard", `{"respStatus":200,"orderStatus":1,"orderId":"` + card + `"}`, "", map[string]string{"respStatus": "200", "orderStatus": "1"}},
		{"as order id, with dots", "ukrcard", `{"respStatus":200,"orderStatus":1,"orderId":"4111.1111.1111.1111"}`, "A-7", map[string]string{"respStatus": "200", "orderStatus": "1"}},
		{"as the order id that we asked for", "ukrcard", `{"respStatus":200,"orderStatus":1,"orderId":"` + card + `"}`, card, map[string]string{"respStatus": "200", "orderStatus": "1", "orderId": card}},
		{"as a failure's code", "paysera", `{"id":"A-1","status":"failed","failure_status":{"code":"4111_1111_1111_1111"}}`, "", map[string]string{"status": "failed"}},
		{"as a status", "paysera", `{"id":"A-1","status":"` + card + `"}`, "", nil},
		{"as a status, with dashes", "paysera", `{"id":"A-1","status":"4111-1111-1111-1111"}`, "", nil},
	} {
		for _, kind := range allKinds(t) {
			if kind.Name != tt.kind {
				continue
			}
			t.Run(kind.label+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				client := egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Client(nil, 0)
				t.Cleanup(client.CloseIdleConnections)
				query := ukrcardQuery()
				query.Reference.OrderID = tt.orderID
				observed, err := kind.Open(configOf(client, hostileCore(t, with200(tt.body), "", 0))).Poll(t.Context(), query)
				if tt.raw == nil {
					requireBorne(t, source.Malformed, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, tt.raw, observed.Raw)
			})
		}
	}
}

func requireBorne(t *testing.T, want source.ErrorKind, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	var failure *source.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, want, failure.Kind, "%v", err)
	require.LessOrEqual(t, failure.RetryAfter, 24*time.Hour)
	require.LessOrEqual(t, len(err.Error()), 300)
	require.False(t, cardnumber.In(err.Error()))
	require.NotContains(t, err.Error(), "SECRET")
}
