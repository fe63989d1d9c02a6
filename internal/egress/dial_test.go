package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
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

func TestTheAddressThatWorkedLastIsFirstAndFamiliesAlternate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		given, ordered []string
		last           string
	}{
		{"one family keeps the resolver's order", []string{"8.8.8.8", "8.8.4.4", "1.1.1.1"}, []string{"8.8.8.8", "8.8.4.4", "1.1.1.1"}, ""},
		{"two families alternate", []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "8.8.8.8"}, []string{"2001:db8::1", "8.8.8.8", "2001:db8::2", "2001:db8::3"}, ""},
		{"the resolver's first family begins", []string{"8.8.8.8", "8.8.4.4", "2001:db8::1"}, []string{"8.8.8.8", "2001:db8::1", "8.8.4.4"}, ""},
		{"the address that worked last is first", []string{"8.8.8.8", "8.8.4.4", "2001:db8::1"}, []string{"8.8.4.4", "8.8.8.8", "2001:db8::1"}, "8.8.4.4"},
		{"one that the name no longer has is not called", []string{"8.8.8.8", "8.8.4.4"}, []string{"8.8.8.8", "8.8.4.4"}, "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var l lastUsed
			if tt.last != "" {
				l.remember("shop.test:443", addrPorts(tt.last)[0])
			}
			require.Equal(t, addrPorts(tt.ordered...), l.first("shop.test:443", interleave(addrPorts(tt.given...))))
		})
	}
}

func TestOnlySoManyNamesAreRemembered(t *testing.T) {
	t.Parallel()
	var l lastUsed
	for i := range 3*maxRemembered + 1 {
		l.remember(fmt.Sprint(i), addrPorts("8.8.8.8")[0])
		require.LessOrEqual(t, len(l.targets), maxRemembered)
	}
	require.Contains(t, l.targets, fmt.Sprint(3*maxRemembered))
}

// An address that does not answer costs 250 ms at the first connection only.
func TestAConnectionBeginsWithTheAddressThatWorkedLast(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(answering(http.StatusAccepted))
	t.Cleanup(secure.Close)
	trust := secure.Client().Transport.(*http.Transport).TLSClientConfig
	requested := make(chan string, 16)
	works := &tunnels{to: secure.Listener.Addr().String()}
	proxy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requested <- r.RequestURI
		if strings.HasPrefix(r.RequestURI, "8.8.8.8:") {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				t.Cleanup(func() { _ = conn.Close() })
			}
			return
		}
		works.ServeHTTP(w, r)
	})
	g := proxied(t, proxy, nil, "8.8.8.8", "8.8.4.4")
	for range 2 {
		client := g.Client(trust, 10*time.Second)
		response, err := client.Get("https://example.com/")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		client.CloseIdleConnections()
	}
	require.Equal(t, "8.8.8.8:443", <-requested)
	require.Equal(t, "8.8.4.4:443", <-requested)
	require.Equal(t, "8.8.4.4:443", <-requested, "the address that worked is first")
	require.Empty(t, requested)
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
				conn, _, err := race(ctx, targets, func(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
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
