package client_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api/client"
)

var key = client.Key{Endpoint: "SHOP", OperationID: "a/b#c%"}

// handler is an http.RoundTripper without a network, for synctest.
type handler func(w http.ResponseWriter, r *http.Request)

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h(w, r)
	return w.Result(), nil
}

func over(transport http.RoundTripper) *client.Client {
	return &client.Client{Base: "https://api.example", Key: "secret", HTTP: http.Client{Transport: transport}}
}

func refuse(w http.ResponseWriter, status int, kind, retryAfter string) {
	w.Header().Set("Content-Type", "application/problem+json")
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.Header().Set("X-Request-Id", "r1")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"type":"/problems/`+kind+`","detail":"Why."}`)
}

func TestAnIdempotentCallIsRepeatedAsRetryAfterSays(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*client.Client, context.Context) error{
		"start": func(c *client.Client, ctx context.Context) error {
			_, _, err := c.Start(ctx, client.StartRequest{})
			return err
		},
		"state":    func(c *client.Client, ctx context.Context) error { _, err := c.State(ctx, key); return err },
		"push":     func(c *client.Client, ctx context.Context) error { return c.Push(ctx, key, "done") },
		"withdraw": func(c *client.Client, ctx context.Context) error { _, err := c.Withdraw(ctx, key); return err },
		"dry run": func(c *client.Client, ctx context.Context) error {
			_, err := c.DryRun(ctx, client.BulkRedeliveryRequest{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				requests, started := 0, time.Now()
				c := over(handler(func(w http.ResponseWriter, _ *http.Request) {
					switch requests++; requests {
					case 1:
						refuse(w, http.StatusServiceUnavailable, "unavailable", "7")
					case 2:
						refuse(w, http.StatusTooManyRequests, "too-many-requests", "2")
					default:
						_, _ = io.WriteString(w, "{}")
					}
				}))
				require.NoError(t, call(c, t.Context()))
				require.Equal(t, 3, requests)
				require.Equal(t, 9*time.Second, time.Since(started))
			})
		})
	}
}

func TestACallThatIsNotIdempotentIsMadeOnce(t *testing.T) {
	t.Parallel()
	requests := 0
	c := over(handler(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		refuse(w, http.StatusServiceUnavailable, "unavailable", "1")
	}))
	_, err := c.Redeliver(t.Context(), key, client.RedeliveryRequest{})
	require.Equal(t, http.StatusServiceUnavailable, client.Status(err))
	_, err = c.StartBulkRedelivery(t.Context(), client.BulkRedeliveryRequest{})
	require.Equal(t, http.StatusServiceUnavailable, client.Status(err))
	_, err = c.Ping(t.Context(), "SHOP", "")
	require.Equal(t, http.StatusServiceUnavailable, client.Status(err))
	require.Equal(t, 3, requests)
}

type unreachable struct{ requests int }

func (u *unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	u.requests++
	return nil, errors.New("connection refused")
}

func TestAStartWhoseResponseWasLostIsRepeatedAndASuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := &losing{}
		state, created, err := over(api).Start(t.Context(), client.StartRequest{Endpoint: "SHOP", OperationID: "1"})
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, "SHOP/1", state.WorkflowID())
		require.Equal(t, []string{`{"endpoint":"SHOP","operation_id":"1"}`, `{"endpoint":"SHOP","operation_id":"1"}`}, api.starts)
	})
}

// losing is an API whose first response is lost.
type losing struct{ starts []string }

func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	l.starts = append(l.starts, strings.TrimSpace(string(body)))
	if err != nil || len(l.starts) == 1 {
		return nil, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return handler(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"endpoint":"SHOP","operation_id":"1","phase":"watching","outcome":null}`)
	}).RoundTrip(r)
}

func TestAnAPIThatDoesNotRespondIsTriedAgainUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		transport := &unreachable{}
		_, err := over(transport).State(ctx, key)
		var none *client.NoResponseError
		require.ErrorAs(t, err, &none)
		require.EqualError(t, err, "no response from the API at https://api.example: connection refused")
		require.Equal(t, 4, transport.requests)
	})
}

