package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ringback/internal/expression"
	"ringback/internal/operation"
)

// requestMaker makes the requests of a kind as data.
type requestMaker struct {
	// at is its path in the definition.
	at, method  string
	path        []pathPart
	query       expression.Fields
	headers     expression.Fields
	json        *expression.Tree
	form        expression.Fields
	contentType string
}

// pathPart is a literal part of a path, or an expression's value.
type pathPart struct {
	literal string
	value   *expression.Expression
}

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

func (c *compiler) request(t RequestTemplate, at string) *requestMaker {
	secrets := c.definition.Secrets
	scope, headers := expression.RequestScope(secrets), expression.HeaderScope(secrets)
	m := &requestMaker{at: at, method: t.Method}
	switch t.Method {
	case "":
		m.method = http.MethodGet
	case http.MethodGet, http.MethodPost:
	default:
		c.Add(at+".method", "is unknown; allowed: GET, POST")
	}
	m.path = c.path(scope, at+".path", t.Path)
	m.query = c.Fields(scope, at+".query", t.Query, expression.Text)
	// Accept and Content-Type are set where the definition does not.
	m.headers = c.Headers(headers, at+".headers", t.Headers, "Accept", "Content-Type")
	hasBody := t.JSON != nil || t.Form != nil
	switch {
	case t.JSON != nil && t.Form != nil:
		c.Add(at+".form", "can't stand beside json")
	case hasBody && m.method == http.MethodGet:
		c.Add(at+".method", "must be POST where there is a body")
	case t.JSON != nil:
		m.contentType = typeJSON
		m.json = c.Tree(scope, at+".json", *t.JSON)
	case t.Form != nil:
		m.contentType = typeForm
		m.form = c.Fields(scope, at+".form", t.Form, expression.Text)
	}
	return m
}

// literalPath is what may stand in a path beside its expressions.
var literalPath = regexp.MustCompile(`^([A-Za-z0-9/._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*$`)

// path splits a path into its literal parts and its {expressions}, each of which ends
// at the first brace that closes.
func (c *compiler) path(scope *expression.Scope, at, text string) (parts []pathPart) {
	if !strings.HasPrefix(text, "/") {
		c.Add(at, "must begin with a /, such as /v1/payments/{operation.operation_id}")
		return nil
	}
	for rest := text; rest != ""; {
		literal, inside, opened := strings.Cut(rest, "{")
		if literal != "" {
			parts = append(parts, pathPart{literal: literal})
		}
		if !literalPath.MatchString(literal) {
			c.Add(at, "holds %q, which can't stand in a path; allowed: letters, digits and -._~!$&'()*+,;=:@%%, and a query under query", literal)
		}
		if !opened {
			break
		}
		before := utf8.RuneCountInString(text[:len(text)-len(inside)])
		value, after, closed := strings.Cut(inside, "}")
		if !closed {
			c.Faults = append(c.Faults, expression.Fault{Path: at, Line: 1, Column: before, Detail: "this { is not closed by a }"})
			return parts
		}
		compiled, fault := scope.Compile(value, expression.Text)
		if fault != nil {
			fault.Column += before
			c.Faults = append(c.Faults, fault.At(at))
		} else {
			compiled.Path = at
		}
		parts, rest = append(parts, pathPart{value: compiled}), after
	}
	return parts
}

func (m *requestMaker) hasBody() bool { return m != nil && m.contentType != "" }

// reads reports whether one of the expressions uses a variable.
func (m *requestMaker) reads(variable string) bool {
	if m == nil {
		return false
	}
	inPath := slices.ContainsFunc(m.path, func(part pathPart) bool { return part.value.Reads(variable) })
	return inPath || m.query.Reads(variable) || m.headers.Reads(variable) || m.form.Reads(variable) || m.json.Reads(variable)
}

// probes are identifiers that requests are tried with: short, long, and a number.
var probes = []string{"x", "6f1f2b8e-0c4a-4d57-9a3e-2f8d1c7b5a90", "123456789012345678"}

