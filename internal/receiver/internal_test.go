package receiver

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestAnAttemptShowsNoInternalAddress(t *testing.T) {
	t.Parallel()
	for _, public := range []string{"93.184.216.34:443", "[2606:2800:220:1:248:1893:25c8:1946]:443"} {
		require.Equal(t, public, shownAddress(public))
	}
	for _, inner := range []string{
		"127.0.0.1:9001", "10.20.0.7:443", "192.168.1.1:443", "100.64.0.1:443", "169.254.169.254:80", "[::1]:443", "[fd00::1]:443",
		"[fe80::1%eth0]:443", "[::ffff:10.0.0.1]:443", "[64:ff9b::a00:1]:443", "pipe", "",
	} {
		require.Equal(t, operation.Internal, shownAddress(inner), inner)
	}
}
