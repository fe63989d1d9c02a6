package accesstoken_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/accesstoken"
)

const secret = "client-secret-hunter2"

// issuer is a token endpoint that numbers its tokens, and an API that takes the newest.
type issuer struct {
	*httptest.Server
	issued, asked, called atomic.Int32
	// answer replaces the answer of the token endpoint; hold delays it.
	answer atomic.Pointer[http.HandlerFunc]
	hold   chan struct{}
	// lifetime is that of a token, in seconds.
	lifetime int
	bodies   sync.Map
}

func start(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{lifetime: 3600, hold: make(chan struct{})}
	close(i.hold)
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		<-i.hold
		if answer := i.answer.Load(); answer != nil {
			(*answer)(w, r)
			return
		}
		id, password, _ := r.BasicAuth()
		if id != "shop" || password != secret || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "read send" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, i.issued.Add(1), i.lifetime)
	})
	mux.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		i.bodies.Store(i.called.Add(1), string(body))
		if r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-%d", i.issued.Load()) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) client(on accesstoken.OnRefusal) *http.Client {
	return accesstoken.New(accesstoken.Config{
		TokenURL: i.URL + "/token", ClientID: "shop", ClientSecret: secret, Scopes: []string{"read", "send"}, Client: i.Client(),
	}).Client(i.Client(), on)
}

func call(ctx context.Context, c *http.Client, url string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api", strings.NewReader("exact"))
	if err != nil {
		return 0, err
	}
	response, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func TestAllRequestsShareOneToken(t *testing.T) {
	t.Parallel()
	i := start(t)
	client := i.client(accesstoken.NextTime)
	i.hold = make(chan struct{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			status, err := call(t.Context(), client, i.URL)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status)
		})
	}
	close(i.hold)
	all.Wait()
	require.EqualValues(t, 1, i.asked.Load())
	require.EqualValues(t, 20, i.called.Load())
}

func TestATokenIsRenewedBeforeItExpires(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.lifetime = 9 // less than the ten seconds before its end
	client := i.client(accesstoken.NextTime)
	for want := range 3 {
		status, err := call(t.Context(), client, i.URL)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		require.EqualValues(t, want+1, i.issued.Load())
	}
}

func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		on     accesstoken.OnRefusal
		first  int
		called int32
	}{
		{"a poll is repeated once", accesstoken.Repeat, http.StatusOK, 3},
		{"a callback is not: the next attempt has the new token", accesstoken.NextTime, http.StatusUnauthorized, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := start(t)
			client := i.client(tt.on)
			_, err := call(t.Context(), client, i.URL)
			require.NoError(t, err)
			i.issued.Add(1) // the token is valid no more
			status, err := call(t.Context(), client, i.URL)
			require.NoError(t, err)
			require.Equal(t, tt.first, status)
			require.Equal(t, tt.called, i.called.Load())
			status, err = call(t.Context(), client, i.URL)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status)
			require.EqualValues(t, 2, i.asked.Load())
			i.bodies.Range(func(_, body any) bool {
				require.Equal(t, "exact", body)
				return true
			})
		})
	}
}

func TestAnAPIThatRefusesEveryTokenIsCalledTwice(t *testing.T) {
	t.Parallel()
	i := start(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.called.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(refusing.Close)
	status, err := call(t.Context(), i.client(accesstoken.Repeat), refusing.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, status)
	require.EqualValues(t, 2, i.called.Load())
	require.EqualValues(t, 2, i.asked.Load())
}

func TestWithoutATokenNothingIsSentAndTheErrorSaysWhy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		says   string
	}{
		{"credentials that are wrong", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"hunter2"}`)
		}, "the token endpoint answered HTTP 401 with the error invalid_client"},
		{"an error of no list", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"error":"hunter2"}`)
		}, "the token endpoint answered HTTP 200"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "the token endpoint answered HTTP 302"},
		{"no token", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `hunter2`) }, "the token endpoint's answer holds no access token"},
		{"an answer without an end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("hunter2 ", 1<<10)); err != nil {
					return
				}
			}
		}, "the token endpoint's answer holds no access token"},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the token endpoint did not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := start(t)
			i.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			i.answer.Store(&tt.answer)
			client := i.client(accesstoken.Repeat)
			for range 3 {
				_, err := call(t.Context(), client, i.URL)
				failure := &accesstoken.Error{}
				require.ErrorAs(t, err, &failure)
				require.Equal(t, tt.says, failure.Error())
				require.NotContains(t, err.Error(), "hunter2")
			}
			require.Zero(t, i.called.Load())
			require.LessOrEqual(t, i.asked.Load(), int32(4), "a failure is kept for a second; each may try both ways to send the secret")
		})
	}
}

func TestThoseWhoWaitForATokenGiveUpInTheirOwnTime(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hold = make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	client := i.client(accesstoken.NextTime)
	_, err := call(ctx, client, i.URL)
	failure := &accesstoken.Error{}
	require.ErrorAs(t, err, &failure)
	require.ErrorIs(t, failure.Cause, context.DeadlineExceeded)
	close(i.hold)
	status, err := call(t.Context(), client, i.URL)
	require.NoError(t, err, "the request for the token went on")
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 1, i.asked.Load())
}

func TestATokenEndpointThatIsNotThere(t *testing.T) {
	t.Parallel()
	i := start(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	client := accesstoken.New(accesstoken.Config{TokenURL: "http://" + listener.Addr().String(), ClientID: "shop", ClientSecret: secret, Client: i.Client()}).Client(i.Client(), accesstoken.Repeat)
	_, err = call(t.Context(), client, i.URL)
	failure := &accesstoken.Error{}
	require.ErrorAs(t, err, &failure)
	require.Error(t, failure.Cause)
}
