package activities_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/internal/callback"
	"ringback/internal/dialect"
	"ringback/internal/egress"
)

const cardNumber = "4111111111111111"

// once is an attempt at a callback in the bench's dialect.
func once(timeout time.Duration) activities.AttemptInput {
	in := ringing(time.Second, 1)
	in.Callback.Observation.Raw = map[string]string{"respStatus": "200", "orderStatus": "1"}
	return activities.AttemptInput{Callback: in.Callback, TimeoutMS: timeout.Milliseconds(), Number: 7}
}

func attempt(t *testing.T, b *bench, in activities.AttemptInput) activities.AttemptResult {
	t.Helper()
	activities.KnowFast(b.Activities, b.endpoint)
	result, err := b.Attempt(t.Context(), in)
	require.NoError(t, err)
	return result
}

// Over real HTTP on a machine with other work: never below h, and the median
// gap within the promised 50 ms above it.
func TestDeliverKeepsHOverHTTP(t *testing.T) {
	t.Parallel()
	for _, h := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond} {
		t.Run("h is "+h.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench()
			b.overHTTP(t)
			b.receiver.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
				time.Sleep(5 * time.Millisecond)
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, err := b.deliver(ringing(h, 8), run{})
			require.NoError(t, err)
			gaps := b.receiver.gaps()
			require.Len(t, gaps, 7)
			slices.Sort(gaps)
			require.GreaterOrEqual(t, gaps[0], h)
			require.LessOrEqual(t, gaps[len(gaps)/2], h+50*time.Millisecond)
		})
	}
}

func TestAttemptWritesWhatItsDialectAndEndpointSay(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.overHTTP(t)
	signer, err := dialect.NewSigner([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	require.NoError(t, err)
	b.endpoint.Signer = signer
	b.endpoint.Header = http.Header{"Authorization": {"Bearer token"}, "Content-Type": {"text/plain"}}
	var body []byte
	b.receiver.answer = func(_ int, _ http.ResponseWriter, r *http.Request) { body, _ = io.ReadAll(r.Body) }
	in := once(time.Second)
	result := attempt(t, b, in)
	require.Equal(t, callback.Acknowledged, result.Attempt.Verdict)
	require.Equal(t, 7, result.Attempt.Number)
	require.Equal(t, http.StatusOK, result.Attempt.HTTPStatus)
	require.Empty(t, result.Attempt.Reason)
	sent := b.receiver.header[0]
	require.Equal(t, "Bearer token", sent.Get("Authorization"))
	require.Equal(t, []string{"application/json"}, sent["Content-Type"], "the dialect's, not the endpoint's")
	require.Equal(t, "Ringback", sent.Get("User-Agent"))
	require.Equal(t, in.Callback.ID, sent.Get("webhook-id"))
	require.NotEmpty(t, sent.Get("webhook-signature"))
	require.Contains(t, string(body), `"type":"operation.done"`)
	require.Equal(t, http.Header{"Authorization": {"Bearer token"}, "Content-Type": {"text/plain"}}, b.endpoint.Header)
}

func TestAttemptRingsTheOperationsOwnURLOrTheEndpoints(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.overHTTP(t)
	b.receiver.answer = statuses(204)
	in := once(time.Second)
	in.URL = b.endpoint.URL
	b.endpoint.URL = ""
	require.Equal(t, callback.Acknowledged, attempt(t, b, in).Attempt.Verdict)

	own := in.URL
	b.endpoint.URL = "http://127.0.0.1:1/never-asked"
	require.Equal(t, callback.Acknowledged, attempt(t, b, in).Attempt.Verdict, "what the start brought comes first")
	b.endpoint.URL, in.URL = own, ""
	require.Equal(t, callback.Acknowledged, attempt(t, b, in).Attempt.Verdict)
}

func TestAnAttemptWithoutAnyURLIsNotMade(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.endpoint.URL = ""
	got := attempt(t, b, once(time.Second))
	require.Contains(t, got.HeldBack, "the url of the endpoint "+shop)
	require.Zero(t, b.receiver.requests())
	inVirtualTime(t, func(t *testing.T, b *bench) {
		b.endpoint.URL = ""
		result, err := b.deliver(ringing(time.Second, 1), run{})
		require.NoError(t, err)
		require.Contains(t, result.HeldBack, "the url of the endpoint "+shop)
		require.Zero(t, result.Record.Made, "it costs no attempt")
	})
}

func TestAttemptIsJudged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		dialect string
		answer  func(n int, w http.ResponseWriter, r *http.Request)
		verdict callback.Verdict
		status  int
		reason  string
		ended   callback.DeliveryOutcome
	}{
		{"a redirect is not followed", "standard", func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, callback.Unacknowledged, 307, "HTTP 307: a redirect is not followed", ""},
		{"410 ends the delivery", "standard", statuses(410),
			callback.Unacknowledged, 410, "410 Gone: the receiver wants no more of it", callback.DeliveryGone},
		{"an answer that does not come times out", "standard", func(_ int, _ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, callback.Unacknowledged, 0, "no answer within 300 ms", ""},
		{"an answer whose body does not end times out where the body decides", "ukrcard", func(_ int, w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "beginning")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, callback.Unacknowledged, 200, "no whole answer within 300 ms", ""},
		{"a connection dropped before the answer", "standard", func(int, http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, callback.Unacknowledged, 0, "no answer: EOF", ""},
		{"a connection dropped within a body that decides", "ukrcard", brokenOff,
			callback.Unacknowledged, 200, "no whole answer: unexpected EOF", ""},
		{"a connection dropped within a body where the status decides", "standard", brokenOff,
			callback.Acknowledged, 200, "", ""},
		{"a body that has no end is read to the cap", "standard", func(_ int, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}, callback.Acknowledged, 200, "", ""},
		{"an acknowledgement longer than the cap is none", "ukrcard", func(_ int, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"applicationStatus":200,"orderNumber":"42","x":"`+strings.Repeat("x", 64<<10)+`"}`)
		}, callback.Unacknowledged, 200, "HTTP 200: the answer is longer than is read", ""},
		{"ukrcard's body decides", "ukrcard", func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"applicationStatus":"200","orderNumber":42}`)
		}, callback.Acknowledged, 500, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			b.overHTTP(t)
			b.endpoint.Dialect, _ = dialect.ByName(tt.dialect)
			b.receiver.answer = tt.answer
			result := attempt(t, b, once(300*time.Millisecond))
			require.Equal(t, tt.verdict, result.Attempt.Verdict, result.Attempt.Reason)
			require.Equal(t, tt.status, result.Attempt.HTTPStatus)
			require.Equal(t, tt.reason, result.Attempt.Reason)
			require.Equal(t, tt.ended, result.Ended)
			require.Equal(t, 1, b.receiver.requests())
		})
	}
}

