package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/api/rest"
	"ringback/internal/operation"
	"ringback/internal/service"
	"ringback/internal/source"
)

// textField is one string of a request, as the document has it.
type textField struct {
	method, path string
	// in is "path", "query" or "body"; name is the field's JSON path there.
	in, name string
	schema   *openapi3.Schema
}

// last is the name without what it is within: the same rule holds wherever it is.
func (f textField) last() string { return f.name[strings.LastIndex(f.name, ".")+1:] }

// textFields are all strings that a caller may choose freely: neither one of an enum, nor
// a time, nor Temporal's own protocol.
func textFields(t *testing.T) []textField {
	t.Helper()
	var fields []textField
	var add func(f textField)
	add = func(f textField) {
		s := f.schema
		switch {
		case s.Type.Is("array"):
			add(textField{f.method, f.path, f.in, f.name, s.Items.Value})
		case s.Type.Is("object"):
			for name, property := range s.Properties {
				add(textField{f.method, f.path, f.in, strings.TrimPrefix(f.name+"."+name, "."), property.Value})
			}
		case s.Type.Is("string") && len(s.Enum) == 0 && s.Format == "":
			fields = append(fields, f)
		}
	}
	for path, item := range document(t).Paths.Map() {
		if strings.HasPrefix(path, "/codec") {
			continue
		}
		for method, o := range item.Operations() {
			for _, p := range slices.Concat(item.Parameters, o.Parameters) {
				add(textField{method, path, p.Value.In, p.Value.Name, p.Value.Schema.Value})
			}
			if o.RequestBody != nil {
				add(textField{method, path, "body", "", o.RequestBody.Value.Content.Get("application/json").Schema.Value})
			}
		}
	}
	return fields
}

// limits are the rules of the fields that hold text.
func limits(t *testing.T) map[string]operation.FieldRule {
	t.Helper()
	ukrcard, _ := source.KindByName("ukrcard")
	orderID := slices.IndexFunc(ukrcard.Fields, func(r operation.FieldRule) bool { return r.Field == "reference.order_id" })
	require.GreaterOrEqual(t, orderID, 0)
	return map[string]operation.FieldRule{
		"endpoint":     operation.EndpointRule,
		"key":          operation.EndpointRule,
		"operation_id": operation.OperationIDRule,
		"order_id":     ukrcard.Fields[orderID],
		"status":       operation.StatusRule,
		"reason":       operation.ReasonRule,
		"url":          operation.URLRule,
		"page_token":   operation.PageTokenRule,
	}
}

// closedLists are fields whose values the documents list: of a source, or Ringback's ids.
var closedLists = []string{"method", "known_status", "statuses", "id", "http_status"}

// TestEveryTextIsTakenUpToItsLimitInCharacters sends every string of the document's
// requests to the API and the service behind it: as long as allowed and one longer, in
// characters of one to four bytes.
func TestEveryTextIsTakenUpToItsLimitInCharacters(t *testing.T) {
	t.Parallel()
	rules, seen := limits(t), map[string]bool{}
	api := rest.New(rest.Options{Operations: withoutEngine(rules["order_id"])})
	for _, f := range textFields(t) {
		if slices.Contains(closedLists, f.last()) {
			continue
		}
		seen[f.last()] = true
		rule, known := rules[f.last()]
		require.Truef(t, known, "%s %s: the field %s has no rule", f.method, f.path, f.name)
		require.Equal(t, rule.MaxLength, documented(t, f), "%s %s: %s", f.method, f.path, f.name)
		for _, character := range []string{"a", "ї", "語", "🙂"} {
			t.Run(fmt.Sprintf("%s %s %s in characters of %d bytes", f.method, f.path, f.name, len(character)), func(t *testing.T) {
				t.Parallel()
				asLong := faultOf(t, api, f, text(f, character, rule.MaxLength))
				switch {
				case rule.Pattern != nil && len(character) > 1:
					require.Contains(t, asLong, rule.Alphabet)
				case f.name == "page_token": // which none of these is
					require.Contains(t, asLong, "is not a next_page_token of this list")
				default:
					require.Empty(t, asLong)
				}
				require.Contains(t, faultOf(t, api, f, text(f, character, rule.MaxLength+1)), fmt.Sprintf("is longer than %d characters", rule.MaxLength))
			})
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(rules)), slices.Collect(maps.Keys(seen)))
}

func TestTheDocumentHasTheOtherLimitsOfTheRules(t *testing.T) {
	t.Parallel()
	property := func(schema, name string) *openapi3.Schema {
		return document(t).Components.Schemas[schema].Value.Properties[name].Value
	}
	require.ElementsMatch(t, operation.Initiators, property("RevocationRequest", "initiated_by").Enum)
	require.InDelta(t, operation.MaxRatePerSecond, *property("RedeliveriesRequest", "rate_per_second").Max, 0)
}

