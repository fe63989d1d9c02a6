package drill

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/demo"
)

func TestEveryAlertHasAChapterInTheRunbookAndASceneOrAReasonWhyNot(t *testing.T) {
	alerts, err := Alerts("../../deploy/prometheus/alerts.yml")
	require.NoError(t, err)
	chapters, err := Runbook("../../docs/operations/runbook.md")
	require.NoError(t, err)
	scenes, played := (&site{world: &demo.World{}}).scenes(), 0
	for _, alert := range alerts {
		if alert.Name == "" {
			continue
		}
		played++
		require.NotEmptyf(t, chapters[alert.Name], "%s has no chapter with commands in the runbook", alert.Name)
		require.Equal(t, "docs/operations/runbook.md#"+strings.ToLower(alert.Name), alert.Annotations.Runbook)
		scene, known := scenes[alert.Name]
		require.Truef(t, known, "%s has no scene, and no reason why not", alert.Name)
		if scene.cause == nil {
			require.Contains(t, scene.Cause, "can't bring it about: ", alert.Name)
			continue
		}
		require.NotNil(t, scene.mend, alert.Name)
		require.NotNil(t, scene.over, alert.Name)
		require.NotEmpty(t, scene.Mended, alert.Name)
		_, err := regexp.Compile(scene.Shown)
		require.NoError(t, err, alert.Name)
		require.Less(t, scene.AfterMending, len(chapters[alert.Name]), alert.Name)
	}
	require.Len(t, scenes, played, "no scene is left of an alert that is gone")
	require.Len(t, chapters, played, "no chapter either")
}

func TestTheDrillPreparesAShellAsTheRunbookDoes(t *testing.T) {
	content, err := os.ReadFile("../../docs/operations/runbook.md")
	require.NoError(t, err)
	preamble, _, found := strings.Cut(string(content), "\n### ")
	require.True(t, found)
	require.Len(t, blocks(preamble), 1)
	for _, word := range []string{"logs", "reload", "metrics"} {
		require.Regexp(t, `(?m)^`+word+`\(\) *\{`, blocks(preamble)[0])
		require.Contains(t, shellText, "\n"+word+"() {", "the drill prepares a shell with the same words")
	}
}
