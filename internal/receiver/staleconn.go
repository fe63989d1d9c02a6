package receiver

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"syscall"
	"time"

	"ringback/internal/httpanswer"
)

// writing is what is known about how far a request was written.
type writing struct {
	mu sync.Mutex
	// conn is the connection that the request was given, kept from another.
	conn   net.Conn
	reused bool
	// begun says that writing began while the connection was open.
	begun bool
	// answeredAt is when the first byte of the answer came.
	answeredAt time.Time
}

// trace follows one request. A connection that is closed when net/http writes the
// first header was closed while it was idle; one that is open then may carry the
// request.
func (w *writing) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.conn, w.reused, w.begun = info.Conn, info.Reused, false
			if info.Reused && !isHTTP2(info.Conn) && isStale(info.Conn) {
				// net/http has not noticed yet, and would write to it.
				_ = info.Conn.Close()
			}
		},
		GotFirstResponseByte: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.answeredAt = time.Now()
		},
		WroteHeaderField: func(string, []string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.begun = w.begun || !isClosed(w.conn)
		},
	}
}

// connected is the connection that the request was given, if any, and when the first
// byte of the answer came on it.
func (w *writing) connected() (conn net.Conn, answeredAt time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conn, w.answeredAt
}

// wroteNothing reports whether a request that failed with err was given a kept
// connection and none of it can have been received.
func (w *writing) wroteNothing(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reused && (!w.begun || httpanswer.IsGoAway(err))
}

// isClosed reports whether conn was closed on this side. Nothing sets a read
// deadline on a client's connection, so none is lost by asking.
func isClosed(conn net.Conn) bool {
	return conn != nil && errors.Is(conn.SetReadDeadline(time.Time{}), net.ErrClosed)
}

func isHTTP2(conn net.Conn) bool {
	secure, ok := conn.(*tls.Conn)
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// isStale reports whether the other end of an idle connection closed it or sent
// anything, for which the end of a TLS connection is the only reason. It peeks at
// what has arrived and takes nothing of it.
func isStale(conn net.Conn) bool {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	stale := false
	// Not raw.Read, which waits for net/http's own reader.
	err = raw.Control(func(fd uintptr) { stale = hasArrived(fd) })
	return err == nil && stale
}
