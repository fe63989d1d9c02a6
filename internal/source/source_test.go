package source_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/config"
	"ringback/internal/operation"
	"ringback/internal/source"
)

// Every kind has testdata/<its name>/*.json, answers and what must become of
// them: that, with its own file, is all a new one must bring.

type row struct {
	Name   string          `json:"name"`
	Query  operation.Query `json:"query"`
	Answer struct {
		HTTPStatus int               `json:"http_status"`
		Header     map[string]string `json:"header"`
		// Body is JSON as it is, or a string that is the body.
		Body json.RawMessage `json:"body"`
		// Padding is how many spaces follow.
		Padding int `json:"padding"`
	} `json:"answer"`
	// One of these is what must become of it. Details are asked for instead of
	// a poll; Error is wanted of both.
	Observation *operation.Observation `json:"observation"`
	Details     json.RawMessage        `json:"details"`
	Error       *struct {
		Kind         source.ErrorKind `json:"kind"`
		RetryAfterMS int64            `json:"retry_after_ms"`
		Says         string           `json:"says"`
	} `json:"error"`
}

func (r row) body() string {
	var text string
	if json.Unmarshal(r.Answer.Body, &text) != nil {
		text = string(r.Answer.Body)
	}
	return text + strings.Repeat(" ", r.Answer.Padding)
}

func (r row) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for name, value := range r.Answer.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(r.Answer.HTTPStatus)
	_, _ = w.Write([]byte(r.body()))
}

// asDataDiffers are the rows of which something else becomes where the kind is data: the
// kind of error, empty for an answer.
//
//   - Names of members are case-sensitive, so those that differ in case are two members.
//   - An answer without a status beside another HTTP status than 2xx is an error.
//
// An expression may also take the number 200.0 for 200: CEL's 200.0 == 200 is true. The
// kinds above compare texts, and 200.0 has none.
var asDataDiffers = map[string]source.ErrorKind{
	"names in another case, as the document's prose has them": source.Malformed,
	"names in another case are given back by the list's":      source.Malformed,
	"two statuses that differ in case":                        "",
	"HTTP 404 with an answer is an answer":                    source.NotFound,
	"HTTP 500 with an answer is an answer":                    source.Unavailable,
}

// testedKind is a built-in kind, or what it is as data, under the same name.
type testedKind struct {
	source.Kind
	label  string
	asData bool
}

// allKinds are the built-in kinds, each also as data, in a file.
func allKinds(t testing.TB) (kinds []testedKind) {
	t.Helper()
	c, err := seeds()
	require.NoError(t, err)
	for _, kind := range source.Kinds {
		asData, known := c.Kind(kind.Name + "-as-data")
		require.True(t, known)
		asData.Name = kind.Name
		kinds = append(kinds, testedKind{kind, kind.Name, false}, testedKind{asData, kind.Name + " as data", true})
	}
	return kinds
}

var seeds = sync.OnceValues(func() (*config.Config, error) { return config.Load("../config/testdata/seeds/ringback.yml") })

func TestEveryKindReadsItsTestdata(t *testing.T) {
	t.Parallel()
	for _, kind := range allKinds(t) {
		var statuses []string
		errorKinds := map[source.ErrorKind]bool{}
		detailed := false
		for _, r := range load(t, kind.Name) {
			t.Run(kind.label+": "+r.Name, func(t *testing.T) {
				t.Parallel()
				check(t, kind, r)
			})
			switch {
			case r.Error != nil:
				errorKinds[r.Error.Kind] = true
			case r.Details != nil:
				detailed = true
			default:
				statuses = append(statuses, r.Observation.Status)
			}
		}
		require.Subset(t, statuses, kind.Vocabulary, "%s: every status of the vocabulary is answered once", kind.Name)
		require.Len(t, errorKinds, 5, "%s: every kind of error comes up: %v", kind.Name, errorKinds)
		require.True(t, detailed, "%s: details are asked for", kind.Name)
	}
}

