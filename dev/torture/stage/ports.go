package stage

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
)

// ports hands out loopback addresses that stay free while the program that
// serves on one is away. They are below the range from which the kernel takes
// the ports of connections that are made: else one of these could sit on the
// address of a program that is about to be started again. It is safe for
// concurrent use.
type ports struct {
	mu   sync.Mutex
	next int
}

const (
	firstPort = 20_000
	lastPort  = 30_000
)

// newPorts begins somewhere else in each process, for campaigns beside each other.
func newPorts() *ports {
	const apart = 50
	return &ports{next: firstPort + os.Getpid()*apart%(lastPort-firstPort)}
}

// take is an address on which nobody listens.
func (p *ports) take(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range lastPort - firstPort {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.next))
		if p.next++; p.next >= lastPort {
			p.next = firstPort
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err == nil {
			return addr, l.Close()
		}
	}
	return "", fmt.Errorf("find a loopback port between %d and %d that nobody listens on", firstPort, lastPort)
}
