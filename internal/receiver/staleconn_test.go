package receiver_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/internal/receiver"
)

// beforeWriting calls reused whenever a kept connection is about to be used, and
// counts the connections.
type beforeWriting struct {
	http.RoundTripper
	reused       func(net.Conn)
	kept, opened atomic.Int32
}

func (b *beforeWriting) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.RoundTripper.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if !info.Reused {
				b.opened.Add(1)
				return
			}
			b.kept.Add(1)
			b.reused(info.Conn)
		},
	})))
}

func before(e receiver.Endpoint, reused func(net.Conn)) (receiver.Endpoint, *beforeWriting) {
	b := &beforeWriting{RoundTripper: e.Client.Transport, reused: reused}
	e.Client = &http.Client{Transport: b}
	return e, b
}

// untilClosed returns once the client has closed its end.
func untilClosed(conn net.Conn) {
	for conn.SetReadDeadline(time.Time{}) == nil {
		time.Sleep(50 * time.Microsecond)
	}
}

// Each kept connection is closed by the server between the moment at which the
// client takes it from the pool and the first byte of the request.
func TestAKeptConnectionThatTheServerClosedCostsNoAttempt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		start func(*server) *httptest.Server
	}{
		{"http", func(s *server) *httptest.Server { return httptest.NewServer(s) }},
		{"https", func(s *server) *httptest.Server { return httptest.NewTLSServer(s) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &server{answer: status(http.StatusOK)}
			s.http = tt.start(s)
			defer s.http.Close()
			e := guarded(t, s.http.URL)
			e.Client = s.http.Client()
			e, seen := before(e, func(conn net.Conn) {
				s.http.CloseClientConnections()
				untilClosed(conn)
			})
			const attempts = 150
			for range attempts {
				got := send(t, e, request(10*time.Second)).Attempt
				require.Equal(t, operation.Acknowledged, got.Verdict, got.Reason)
			}
			require.Greater(t, seen.kept.Load(), int32(attempts/2), "kept connections were tried first")
			require.Len(t, s.requests(), attempts)
		})
	}
}

// A server that closes what was idle for about as long as the client waits.
func TestNoAttemptIsLostToAServerThatClosesIdleConnections(t *testing.T) {
	t.Parallel()
	const idle = 2 * time.Millisecond
	s := &server{answer: status(http.StatusOK)}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.IdleTimeout = idle
	s.http.Start()
	defer s.http.Close()
	s.endpoint = guarded(t, s.http.URL)
	const attempts = 200
	written := 0
	for i := range attempts {
		got := send(t, s.endpoint, request(10*time.Second)).Attempt
		if got.Verdict != operation.Acknowledged {
			// Closed as the request arrived: it may have been received, and counts.
			require.Regexp(t, `^no answer: the connection was (closed|reset)$`, got.Reason)
			written++
		}
		time.Sleep(idle + time.Duration(i%10-5)*50*time.Microsecond)
	}
	require.GreaterOrEqual(t, len(s.requests())+written, attempts)
	t.Logf("%d of %d were written to a connection that was just being closed", written, attempts)
}

// secondTime answers the first request of a connection, and reads the second
// without an answer.
func secondTime(seen *atomic.Int32, end func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for n := 1; ; n++ {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			seen.Add(1)
			if n == 2 {
				end(conn)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
}

func TestARequestThatWasWrittenIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	closes := func(conn net.Conn) { _ = conn.Close() }
	resets := func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	for _, tt := range []struct {
		name   string
		end    func(net.Conn)
		header http.Header
		reason string
	}{
		{"a connection closed without an answer", closes, nil, "no answer: the connection was closed"},
		{"a connection reset without an answer", resets, nil, "no answer: the connection was reset"},
		{"with a header that net/http repeats by", closes, http.Header{"Idempotency-Key": {"x"}}, "no answer: the connection was closed"},
		{"with its older name", resets, http.Header{"X-Idempotency-Key": {"x"}}, "no answer: the connection was reset"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int32
			e := guarded(t, serveConns(t, secondTime(&seen, tt.end)))
			e.Header = tt.header
			for range 20 {
				require.Equal(t, operation.Acknowledged, send(t, e, request(5*time.Second)).Attempt.Verdict)
				second := send(t, e, request(5*time.Second)).Attempt
				require.Equal(t, operation.Unacknowledged, second.Verdict)
				require.Equal(t, tt.reason, second.Reason)
			}
			require.EqualValues(t, 40, seen.Load(), "one request for each attempt")
		})
	}
}

