package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/proc"
)

const ownCoreDocument = "../../docs/own-core.md"

// intoTheFolder are the first commands, before the name of the folder that all others run in.
const intoTheFolder = "export PATH=\"$PWD/bin:$PATH\"\nmkdir ten-minutes && cd "

// commandsOnly is a block of commands, and what it answers where that is shown.
var commandsOnly = regexp.MustCompile("(?s)```sh\n(.*?)```\n(?:```\n(.*?)```\n)?")

// TestEveryCommandOfTheTenMinutesIsRun runs docs/own-core.md from its top to its end in an
// empty folder instead of the repository, each program on free ports.
func TestEveryCommandOfTheTenMinutesIsRun(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(ownCoreDocument)
	require.NoError(t, err)
	var pairs, back []string
	for _, shown := range []string{"8080", "9001", "9464"} {
		_, port, _ := strings.Cut(heldAddress(t), ":")
		pairs, back = append(pairs, port, shown), append(back, shown, port)
	}
	s := &shell{dir: t.TempDir(), ports: strings.NewReplacer(pairs...), back: strings.NewReplacer(back...)}
	s.env = append(os.Environ(), "PATH="+filepath.Dir(program(t, "starter"))+string(os.PathListSeparator)+os.Getenv("PATH"), "TERM=dumb", "RINGBACK_API=http://127.0.0.1:"+back[1])
	t.Cleanup(func() { _ = exec.Command("bash", "-c", "kill $(cat "+filepath.Join(s.dir, "stand-in.pid")+")").Run() })
	for _, found := range commandsOnly.FindAllStringSubmatch(string(document), -1) {
		commands, expected := found[1], found[2]
		if strings.HasPrefix(commands, "go -C ../dev run . ") {
			s.devInstead(t, commands)
			continue
		}
		got := s.run(t, commands)
		if folder, ok := strings.CutPrefix(commands, intoTheFolder); ok {
			s.dir = filepath.Join(s.dir, strings.TrimSpace(folder))
		}
		if expected == "" && !strings.HasSuffix(found[0], "```\n```\n```\n") {
			continue
		}
		if *writeDocs {
			document = bytes.Replace(document, []byte(found[0]), []byte("```sh\n"+commands+"```\n```\n"+got+"```\n"), 1)
			continue
		}
		require.Equal(t, plain(expected), plain(got), "%s\nanswered\n%s\nwrite it anew: go -C dev test ./e2e -run TenMinutes -args -write-docs", commands, got)
	}
	if *writeDocs {
		require.NoError(t, os.WriteFile(ownCoreDocument, document, 0o600))
	}
}

// devInstead runs this binary where the document runs the program dev.
func (s *shell) devInstead(t *testing.T, commands string) *proc.Process {
	t.Helper()
	require.Equal(t, "go -C ../dev run . -demo=false -config \"$PWD/ringback.yml\"\n", commands)
	process := dev(t, "-demo=false", "-config", filepath.Join(s.dir, "ringback.yml"), "-ui-addr", "127.0.0.1:0", "-temporal-addr", "127.0.0.1:0")
	awaitOutput(t, process, `Ringback +(http://\S+),`)
	t.Cleanup(func() { _ = process.Stop(syscall.SIGINT, grace+time.Second) })
	return process
}
