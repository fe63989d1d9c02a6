package egress

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slow is a server that counts its connections and lets a request to /slow wait
// until it is told to answer.
type slow struct {
	*httptest.Server
	connections atomic.Int32
	arrived     chan struct{}
	answer      chan struct{}
}

func newSlow(t *testing.T, http2 bool) *slow {
	t.Helper()
	s := &slow{arrived: make(chan struct{}, 1), answer: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			s.arrived <- struct{}{}
			<-s.answer
		}
		_, _ = io.WriteString(w, r.Proto)
	}))
	s.EnableHTTP2 = http2
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *slow) client(t *testing.T, age time.Duration) *http.Client {
	t.Helper()
	trust := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.NextProtos = nil
	g := New([]netip.Prefix{loopback})
	g.connectionAge = age
	client := g.Client(trust, 30*time.Second)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	response, err := client.Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return string(body)
}

func TestAKeptConnectionIsUsedUntilItsAge(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, tt := range []struct {
			name        string
			age         time.Duration
			connections int32
		}{{"younger ones are kept", time.Hour, 1}, {"older ones are not used again", time.Nanosecond, 3}} {
			t.Run(protocol+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				server := newSlow(t, protocol == "HTTP/2.0")
				client := server.client(t, tt.age)
				for range 3 {
					require.Equal(t, protocol, get(t, client, server.URL))
				}
				require.Equal(t, tt.connections, server.connections.Load())
			})
		}
	}
}

func TestARequestUnderWayOutlivesTheAgeOfItsConnection(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			server := newSlow(t, protocol == "HTTP/2.0")
			client := server.client(t, time.Nanosecond)
			var underWay sync.WaitGroup
			var body string
			underWay.Go(func() { body = get(t, client, server.URL+"/slow") })
			<-server.arrived
			for range 3 {
				get(t, client, server.URL)
			}
			client.CloseIdleConnections()
			close(server.answer)
			underWay.Wait()
			require.Equal(t, protocol, body)
		})
	}
}

// The body of such an answer would be the connection itself, which no timeout bounds.
func TestASwitchOfProtocolsIsAnAnswerWithoutABody(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, err = io.WriteString(conn, "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nyes")
		}
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		gone <- err
	}))
	t.Cleanup(server.Close)
	client := New([]netip.Prefix{loopback}).Client(nil, 30*time.Second)
	t.Cleanup(client.CloseIdleConnections)
	response, err := client.Get(server.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Empty(t, body)
	require.NoError(t, response.Body.Close())
	select {
	case err := <-gone:
		require.ErrorIs(t, err, io.EOF, "the connection is closed")
	case <-time.After(10 * time.Second):
		t.Fatal("the connection stays open")
	}
	runtime.KeepAlive(response)
}