func check(t *testing.T, kind testedKind, r row) {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	src := kind.Open(configOf(server.Client(), server.URL))
	if wants, differs := asDataDiffers[r.Name]; kind.asData && differs {
		_, err := src.Poll(t.Context(), r.Query)
		requireBorne(t, wants, err)
		return
	}
	if r.Details != nil {
		got, err := src.Details(t.Context(), r.Query)
		require.NoError(t, err)
		data, err := json.Marshal(got)
		require.NoError(t, err)
		require.JSONEq(t, string(r.Details), string(data))
		return
	}
	before := operation.At(time.Now())
	got, err := src.Poll(t.Context(), r.Query)
	if r.Error != nil {
		requireError(t, kind, r, err)
		_, err = src.Details(t.Context(), r.Query)
		requireError(t, kind, r, err)
		return
	}
	require.NoError(t, err)
	require.False(t, got.BegunAt.Before(before))
	require.False(t, got.ObservedAt.Before(got.BegunAt))
	require.False(t, got.ObservedAt.After(operation.At(time.Now())))
	require.Equal(t, r.Observation.Status, got.Status)
	require.Equal(t, r.Observation.Raw, got.Raw)
}

func requireError(t *testing.T, kind testedKind, r row, err error) {
	t.Helper()
	var failure *source.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, r.Error.Kind, failure.Kind, "%v", err)
	require.Equal(t, time.Duration(r.Error.RetryAfterMS)*time.Millisecond, failure.RetryAfter)
	require.Equal(t, "core", failure.Source)
	if !kind.asData { // the sentences of a definition name its expressions
		require.ErrorContains(t, err, r.Error.Says)
	}
	for _, secret := range []string{"hunter2", "mac-key", "Vardenis", "4111111111111111"} {
		require.NotContains(t, err.Error(), secret)
	}
}

// configOf suits every kind.
func configOf(client *http.Client, bases ...string) source.Config {
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := source.Config{
		Name: "core", ExtSystemID: "ECOM_GOLD_BANK", Login: "gold", Password: "hunter2",
		MACID: "mac-id", MACKey: "mac-key", Secrets: map[string]string{"password": "hunter2"},
	}
	for _, base := range bases {
		c.Bases = append(c.Bases, source.Base{URL: base, Client: client, ClientDN: "GOLDENBANK"})
	}
	return c
}

// answered is the first row of a kind's testdata that is an observation of a
// status.
func answered(t testing.TB, kind source.Kind) row {
	t.Helper()
	rows := load(t, kind.Name)
	at := slices.IndexFunc(rows, func(r row) bool { return r.Observation != nil && r.Observation.Status != "" })
	require.GreaterOrEqual(t, at, 0)
	return rows[at]
}

func TestEveryKindAsksTheNextBaseURLWhenOneDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, kind := range allKinds(t) {
		for _, tt := range []struct {
			name  string
			first http.HandlerFunc
		}{
			{"it fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }},
			{"it drops the connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
			{"it is silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
			{"it stops in its answer", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = w.Write([]byte("{"))
			}},
		} {
			t.Run(kind.label+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				good := answered(t, kind.Kind)
				var asked [2]counter
				first := httptest.NewServer(asked[0].count(tt.first))
				second := httptest.NewServer(asked[1].count(good))
				t.Cleanup(second.Close)
				t.Cleanup(first.Close)
				src := kind.Open(configOf(&http.Client{}, first.URL, second.URL))
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()

				got, err := src.Poll(ctx, good.Query)
				require.NoError(t, err)
				require.Equal(t, good.Observation.Status, got.Status)
				require.Equal(t, [2]int32{1, 1}, [2]int32{asked[0].Load(), asked[1].Load()})

				_, err = src.Poll(ctx, good.Query)
				require.NoError(t, err)
				require.Equal(t, [2]int32{1, 2}, [2]int32{asked[0].Load(), asked[1].Load()}, "the one that answered is remembered")
			})
		}
	}
}