func TestAServerThatOnlyClosesConnectionsIsCalledOnceForEachAttempt(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	e := guarded(t, serveConns(t, func(net.Conn) { connections.Add(1) }))
	for n := range 5 {
		got := send(t, e, request(5*time.Second)).Attempt
		require.Equal(t, operation.Unacknowledged, got.Verdict)
		require.EqualValues(t, n+1, connections.Load())
	}
}

func TestAFreshConnectionIsOpenedWithinTheTimeout(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.answer = status(http.StatusOK)
	e, _ := before(s.endpoint, func(conn net.Conn) {
		s.http.CloseClientConnections()
		untilClosed(conn)
		time.Sleep(50 * time.Millisecond)
	})
	send(t, e, request(time.Second))
	got := send(t, e, request(20*time.Millisecond)).Attempt
	require.Equal(t, "no answer within 20 ms", got.Reason)
	require.Len(t, s.requests(), 1)
}

// The frames of HTTP/2 that these tests need (RFC 9113, 6).
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7

	flagEndStream, flagAck, flagEndHeaders = 1, 1, 4
)

func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	size := len(payload)
	head := []byte{byte(size >> 16), byte(size >> 8), byte(size), kind, flags}
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// serveHTTP2 answers the first request of a connection with 200 and the second
// with frames.
func serveHTTP2(conn io.ReadWriter, seen *atomic.Int32, second func(stream uint32) []byte) {
	reader := bufio.NewReader(conn)
	_, _ = reader.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	_, _ = conn.Write(frame(frameSettings, 0, 0))
	head := make([]byte, 9)
	for n := 0; ; {
		if _, err := io.ReadFull(reader, head); err != nil {
			return
		}
		_, _ = reader.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2]))
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			_, _ = conn.Write(frame(frameSettings, flagAck, 0))
		case kind != frameData || flags&flagEndStream == 0:
		case n == 0:
			n++
			seen.Add(1)
			_, _ = conn.Write(frame(frameHeaders, flagEndHeaders|flagEndStream, stream, 0x88)) // :status 200
		default:
			seen.Add(1)
			_, _ = conn.Write(second(stream))
		}
	}
}

func TestARequestOverHTTP2IsSentAgainOnlyAfterGoAway(t *testing.T) {
	t.Parallel()
	reset := func(code byte) func(uint32) []byte {
		return func(stream uint32) []byte { return frame(frameReset, 0, stream, 0, 0, 0, code) }
	}
	for _, tt := range []struct {
		name   string
		second func(stream uint32) []byte
		// requests are those of two attempts.
		requests int32
		reason   string
	}{
		{"a server that goes away says that it did not process the stream",
			func(uint32) []byte { return frame(frameGoAway, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0) }, 3, ""},
		{"a protocol error may come after it was processed", reset(1), 2, "no answer: the server ended the HTTP/2 stream with PROTOCOL_ERROR"},
		{"a refused stream is an answer", reset(7), 2, "no answer: the server ended the HTTP/2 stream with REFUSED_STREAM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int32
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.EnableHTTP2 = true
			s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
				"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) { serveHTTP2(conn, &seen, tt.second) },
			}
			s.StartTLS()
			defer s.Close()
			e := guarded(t, s.URL)
			e.Client = s.Client()
			require.Equal(t, operation.Acknowledged, send(t, e, request(10*time.Second)).Attempt.Verdict)
			require.Equal(t, tt.reason, send(t, e, request(10*time.Second)).Attempt.Reason)
			require.Equal(t, tt.requests, seen.Load())
		})
	}
}

func TestTheStandardsHeadersAreWrittenInLowerCaseAndOnce(t *testing.T) {
	t.Parallel()
	base, asked := answeredBy(t, ok(""))
	e := guarded(t, base)
	e.Header = http.Header{"Webhook-Id": {"another"}}
	require.Equal(t, operation.Acknowledged, send(t, e, request(time.Second)).Attempt.Verdict)
	got := <-asked
	require.Contains(t, got, "\r\nwebhook-id: cb_")
	require.Contains(t, got, "\r\nwebhook-timestamp: ")
	require.Equal(t, 1, strings.Count(strings.ToLower(got), "webhook-id:"))
}

func TestAnAttemptIsCutOffByItsContext(t *testing.T) {
	t.Parallel()
	base, _ := answeredBy(t, then("", "", time.Millisecond))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	got := receiver.Send(ctx, guarded(t, base), request(time.Minute))
	require.Equal(t, operation.Unacknowledged, got.Attempt.Verdict)
}
