package dialect_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/accesstoken"
	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

func attemptOf(d dialect.Dialect, url string, c operation.Callback) (receiver.Endpoint, receiver.Request) {
	client := egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Client(nil, 0)
	return receiver.Endpoint{Name: "SHOP", Dialect: d, URL: url, Client: client, Header: http.Header{}},
		receiver.Request{Callback: c, TimeoutMS: time.Minute.Milliseconds(), Number: 1}
}

func TestAnAttemptOfADefinitionIsSentAsItSays(t *testing.T) {
	t.Parallel()
	d := merchant()
	d.Signature = &github
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Retry-After", "60")
		_, _ = io.WriteString(w, `{"result":"LATER","wait":7}`)
	}))
	defer server.Close()
	made := compiled(t, d, "merchant")
	e, in := attemptOf(made, server.URL, callbackOf("a1", "success", nil))
	defer e.Client.CloseIdleConnections()
	var err error
	e.Signer, err = made.Signer([]string{githubSecret})
	require.NoError(t, err)
	e.Secrets, e.HonorRetryAfter = tokens, true
	e.Header = http.Header{"X-Event": {"configured"}}
	result := receiver.Send(t.Context(), e, in)

	require.Equal(t, operation.Unacknowledged, result.Attempt.Verdict)
	require.WithinDuration(t, time.Now().Add(7*time.Second), result.NotBefore.Time, 5*time.Second, "not the header's 60 s")
	require.Equal(t, http.MethodPut, got.Method)
	require.Equal(t, "configured", got.Header.Get("X-Event"), "a configured header stands")
	require.Equal(t, "hunter2", got.Header.Get("X-Token"))
	require.Equal(t, "cb_1", got.Header.Get("webhook-id"))
	plain, err := made.Signer([]string{githubSecret})
	require.NoError(t, err)
	require.Equal(t, signed(t, plain, "cb_1", time.Now(), body).Get("X-Hub-Signature-256"), got.Header.Get("X-Hub-Signature-256"))

	shown := receiver.Ping(t.Context(), e, in)
	require.NotContains(t, fmt.Sprintf("%+v", shown), "hunter2")
}

// An attempt is made once (promise 5), also where its token is refused.
func TestARefusedTokenCostsAnAttemptAndIsRenewedForTheNext(t *testing.T) {
	t.Parallel()
	issued, received := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			issued++
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":3600}`, issued)
			return
		}
		received++
		if r.Header.Get("Authorization") != "Bearer token-2" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, r.Header.Get("Authorization"))
		}
	}))
	defer server.Close()
	e, in := attemptOf(pairs(t)[0][1], server.URL, callbackOf("a1", "done", nil))
	defer e.Client.CloseIdleConnections()
	e.Client = accesstoken.New(accesstoken.Config{TokenURL: server.URL + "/token", ClientID: "shop", ClientSecret: "s", Client: e.Client}).Client(e.Client, accesstoken.NextTime)

	first := receiver.Send(t.Context(), e, in)
	require.Equal(t, http.StatusUnauthorized, first.Attempt.HTTPStatus)
	require.Equal(t, 1, received)
	require.Equal(t, operation.Acknowledged, receiver.Send(t.Context(), e, in).Attempt.Verdict)
	require.Equal(t, 2, received)

	e.Client = accesstoken.New(accesstoken.Config{TokenURL: "http://10.0.0.1/token", ClientID: "shop", ClientSecret: "s", Client: egress.New(nil).Client(nil, 0)}).Client(e.Client, accesstoken.NextTime)
	failed := receiver.Send(t.Context(), e, in)
	require.Equal(t, operation.Unacknowledged, failed.Attempt.Verdict)
	require.Contains(t, failed.Attempt.Reason, "no access token: the egress guard refused the address")
	require.Empty(t, failed.Ended, "the receiver's own address is not refused")
	require.Equal(t, 2, received)
}

// BenchmarkAttempt is a whole attempt over loopback HTTP, its receiver included, with
// the CPU time of the process.
func BenchmarkAttempt(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"orderNumber":"A-1","applicationStatus":200}`)
	}))
	defer server.Close()
	for _, pair := range pairs(b) {
		for i, what := range []string{"built in", "as data"} {
			b.Run(pair[i].Name()+"/"+what, func(b *testing.B) {
				e, in := attemptOf(pair[i], server.URL, callbackOf("A-1", "2", map[string]string{"respStatus": "200", "orderStatus": "2", "orderId": "9f1c"}))
				defer e.Client.CloseIdleConnections()
				before := cpu(b)
				for b.Loop() {
					if result := receiver.Send(b.Context(), e, in); result.Attempt.Verdict != operation.Acknowledged {
						b.Fatal(result.Attempt.Reason)
					}
				}
				b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
			})
			b.Run(pair[i].Name()+"/write and judge/"+what, func(b *testing.B) {
				c := callbackOf("A-1", "2", map[string]string{"respStatus": "200", "orderStatus": "2", "orderId": "9f1c"})
				a := dialect.Answer{HTTPStatus: 200, Header: http.Header{}, Body: []byte(`{"orderNumber":"A-1","applicationStatus":200}`)}
				before := cpu(b)
				for b.Loop() {
					if _, err := pair[i].Write(c, nil); err != nil || pair[i].Judge(c, a).Verdict != operation.Acknowledged {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