// documented is the limit in the document.
func documented(t *testing.T, f textField) int {
	t.Helper()
	if f.schema.MaxLength != nil {
		return int(*f.schema.MaxLength)
	}
	var most int
	_, err := fmt.Sscanf(f.schema.Pattern[strings.Index(f.schema.Pattern, "{"):], "{1,%d}$", &most)
	require.NoErrorf(t, err, "%s %s: %s has neither a maxLength nor a pattern with one", f.method, f.path, f.name)
	require.Equal(t, operation.EndpointRule.Pattern.String(), strings.Replace(f.schema.Pattern, fmt.Sprintf("{1,%d}", most), "+", 1))
	return most
}

// text has that many characters.
func text(f textField, character string, length int) string {
	prefix := ""
	if f.last() == "url" {
		prefix = "https://shop.example/"
	}
	return prefix + strings.Repeat(character, length-len(prefix))
}

// faultOf is what the API says is wrong with the field, or "".
func faultOf(t *testing.T, api *rest.Server, f textField, value string) string {
	t.Helper()
	at := map[string]string{"endpoint": "SHOP", "operation_id": "1"}
	query := ""
	switch f.in {
	case "path":
		at[f.name] = value
	case "query":
		query = "?" + f.name + "=" + url.QueryEscape(value)
	}
	path := strings.NewReplacer("{endpoint}", url.PathEscape(at["endpoint"]), "{operation_id}", url.PathEscape(at["operation_id"])).Replace(f.path)
	r := newRequest(f.method, path+query, strings.NewReader(bodyOf(t, f, value)))
	r.Header.Set("Content-Type", "application/json")
	response := httptest.NewRecorder()
	api.ServeHTTP(response, r)
	var problem rest.Problem
	if response.Code != 422 {
		return ""
	}
	require.NoError(t, json.Unmarshal(response.Body.Bytes(), &problem))
	require.Len(t, problem.Errors, 1, "%s", response.Body)
	require.Equal(t, f.name, problem.Errors[0].Field)
	return problem.Errors[0].Detail
}

// bodyOf is the least body that the call takes, with the field if it is there.
func bodyOf(t *testing.T, f textField, value string) string {
	t.Helper()
	body, ok := map[string]map[string]any{
		"POST /v1/operations": {"endpoint": "SHOP", "operation_id": "1", "callback": map[string]any{"url": "https://shop.example/"}},
		"POST /v1/operations/{endpoint}/{operation_id}/revocation": {"initiated_by": "core"},
		"POST /v1/operations/{endpoint}/{operation_id}/redelivery": {},
		"POST /v1/operations/{endpoint}/{operation_id}/status":     {},
		"POST /v1/redeliveries":                                    {"filter": map[string]any{"since": "2026-11-21T09:30:00Z"}},
		"POST /v1/endpoints/{endpoint}/ping":                       {},
	}[f.method+" "+f.path]
	if !ok {
		return ""
	}
	if f.in == "body" {
		within := body
		path := strings.Split(f.name, ".")
		for _, name := range path[:len(path)-1] {
			if within[name] == nil {
				within[name] = map[string]any{}
			}
			within = within[name].(map[string]any)
		}
		within[path[len(path)-1]] = value
	}
	return string(mustJSON(t, body))
}

// limited is the service on an engine that knows no operation and takes none.
type limited struct{ *service.Service }

func (limited) Ping(context.Context, string, operation.PingRequest) (operation.Ping, error) {
	return operation.Ping{}, errNoEngine
}

func (limited) Details(context.Context, operation.Key) (map[string]any, error) {
	return nil, errNoEngine
}

var errNoEngine = operation.Refuse(operation.ProblemUnavailable, "No engine.")

func withoutEngine(orderID operation.FieldRule) limited {
	endpoint := operation.Endpoint{Name: "SHOP", PerOperationURL: true, Fields: []operation.FieldRule{orderID}}
	return limited{&service.Service{
		Client: noEngine{}, Converter: converter.GetDefaultDataConverter(),
		// Any name is registered.
		Endpoint:      func(string) (operation.Endpoint, bool) { return endpoint, true },
		EndpointNames: func() []string { return []string{"SHOP"} },
		CheckURL:      func(context.Context, string) error { return nil },
	}}
}

// noEngine is a Temporal client that finds nothing and starts nothing.
type noEngine struct{ client.Client }

func (noEngine) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, serviceerror.NewUnavailable("")
}

func (noEngine) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, serviceerror.NewNotFound("")
}

func (noEngine) UpdateWithStartWorkflow(context.Context, client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return nil, serviceerror.NewNotFound("")
}

func (noEngine) UpdateWorkflow(context.Context, client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return nil, serviceerror.NewNotFound("")
}

func (noEngine) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return nil, serviceerror.NewUnavailable("")
}

func (noEngine) CountWorkflow(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	return nil, serviceerror.NewUnavailable("")
}
