package receiver_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"ringback/internal/bulkhead"
	"ringback/internal/dialect"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

// hostileTimeout is the attempt's where only that ends it: below the second
// after which an endpoint is slow.
const hostileTimeout = 700 * time.Millisecond

func gzipped(t *testing.T, size int) string {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(make([]byte, size))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", packed.Len(), packed.String())
}

const (
	good     = `{"orderNumber":"42","applicationStatus":200}`
	endless  = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	nothing  = "no answer"
	tooLong  = "the answer is longer than is read"
	noJSON   = "not a JSON object"
	not200   = "applicationStatus is not 200"
	twofaced = "twice, with different values"
	never    = "within 700 ms"
)

// Whatever a receiver answers, each dialect has a verdict, nothing of the
// answer is in it, and the attempt's only slot is free again.
func TestEveryDialectJudgesWhatAHostileReceiverAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		name   string
		answer outsider
		// ukrcard is a part of its reason, empty where it acknowledges; success
		// that of the dialects that take any 2xx.
		ukrcard, success string
	}{
		{"a good answer", ok(good), "", ""},
		{"a connection that closes at once", says(""), nothing, nothing},
		{"bytes that are not HTTP", says("\x00\x01\x02" + cardNumber + "\r\n\r\n"), nothing, nothing},
		{"an HTTP status of words", says("HTTP/1.1 SECRET OK\r\n\r\n"), nothing, nothing},
		{"an HTTP status of four digits", says("HTTP/1.1 2000 OK\r\n\r\n"), nothing, nothing},
		{"an HTTP status of 999", says("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), "HTTP 999", "HTTP 999"},
		{"a switch of protocols, which has no body", says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + good), "the answer is empty", "HTTP 101 is not 2xx"},
		{"interim answers without end", then("", "HTTP/1.1 103 Early Hints\r\nLink: <"+long+">\r\n\r\n", 0), nothing, nothing},
		{"a header over the cap", says("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n"), nothing, nothing},
		{"headers without end", then("HTTP/1.1 200 OK\r\n", "X: "+long+"\r\n", 0), nothing, nothing},
		{"headers a byte at a time", then("HTTP/1.1 200 OK\r\nX: ", "x", 20*time.Millisecond), never, never},
		{"nothing at all", then("", "", 20*time.Millisecond), never, never},
		{"a body a byte at a time", then("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", " ", 20*time.Millisecond), never, ""},
		{"a body a byte at a time, beside a 500", then("HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\n", " ", 20*time.Millisecond), never, never},
		{"a body that never comes", then("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "", 20*time.Millisecond), never, ""},
		{"a body that ends before its length", says("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + good), "no whole answer", ""},
		{"a body longer than its length", says("HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n" + good + long), "", ""},
		{"a negative length", says("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + good), nothing, nothing},
		{"two lengths", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 44\r\n\r\n" + good), nothing, nothing},
		{"a length and chunks", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2c\r\n" + good + "\r\n0\r\n\r\n"), "", ""},
		{"chunks without end", then(endless, "3e8\r\n"+long+"\r\n", 0), tooLong, ""},
		{"a chunk of no size", says(endless + "zz\r\n"), "no whole answer", ""},
		{"chunk extensions without end", then(endless+"2;", long, 0), "no whole answer", ""},
		{"trailers without end", then(endless+"2c\r\n"+good+"\r\n0\r\n", "X: "+long+"\r\n", 0), "no whole answer", ""},
		{"a compressed answer of 100 MB", says(gzipped(t, 100<<20)), tooLong, ""},
		{"a compressed answer of 1 MB", says(gzipped(t, 1<<20)), "compressed (Content-Encoding: gzip), not a JSON object", ""},
		{"a body over the cap that begins well", ok(good + strings.Repeat(" ", 64<<10)), tooLong, ""},
		{"204, which has no body", says("HTTP/1.1 204 No Content\r\n\r\n"), noJSON, ""},
		{"a redirect to the cloud's metadata", says("HTTP/1.1 307 Moved\r\nLocation: http://169.254.169.254/\r\nContent-Length: 44\r\n\r\n" + good), "a redirect is not followed", "a redirect is not followed"},
		{"bytes that are not UTF-8 beside what decides", ok(`{"orderNumber":"42","applicationStatus":200,"text":"` + "\xff\xfe" + `"}`), "", ""},
		{"bytes that are not UTF-8 in the order number", ok(`{"orderNumber":"42` + "\xff" + `","applicationStatus":200}`), "orderNumber is not this", ""},
		{"bytes that are not UTF-8 alone", ok("\xff\xfe\xfd"), noJSON, ""},
		{"a byte order mark", ok("\uFEFF" + good), "", ""},
		{"UTF-16", ok("{\x00}\x00"), noJSON, ""},
		{"zeros", ok(strings.Repeat("\x00", 1000)), noJSON, ""},
		{"deep lists", ok(`{"x":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `,"orderNumber":"42","applicationStatus":200}`), noJSON, ""},
		{"deep objects", ok(strings.Repeat(`{"x":`, 12_000)), noJSON, ""},
		{"another's order number", ok(`{"orderNumber":"43","applicationStatus":200}`), "orderNumber is not this", ""},
		{"our order number as a number", ok(`{"orderNumber":42,"applicationStatus":200}`), "", ""},
		{"our order number with a fraction", ok(`{"orderNumber":42.0,"applicationStatus":200}`), "orderNumber is not this", ""},
		{"our order number as a list", ok(`{"orderNumber":["42"],"applicationStatus":200}`), "orderNumber is not this", ""},
		{"200 as a string", ok(`{"orderNumber":"42","applicationStatus":"200"}`), "", ""},
		{"200 with a fraction", ok(`{"orderNumber":"42","applicationStatus":200.0}`), not200, ""},
		{"200 with an exponent", ok(`{"orderNumber":"42","applicationStatus":2e2}`), not200, ""},
		{"200 with a space", ok(`{"orderNumber":"42","applicationStatus":"200 "}`), not200, ""},
		{"200 in hexadecimal", ok(`{"orderNumber":"42","applicationStatus":0xC8}`), noJSON, ""},
		{"a number beyond every type", ok(`{"orderNumber":"42","applicationStatus":1e999}`), not200, ""},
		{"a number of 60,000 digits", ok(`{"orderNumber":"42","applicationStatus":` + strings.Repeat("2", 60_000) + `}`), not200, ""},
		{"a card number for a status", ok(`{"orderNumber":"42","applicationStatus":` + cardNumber + `}`), not200, ""},
		{"a negative 200", ok(`{"orderNumber":"42","applicationStatus":-200}`), not200, ""},
		{"not a number", ok(`{"orderNumber":"42","applicationStatus":NaN}`), noJSON, ""},
		{"two statuses", ok(`{"applicationStatus":500,"orderNumber":"42","applicationStatus":200}`), twofaced, ""},
		{"two order numbers", ok(`{"orderNumber":"43","applicationStatus":200,"orderNumber":"42"}`), twofaced, ""},
		{"names in another case", ok(`{"ORDERNUMBER":"42","ApplicationStatus":200}`), "JSON with no applicationStatus", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, d := range dialect.All {
				want := tt.success
				if d.Name() == "ukrcard" {
					want = tt.ukrcard
				}
				base, asked := answeredBy(t, tt.answer)
				e := guarded(t, base)
				e.Dialect, e.MaxConcurrent = d, 1
				var receivers receiver.Receivers
				timeout := 30 * time.Second
				if tt.ukrcard == never {
					timeout = hostileTimeout
				}
				permit, err := receivers.Acquire(e, "", bulkhead.Activity)
				require.NoError(t, err)
				got := send(t, e, request(timeout))
				permit.Release(got)
				if want == "" {
					require.Equal(t, operation.Acknowledged, got.Attempt.Verdict, "%s: %s", d.Name(), got.Attempt.Reason)
				} else {
					require.Equal(t, operation.Unacknowledged, got.Attempt.Verdict, d.Name())
					require.Contains(t, got.Attempt.Reason, want, d.Name())
				}
				require.True(t, utf8.ValidString(got.Attempt.Reason))
				require.LessOrEqual(t, len(got.Attempt.Reason), 210)
				require.NotContains(t, got.Attempt.Reason, "SECRET")
				require.NotContains(t, got.Attempt.Reason, cardNumber)
				require.Contains(t, <-asked, "Accept-Encoding: identity\r\n", "compression is not asked for")

				permit, err = receivers.Acquire(e, "", bulkhead.Activity)
				require.NoError(t, err, "%s: the only slot is free again", d.Name())
				permit.Cancel()
				e.URL, _ = answeredBy(t, ok(good))
				again := send(t, e, request(10*time.Second))
				require.Equal(t, operation.Acknowledged, again.Attempt.Verdict)
				e.Client.CloseIdleConnections()
			}
		})
	}
}

// Its connection stays open: an attempt ends without it.
func TestASwitchOfProtocolsIsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
			_, _ = conn.Read(make([]byte, 1))
		}
	}
	got := send(t, s.endpoint, request(2*time.Second)).Attempt
	require.Equal(t, operation.Unacknowledged, got.Verdict)
	require.Equal(t, "HTTP 101 is not 2xx", got.Reason)
	require.Equal(t, http.StatusSwitchingProtocols, got.HTTPStatus)
}