func TestACallEndsAtOnceIfItsContextEndsBeforeTheNextAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		started := time.Now()
		_, err := over(handler(func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusServiceUnavailable, "overloaded", "60")
		})).State(ctx, key)
		require.Equal(t, http.StatusServiceUnavailable, client.Status(err))
		require.Equal(t, time.Minute, client.RetryAfter(err))
		require.Zero(t, time.Since(started))
	})
}

func TestMaxAttemptsBoundsTheAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := &unreachable{}
		c := over(transport)
		c.MaxAttempts = 2
		_, err := c.State(t.Context(), key)
		require.Error(t, err)
		require.Equal(t, 2, transport.requests)
	})
}

func TestAProblemIsATypedError(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		respond func(http.ResponseWriter, *http.Request)
		kind    client.ProblemKind
		says    string
	}{
		"a conflict": {
			func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusConflict, "conflict", "") },
			client.ProblemConflict, "HTTP 409 conflict: Why.",
		},
		"a failure of the API": {
			func(w http.ResponseWriter, _ *http.Request) {
				refuse(w, http.StatusInternalServerError, "internal", "")
			},
			"internal", "HTTP 500 internal: Why. (request r1)",
		},
		"fields at fault": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, _ = io.WriteString(w, `{"type":"/problems/invalid","detail":"Not valid.","errors":[{"field":"a","detail":"is b"},{"field":"c","detail":"is d"}]}`)
			},
			client.ProblemInvalid, "HTTP 422 invalid: Not valid. a: is b; c: is d.",
		},
		"a page of somebody else's": {
			func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
			"", "HTTP 502: The response is not Ringback's; is the address right?",
		},
		"a redirect, which is not followed": {
			func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
			"", "HTTP 302: The response is not Ringback's; is the address right?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := over(handler(tt.respond))
			c.MaxAttempts = 1
			_, err := c.State(t.Context(), key)
			problem, ok := errors.AsType[*client.Problem](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, tt.kind, problem.Kind())
			require.EqualError(t, err, tt.says)
		})
	}
}

func TestARequestCarriesTheKeyAndTheEscapedOperation(t *testing.T) {
	t.Parallel()
	var path, authorization string
	c := over(handler(func(w http.ResponseWriter, r *http.Request) {
		path, authorization = r.URL.EscapedPath(), r.Header.Get("Authorization")
		_, _ = io.WriteString(w, `{"amount":12345678901234567890}`)
	}))
	details, err := c.Details(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, "/v1/operations/SHOP/a%2Fb%23c%25/details", path)
	require.Equal(t, "Bearer secret", authorization)
	require.Equal(t, json.Number("12345678901234567890"), details["amount"])
}

func TestTLSFilesAreTheOnlyAuthoritiesTrusted(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	for _, files := range []client.TLSFiles{{}, {CA: ca}} {
		transport, err := files.Transport()
		require.NoError(t, err)
		c := &client.Client{Base: server.URL, HTTP: http.Client{Transport: transport}, MaxAttempts: 1}
		_, err = c.State(t.Context(), key)
		require.Equal(t, files.CA != "", err == nil, "%v", err)
	}
	_, err := client.TLSFiles{CA: os.DevNull}.Transport()
	require.ErrorContains(t, err, "holds no certificate in PEM")
}

func TestAKeyIsNotSentUnencryptedUnlessToldTo(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		api     client.Client
		refused bool
	}{
		"by plain http":                 {client.Client{Base: "http://api.example", Key: "secret"}, true},
		"by plain http, told to":        {client.Client{Base: "http://api.example", Key: "secret", Insecure: true}, false},
		"by plain http to this machine": {client.Client{Base: "http://[::1]:8080", Key: "secret"}, false},
		"without a key":                 {client.Client{Base: "http://api.example"}, false},
		"by https":                      {client.Client{Base: "https://api.example", Key: "secret"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := false
			row.api.HTTP.Transport = handler(func(w http.ResponseWriter, _ *http.Request) { sent = true; w.WriteHeader(http.StatusNoContent) })
			_, err := row.api.Call(t.Context(), http.MethodGet, "/", nil, nil)
			require.Equal(t, row.refused, err != nil)
			require.Equal(t, row.refused, !sent)
		})
	}
}