// needs reports whether there is no request without that part of the reference, whatever
// the method, but one with it.
func (m *requestMaker) needs(field string, methods, secrets []string) bool {
	build := m.build(Config{Secrets: expression.ExampleSecrets(secrets)})
	fails := func(q operation.Query) bool {
		_, err := build(context.Background(), Base{URL: "https://core.example"}, q)
		return err != nil
	}
	at, possible := operation.At(time.Unix(0, 0)), false
	for _, method := range methods {
		for _, value := range probes {
			with := operation.Query{OperationID: value, Method: method, Reference: operation.Reference{OrderID: value, RegisteredAt: &at}}
			without := with
			switch field {
			case "reference.order_id":
				without.Reference.OrderID = ""
			case "reference.registered_at":
				without.Reference.RegisteredAt = nil
			}
			if !fails(without) {
				return false
			}
			possible = possible || !fails(with)
		}
	}
	return possible
}

// build makes the requests of one configured source.
func (m *requestMaker) build(c Config) build {
	secrets := make(map[string]any, len(c.Secrets))
	for name, value := range c.Secrets {
		secrets["secret."+name] = expression.NewSecret(value)
	}
	mac := newMACSigner(c.MACID, c.MACKey)
	return func(ctx context.Context, base Base, q operation.Query) (*http.Request, error) {
		vars := expression.OperationVariables(q, len(secrets)+5)
		maps.Copy(vars, secrets)
		r, err := m.request(ctx, base, vars)
		if err != nil {
			return nil, err
		}
		if mac.id != "" {
			r.Header["Authorization"] = []string{mac.authorization(r.Method, r.URL)}
		}
		return r, nil
	}
}

func (m *requestMaker) request(ctx context.Context, base Base, vars map[string]any) (*http.Request, error) {
	target, err := m.target(ctx, base, vars)
	if err != nil {
		return nil, err
	}
	body, err := m.body(ctx, vars)
	if err != nil {
		return nil, err
	}
	var reader io.Reader = http.NoBody
	if m.hasBody() {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, m.method, target, reader)
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	r.Header["Accept"] = []string{typeJSON}
	if m.hasBody() {
		r.Header["Content-Type"] = []string{m.contentType}
	}
	return r, m.writeHeaders(ctx, r, body, vars)
}

// target is the URL of a request.
func (m *requestMaker) target(ctx context.Context, base Base, vars map[string]any) (string, error) {
	path, err := m.pathOf(ctx, vars)
	if err != nil {
		return "", err
	}
	query, err := m.query.Form(ctx, vars)
	if err != nil {
		return "", err
	}
	if query != "" {
		query = "?" + query
	}
	return strings.TrimSuffix(base.URL, "/") + path + query, nil
}

func (m *requestMaker) pathOf(ctx context.Context, vars map[string]any) (string, error) {
	var path strings.Builder
	for _, part := range m.path {
		if part.value == nil {
			path.WriteString(part.literal)
			continue
		}
		value, err := part.value.Eval(ctx, vars)
		if err != nil {
			return "", err
		}
		text, _ := value.(string)
		if text == "" {
			return "", errors.New(m.at + ".path: a part of the path is empty")
		}
		path.WriteString(url.PathEscape(text))
	}
	for segment := range strings.SplitSeq(path.String(), "/") {
		if segment == "." || segment == ".." {
			return "", errors.New(m.at + ".path: a segment of the path is . or .., which would change the path")
		}
	}
	return path.String(), nil
}

func (m *requestMaker) body(ctx context.Context, vars map[string]any) (string, error) {
	if m.json != nil {
		body, err := m.json.JSON(ctx, vars)
		return string(body), err
	}
	return m.form.Form(ctx, vars)
}

// writeHeaders spells the names as the definition does, which http.Header.Set would not.
func (m *requestMaker) writeHeaders(ctx context.Context, r *http.Request, body string, vars map[string]any) error {
	if len(m.headers) == 0 {
		return nil
	}
	vars["request.method"], vars["request.target"], vars["request.body"] = r.Method, r.URL.RequestURI(), body
	vars["request.timestamp"], vars["request.nonce"] = time.Now(), macNonce()
	for _, header := range m.headers {
		value, err := header.HeaderValue(ctx, vars)
		if err != nil {
			return err
		}
		if value == nil {
			continue
		}
		delete(r.Header, http.CanonicalHeaderKey(header.Name))
		r.Header[header.Name] = []string{value.Text}
	}
	return nil
}