func TestAttemptEndsTheDeliveryWhereTheEgressGuardRefuses(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.overHTTP(t)
	b.endpoint.Client = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}).Client(nil, 0)
	result := attempt(t, b, once(time.Second))
	require.Equal(t, callback.DeliveryGone, result.Ended)
	require.Equal(t, callback.ReasonEgress, result.Reason)
	require.Equal(t, "the egress guard refused the address: plain http is spoken only to addresses that egress.allow covers", result.Attempt.Reason)
	require.Zero(t, b.receiver.requests())

	delivered, err := b.deliver(ringing(time.Second, 3), run{})
	require.NoError(t, err)
	require.Equal(t, callback.DeliveryGone, delivered.Record.Delivery.Outcome)
	require.Equal(t, callback.ReasonEgress, delivered.Record.Delivery.Reason)
	require.Equal(t, 1, delivered.Record.Made)
}

func TestAttemptThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.endpoint.Dialect, _ = dialect.ByName("ukrcard")
	in := once(time.Second)
	in.Callback.Observation = callback.Observation{Status: "revoked"}
	require.Equal(t, `the callback could not be written: writing a ukrcard callback: orderStatus "revoked" is not one digit`, attempt(t, b, in).Attempt.Reason)

	b.endpoint.Dialect, _ = dialect.ByName("standard")
	b.endpoint.URL, in.URL = "", "http://receiver.invalid/%zz?token=SECRET"
	require.Equal(t, "the callback could not be written: the address is not a URL", attempt(t, b, in).Attempt.Reason)
	require.Zero(t, b.receiver.requests())
}

// rawAnswer listens for one connection, reads a request's head and answers it
// with text.
func rawAnswer(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		reader := bufio.NewReader(conn)
		for line := "."; strings.TrimSpace(line) != ""; {
			if line, err = reader.ReadString('\n'); err != nil {
				return
			}
		}
		_, _ = io.WriteString(conn, text)
	}()
	return listener.Addr().String()
}

func TestAttemptsReasonTellsNoSecretAndNoCardNumber(t *testing.T) {
	t.Parallel()
	refused := httptest.NewServer(http.NotFoundHandler())
	refused.Close()
	tests := []struct{ name, host, reason string }{
		{"a refused connection", strings.TrimPrefix(refused.URL, "http://"), "connection refused"},
		{"an answer that is not HTTP", rawAnswer(t, "my card is "+cardNumber+"\r\n\r\n"), "malformed HTTP"},
		{"a redirect to no URL", rawAnswer(t, "HTTP/1.1 302 Found\r\nLocation: http://x/%zz?token=SECRET\r\n\r\n"), "Location"},
		{"a status line of words", rawAnswer(t, "HTTP/1.1 SECRET "+cardNumber+"\r\n\r\n"), "malformed HTTP status code"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			b.overHTTP(t)
			b.endpoint.URL = "http://" + tt.host + "/SECRET?token=SECRET"
			got := attempt(t, b, once(time.Second)).Attempt
			require.Equal(t, callback.Unacknowledged, got.Verdict)
			require.Contains(t, got.Reason, "no answer: ")
			require.Contains(t, got.Reason, tt.reason)
			require.NotContains(t, got.Reason, "SECRET")
			require.NotContains(t, got.Reason, cardNumber)
		})
	}
}

// wordy is a dialect whose reasons hold whatever it is told.
type wordy struct{ dialect.Dialect }

