package stage

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Not beside the tests of links, which take addresses from the same place on.
func TestAnAddressIsTakenOnceAndOnlyWhereNobodyListens(t *testing.T) {
	p := newPorts()
	first, err := p.take(t.Context())
	require.NoError(t, err)
	p.next--
	l, err := net.Listen("tcp", first)
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	second, err := p.take(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first, second, "somebody listens on the first")
	third, err := p.take(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, second, third)
}

func TestAfterTheLastPortComesTheFirst(t *testing.T) {
	p := &ports{next: lastPort - 1}
	_, err := p.take(t.Context())
	require.NoError(t, err)
	require.Less(t, p.next, lastPort)
}
