package receiver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/operation"
)

func TestAttemptWritesWhatItsDialectAndEndpointSay(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	signer, err := dialect.NewSigner([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	require.NoError(t, err)
	s.endpoint.Signer = signer
	s.endpoint.Header = http.Header{"Authorization": {"Bearer token"}, "Content-Type": {"text/plain"}}
	var body []byte
	s.answer = func(_ int, _ http.ResponseWriter, r *http.Request) { body, _ = io.ReadAll(r.Body) }
	in := request(time.Second)
	result := send(t, s.endpoint, in)
	require.Equal(t, operation.Acknowledged, result.Attempt.Verdict)
	require.Equal(t, 7, result.Attempt.Number)
	require.Equal(t, http.StatusOK, result.Attempt.HTTPStatus)
	require.Empty(t, result.Attempt.Reason)
	require.Positive(t, result.Took)
	sent := s.requests()[0]
	require.Equal(t, "Bearer token", sent.Get("Authorization"))
	require.Equal(t, []string{"application/json"}, sent["Content-Type"], "the dialect's, not the endpoint's")
	require.Equal(t, "Ringback", sent.Get("User-Agent"))
	require.Equal(t, in.Callback.ID, sent.Get("webhook-id"))
	require.NotEmpty(t, sent.Get("webhook-signature"))
	require.Contains(t, string(body), `"type":"operation.done"`)
	require.Equal(t, []string{"identity"}, sent["Accept-Encoding"])
	require.Equal(t, http.Header{"Authorization": {"Bearer token"}, "Content-Type": {"text/plain"}}, s.endpoint.Header)
}

func TestAttemptGoesToTheOperationsURLOrTheEndpoints(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.answer = status(204)
	in := request(time.Second)
	in.URL = s.endpoint.URL
	s.endpoint.URL = ""
	require.Equal(t, operation.Acknowledged, send(t, s.endpoint, in).Attempt.Verdict)

	own := in.URL
	s.endpoint.URL = "http://127.0.0.1:1/never-asked"
	require.Equal(t, operation.Acknowledged, send(t, s.endpoint, in).Attempt.Verdict, "what the start brought comes first")
	s.endpoint.URL, in.URL = own, ""
	require.Equal(t, operation.Acknowledged, send(t, s.endpoint, in).Attempt.Verdict)
}

func TestAttemptIsJudged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		dialect string
		answer  func(n int, w http.ResponseWriter, r *http.Request)
		verdict operation.Verdict
		status  int
		reason  string
		ended   operation.DeliveryOutcome
	}{
		{"a redirect is not followed", "standard", func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, operation.Unacknowledged, 307, "HTTP 307: a redirect is not followed", ""},
		{"a redirect to what is no URL is a redirect", "standard", func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://x/%zz?token=SECRET")
			w.WriteHeader(http.StatusFound)
		}, operation.Unacknowledged, 302, "HTTP 302: a redirect is not followed", ""},
		{"410 ends the delivery", "standard", status(410),
			operation.Unacknowledged, 410, "410 Gone: the receiver wants no more of it", operation.DeliveryGone},
		{"an answer that does not come times out", "standard", func(_ int, _ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, operation.Unacknowledged, 0, "no answer within 300 ms", ""},
		{"an answer whose body does not end times out where the body decides", "ukrcard", func(_ int, w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "beginning")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, operation.Unacknowledged, 200, "no whole answer within 300 ms", ""},
		{"a connection dropped before the answer", "standard", func(int, http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, operation.Unacknowledged, 0, "no answer: the connection was closed", ""},
		{"a connection dropped within a body that decides", "ukrcard", brokenOff,
			operation.Unacknowledged, 200, "no whole answer: the connection was closed", ""},
		{"a connection dropped within a body where the status decides", "standard", brokenOff,
			operation.Acknowledged, 200, "", ""},
		{"a body that has no end is read to the cap", "standard", func(_ int, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}, operation.Acknowledged, 200, "", ""},
		{"an acknowledgement longer than the cap is none", "ukrcard", func(_ int, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"applicationStatus":200,"orderNumber":"42","x":"`+strings.Repeat("x", 64<<10)+`"}`)
		}, operation.Unacknowledged, 200, "HTTP 200: the answer is longer than is read", ""},
		{"ukrcard's body decides", "ukrcard", func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"applicationStatus":"200","orderNumber":42}`)
		}, operation.Acknowledged, 500, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.endpoint.Dialect, _ = dialect.ByName(tt.dialect)
			s.answer = tt.answer
			result := send(t, s.endpoint, request(300*time.Millisecond))
			require.Equal(t, tt.verdict, result.Attempt.Verdict, result.Attempt.Reason)
			require.Equal(t, tt.status, result.Attempt.HTTPStatus)
			require.Equal(t, tt.reason, result.Attempt.Reason)
			require.Equal(t, tt.ended, result.Ended)
			require.Len(t, s.requests(), 1)
		})
	}
}

