package loopback_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/loopback"
)

func TestAHostIsThisMachineAlone(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.9.10": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "LOCALHOST": false, "localhost.": false, "localhost.example": false, "::1%lo": false,
		"::": false, "0.0.0.0": false, "127.1": false, "10.0.0.1": false, "127.0.0.1.example": false,
	} {
		require.Equal(t, want, loopback.IsHost(host), host)
	}
}