func TestEveryKindComesBackToTheFirstBaseURLWhenTheSecondFails(t *testing.T) {
	t.Parallel()
	for _, kind := range allKinds(t) {
		t.Run(kind.label, func(t *testing.T) {
			t.Parallel()
			good := answered(t, kind.Kind)
			var down [2]toggle
			first, second := httptest.NewServer(down[0].guard(good)), httptest.NewServer(down[1].guard(good))
			t.Cleanup(first.Close)
			t.Cleanup(second.Close)
			src := kind.Open(configOf(&http.Client{}, first.URL, second.URL))
			for _, at := range []int{0, 1, 0} {
				down[at].Store(false)
				down[1-at].Store(true)
				_, err := src.Poll(t.Context(), good.Query)
				require.NoError(t, err)
			}
			down[0].Store(true)
			_, err := src.Poll(t.Context(), good.Query)
			var failure *source.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, source.Unavailable, failure.Kind)
			require.Equal(t, http.StatusBadGateway, failure.HTTPStatus)
			require.ErrorContains(t, err, "base_urls[0]: HTTP 502")
			require.ErrorContains(t, err, "base_urls[1]: HTTP 502")
			require.NotContains(t, err.Error(), "127.0.0.1", "a reader of a state need not know where the core is")
		})
	}
}

// ofCoreItself is an answer that only the core of a kind gives, about no operation.
var ofCoreItself = map[string]string{"ukrcard": `{"respStatus":"not a number"}`, "paysera": `{"error":"some_error"}`}

func TestOnlyTheCoresOwnWordsEndTheRoundOfBaseURLs(t *testing.T) {
	t.Parallel()
	const page, own = "<!DOCTYPE html><title>SECRET</title>", "own"
	retryAfter := map[string]string{"Retry-After": "30"}
	for _, tt := range []struct {
		name   string
		status int
		body   string
		header map[string]string
		// ends is the kind of error that ends the round; empty: the second base URL
		// is asked, and answers.
		ends source.ErrorKind
		says string
	}{
		{name: "200 with a page", status: 200, body: page},
		{name: "200 with nothing", status: 200},
		{name: "200 with JSON of something else", status: 200, body: `{"message":"no route"}`},
		{name: "200 with a list", status: 200, body: `[]`},
		{name: "204", status: 204},
		{name: "302 with a page", status: 302, body: page, header: map[string]string{"Location": "https://login.example/"}},
		{name: "302 of the core itself", status: 302, body: own, header: map[string]string{"Location": "https://login.example/"}},
		{name: "400 with a page", status: 400, body: page},
		{name: "401 with a page", status: 401, body: page},
		{name: "401 with nothing", status: 401},
		{name: "403 with a page", status: 403, body: page},
		{name: "403 with JSON of something else", status: 403, body: `{"message":"Forbidden"}`},
		{name: "404 with a page", status: 404, body: page},
		{name: "404 with nothing", status: 404},
		{name: "429 with a page", status: 429, body: page},
		{name: "502 with a page", status: 502, body: page},
		{name: "500 of the core itself", status: 500, body: own},
		{name: "200 compressed", status: 200, body: own, header: map[string]string{"Content-Encoding": "gzip"}},
		{name: "401 of the core itself", status: 401, body: own, ends: source.Unauthorized, says: "our credentials are refused"},
		{name: "403 of the core itself", status: 403, body: own, ends: source.Unauthorized, says: "our credentials are refused"},
		{name: "404 of the core itself", status: 404, body: own, ends: source.NotFound},
		{name: "400 of the core itself", status: 400, body: own, ends: source.Malformed},
		{name: "429 of the core itself", status: 429, body: own, ends: source.Throttled},
		{name: "429 with a page that says when to come back", status: 429, body: page, header: retryAfter, ends: source.Throttled},
	} {
		for _, kind := range allKinds(t) {
			t.Run(kind.label+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				body := tt.body
				if body == own {
					body = ofCoreItself[kind.Name]
				}
				first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					for name, value := range tt.header {
						w.Header().Set(name, value)
					}
					w.WriteHeader(tt.status)
					_, _ = w.Write([]byte(body))
				}))
				t.Cleanup(first.Close)
				good := answered(t, kind.Kind)
				var asked counter
				second := httptest.NewServer(asked.count(good))
				t.Cleanup(second.Close)
				got, err := kind.Open(configOf(&http.Client{}, first.URL, second.URL)).Poll(t.Context(), good.Query)
				if tt.ends == "" {
					require.NoError(t, err)
					require.Equal(t, good.Observation.Status, got.Status)
					return
				}
				var failure *source.Error
				require.ErrorAs(t, err, &failure)
				require.Equal(t, tt.ends, failure.Kind)
				require.Equal(t, tt.status, failure.HTTPStatus)
				require.ErrorContains(t, err, tt.says)
				require.NotContains(t, err.Error(), "SECRET")
				require.Zero(t, asked.Load())
			})
		}
	}
}

