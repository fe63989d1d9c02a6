package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAVersionIsRecordedOnce(t *testing.T) {
	t.Parallel()
	released := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(released, "1.0.0"), 0o700))
	for name, tc := range map[string]struct{ release, says string }{
		"a new version has its folder":                    {"1.1.0", ""},
		"one before the release of its name as well":      {"1.1.0-rc.1", ""},
		"what is there is not touched":                    {"1.0.0", "never recorded again"},
		"what is no version is refused":                   {"next", "not one such as"},
		"a version does not lead to another folder":       {"1.0.0-/../../x", "not one such as"},
		"a version is whole, without the letter of a tag": {"v1.1.0", "not one such as"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, err := releaseFolder(released, tc.release)
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, filepath.Join(released, tc.release), folder)
		})
	}
}