func (wordy) Judge(_ callback.Callback, a dialect.Answer) dialect.Judgement {
	return dialect.Judgement{Verdict: callback.Unacknowledged, Reason: string(a.Body)}
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
			b := newBench()
			b.endpoint.Dialect = wordy{b.endpoint.Dialect}
			b.receiver.answer = func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.body) }
			reason := attempt(t, b, once(time.Second)).Attempt.Reason
			require.Equal(t, tt.reason, reason)
			require.True(t, utf8.ValidString(reason))
		})
	}
}

func TestAttemptIsLeftToDeliver(t *testing.T) {
	t.Parallel()
	t.Run("where the endpoint's recent answers were slow, until they are fast again", func(t *testing.T) {
		t.Parallel()
		inVirtualTime(t, func(t *testing.T, b *bench) {
			b.receiver.answer = func(n int, _ http.ResponseWriter, _ *http.Request) {
				if n == 2 {
					time.Sleep(1001 * time.Millisecond)
				}
			}
			require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
			require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
			for range 8 {
				require.Equal(t, "recent answers were slow", attempt(t, b, once(10*time.Second)).HeldBack)
				_, err := b.deliver(ringing(time.Second, 1), run{})
				require.NoError(t, err)
			}
			require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
			require.Equal(t, 11, b.receiver.requests())
		})
	})
	t.Run("where nothing is known of the endpoint", func(t *testing.T) {
		t.Parallel()
		inVirtualTime(t, func(t *testing.T, b *bench) {
			result, err := b.Attempt(t.Context(), once(10*time.Second))
			require.NoError(t, err)
			require.Equal(t, "how fast it answers is not known yet", result.HeldBack)
			_, err = b.deliver(ringing(time.Second, 1), run{})
			require.NoError(t, err)
			result, err = b.Attempt(t.Context(), once(10*time.Second))
			require.NoError(t, err)
			require.Empty(t, result.HeldBack, "a delivery has found out")
		})
	})
	t.Run("where an answer is overdue", func(t *testing.T) {
		t.Parallel()
		inVirtualTime(t, func(t *testing.T, b *bench) {
			require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
			b.receiver.answer = func(int, http.ResponseWriter, *http.Request) { time.Sleep(5 * time.Second) }
			ended := make(chan struct{})
			go func() {
				_, _ = b.Attempt(t.Context(), once(10*time.Second))
				close(ended)
			}()
			time.Sleep(time.Second + time.Millisecond)
			require.Equal(t, "recent answers were slow", attempt(t, b, once(10*time.Second)).HeldBack)
			<-ended
		})
	})
	t.Run("where the endpoint's share of workflow tasks is used", func(t *testing.T) {
		t.Parallel()
		inVirtualTime(t, func(t *testing.T, b *bench) {
			attempt(t, b, once(10*time.Second))
			b.receiver.answer = func(int, http.ResponseWriter, *http.Request) { time.Sleep(500 * time.Millisecond) }
			results := make(chan string, 40)
			for range 40 {
				go func() {
					result, _ := b.Attempt(t.Context(), once(10*time.Second))
					results <- result.HeldBack
				}()
			}
			made := 0
			for range 40 {
				if <-results == "" {
					made++
				}
			}
			require.Equal(t, 32, made)
		})
	})
	t.Run("where the configuration has no such endpoint", func(t *testing.T) {
		t.Parallel()
		b := newBench()
		b.missing = true
		result := attempt(t, b, once(time.Second))
		require.Equal(t, "the endpoint "+shop+" is not in this worker's configuration", result.HeldBack)
		require.Zero(t, result.Attempt)
	})
}

func TestAttemptIsNotCutOffByItsContext(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		b.receiver.answer = func(int, http.ResponseWriter, *http.Request) {
			cancel()
			time.Sleep(500 * time.Millisecond)
		}
		activities.KnowFast(b.Activities, b.endpoint)
		result, err := b.Attempt(ctx, once(time.Second))
		require.NoError(t, err)
		require.Equal(t, callback.Acknowledged, result.Attempt.Verdict)
	})
}

// refusing is a network that refuses every connection.
type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
}

func TestEndpointsBreakerIsOpenedByWaitingInVainAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(b *bench)
		opens  bool
	}{
		{"an endpoint that answers nothing opens it", func(b *bench) { b.receiver.answer = silence }, true},
		{"one that refuses at once costs nobody anything, and keeps its h",
			func(b *bench) { b.endpoint.Client = &http.Client{Transport: refusing{}} }, false},
		{"one that answers slowly answers", func(b *bench) {
			b.receiver.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
				time.Sleep(1900 * time.Millisecond)
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inVirtualTime(t, func(t *testing.T, b *bench) {
				tt.change(b)
				in := ringing(time.Millisecond, 33)
				in.Policy.TimeoutMS = 2000
				result, err := b.deliver(in, run{})
				if tt.opens {
					require.Equal(t, activities.TypeHeldBack, failure(t, err).Type())
					return
				}
				require.NoError(t, err)
				require.Equal(t, 33, result.Record.Made)
			})
		})
	}
}
