// Package accesstoken authorizes requests by OAuth 2.0 client credentials (RFC 6749, 4.4).
package accesstoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"
)

const (
	// fetchTimeout bounds one token request.
	fetchTimeout = 10 * time.Second
	// failureKept is how long a failure is given to all who ask, so that a token
	// endpoint in trouble is asked once a second at most.
	failureKept = time.Second
)

// Config says where tokens come from.
type Config struct {
	TokenURL, ClientID, ClientSecret string
	Scopes                           []string
	// Client sends the token requests; it must follow no redirect.
	Client *http.Client
}

// Tokens are the access tokens of one client, of which one is kept until ten seconds
// before it expires. It is safe for concurrent use; those who need a token at the same
// moment share one request.
type Tokens struct {
	config  clientcredentials.Config
	client  *http.Client
	fetches singleflight.Group

	mu       sync.Mutex
	token    *oauth2.Token
	failure  *Error
	failedAt time.Time
}

// New keeps tokens of c.
func New(c Config) *Tokens {
	return &Tokens{client: c.Client, config: clientcredentials.Config{
		TokenURL: c.TokenURL, ClientID: c.ClientID, ClientSecret: c.ClientSecret, Scopes: c.Scopes,
	}}
}

// Error says why there is no token. It wraps nothing and holds nothing secret and
// nothing that the token endpoint wrote but its error code.
type Error struct {
	// HTTPStatus and Code are the token endpoint's answer; Code is one of RFC 6749, 5.2.
	HTTPStatus int
	Code       string
	// Cause is why no answer came within Waited, nil if one came.
	Cause  error
	Waited time.Duration
}

// Error is the failure in a few words.
func (e *Error) Error() string {
	switch {
	case e.Cause != nil:
		return "the token endpoint did not answer"
	case e.HTTPStatus == 0:
		return "the token endpoint's answer holds no access token"
	case e.Code != "":
		return fmt.Sprintf("the token endpoint answered HTTP %d with the error %s", e.HTTPStatus, e.Code)
	}
	return fmt.Sprintf("the token endpoint answered HTTP %d", e.HTTPStatus)
}

// get is the token that is kept, or a new one.
func (t *Tokens) get(ctx context.Context) (*oauth2.Token, error) {
	if token, failure := t.kept(); token != nil || failure != nil {
		return token, asError(failure)
	}
	begun := time.Now()
	select {
	case <-ctx.Done():
		return nil, &Error{Cause: ctx.Err(), Waited: time.Since(begun)}
	case fetched := <-t.fetches.DoChan("", t.fetch):
		token, _ := fetched.Val.(*oauth2.Token)
		return token, fetched.Err
	}
}

// asError keeps a nil *Error from becoming an error.
func asError(failure *Error) error {
	if failure == nil {
		return nil
	}
	return failure
}

func (t *Tokens) kept() (*oauth2.Token, *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token.Valid() {
		return t.token, nil
	}
	if t.failure != nil && time.Since(t.failedAt) < failureKept {
		return nil, t.failure
	}
	return nil, nil
}

// fetch asks for a token for all that wait for it, in a time of its own.
func (t *Tokens) fetch() (any, error) {
	if token, failure := t.kept(); token != nil || failure != nil {
		return token, asError(failure) // since the caller looked
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	begun := time.Now()
	token, err := t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failure, t.failedAt = explain(err, time.Since(begun)), time.Now()
		return nil, t.failure
	}
	t.token, t.failure = token, nil
	return token, nil
}

// codes are the errors of a token endpoint (RFC 6749, 5.2).
var codes = []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}

func explain(err error, waited time.Duration) *Error {
	if answered, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		failure := &Error{HTTPStatus: answered.Response.StatusCode}
		if slices.Contains(codes, answered.ErrorCode) {
			failure.Code = answered.ErrorCode
		}
		return failure
	}
	if call, ok := errors.AsType[*url.Error](err); ok {
		return &Error{Cause: call.Err, Waited: waited}
	}
	return &Error{}
}

// refused forgets a token that was answered with 401.
func (t *Tokens) refused(token *oauth2.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token = nil
	}
}

// OnRefusal is what follows a 401 beside a new token.
type OnRefusal bool

const (
	// NextTime says that the answer counts, and the next request has a new token.
	NextTime OnRefusal = false
	// Repeat says that the request is sent once more with a new token, where its body allows.
	Repeat OnRefusal = true
)

// Client is base with a token in each request. Where there is none, the request fails
// with an *[Error] and is not sent.
func (t *Tokens) Client(base *http.Client, on OnRefusal) *http.Client {
	authorized := *base
	authorized.Transport = &transport{RoundTripper: base.Transport, tokens: t, on: on}
	return &authorized
}

type transport struct {
	http.RoundTripper
	tokens *Tokens
	on     OnRefusal
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.send(r)
	if err != nil || response.StatusCode != http.StatusUnauthorized || t.on == NextTime {
		return response, err
	}
	again := r.Clone(r.Context())
	switch {
	case r.GetBody != nil:
		if again.Body, err = r.GetBody(); err != nil {
			return response, nil //nolint:nilerr // the first answer stands
		}
	case r.Body != nil && r.Method != http.MethodGet: // a GET has nothing to read again
		return response, nil
	}
	_ = response.Body.Close()
	return t.send(again)
}

// send sends r with a token, once.
func (t *transport) send(r *http.Request) (*http.Response, error) {
	token, err := t.tokens.get(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	authorized := r.Clone(r.Context())
	token.SetAuthHeader(authorized)
	response, err := t.RoundTripper.RoundTrip(authorized)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		t.tokens.refused(token)
	}
	return response, err
}

// CloseIdleConnections serves [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() {
	if idle, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		idle.CloseIdleConnections()
	}
}