func TestARefusalOfAFrontCountsOnlyWhereEveryBaseURLRefuses(t *testing.T) {
	t.Parallel()
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>"))
		}
	}
	for _, tt := range []struct {
		name     string
		statuses []int
		kind     source.ErrorKind
		status   int
	}{
		{"the only one", []int{403}, source.Unauthorized, 403},
		{"all of them", []int{403, 401}, source.Unauthorized, 401},
		{"the second, after one that fails", []int{502, 403}, source.Unavailable, 502},
		{"the first, before one that fails", []int{403, 502}, source.Unavailable, 502},
		{"the first and the last", []int{403, 404, 401}, source.NotFound, 404},
	} {
		for _, kind := range allKinds(t) {
			t.Run(kind.label+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				var bases []string
				for _, status := range tt.statuses {
					server := httptest.NewServer(page(status))
					t.Cleanup(server.Close)
					bases = append(bases, server.URL)
				}
				_, err := kind.Open(configOf(&http.Client{}, bases...)).Poll(t.Context(), answered(t, kind.Kind).Query)
				var failure *source.Error
				require.ErrorAs(t, err, &failure)
				require.Equal(t, tt.kind, failure.Kind)
				require.Equal(t, tt.status, failure.HTTPStatus)
				for at := range bases {
					require.ErrorContains(t, err, fmt.Sprintf("base_urls[%d]: HTTP ", at))
				}
			})
		}
	}
}

func TestEveryKindSaysWhatCameInPlaceOfJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, encoding, body, says string }{
		{"nothing", "", "", "HTTP 200: the answer is empty"},
		{"white space", "", " \r\n", "HTTP 200: the answer is empty"},
		{"a page", "", "\n<!doctype html>SECRET", "HTTP 200: the answer is HTML or XML"},
		{"words", "", "SECRET", "HTTP 200: the answer is not JSON"},
		{"half an object", "", `{"SECRET":`, "HTTP 200: the answer is not JSON"},
		{"two objects", "", `{}{}`, "HTTP 200: the answer is not JSON"},
		{"what says that it is compressed", "br", "SECRET", "HTTP 200: the answer is compressed (Content-Encoding), and identity was asked for"},
		{"what is compressed without saying it", "", "\x1f\x8bSECRET", "HTTP 200: the answer is compressed, and identity was asked for"},
		{"an encoding of a stranger's own", "SECRET", "{}", "HTTP 200: the answer is compressed (Content-Encoding), and identity was asked for"},
	} {
		for _, kind := range allKinds(t) {
			t.Run(kind.label+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				asked := make(chan string, 1)
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					asked <- r.Header.Get("Accept-Encoding")
					if tt.encoding != "" {
						w.Header().Set("Content-Encoding", tt.encoding)
					}
					_, _ = w.Write([]byte(tt.body))
				}))
				t.Cleanup(server.Close)
				_, err := kind.Open(configOf(&http.Client{}, server.URL)).Poll(t.Context(), answered(t, kind.Kind).Query)
				require.ErrorContains(t, err, tt.says)
				require.NotContains(t, err.Error(), "SECRET")
				require.Equal(t, "identity", <-asked)
			})
		}
	}
}

