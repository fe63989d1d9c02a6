package app

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"ringback/api/rest"
)

// boundedListener bounds a server's connections, and those of one address to half of
// them. For a connection beyond a bound the one is closed that has waited the longest
// for a request; where none waits, one too many of an address is closed itself, and any
// other waits for a place, those behind it in the kernel.
type boundedListener struct {
	net.Listener
	most int

	mu   sync.Mutex
	free sync.Cond
	// open are the connections, ofAddress how many of them an address has.
	open      map[net.Conn]*connection
	ofAddress map[netip.Prefix]int
	// waiting are the *connection without a request, the longest first.
	waiting *list.List
}

type connection struct {
	net.Conn
	from netip.Prefix
	// place is its own in boundedListener.waiting; nil: it has a request.
	place *list.Element
}

// boundConnections follows the server's connections by their states. Wrapped ones, as of
// netutil.LimitListener, could not be closed for writing alone, which net/http does after
// refusing a request that is too long.
func boundConnections(l net.Listener, server *http.Server, most int) net.Listener {
	b := &boundedListener{Listener: l, most: most, open: map[net.Conn]*connection{}, ofAddress: map[netip.Prefix]int{}, waiting: list.New()}
	b.free.L = &b.mu
	server.ConnState = b.follow
	return b
}

// Accept waits for a connection that may have a place.
func (b *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.admit(conn) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

func (b *boundedListener) admit(conn net.Conn) bool {
	from := rest.NetworkOf(conn.RemoteAddr().String())
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ofAddress[from] >= (b.most+1)/2 && !b.closeWaiting(func(c *connection) bool { return c.from == from }) {
		return false
	}
	for len(b.open) >= b.most && !b.closeWaiting(func(*connection) bool { return true }) {
		b.free.Wait()
	}
	c := &connection{Conn: conn, from: from}
	c.place = b.waiting.PushBack(c)
	b.open[conn] = c
	b.ofAddress[from]++
	return true
}

// closeWaiting closes the connection that has waited the longest among those wanted.
func (b *boundedListener) closeWaiting(wanted func(*connection) bool) bool {
	for at := b.waiting.Front(); at != nil; at = at.Next() {
		if c, _ := at.Value.(*connection); wanted(c) {
			b.forget(c)
			_ = c.Close()
			return true
		}
	}
	return false
}

func (b *boundedListener) forget(c *connection) {
	b.setWaiting(c, false)
	delete(b.open, c.Conn)
	if b.ofAddress[c.from]--; b.ofAddress[c.from] == 0 {
		delete(b.ofAddress, c.from)
	}
	b.free.Signal()
}

func (b *boundedListener) setWaiting(c *connection, waits bool) {
	if c.place != nil {
		b.waiting.Remove(c.place)
		c.place = nil
	}
	if waits {
		c.place = b.waiting.PushBack(c)
		b.free.Signal()
	}
}

// follow is the server's hook. A connection is first StateNew, which is waiting, too.
func (b *boundedListener) follow(conn net.Conn, state http.ConnState) {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[conn]
	switch {
	case c == nil: // closed for another one
	case state == http.StateClosed, state == http.StateHijacked:
		b.forget(c)
	default:
		b.setWaiting(c, state != http.StateActive)
	}
}
