package main

import (
	"context"
	"net"
	"net/rpc"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCheckMeasuresAgainWhatIsMissed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		values []float64
		took   time.Duration
		want   string
		fails  bool
	}{
		{"what is reached is not measured again", []float64{1}, 0, "every target is reached\n", false},
		{"two of three rounds decide", []float64{9, 1, 2}, 0, "measured 3 times on SQLite: polls\nevery target is reached\n", false},
		{"once more may do", []float64{4, 1}, 0, "measured 2 times on SQLite: polls\nevery target is reached\n", false},
		{"what is missed three times is missed", []float64{9, 2, 8}, 0,
			"measured 3 times on SQLite: polls\nMISSED on SQLite: CPU is 8 ms, wanted <= 3 ([9 2 8])\n", true},
		{"what there is no time for is missed", []float64{9}, checkTime,
			"missed on SQLite, with no time to measure again: polls\nMISSED on SQLite: CPU is 9 ms, wanted <= 3 ([9])\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &bench{extent: extent{Rounds: 1}, table: &table{}, begun: time.Now(), checkTime: checkTime, log: t.Logf, simulator: answering(t)}
			s := &testbed{bench: b, database: onSQLite}
			values := tt.values
			m := measure{name: "polls", take: func(s *testbed, _ context.Context) error {
				s.add("CPU", "ms", values[0], atMost(3), "")
				values = values[1:]
				return nil
			}}
			require.NoError(t, s.takeRounds(t.Context(), m))
			b.taken[0].took += tt.took
			require.NoError(t, b.takeAgain(t.Context()))
			var out strings.Builder
			require.Equal(t, tt.fails, b.check(&out) != nil)
			require.Equal(t, tt.want, out.String())
			require.Empty(t, values)
		})
	}
}

// answering is a simulator that can be reset and nothing else.
func answering(t *testing.T) *role {
	t.Helper()
	here, there := net.Pipe()
	server := rpc.NewServer()
	require.NoError(t, server.Register(&Role{handlers: handlers{"reset": func(context.Context, Request, *Reply) error { return nil }}}))
	go server.ServeConn(there)
	r := &role{name: "simulator", client: rpc.NewClient(here)}
	t.Cleanup(func() { _ = r.client.Close() })
	return r
}
