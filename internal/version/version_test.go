package version

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAVersionIsNeverEmptyAndWhatIsStampedGoesFirst(t *testing.T) {
	require.NotEmpty(t, String())
	stamped = "v1.2.3"
	t.Cleanup(func() { stamped = "" })
	require.Equal(t, "v1.2.3", String())
}