func TestAttemptEndsTheDeliveryWhereTheEgressGuardRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.endpoint.Client = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}).Client(nil, 0)
	result := send(t, s.endpoint, request(time.Second))
	require.Equal(t, operation.DeliveryGone, result.Ended)
	require.Equal(t, operation.ReasonEgress, result.Reason)
	require.Equal(t, "no answer: the egress guard refused the address: plain http is spoken only to addresses that egress.allow covers", result.Attempt.Reason)
	require.Empty(t, s.requests())
}

func TestAttemptSendsNothingToAHostThatIsNotListed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.answer = status(http.StatusOK)
	s.endpoint.URL, s.endpoint.Header = "", http.Header{"Authorization": {"Bearer SECRET"}}
	in := request(time.Second)
	in.URL = s.http.URL + "/in?token=1"
	s.endpoint.Hosts = operation.AllowedHosts{"127.0.0.1"}
	require.Equal(t, operation.Acknowledged, send(t, s.endpoint, in).Attempt.Verdict)

	s.endpoint.Hosts = operation.AllowedHosts{"pay.example"}
	result := send(t, s.endpoint, in)
	require.Equal(t, operation.DeliveryGone, result.Ended)
	require.Equal(t, operation.ReasonHost, result.Reason)
	require.Equal(t, strings.TrimPrefix(s.http.URL, "http://"), result.Host, "and it is shown which host that is")
	require.Equal(t, "the URL of the operation has the host 127.0.0.1, which the endpoint's callback_hosts do not list", result.Attempt.Reason)
	require.Len(t, s.requests(), 1, "it is not called any more once its host is not listed")

	s.endpoint.URL, in.URL = s.http.URL, ""
	require.Equal(t, operation.Acknowledged, send(t, s.endpoint, in).Attempt.Verdict, "the file's own URL needs no list")
}

func TestAttemptThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.endpoint.Dialect, _ = dialect.ByName("ukrcard")
	in := request(time.Second)
	in.Callback.Observation = operation.Observation{Status: "revoked"}
	require.Equal(t, `the callback could not be written: writing a ukrcard callback: orderStatus "revoked" is not one digit`, send(t, s.endpoint, in).Attempt.Reason)

	s.endpoint.Dialect, _ = dialect.ByName("standard")
	s.endpoint.URL, in.URL = "", "http://receiver.invalid/%zz?token=SECRET"
	require.Equal(t, "the callback could not be written: the address is not a URL", send(t, s.endpoint, in).Attempt.Reason)
	require.Empty(t, s.requests())
}

func TestAttemptsReasonTellsNoSecretAndNoCardNumber(t *testing.T) {
	t.Parallel()
	refused := httptest.NewServer(http.NotFoundHandler())
	refused.Close()
	raw := func(text string) string {
		base, _ := answeredBy(t, says(text))
		return strings.TrimPrefix(base, "http://")
	}
	tests := []struct{ name, host, reason string }{
		{"a refused connection", strings.TrimPrefix(refused.URL, "http://"), "no answer: connection refused"},
		{"an answer that is not HTTP", raw("my card is " + cardNumber + "\r\n\r\n"), "no answer: not a valid HTTP answer"},
		{"a status that is none", raw("HTTP/1.1 20 SECRET\r\n\r\n"), "no answer: not a valid HTTP answer"},
		{"a status line of words", raw("HTTP/1.1 SECRET " + cardNumber + "\r\n\r\n"), "no answer: not a valid HTTP answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.endpoint.URL = "http://" + tt.host + "/SECRET?token=SECRET"
			got := send(t, s.endpoint, request(time.Second)).Attempt
			require.Equal(t, operation.Unacknowledged, got.Verdict)
			require.Equal(t, tt.reason, got.Reason)
		})
	}
}

// wordy is a dialect whose reasons hold whatever it is told.
type wordy struct{ dialect.Dialect }

func (wordy) Judge(_ operation.Callback, a dialect.Answer) dialect.Judgement {
	return dialect.Judgement{Verdict: operation.Unacknowledged, Reason: string(a.Body)}
}

func TestAttemptsReasonIsShortTextWithoutCardNumbers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, reason string }{
		{"masked", "declined: " + cardNumber, "declined: 411111******1111"},
		{"masked before it is cut", strings.Repeat("x", 190) + cardNumber, strings.Repeat("x", 190) + "411111****…"},
		{"cut between characters", strings.Repeat("x", 199) + "їжак", strings.Repeat("x", 199) + "…"},
		{"made whole", "bad \xff byte", "bad \uFFFD byte"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.endpoint.Dialect = wordy{s.endpoint.Dialect}
			s.answer = func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.body) }
			reason := send(t, s.endpoint, request(time.Second)).Attempt.Reason
			require.Equal(t, tt.reason, reason)
			require.True(t, utf8.ValidString(reason))
		})
	}
}
