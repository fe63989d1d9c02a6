package rest

import (
	"context"
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gorilla/mux"
	"go.uber.org/zap"

	"ringback/internal/operation"
)

// request is one request on its way through the API.
type request struct {
	*http.Request
	// header is the response's.
	header http.Header
	action string
	caller Key
	// authenticated: caller's key is one of those in the configuration.
	authenticated bool
	// audited: it is in the audit although it is a read.
	audited bool
	// begun: the audit has the line that goes before the act.
	begun bool
	// key is the operation, or the endpoint alone, as the caller names it.
	key operation.Key
	// fields are what was asked, and later what came of it, for the audit. A value that the
	// API has not checked for card numbers yet is none of them.
	fields []zap.Field
}

func (r *request) isRead() bool { return r.Method == http.MethodGet }

// path is a decoded part of the path.
func (r *request) path(name string) (string, error) {
	value, err := url.PathUnescape(mux.Vars(r.Request)[name])
	if err != nil {
		return "", operation.Invalid(operation.FieldError{Field: name, Detail: "is not percent-encoded as it should be"})
	}
	return value, nil
}

// operation reads which operation a path without query and body names.
func (r *request) operation() (operation.Key, error) {
	if err := r.noBody(); err != nil {
		return operation.Key{}, err
	}
	return r.pathKey()
}

// operationWithBody reads which operation the path names, and the body.
func (r *request) operationWithBody(body any, optional bool) (operation.Key, error) {
	key, err := r.pathKey()
	if err != nil {
		return key, err
	}
	return key, r.decode(body, optional)
}

func (r *request) pathKey() (key operation.Key, err error) {
	if key.Endpoint, err = r.path("endpoint"); err != nil {
		return key, err
	}
	if key.OperationID, err = r.path("operation_id"); err != nil {
		return key, err
	}
	return key, r.checkKey(key)
}

// checkKey checks the operation's names, and whether the caller's key is for its
// endpoint.
func (r *request) checkKey(k operation.Key) error {
	r.key = k
	if faults := k.Check(); len(faults) > 0 {
		return operation.Invalid(faults...)
	}
	return r.caller.requireEndpoint(k.Endpoint)
}

// query reads the parameters that rules allow, each at most once and not empty.
// Without rules there may be none.
func (r *request) query(rules ...operation.FieldRule) (map[string]string, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, operation.Invalid(operation.FieldError{Field: "(query)", Detail: "is not percent-encoded as it should be"})
	}
	parameters := map[string]string{}
	var faults []operation.FieldError
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if fault := checkParameter(name, values[name], rules); fault != nil && len(faults) < maxFaults {
			faults = append(faults, *fault)
		}
		parameters[name] = values[name][0]
	}
	if len(faults) > 0 {
		return nil, operation.Invalid(faults...)
	}
	return parameters, nil
}

func checkParameter(name string, values []string, rules []operation.FieldRule) *operation.FieldError {
	at := slices.IndexFunc(rules, func(rule operation.FieldRule) bool { return rule.Field == name })
	switch {
	case len(rules) == 0:
		return &operation.FieldError{Field: join("", name), Detail: "this call takes no query parameters"}
	case at < 0:
		var names []string
		for _, rule := range rules {
			names = append(names, rule.Field)
		}
		return &operation.FieldError{Field: join("", name), Detail: "is not a parameter of this call, which takes " + strings.Join(names, ", ")}
	case len(values) > 1:
		return &operation.FieldError{Field: name, Detail: "is given twice"}
	case values[0] == "":
		return &operation.FieldError{Field: name, Detail: "is empty; leave it out instead"}
	}
	return rules[at].Check(values[0])
}

type requestIDKey struct{}

var soundRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID is the client's own where it is sound and no card number, else a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); soundRequestID.MatchString(id) && operation.CheckCardNumber("", id) == nil {
		return id
	}
	return rand.Text()
}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

func requestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
