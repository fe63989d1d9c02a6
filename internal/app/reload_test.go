package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.uber.org/zap/zaptest/observer"

	"ringback/activities"
	"ringback/internal/overload"
)

const (
	reloadedMessage = "the configuration is reloaded"
	refusedMessage  = "the configuration is refused; the one before stays in force"
	patience        = 30 * time.Second
)

// followed is a program on files of its own, and a folder for what is not there yet.
type followed struct {
	*process
	logs         *observer.ObservedLogs
	dir, outside string
	clients      authority
}

// configOf is a configuration of so many attempts, with its token in that file.
func configOf(attempts int, token string) string {
	return strings.Replace(openConfig, "attempts: 3}", fmt.Sprintf(`attempts: %d}, auth: {bearer: "${file:%s}"}, tls: {cert: client.pem, key: client.key}`, attempts, token), 1)
}

// newFollowed has configOf(1, token) in force, with "first" as the token and in the
// certificate's name.
func newFollowed(t *testing.T, token string, arrange func(t *testing.T, f *followed)) *followed {
	t.Helper()
	p, logs := loaded(t, openConfig)
	f := &followed{process: p, logs: logs, dir: filepath.Dir(p.ConfigPath), outside: t.TempDir(), clients: newAuthority(t, "clients")}
	f.write(t, "ringback.yml", configOf(1, token))
	f.write(t, token, "first")
	f.renew(t, "first")
	if arrange != nil {
		arrange(t, f)
	}
	p.reload()
	require.Equal(t, "1 first first", f.inForce(), "%v", logs.All())
	logs.TakeAll()
	return f
}

func (f *followed) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(f.dir, name)), 0o700))
	write(t, filepath.Join(f.dir, name), text)
}

// rename puts a file that is complete in the place of another, as most editors do.
func (f *followed) rename(t *testing.T, text, name string) {
	t.Helper()
	whole := filepath.Join(f.outside, "whole")
	write(t, whole, text)
	require.NoError(t, os.Rename(whole, filepath.Join(f.dir, name)))
}

// renew writes a certificate and its key.
func (f *followed) renew(t *testing.T, name string) {
	t.Helper()
	certificate, key := f.clients.issue(t, name)
	f.put(t, "client", certificate, key)
}

// inForce is the number of attempts, the token and the certificate's name.
func (f *followed) inForce() string {
	e := f.config.file().Endpoints["LEDGER"]
	if e.TLS.Config() == nil {
		return "nothing"
	}
	return fmt.Sprint(e.Delivery.Attempts, " ", e.Auth.Bearer.Reveal(), " ", e.TLS.Config().Certificates[0].Leaf.Subject.CommonName)
}

func (f *followed) await(t *testing.T, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return f.inForce() == want }, patience, 5*time.Millisecond, "%s is in force: %v", f.inForce(), f.logs.All())
}

func (f *followed) awaitRefusal(t *testing.T, fault string) {
	t.Helper()
	refusals := func() []observer.LoggedEntry { return f.logs.FilterMessage(refusedMessage).All() }
	require.Eventually(t, func() bool { return len(refusals()) > 0 }, patience, 5*time.Millisecond)
	require.Contains(t, refusals()[0].ContextMap()["error"], fault)
}

// volume are the files in the folder as kubelet mounts a ConfigMap or Secret: links to
// files behind a link, which it swaps.
func (f *followed) volume(t *testing.T, version string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		f.write(t, filepath.Join(".."+version, name), text)
	}
	before, _ := os.Readlink(filepath.Join(f.dir, "..data"))
	require.NoError(t, os.Symlink(".."+version, filepath.Join(f.dir, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(f.dir, "..data_tmp"), filepath.Join(f.dir, "..data")))
	if before != "" {
		require.NoError(t, os.RemoveAll(filepath.Join(f.dir, before)))
		return
	}
	for name := range files {
		require.NoError(t, os.Remove(filepath.Join(f.dir, name)))
		require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(f.dir, name)))
	}
}

