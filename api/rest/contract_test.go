package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"

	"ringback/api/rest"
	"ringback/internal/operation"
)

// contract is openapi.yaml as loaded once for all tests.
var contract = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromFile("openapi.yaml")
})

func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := contract()
	require.NoError(t, err)
	return doc
}

var contractRouter = sync.OnceValues(func() (routers.Router, error) {
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.FileBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	for _, item := range doc.Paths.Map() {
		item.Servers = nil // the probes' address; here all have one
	}
	return gorillamux.NewRouter(doc)
})

// holdsContract checks an response against the document: its status, headers and
// body. An response on a path or method that the document does not know has to
// be a problem.
func holdsContract(t *testing.T, r *http.Request, response *http.Response, body []byte) {
	t.Helper()
	router, err := contractRouter()
	require.NoError(t, err)
	route, parameters, err := router.FindRoute(r)
	if err != nil {
		require.GreaterOrEqual(t, response.StatusCode, 400, "the document knows no %s %s", r.Method, r.URL)
		isProblem(t, response, body)
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route},
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	}
	input.SetBodyBytes(body)
	require.NoError(t, openapi3filter.ValidateResponse(context.Background(), input), "%s %s: %d %s", r.Method, r.URL, response.StatusCode, body)
	if response.StatusCode >= 400 && route.Path != "/readyz" {
		isProblem(t, response, body)
	}
}

func isProblem(t *testing.T, response *http.Response, body []byte) rest.Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	var loose any
	require.NoError(t, json.Unmarshal(body, &loose))
	require.NoError(t, document(t).Components.Schemas["Problem"].Value.VisitJSON(loose), "%s", body)
	var p rest.Problem
	require.NoError(t, json.Unmarshal(body, &p))
	require.Equal(t, response.StatusCode, p.Status)
	return p
}

func TestTheDocumentIsValidAndSoIsEveryExample(t *testing.T) {
	t.Parallel()
	require.NoError(t, document(t).Validate(context.Background(),
		openapi3.EnableExamplesValidation(), openapi3.EnableSchemaPatternValidation(), openapi3.EnableSchemaFormatValidation()))
}

func TestAnExampleThatIsWrongWouldBeSeen(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	for name, change := range map[string][2]string{
		"a request example without a required field": {"value: {initiated_by: client}", "value: {}"},
		"a state example with an unknown phase":      {"phase: delivering\n", "phase: ringing\n"},
		"a problem example with an unknown type":     {"type: /problems/closed\n", "type: /problems/shut\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, string(data), change[0])
			doc, err := openapi3.NewLoader().LoadFromData([]byte(strings.Replace(string(data), change[0], change[1], 1)))
			require.NoError(t, err)
			require.Error(t, doc.Validate(context.Background(), openapi3.EnableExamplesValidation()))
		})
	}
}

func TestEveryRouteIsInTheDocumentAndViceVersa(t *testing.T) {
	t.Parallel()
	var served, documented []string
	for _, router := range rest.New(rest.Options{Operations: &fake{}}).Routers() {
		require.NoError(t, router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
			path, err := route.GetPathTemplate()
			require.NoError(t, err)
			methods, err := route.GetMethods()
			require.NoError(t, err)
			for _, method := range methods {
				served = append(served, method+" "+path)
			}
			return nil
		}))
	}
	for path, item := range document(t).Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	require.Equal(t, served, documented)
}

func TestEveryCallNeedsTheScopeThatTheDocumentSays(t *testing.T) {
	t.Parallel()
	for path, item := range document(t).Paths.Map() {
		for method, operation := range item.Operations() {
			t.Run(method+" "+path, func(t *testing.T) {
				t.Parallel()
				require.NotEmpty(t, operation.Summary)
				if operation.Security != nil && len(*operation.Security) == 0 {
					require.NotContains(t, operation.Extensions, "x-scope")
					return
				}
				scope, _ := operation.Extensions["x-scope"].(string)
				require.Contains(t, rest.Scopes, rest.Scope(scope))
				response := probe(t, method, path, allScopesBut(rest.Scope(scope)))
				require.Equal(t, http.StatusForbidden, response.Code)
				require.Contains(t, response.Body.String(), "lacks the scope "+scope)
				require.Contains(t, response.Header().Get("WWW-Authenticate"), `scope="`+scope+`"`)
			})
		}
	}
}

