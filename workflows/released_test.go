package workflows_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/workflows"
)

// released holds what each released version recorded as it was released
// (CONTRIBUTING.md), one folder for each. Whoever upgrades from it has such
// histories open.
const released = "testdata/released"

func replayer() worker.WorkflowReplayer {
	r := worker.NewWorkflowReplayer()
	for name, code := range map[string]any{
		workflows.OperationType: workflows.Operation, workflows.RedeliveriesType: workflows.Redeliveries,
		workflows.NoticeType: workflows.Notice, workflows.OutageType: workflows.Outage,
	} {
		r.RegisterWorkflowWithOptions(code, workflow.RegisterOptions{Name: name})
	}
	return r
}

func TestTheHistoriesOfEveryReleasedVersionReplay(t *testing.T) {
	t.Parallel()
	replayed := 0
	require.NoError(t, filepath.WalkDir(released, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		replayed++
		t.Run(filepath.ToSlash(path), func(t *testing.T) {
			t.Parallel()
			require.NoError(t, replayer().ReplayWorkflowHistory(silent{}, recordedAt(t, path)))
		})
		return nil
	}))
	require.NotZero(t, replayed, "there is a version before this one")
}

var releases = regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+[^\]]*)\]`)

func TestEveryReleasedVersionHasRecordedItsHistories(t *testing.T) {
	t.Parallel()
	changes, err := os.ReadFile("../CHANGELOG.md")
	require.NoError(t, err)
	require.True(t, releases.MatchString("## [1.2.0] - 2027-01-31"), "a heading of the form that the file has")
	for _, release := range releases.FindAllStringSubmatch(string(changes), -1) {
		require.DirExistsf(t, filepath.Join(released, release[1]), "go -C dev run ./record -release %s", release[1])
	}
}
