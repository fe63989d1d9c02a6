package receiver_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/dialect"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

const (
	pingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	bearer     = "Bearer token-that-nobody-may-see"
)

func pinged(t *testing.T, name, address string, client *http.Client) operation.Ping {
	t.Helper()
	written, ok := dialect.ByName(name)
	require.True(t, ok)
	signer, err := dialect.NewSigner([]string{pingSecret})
	require.NoError(t, err)
	now := operation.At(time.Now())
	return receiver.Ping(t.Context(), receiver.Endpoint{
		Name: "SHOP", Dialect: written, URL: address, Client: client, Signer: signer,
		Header: http.Header{"Authorization": {bearer}, "X-Tenant": {"tenant-4711"}},
	}, receiver.Request{
		Callback: operation.Callback{
			ID: "cb_ping_x", Key: operation.Key{Endpoint: "SHOP", OperationID: "ringback-ping-x"},
			Observation: operation.Observation{ObservedAt: now},
		},
		TimeoutMS: 2000,
	})
}

func value(t *testing.T, lines []operation.HeaderLine, name string) string {
	t.Helper()
	for _, line := range lines {
		if strings.EqualFold(line.Name, name) {
			return line.Value
		}
	}
	require.Failf(t, "no such header", "%s in %v", name, lines)
	return ""
}

func TestAPingShowsTheRequestAndTheAnswer(t *testing.T) {
	t.Parallel()
	var sent *http.Request
	var body string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		sent, body = r, string(data)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "taken")
	}))
	defer server.Close()
	got := pinged(t, "standard", server.URL+"/hooks", server.Client())

	require.Equal(t, operation.Acknowledged, got.Verdict, got.Reason)
	require.Equal(t, "POST /hooks HTTP/1.1", got.Request.Line)
	require.Equal(t, body, got.Request.Body)
	require.Contains(t, body, `"type":"ringback.ping"`)
	require.Equal(t, sent.Host, value(t, got.Request.Headers, "Host"))
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Content-Type", "User-Agent", "Content-Length", "Accept"} {
		require.Equal(t, sent.Header.Get(name), value(t, got.Request.Headers, name), name)
	}
	require.NotEmpty(t, sent.Header.Get("Webhook-Signature"))
	require.Equal(t, "HTTP/1.1 202 Accepted", got.Answer.Line)
	require.Equal(t, http.StatusAccepted, got.Answer.HTTPStatus)
	require.Equal(t, "yes", value(t, got.Answer.Headers, "X-Answer"))
	require.Equal(t, "taken", got.Answer.Body)
	require.False(t, got.Answer.Truncated)
	require.Equal(t, strings.TrimPrefix(server.URL, "https://"), got.Connection.RemoteAddress)
	require.Equal(t, "TLS 1.3", got.Connection.TLSVersion)
	require.Contains(t, got.Connection.ServerCertificate, "Acme Co")
	require.Equal(t, "SHOP", got.Endpoint)
	require.Equal(t, "standard", got.Dialect)
	require.True(t, got.Signed)
	require.Positive(t, got.TookMS)
}

func TestAnAttemptSaysHowTheReceiverWasReached(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	standard, _ := dialect.ByName("standard")
	e := receiver.Endpoint{Name: shop, Dialect: standard, URL: server.URL, Client: server.Client()}
	for _, connection := range []string{"a new one", "a kept one"} {
		got := send(t, e, request(time.Second))
		require.Equal(t, strings.TrimPrefix(server.URL, "https://"), got.RemoteAddress, connection)
		require.Equal(t, operation.Internal, got.Attempt.RemoteAddress, connection)
		require.Equal(t, "TLS 1.3", got.Attempt.TLSVersion, connection)
		require.Positive(t, got.Attempt.FirstByteMS, connection)
		require.LessOrEqual(t, got.Attempt.FirstByteMS, got.Attempt.TookMS, connection)
	}
	server.Close()
	got := send(t, e, request(time.Second))
	require.Empty(t, got.Attempt.RemoteAddress+got.Attempt.TLSVersion)
	require.Zero(t, got.Attempt.FirstByteMS)
}

