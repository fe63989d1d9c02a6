package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func addrPorts(all ...string) []netip.AddrPort {
	var parsed []netip.AddrPort
	for _, addr := range all {
		parsed = append(parsed, netip.AddrPortFrom(netip.MustParseAddr(addr), 443))
	}
	return parsed
}

func TestFamiliesOfAddressesAlternate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		given, ordered []string
	}{
		{"one family keeps the resolver's order", []string{"8.8.8.8", "8.8.4.4", "1.1.1.1"}, []string{"8.8.8.8", "8.8.4.4", "1.1.1.1"}},
		{"two families alternate", []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "8.8.8.8"}, []string{"2001:db8::1", "8.8.8.8", "2001:db8::2", "2001:db8::3"}},
		{"the resolver's first family begins", []string{"8.8.8.8", "8.8.4.4", "2001:db8::1"}, []string{"8.8.8.8", "2001:db8::1", "8.8.4.4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, addrPorts(tt.ordered...), interleave(addrPorts(tt.given...)))
		})
	}
}

// behaviour is what becomes of a connection to an address: an error or a
// connection after some time. One that takes longer than it is waited for ends.
type behaviour struct {
	takes time.Duration
	fails string
}

const never = time.Hour

func TestTheNextAddressIsTriedAfter250MsOrAtAFailure(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, tt := range []struct {
		name string
		// all are the addresses' behaviours, in their order.
		all []behaviour
		// started is when each was tried; took is when it was over.
		started []time.Duration
		took    time.Duration
		wins    int
		fails   string
	}{
		{"the first answers", []behaviour{{takes: 100 * ms}, {takes: ms}}, []time.Duration{0}, 100 * ms, 0, ""},
		{"the first is deaf", []behaviour{{takes: never}, {takes: 20 * ms}}, []time.Duration{0, 250 * ms}, 270 * ms, 1, ""},
		{"two are deaf", []behaviour{{takes: never}, {takes: never}, {}}, []time.Duration{0, 250 * ms, 500 * ms}, 500 * ms, 2, ""},
		{"the first fails at once", []behaviour{{fails: "refused"}, {takes: 20 * ms}}, []time.Duration{0, 0}, 20 * ms, 1, ""},
		{"the first is slow and still the first to answer", []behaviour{{takes: 300 * ms}, {takes: 100 * ms}}, []time.Duration{0, 250 * ms}, 300 * ms, 0, ""},
		{"the second fails while the first is slow", []behaviour{{takes: 400 * ms}, {takes: 10 * ms, fails: "refused"}, {takes: never}}, []time.Duration{0, 250 * ms, 260 * ms}, 400 * ms, 0, ""},
		{"all fail: the first error counts", []behaviour{{takes: 300 * ms, fails: "one"}, {takes: 10 * ms, fails: "two"}}, []time.Duration{0, 250 * ms}, 300 * ms, 0, "two"},
		{"all are deaf: the time ends it", []behaviour{{takes: never}, {takes: never}}, []time.Duration{0, 250 * ms}, 2 * time.Second, 0, "deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				targets := addrPorts("8.8.8.0", "8.8.8.1", "8.8.8.2")[:len(tt.all)]
				var mu sync.Mutex
				started := make([]time.Duration, 0, len(targets))
				var open atomic.Int32
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				conn, err := race(ctx, targets, func(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
					mu.Lock()
					started = append(started, time.Since(began))
					mu.Unlock()
					does := tt.all[target.Addr().As4()[3]]
					select {
					case <-time.After(does.takes):
					case <-ctx.Done():
						if does.takes == never {
							return nil, ctx.Err()
						}
						// Too late to be given up: it connects all the same.
					}
					if does.fails != "" {
						return nil, errors.New(does.fails)
					}
					open.Add(1)
					return &countedConn{open: &open, target: target}, nil
				})
				require.Equal(t, tt.took, time.Since(began))
				mu.Lock()
				require.Equal(t, tt.started, started)
				mu.Unlock()
				if tt.fails != "" {
					require.ErrorContains(t, err, tt.fails)
				} else {
					require.NoError(t, err)
					require.Equal(t, targets[tt.wins], conn.(*countedConn).target)
					synctest.Wait()
					require.EqualValues(t, 1, open.Load(), "the others are closed")
					require.NoError(t, conn.Close())
				}
				synctest.Wait()
				require.Zero(t, open.Load())
			})
		})
	}
}

type countedConn struct {
	net.Conn
	target netip.AddrPort
	open   *atomic.Int32
}

func (c *countedConn) Close() error {
	c.open.Add(-1)
	return nil
}

func TestDialGoesWhereARequestWould(t *testing.T) {
	t.Parallel()
	open, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = open.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for name, tt := range map[string]struct {
		url, says string
		allow     []netip.Prefix
	}{
		"plain http to what is allowed":     {url: "http://" + open.Addr().String() + "/path", allow: []netip.Prefix{loopback}},
		"https to what is allowed":          {url: "https://" + open.Addr().String(), allow: []netip.Prefix{loopback}},
		"what is not allowed":               {url: "https://" + open.Addr().String(), says: "is refused"},
		"plain http to what is not allowed": {url: "http://" + open.Addr().String(), says: "plain http"},
		"nobody listens":                    {url: "http://" + closed.Addr().String(), allow: []netip.Prefix{loopback}, says: "connection refused"},
		"what is no URL":                    {url: "core.example", says: "is not an absolute http or https URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := New(tt.allow).Dial(t.Context(), tt.url)
			if tt.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.says)
		})
	}
}