func TestEveryKindSkipsOneByteOrderMark(t *testing.T) {
	t.Parallel()
	for _, kind := range allKinds(t) {
		good := answered(t, kind.Kind)
		for marks, wants := range []bool{true, true, false} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(strings.Repeat("\uFEFF", marks) + good.body()))
			}))
			t.Cleanup(server.Close)
			got, err := kind.Open(configOf(&http.Client{}, server.URL)).Poll(t.Context(), good.Query)
			require.Equal(t, wants, err == nil, "%s: %d marks: %v", kind.Name, marks, err)
			if wants {
				require.Equal(t, good.Observation.Status, got.Status)
			}
		}
	}
}

func TestEveryKindIsUnavailableWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, kind := range allKinds(t) {
		for _, tt := range []struct {
			name, base string
			client     *http.Client
			patience   time.Duration
		}{
			{"nothing listens", closed.URL, &http.Client{}, time.Minute},
			{"the client's time is over", silent.URL, &http.Client{Timeout: 50 * time.Millisecond}, time.Minute},
			{"the context's time is over", silent.URL, &http.Client{}, 50 * time.Millisecond},
		} {
			t.Run(kind.label+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
				defer cancel()
				_, err := kind.Open(configOf(tt.client, tt.base)).Poll(ctx, answered(t, kind.Kind).Query)
				var failure *source.Error
				require.ErrorAs(t, err, &failure)
				require.Equal(t, source.Unavailable, failure.Kind)
				require.Zero(t, failure.HTTPStatus)
				require.Error(t, failure.Err, "the cause can be asked for")
				require.Equal(t, 1, strings.Count(err.Error(), "base_urls[0]: no answer"), "which base URL is told once: %v", err)
				require.NotContains(t, err.Error(), "127.0.0.1")
				require.NotContains(t, err.Error(), "hunter2")
			})
		}
	}
}

func TestTheRegistryKnowsEveryKindAndTestdataNoOther(t *testing.T) {
	t.Parallel()
	require.Subset(t, source.KindNames(), []string{"paysera", "ukrcard"})
	for _, kind := range allKinds(t) {
		found, ok := source.KindByName(kind.Name)
		require.True(t, ok)
		require.Equal(t, kind.Name, found.Name)
	}
	_, ok := source.KindByName("wsgate")
	require.False(t, ok)

	folders, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, folder := range folders {
		if folder.Name() != "fuzz" {
			require.Contains(t, source.KindNames(), folder.Name())
		}
	}
}

// load reads all testdata of a kind, strictly.
func load(t testing.TB, kind string) []row {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", kind, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "%s brings its testdata", kind)
	var all []row
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		var rows []row
		require.NoError(t, decoder.Decode(&rows), file)
		all = append(all, rows...)
	}
	for _, r := range all {
		wants := slices.DeleteFunc([]bool{r.Observation != nil, r.Details != nil, r.Error != nil}, func(set bool) bool { return !set })
		require.Len(t, wants, 1, "%s: %s says one thing that must become of it", kind, r.Name)
	}
	return all
}

// counter counts the requests that a handler got.
type counter struct{ atomic.Int32 }

func (c *counter) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.Add(1)
		next.ServeHTTP(w, r)
	})
}

// toggle answers 502 while it is true.
type toggle struct{ atomic.Bool }

func (d *toggle) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
}
