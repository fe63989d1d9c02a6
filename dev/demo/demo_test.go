package demo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/demo"
	"ringback/internal/config"
)

func TestTheDemosConfigurationIsValid(t *testing.T) {
	w, err := demo.Start()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	path, err := w.WriteConfig(t.TempDir())
	require.NoError(t, err)
	c, err := config.Load(path)
	require.NoError(t, err)
	require.Empty(t, c.Warnings)
	for _, name := range []string{demo.UkrcardEndpoint, demo.PayseraEndpoint, demo.StandardEndpoint} {
		_, ok := c.Endpoint(name)
		require.True(t, ok, name)
	}
}

func TestTwoWorldsRunAtTheSameTimeOnDifferentPorts(t *testing.T) {
	first, err := demo.Start()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, first.Close()) })
	second, err := demo.Start()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, second.Close()) })
	require.NotEqual(t, first.WSGate.URL(), second.WSGate.URL())
}