func TestWhatChangesInTheConfigurationsFilesIsInForce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		token   string
		arrange func(t *testing.T, f *followed)
		does    func(t *testing.T, f *followed)
		want    string
	}{
		"the file, written in its place": {"token", nil, func(t *testing.T, f *followed) {
			t.Helper()
			f.write(t, "ringback.yml", configOf(2, "token"))
		}, "2 first first"},
		"the file, by another that is renamed": {"token", nil, func(t *testing.T, f *followed) {
			t.Helper()
			f.rename(t, configOf(2, "token"), "ringback.yml")
			f.await(t, "2 first first")
			f.rename(t, configOf(3, "token"), "ringback.yml")
		}, "3 first first"},
		"the file, written anew once it was moved away": {"token", nil, func(t *testing.T, f *followed) {
			t.Helper()
			require.NoError(t, os.Rename(f.ConfigPath, f.ConfigPath+"~"))
			f.write(t, "ringback.yml", configOf(2, "token"))
		}, "2 first first"},
		"the file and a secret, by kubelet's swap of a link": {"token", func(t *testing.T, f *followed) {
			t.Helper()
			f.volume(t, "2026_11_30_1", map[string]string{"ringback.yml": configOf(1, "token"), "token": "first"})
		}, func(t *testing.T, f *followed) {
			t.Helper()
			f.volume(t, "2026_11_30_2", map[string]string{"ringback.yml": configOf(2, "token"), "token": "second"})
			f.await(t, "2 second first")
			f.volume(t, "2026_11_30_3", map[string]string{"ringback.yml": configOf(2, "token"), "token": "third"})
		}, "2 third first"},
		"a secret, by another file that is renamed": {"token", nil, func(t *testing.T, f *followed) {
			t.Helper()
			f.rename(t, "second", "token")
		}, "1 second first"},
		"a secret in another folder, by a link that is changed": {"live/token", func(t *testing.T, f *followed) {
			t.Helper()
			f.write(t, "archive/token1", "first")
			require.NoError(t, os.Remove(filepath.Join(f.dir, "live/token")))
			require.NoError(t, os.Symlink("../archive/token1", filepath.Join(f.dir, "live/token")))
		}, func(t *testing.T, f *followed) {
			t.Helper()
			f.write(t, "archive/token2", "second")
			require.NoError(t, os.Symlink("../archive/token2", filepath.Join(f.outside, "link")))
			require.NoError(t, os.Rename(filepath.Join(f.outside, "link"), filepath.Join(f.dir, "live/token")))
		}, "1 second first"},
		"a secret, by a folder that is replaced": {"secrets/token", nil, func(t *testing.T, f *followed) {
			t.Helper()
			f.write(t, "next/token", "second")
			require.NoError(t, os.Rename(filepath.Join(f.dir, "secrets"), filepath.Join(f.dir, "before")))
			require.NoError(t, os.Rename(filepath.Join(f.dir, "next"), filepath.Join(f.dir, "secrets")))
			f.await(t, "1 second first")
			f.write(t, "secrets/token", "third")
		}, "1 third first"},
		"a secret that was missing": {"token", nil, func(t *testing.T, f *followed) {
			t.Helper()
			f.write(t, "ringback.yml", configOf(2, "made/later/token"))
			f.awaitRefusal(t, "made/later/token: no such file or directory")
			f.write(t, "made/later/token", "second")
		}, "2 second first"},
		"a certificate and its key": {"token", nil, func(t *testing.T, f *followed) {
			t.Helper()
			f.renew(t, "second")
			f.await(t, "1 first second")
			f.renew(t, "third")
		}, "1 first third"},
		"the next good file after a bad one": {"token", nil, func(t *testing.T, f *followed) {
			t.Helper()
			f.write(t, "ringback.yml", configOf(0, "token"))
			f.awaitRefusal(t, "attempts: 0 is below 1")
			require.Equal(t, "1 first first", f.inForce(), "the one before stays in force")
			f.rename(t, configOf(2, "token"), "ringback.yml")
		}, "2 first first"},
		"the last of a burst of files": {"token", nil, func(t *testing.T, f *followed) {
			t.Helper()
			for i := range 200 {
				f.rename(t, configOf(i+1, "token"), "ringback.yml")
				f.rename(t, fmt.Sprint("token", i), "token")
			}
		}, "200 token199 first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFollowed(t, tc.token, tc.arrange)
			t.Cleanup(f.followConfig())
			tc.does(t, f)
			f.await(t, tc.want)
		})
	}
}

