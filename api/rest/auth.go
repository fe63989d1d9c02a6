package rest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"ringback/internal/operation"
)

// Key is one API key, of which only the hash is known. Two keys may share a
// name while one replaces the other.
type Key struct {
	// Name is written to the audit log as who made a change.
	Name string
	// SHA256 is the hash of the key's text.
	SHA256 [sha256.Size]byte
	Scopes []string
	// Endpoints are the only endpoints that the key is for; empty: all.
	Endpoints []string
	// Expires is when the key is refused; zero: never.
	Expires time.Time
	// From are the only networks that the key may be used from; empty: all.
	From []netip.Prefix
}

// ID tells keys of one name apart, and reveals nothing of them; empty without keys.
func (k Key) ID() string {
	if k.SHA256 == anyone.SHA256 {
		return ""
	}
	return fmt.Sprintf("%x", k.SHA256[:4])
}

// anyone is the caller where no keys are configured.
var anyone = Key{Name: "(no keys configured)", Scopes: operation.Scopes}

// authorize finds the key that the request carries, and checks that it has the
// scope.
func (s *Server) authorize(r *request, scope string) (err error) {
	r.caller, err = s.authenticate(r)
	r.authenticated = r.caller.Name != "" // also where the key has expired, or comes from elsewhere
	if r.caller.Name != anyone.Name {
		err = s.guessers.judge(NetworkOf(r.RemoteAddr), r.caller, err, time.Now())
	}
	if err != nil && refusal(err).Problem == ProblemTooManyRequests {
		r.header.Del("WWW-Authenticate") // it says whether the key was wrong
		r.authenticated = false
	}
	if err != nil {
		return err
	}
	return r.caller.require(scope, r.header)
}

// authorizeAgain refuses a request whose key a reload revoked or changed since: its
// body may have been arriving for a while.
func (s *Server) authorizeAgain(r *request) error {
	switch now, err := s.authenticate(r); {
	case err != nil:
		return err
	case !reflect.DeepEqual(now, r.caller):
		return &operation.Error{Problem: operation.ProblemUnavailable, RetryAfter: time.Second,
			Detail: "The configuration of your API key changed while the request arrived, and nothing was done; send it again."}
	}
	return nil
}

// authorizeAll is authorize for what is about all endpoints.
func (s *Server) authorizeAll(r *request, scope string) error {
	if err := s.authorize(r, scope); err != nil {
		return err
	}
	return r.caller.requireAll()
}

// authenticate finds the key that a request's header carries; where there is
// none, the response's says how to authenticate. Every key is compared, each in
// constant time, so that the time taken reveals nothing.
func (s *Server) authenticate(r *request) (Key, error) {
	keys := s.options.Settings().Keys
	if len(keys) == 0 {
		return anyone, nil
	}
	token, ok := bearer(r.Header)
	if !ok {
		r.header.Set("WWW-Authenticate", `Bearer realm="ringback"`)
		return Key{}, operation.Refuse(ProblemUnauthenticated, "Send an API key as Authorization: Bearer <key>.")
	}
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i, key := range keys {
		if subtle.ConstantTimeCompare(sum[:], key.SHA256[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		err := invalidToken(r.header, "The API key is not one of those in force.")
		err.Err = errWrongKey
		return Key{}, err
	}
	return keys[found], keys[found].requireUsable(r)
}

// errWrongKey is the cause where a key is none of those in force.
var errWrongKey = errors.New("wrong API key")

// invalidToken refuses what a request shows as its key (RFC 6750, section 3.1).
func invalidToken(response http.Header, format string, args ...any) *operation.Error {
	response.Set("WWW-Authenticate", `Bearer realm="ringback", error="invalid_token"`)
	return operation.Refuse(ProblemUnauthenticated, format, args...)
}

// requireUsable refuses a key that has expired, or that is used from elsewhere than
// it may be.
func (k Key) requireUsable(r *request) error {
	if !k.Expires.IsZero() && !time.Now().Before(k.Expires) {
		return invalidToken(r.header, "The API key %s expired at %s; use the one that replaced it.", k.Name, k.Expires.UTC().Format(time.RFC3339))
	}
	from, _ := netip.ParseAddr(remoteAddress(r.Request))
	contains := func(network netip.Prefix) bool { return network.Contains(from.Unmap().WithZone("")) }
	if len(k.From) > 0 && !slices.ContainsFunc(k.From, contains) {
		return operation.Refuse(ProblemForbidden, "The key %s may not be used from the address %s.", k.Name, remoteAddress(r.Request))
	}
	return nil
}

func bearer(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

// require refuses a key without the scope (RFC 6750, section 3.1).
func (k Key) require(scope string, response http.Header) error {
	if slices.Contains(k.Scopes, scope) {
		return nil
	}
	response.Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="ringback", error="insufficient_scope", scope="%s"`, scope))
	return operation.Refuse(ProblemForbidden, "The key %s lacks the scope %s, which this call needs.", k.Name, scope)
}

// requireAll refuses a key that is for some endpoints only.
func (k Key) requireAll() error {
	if len(k.Endpoints) == 0 {
		return nil
	}
	return operation.Refuse(ProblemForbidden, "The key %s is for %s only, and this is about all endpoints.", k.Name, strings.Join(k.Endpoints, ", "))
}

// requireEndpoint refuses a key that is for other endpoints.
func (k Key) requireEndpoint(endpoint string) error {
	if len(k.Endpoints) == 0 || slices.Contains(k.Endpoints, endpoint) {
		return nil
	}
	return operation.Refuse(ProblemForbidden, "The key %s is not for that endpoint, but for %s.", k.Name, strings.Join(k.Endpoints, ", "))
}

// requireForce refuses force to a key without its scope.
func (r *request) requireForce(force bool) error {
	if !force {
		return nil
	}
	return r.caller.require(operation.ScopeForce, r.header)
}

// requireRedirect refuses another URL than the start's to a key without its scope.
func (s *Server) requireRedirect(ctx context.Context, r *request, url string) error {
	if url == "" || slices.Contains(r.caller.Scopes, operation.ScopeRedirect) {
		return nil
	}
	start, err := s.options.Operations.Started(ctx, r.key)
	if err != nil || start.Callback.URL == url {
		return err
	}
	return r.caller.require(operation.ScopeRedirect, r.header)
}

// requireBound requires an endpoint from a key that is bound to some.
func (r *request) requireBound(field, endpoint string) *operation.FieldError {
	if endpoint != "" || len(r.caller.Endpoints) == 0 {
		return nil
	}
	return &operation.FieldError{Field: field, Detail: "is required with this key, which is for " + strings.Join(r.caller.Endpoints, ", ")}
}