func TestAPingShowsNoSecretWhateverTheReceiverSendsBack(t *testing.T) {
	t.Parallel()
	const card = "4111111111111111"
	var sent http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		w.Header().Set("X-Tenant", "tenant-4711")
		w.Header().Set("Set-Cookie", "session=of-the-receiver")
		_ = r.Header.Write(w)
		_, _ = io.WriteString(w, pingSecret+" whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc= "+card+" token="+r.URL.Query().Get("token")+" \xff\n")
	}))
	defer server.Close()
	got := pinged(t, "paysera", server.URL+"/hooks?token=SECRET-OF-THE-URL&b=2", server.Client())

	require.Equal(t, operation.Acknowledged, got.Verdict)
	require.Equal(t, []string{bearer, "tenant-4711"}, []string{sent.Get("Authorization"), sent.Get("X-Tenant")})
	require.Equal(t, "POST /hooks?[redacted] HTTP/1.1", got.Request.Line)
	require.Equal(t, "[redacted]", value(t, got.Request.Headers, "Authorization"))
	require.Equal(t, "[redacted]", value(t, got.Request.Headers, "X-Tenant"))
	require.Equal(t, "[redacted]", value(t, got.Answer.Headers, "Set-Cookie"))
	require.Contains(t, got.Answer.Body, "Authorization: [redacted]")
	encoded, err := json.Marshal(got)
	require.NoError(t, err)
	shown := string(encoded)
	for _, secret := range []string{"nobody-may-see", "tenant-4711", "of-the-receiver", "whsec_", "whsk_", card, "SECRET-OF-THE-URL"} {
		require.NotContains(t, shown, secret)
	}
}

// Some servers take a token that is the whole query, or a name in it, or read it in their way.
func TestAPingShowsNothingOfAQueryWithoutNames(t *testing.T) {
	t.Parallel()
	for query, sentBack := range map[string]string{
		"SECRET-OF-THE-URL":         "SECRET-OF-THE-URL",
		"a=1&SECRET-OF-THE-URL":     "SECRET-OF-THE-URL",
		"a=1;SECRET-OF-THE-URL":     "a=1;SECRET-OF-THE-URL",
		"a=SECRET+OF/THE%20URL":     "SECRET+OF/THE URL",
		"a=SECRET+OF/THE%20REQUEST": "SECRET OF/THE REQUEST",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "no such token: "+sentBack)
			}))
			defer server.Close()
			got := pinged(t, "standard", server.URL+"/hooks?"+query, server.Client())
			require.Equal(t, "POST /hooks?[redacted] HTTP/1.1", got.Request.Line)
			require.Equal(t, "no such token: [redacted]", got.Answer.Body)
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func TestAPingHidesAnAccessTokenThatTheReceiverSendsBack(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		w.Header().Set("X-Echo", token)
		_, _ = io.WriteString(w, "you are "+token)
	}))
	t.Cleanup(server.Close)
	got := pinged(t, "standard", server.URL, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		authorized := r.Clone(r.Context())
		authorized.Header.Set("Authorization", "Bearer token-of-the-token-endpoint")
		return server.Client().Transport.RoundTrip(authorized)
	})})
	require.Equal(t, "you are [redacted]", got.Answer.Body)
	require.Equal(t, "[redacted]", value(t, got.Answer.Headers, "X-Echo"))
}

func TestAPingThatIsNotAcknowledgedSaysWhy(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			_, _ = io.Copy(io.Discard, r.Body) // so that the server notices that the client has gone
			<-r.Context().Done()
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("x", 70<<10))
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			_, _ = io.WriteString(w, `{"orderNumber":"another","applicationStatus":200}`)
		}
	}))
	t.Cleanup(server.Close)
	for name, tt := range map[string]struct {
		address, reason string
		answered        bool
	}{
		"another order's acknowledgement": {server.URL, "orderNumber is not this operation's", true},
		"a redirect":                      {server.URL + "/moved", "a redirect is not followed", true},
		"an answer without an end":        {server.URL + "/long", "longer than is read", true},
		"no answer in time":               {server.URL + "/slow", "no answer within 2000 ms", false},
		"nobody there":                    {"http://127.0.0.1:1/", "no answer: ", false},
		"an address that is none":         {"http://%zz/", "the address is not a URL", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := &http.Client{
				Transport:     &http.Transport{},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}
			t.Cleanup(client.CloseIdleConnections)
			got := pinged(t, "ukrcard", tt.address, client)
			require.Equal(t, operation.Unacknowledged, got.Verdict)
			require.Contains(t, got.Reason, tt.reason)
			require.Equal(t, tt.answered, got.Answer != nil)
			require.NotNil(t, got.Request.Headers)
			if got.Answer != nil {
				require.LessOrEqual(t, len(got.Answer.Body), 4096)
				require.Equal(t, tt.address == server.URL+"/long", got.Answer.Truncated)
			}
			if strings.HasPrefix(tt.address, "http://127") {
				require.JSONEq(t, `{"orderNumber":"ringback-ping-x","respStatus":504}`, got.Request.Body)
			}
		})
	}
}
