// Package receivers_test runs the receivers of docs/receivers.md.
package receivers_test

import (
	"encoding/base64"
	"go/format"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/port"
	"ringback/dev/proc"
	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

var (
	right   = whsec('r')
	wrong   = whsec('w')
	program = regexp.MustCompile("(?ms)^```(go|php|python|js|csharp)\n(.*?)^```$")
)

func whsec(letter byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(letter), 32)))
}

func TestTheReceiversOfTheDocumentVerifyStoreAndAcknowledge(t *testing.T) {
	t.Parallel()
	programs := programs(t)
	require.Contains(t, programs, "csharp", "which nothing here runs")
	formatted, err := format.Source([]byte(programs["go"]))
	require.NoError(t, err)
	require.Equal(t, string(formatted), programs["go"])
	for language, run := range map[string]struct{ file, command string }{
		"go":     {"receiver.go", "go build receiver.go && exec ./receiver"},
		"php":    {"receiver.php", "exec php -d display_errors=1 -S 127.0.0.1:$PORT receiver.php"},
		"python": {"receiver.py", "exec python3 receiver.py"},
		"js":     {"receiver.mjs", "exec node receiver.mjs"},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(folder, run.file), []byte(programs[language]), 0o600))
			s := start(t, folder, run.command)
			s.acknowledgesEveryDialect(t)
			s.refusesWhatIsNotSignedRight(t)
			s.storesOnce(t)
			s.acknowledgesNothingThatItCouldNotStore(t)
		})
	}
}

// programs are those of the document by their language.
func programs(t *testing.T) map[string]string {
	t.Helper()
	document, err := os.ReadFile("../../docs/receivers.md")
	require.NoError(t, err)
	found := map[string]string{}
	for _, block := range program.FindAllStringSubmatch(string(document), -1) {
		require.NotContains(t, found, block[1])
		found[block[1]] = block[2]
	}
	return found
}

// server is a receiver that runs.
type server struct{ url, inbox string }

// start runs a command in a folder and waits until it listens.
func start(t *testing.T, folder, command string) server {
	t.Helper()
	held, err := port.HoldAny(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = port.Release(held) })
	s := server{url: "http://" + held.String() + "/callbacks", inbox: t.TempDir()}
	run := exec.CommandContext(t.Context(), "sh", "-c", command)
	run.Dir = folder
	run.Env = append(os.Environ(), "RINGBACK_SIGNING_SECRET="+right, "INBOX="+s.inbox, "PORT="+strconv.Itoa(int(held.AddrPort().Port())))
	process, err := proc.Start(run)
	require.NoError(t, err)
	t.Cleanup(func() { _ = process.Kill() })
	for !listens(held.String()) {
		select {
		case <-process.Done():
			require.FailNow(t, "the receiver ended", process.Output())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return s
}

func listens(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// deliver makes one attempt as a worker does.
func (s server) deliver(t *testing.T, dialectName, operationID string, secrets ...string) (operation.Attempt, operation.Callback, string) {
	t.Helper()
	signer, err := dialect.NewSigner(secrets)
	require.NoError(t, err)
	writer, known := dialect.ByName(dialectName)
	require.True(t, known)
	key := operation.Key{Endpoint: "SHOP", OperationID: operationID}
	status := map[bool]string{true: "2", false: "done"}[dialectName == "ukrcard"]
	callback := operation.Callback{ID: operation.CallbackID(key, status), Key: key, Dialect: dialectName, Final: true,
		Observation: operation.Observation{Status: status, ObservedAt: operation.At(time.Unix(1596014146, 0))}}
	message, err := writer.Write(callback, nil)
	require.NoError(t, err)
	client := egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Client(nil, 0)
	t.Cleanup(client.CloseIdleConnections)
	result := receiver.Send(t.Context(), receiver.Endpoint{Name: "SHOP", Dialect: writer, URL: s.url, Client: client, Signer: signer},
		receiver.Request{Callback: callback, TimeoutMS: time.Minute.Milliseconds(), Number: 1})
	return result.Attempt, callback, string(message.Body)
}

// stored is what the receiver keeps of a callback; "" where it has none.
func (s server) stored(t *testing.T, id string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(s.inbox, id))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	return string(body)
}

func (s server) acknowledgesEveryDialect(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ukrcard", "paysera", "standard"} {
		for about, secrets := range map[string][]string{
			"alone": {right}, "replaced": {wrong, right}, "beside-ed25519": {"whsk_" + base64.StdEncoding.EncodeToString(make([]byte, 32)), right},
		} {
			attempt, callback, body := s.deliver(t, name, name+"-"+about, secrets...)
			require.Equal(t, operation.Acknowledged, attempt.Verdict, "%s %s: %s", name, about, attempt.Reason)
			require.Equal(t, body, s.stored(t, callback.ID))
		}
	}
}

