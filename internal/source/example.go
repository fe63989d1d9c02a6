package source

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"ringback/internal/expression"
	"ringback/internal/nearest"
	"ringback/internal/operation"
)

// exampleErrors are the names of the kinds of errors in examples.
var exampleErrors = map[string]ErrorKind{
	"refused": Unauthorized, "not_found": NotFound, "malformed": Malformed, "unavailable": Unavailable, "throttled": Throttled,
}

// RunExamples is what the examples of a definition that compiles show to be wrong:
// the difference between what they say and what becomes of them.
func (d Definition) RunExamples() []expression.Fault {
	c := &compiler{definition: d}
	made := c.compile()
	if len(c.Faults) > 0 || made.poll == nil {
		return nil
	}
	core := made.core(Config{Name: "example", Secrets: expression.ExampleSecrets(d.Secrets), Bases: []Base{{URL: "https://core.example"}}})
	id := d.idRule(made.id, "")
	id.MayLookLikeCardNumber = true // an endpoint may take it
	var faults expression.Faults
	for i, e := range d.Examples {
		found := e.mistakes(slices.Sorted(maps.Keys(d.Statuses)), id)
		if len(found) == 0 {
			found = e.differences(core)
		}
		faults.Example(i, e.Name, found)
	}
	return faults
}

// mistakes are what no operation of the definition could have, and what would not be tried.
func (e Example) mistakes(statuses []string, id operation.FieldRule) (faults expression.Faults) {
	if fault := id.Check(e.Operation.OperationID); fault != nil && e.Operation.OperationID != "" {
		faults.Add("operation.operation_id", "%s", fault.Detail)
	}
	_, known := exampleErrors[e.Error]
	faults.Require(known || e.Error == "", "error", "%q is unknown; allowed: %s", e.Error, strings.Join(slices.Sorted(maps.Keys(exampleErrors)), ", "))
	faults.Require(e.Status == "" || slices.Contains(statuses, e.Status), "status", "%q is not in statuses%s", e.Status, nearest.Hint(e.Status, statuses))
	faults.Require(e.Answer != nil || e.Status == "" && e.Error == "" && e.Keep == nil && e.Details == nil,
		"answer", "is missing: there is nothing that status, error, keep and details could be read from")
	return faults
}

// differences are what an example says otherwise than the core's protocol does.
func (e Example) differences(c *core) (faults expression.Faults) {
	q := operation.Query{OperationID: e.Operation.OperationID, Method: e.Operation.Method, Reference: e.Operation.Reference.Reference()}
	e.Request.compare(c, q, &faults)
	if e.Answer == nil {
		return faults
	}
	got := answer{tried: "example", httpStatus: e.Answer.Status(), header: e.Answer.Header(), body: []byte(e.Answer.Body)}
	observed, failure := judge(context.Background(), c, got, q, c.screened)
	if failure != nil {
		faults.Differ("error", e.Error, nameOf(failure.Kind), failure.Detail)
		return faults
	}
	faults.Differ("error", e.Error, "", "there is none")
	faults.Differ("status", e.Status, observed.Status, "")
	if e.Keep != nil {
		faults.DifferByName("keep", e.Keep, observed.Raw)
	}
	if e.Details != nil {
		details, _ := judge(context.Background(), c, got, q, c.extended)
		shown := map[string]string{}
		for name, value := range details {
			shown[name] = fmt.Sprint(value)
		}
		faults.DifferByName("details", e.Details, shown)
	}
	return faults
}

func nameOf(kind ErrorKind) string {
	for name, of := range exampleErrors {
		if of == kind {
			return name
		}
	}
	return string(kind)
}

// compare holds the request that is made against the one that the example says; nil: any.
func (r *ExampleRequest) compare(c *core, q operation.Query, faults *expression.Faults) {
	made, err := c.poll(context.Background(), c.Bases[0], q)
	if err != nil {
		faults.Add("request", "it can't be built: %s", err)
		return
	}
	if r == nil {
		return
	}
	body, _ := io.ReadAll(made.Body) // of a text
	target := made.URL.RequestURI()
	faults.Differ("request.method", cmp.Or(r.Method, made.Method), made.Method, "")
	faults.Differ("request.url", cmp.Or(r.URL, target), target, "")
	faults.Differ("request.body", cmp.Or(strings.TrimSuffix(r.Body, "\n"), string(body)), string(body), "")
}