// probe calls the route with a key of those scopes and an empty object.
func probe(t *testing.T, method, path string, scopes []rest.Scope) *httptest.ResponseRecorder {
	t.Helper()
	server := rest.New(rest.Options{Operations: &fake{}, Keys: oneKey(rest.Key{Name: "probe", Scopes: scopes})})
	path = strings.NewReplacer("{endpoint}", "SHOP", "{operation_id}", "1").Replace(path)
	r := newRequest(method, path, strings.NewReader("{}"))
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("Content-Type", "application/json")
	response := httptest.NewRecorder()
	at(server, path).ServeHTTP(response, r)
	return response
}

func allScopesBut(scope rest.Scope) []rest.Scope {
	return slices.DeleteFunc(slices.Clone(rest.Scopes), func(s rest.Scope) bool { return s == scope })
}

// shapes are the types that the document's schemas are written from.
var shapes = map[string]reflect.Type{
	"State":            reflect.TypeFor[operation.State](),
	"Page":             reflect.TypeFor[operation.Page](),
	"OperationsCount":  reflect.TypeFor[operation.OperationsCount](),
	"Redeliveries":     reflect.TypeFor[operation.BulkRedelivery](),
	"RedeliveriesPage": reflect.TypeFor[operation.BulkRedeliveryPage](),
	"DryRun":           reflect.TypeFor[operation.DryRun](),
	"Ping":             reflect.TypeFor[operation.Ping](),
}

// TestEveryExampleIsWhatTheCodeReadsAndWrites holds the document's examples
// against the types, in both directions.
func TestEveryExampleIsWhatTheCodeReadsAndWrites(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for path, item := range document(t).Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				media := response.Value.Content.Get("application/json")
				if media == nil {
					continue
				}
				schema := strings.TrimPrefix(media.Schema.Ref, "#/components/schemas/")
				for name, example := range media.Examples {
					shape, ok := shapes[schema]
					if !ok {
						continue
					}
					seen[schema] = true
					value := reflect.New(shape)
					written := mustJSON(t, example.Value.Value)
					decodeStrictly(t, written, value.Interface())
					require.JSONEq(t, string(written), string(mustJSON(t, value.Interface())), "%s %s %s %s", method, path, status, name)
				}
			}
			if operation.RequestBody == nil {
				continue
			}
			for name, example := range operation.RequestBody.Value.Content.Get("application/json").Examples {
				server := rest.New(rest.Options{Operations: &fake{}})
				target := strings.NewReplacer("{endpoint}", "SHOP", "{operation_id}", "1").Replace(path)
				r := newRequest(method, target, bytes.NewReader(mustJSON(t, example.Value.Value)))
				r.Header.Set("Content-Type", "application/json")
				response := httptest.NewRecorder()
				server.ServeHTTP(response, r)
				require.Less(t, response.Code, 300, "%s %s %s: %s", method, path, name, response.Body)
			}
		}
	}
	require.Len(t, seen, len(shapes), "each has an example")
}

// TestEveryCallOfTheEditorsFileIsInTheDocument sends each call of docs/api.http.
func TestEveryCallOfTheEditorsFileIsInTheDocument(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../docs/api.http")
	require.NoError(t, err)
	head, calls, _ := strings.Cut(string(file), "\n###")
	variables := []string{"{{api}}", ""}
	for _, v := range regexp.MustCompile(`(?m)^@(\w+) = (.+)$`).FindAllStringSubmatch(head, -1) {
		variables = append(variables, "{{"+v[1]+"}}", v[2])
	}
	server := rest.New(rest.Options{Operations: &fake{}})
	router, err := contractRouter()
	require.NoError(t, err)
	called := map[string]bool{}
	for _, text := range strings.Split(strings.NewReplacer(variables...).Replace(calls), "\n###") {
		_, text, _ = strings.Cut(text, "\n") // what it does
		lines, body, _ := strings.Cut(text, "\n\n")
		line, headers, _ := strings.Cut(lines, "\n")
		method, target, _ := strings.Cut(line, " ")
		r := newRequest(method, target, strings.NewReader(body))
		for _, header := range regexp.MustCompile(`(?m)^([\w-]+): (.+)$`).FindAllStringSubmatch(headers, -1) {
			r.Header.Set(header[1], header[2])
		}
		route, _, err := router.FindRoute(r)
		require.NoError(t, err, line)
		called[method+" "+route.Path] = true
		response := httptest.NewRecorder()
		server.ServeHTTP(response, r)
		require.Less(t, response.Code, 300, "%s: %s", line, response.Body)
	}
	for path, item := range document(t).Paths.Map() {
		for method := range item.Operations() {
			if strings.HasPrefix(path, "/v1/") {
				require.Contains(t, called, method+" "+path)
			}
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

func decodeStrictly(t *testing.T, data []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(into), "%s", data)
	_, err := d.Token()
	require.ErrorIs(t, err, io.EOF)
}