func (s server) refusesWhatIsNotSignedRight(t *testing.T) {
	t.Helper()
	attempt, callback, _ := s.deliver(t, "paysera", "wrong", wrong)
	require.Equal(t, http.StatusUnauthorized, attempt.HTTPStatus)
	require.Empty(t, s.stored(t, callback.ID))
	attempt, _, _ = s.deliver(t, "ukrcard", "unsigned")
	require.Equal(t, http.StatusUnauthorized, attempt.HTTPStatus)

	const body = "transfer_id=1&status=done&date=1596014146"
	now := time.Now()
	for name, tt := range map[string]struct {
		id     string
		at     time.Time
		change func(header http.Header, body string) string
	}{
		"six minutes old":     {id: "cb_old", at: now.Add(-6 * time.Minute)},
		"six minutes ahead":   {id: "cb_ahead", at: now.Add(6 * time.Minute)},
		"an id that is a way": {id: "../cb_way", at: now},
		"another body":        {id: "cb_body", at: now, change: func(_ http.Header, body string) string { return body + "0" }},
		"another id":          {id: "cb_id", at: now, change: func(h http.Header, body string) string { h.Set("webhook-id", "cb_other"); return body }},
		"another time": {id: "cb_time", at: now, change: func(h http.Header, body string) string {
			h.Set("webhook-timestamp", strconv.FormatInt(now.Unix()+1, 10))
			return body
		}},
		"a signature cut short": {id: "cb_short", at: now, change: func(h http.Header, body string) string {
			h.Set("webhook-signature", h.Get("webhook-signature")[:20])
			return body
		}},
		"a signature of another version": {id: "cb_version", at: now, change: func(h http.Header, body string) string {
			h.Set("webhook-signature", strings.Replace(h.Get("webhook-signature"), "v1,", "v2,", 1))
			return body
		}},
		"no time": {id: "cb_none", at: now, change: func(h http.Header, body string) string { h.Del("webhook-timestamp"); return body }},
	} {
		before := s.files(t)
		require.Equal(t, http.StatusUnauthorized, s.post(t, tt.id, tt.at, body, tt.change), name)
		require.Equal(t, before, s.files(t), name)
	}
	require.Less(t, s.post(t, "cb_right", now.Add(-4*time.Minute), body, nil), 300)
	require.Equal(t, body, s.stored(t, "cb_right"))
}

// post sends a body signed right, then changed.
func (s server) post(t *testing.T, id string, at time.Time, body string, change func(http.Header, string) string) int {
	t.Helper()
	signer, err := dialect.NewSigner([]string{right})
	require.NoError(t, err)
	header, err := signer.Headers(dialect.Outgoing{ID: id, At: at, Body: []byte(body)})
	require.NoError(t, err)
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		body = change(header, body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header = header
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func (s server) files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(s.inbox)
	require.NoError(t, err)
	return len(entries)
}

func (s server) storesOnce(t *testing.T) {
	t.Helper()
	before := s.files(t)
	for range 3 {
		attempt, _, _ := s.deliver(t, "ukrcard", "twice", right)
		require.Equal(t, operation.Acknowledged, attempt.Verdict, attempt.Reason)
	}
	require.Equal(t, before+1, s.files(t))
	require.Less(t, s.post(t, "cb_right", time.Now(), "another body under the same id", nil), 300)
	require.NotContains(t, s.stored(t, "cb_right"), "another")
}

func (s server) acknowledgesNothingThatItCouldNotStore(t *testing.T) {
	t.Helper()
	require.NoError(t, os.RemoveAll(s.inbox))
	for _, name := range []string{"ukrcard", "paysera"} {
		attempt, _, _ := s.deliver(t, name, name+"-lost", right)
		require.Equal(t, http.StatusInternalServerError, attempt.HTTPStatus, name)
		require.Equal(t, operation.Unacknowledged, attempt.Verdict)
	}
}