func TestAReloadDoesNotWaitForDeliveriesThatItLetsGoOn(t *testing.T) {
	t.Parallel()
	held := func(enabled string, attempts int) string {
		return strings.Replace(openConfig, "attempts: 3}", fmt.Sprintf("attempts: %d}, enabled: %s", attempts, enabled), 1)
	}
	p, logs := loaded(t, held("hold", 1))
	f := &followed{process: p, logs: logs, dir: filepath.Dir(p.ConfigPath)}
	p.overload = overload.New(p.registry, func() int { return 0 }, p.troubled)
	p.activities = p.newActivities()
	begun, taken := make(chan struct{}), make(chan struct{})
	p.activities.Complete = func(context.Context, []byte) error {
		close(begun)
		<-taken
		return nil
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(p.activities)
	_, err := env.ExecuteActivity("AwaitEndpoint", activities.AwaitEndpointInput{Endpoint: "LEDGER", Hold: true})
	require.ErrorIs(t, err, activity.ErrResultPending)

	t.Cleanup(p.followConfig())
	t.Cleanup(func() { close(taken) })
	f.write(t, "ringback.yml", held("true", 1))
	<-begun
	f.write(t, "ringback.yml", held("true", 2))
	require.Eventually(t, func() bool { return p.config.file().Endpoints["LEDGER"].Delivery.Attempts == 2 }, patience, 5*time.Millisecond)
}

func TestAPipeInTheFilesPlaceHoldsUpNothing(t *testing.T) {
	t.Parallel()
	f := newFollowed(t, "token", nil)
	require.NoError(t, os.Remove(f.ConfigPath))
	require.NoError(t, syscall.Mkfifo(f.ConfigPath, 0o600))
	seen, _ := f.checkFiles(nil)
	_, _ = f.checkFiles(seen)
	f.awaitRefusal(t, "is not a regular file")
	_, changed := f.checkFiles(seen)
	require.False(t, changed, "it is refused once")
	require.NoError(t, os.Remove(f.ConfigPath))
	f.write(t, "ringback.yml", configOf(2, "token"))
	t.Cleanup(f.followConfig())
	f.await(t, "2 first first")
}

func TestAFileThatIsMendedToWhatIsInForceIsNoLongerRefused(t *testing.T) {
	t.Parallel()
	f := newFollowed(t, "token", nil)
	t.Cleanup(f.followConfig())
	f.write(t, "ringback.yml", configOf(0, "token"))
	f.awaitRefusal(t, "attempts: 0 is below 1")
	require.True(t, f.refused.Load())
	f.write(t, "ringback.yml", configOf(1, "token"))
	require.Eventually(t, func() bool { return f.logs.FilterMessage(reloadedMessage).Len() == 1 }, patience, 5*time.Millisecond)
	require.False(t, f.refused.Load())
}

func TestAChangeThatChangesNothingReloadsNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file, text string
		reloads    int
	}{
		"the same content":              {"ringback.yml", configOf(1, "token"), 0},
		"a comment":                     {"ringback.yml", configOf(1, "token") + "# nothing\n", 0},
		"a line break behind a secret":  {"token", "first\n", 0},
		"a file that is none of theirs": {"audit.log", "a line", 0},
		"another secret":                {"token", "second", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFollowed(t, "token", nil)
			f.rename(t, tc.text, tc.file)
			seen, changed := f.checkFiles(nil)
			require.Zero(t, f.logs.Len(), "files that may still be written are not read yet")
			if changed {
				_, _ = f.checkFiles(seen)
				_, changed = f.checkFiles(seen)
			}
			require.False(t, changed)
			require.Equal(t, tc.reloads, f.logs.FilterMessage(reloadedMessage).Len())
			require.Equal(t, tc.reloads, f.logs.Len())
		})
	}
}

func TestWithoutAWatchSIGHUPReloadsAlone(t *testing.T) {
	t.Parallel()
	p, logs := loaded(t, openConfig)
	watched := &folders{log: p.Log}
	watched.tell(fmt.Errorf("inotify_init: %w", syscall.EMFILE))
	watched.tell(syscall.ENOSPC)
	said := logs.TakeAll()
	require.Len(t, said, 1, "it is said once")
	require.Contains(t, said[0].Message, "send SIGHUP after each; the machine's limits are fs.inotify.max_user_instances")

	hangups, stopping, stopped := make(chan os.Signal), make(chan struct{}), make(chan struct{})
	go func() { defer close(stopped); p.follow(watched, hangups, stopping) }()
	write(t, p.ConfigPath, keyedConfig)
	hangups <- syscall.SIGHUP
	require.Eventually(t, func() bool { return len(p.config.settings().Keys) == 1 }, patience, 5*time.Millisecond)
	close(stopping)
	<-stopped
	watched.close()
}
