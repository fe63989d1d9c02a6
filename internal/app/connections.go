package app

import (
	"context"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sync/semaphore"
)

// boundedListener bounds the connections that are open at once; more wait in the
// kernel. Unlike netutil.LimitListener it lets them be closed for writing alone:
// net/http needs that for its last answer to what is too long to be read, which a
// reset would take from the caller.
type boundedListener struct {
	*net.TCPListener
	room   *semaphore.Weighted
	open   context.Context
	closes context.CancelFunc
}

func bounded(l net.Listener, connections int64) (net.Listener, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("bounding the connections of %s: it is no TCP listener", l.Addr())
	}
	b := &boundedListener{TCPListener: tcp, room: semaphore.NewWeighted(connections)}
	b.open, b.closes = context.WithCancel(context.Background())
	return b, nil
}

// Accept waits for a connection, and for room for it.
func (l *boundedListener) Accept() (net.Conn, error) {
	if l.room.Acquire(l.open, 1) != nil {
		return nil, net.ErrClosed
	}
	conn, err := l.AcceptTCP()
	if err != nil {
		l.room.Release(1)
		return nil, err
	}
	return &boundedConn{TCPConn: conn, leave: sync.OnceFunc(func() { l.room.Release(1) })}, nil
}

// Close ends also an Accept that waits for room.
func (l *boundedListener) Close() error {
	l.closes()
	return l.TCPListener.Close()
}

type boundedConn struct {
	*net.TCPConn
	leave func()
}

// Close makes room for another.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}
