package rest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ringback/api/rest"
	"ringback/internal/operation"
)

const manyID = "rd_mfrggzdfmztwq2lknnwg23tpob"

func someRedeliveries() operation.BulkRedelivery {
	return operation.BulkRedelivery{
		ID: manyID, Phase: operation.BulkRedeliveryRunning, Filter: operation.Filter{Endpoint: "SHOP", Since: noon},
		RatePerSecond: 10, By: "ops", Reason: "repaired", Matched: 30, StartedAt: noon, RunID: "run",
		BulkRedeliveryProgress: operation.BulkRedeliveryProgress{Done: 3, Failed: 1, Failures: []operation.Failure{{Key: shop, Detail: "d"}}},
	}
}

func many(body string) exchange {
	return exchange{method: "POST", path: "/v1/redeliveries", body: body}
}

func TestEachCallAboutManyAsksOperationsForWhatItSays(t *testing.T) {
	t.Parallel()
	nobody := "(no keys configured)"
	for name, c := range map[string]struct {
		exchange
		status int
		asked  []any
		answer string
		where  string
	}{
		"a bulk redelivery is taken at the default rate and located": {
			exchange: many(`{"filter":{"endpoint":"SHOP"}}`), status: 202,
			asked:  []any{operation.BulkRedeliveryRequest{Filter: operation.Filter{Endpoint: "SHOP"}, RatePerSecond: 10, By: nobody}},
			answer: `"done":3`, where: "/v1/redeliveries/" + manyID,
		},
		"a bulk redelivery may say all there is to say": {
			exchange: many(`{"filter":{"endpoint":"SHOP","status":"done","outcome":"gone","since":"2026-11-21T12:00:00Z","until":"2026-11-21T12:00:01Z"},"rate_per_second":0.5,"force":true,"reason":"r"}`), status: 202,
			asked: []any{operation.BulkRedeliveryRequest{
				Filter:        operation.Filter{Endpoint: "SHOP", Status: "done", Outcome: operation.OutcomeGone, Since: noon, Until: noon.Add(1e9)},
				RatePerSecond: 0.5, Force: true, Reason: "r", By: nobody,
			}}, where: "/v1/redeliveries/" + manyID,
		},
		"a dry run counts, shows a list and locates nothing": {
			exchange: many(`{"filter":{"outcome":"acknowledged"},"force":true,"dry_run":true}`), status: 200,
			asked:  []any{operation.BulkRedeliveryRequest{Filter: operation.Filter{Outcome: operation.OutcomeAcknowledged}, Force: true, DryRun: true, RatePerSecond: 10, By: nobody}},
			answer: `"matched":30,"sample":[]`,
		},
		"one is asked by its id": {
			exchange: exchange{method: "GET", path: "/v1/redeliveries/" + manyID}, status: 200, asked: []any{manyID}, answer: `"phase":"running"`,
		},
		"the recent ones are a list": {
			exchange: exchange{method: "GET", path: "/v1/redeliveries"}, status: 200, answer: `{"redeliveries":[{"id":"rd_`,
		},
		"one is stopped by its id": {
			exchange: exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, status: 200, asked: []any{manyID, "stop", manyID},
		},
		"one is resumed by its id": {
			exchange: exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/resume"}, status: 200, asked: []any{manyID, "resume", manyID},
		},
		"what never arrived is counted by the endpoint and when it closed": {
			exchange: exchange{method: "GET", path: "/v1/operations/count?outcome=undelivered&time=closed&since=2026-11-21T12:00:00Z&group_by=endpoint"}, status: 200,
			asked:  []any{operation.CountQuery{ListQuery: operation.ListQuery{Undelivered: true, ByClose: true, Since: noon}, GroupBy: operation.GroupByEndpoint}},
			answer: `{"count":7,"exact":true}`,
		},
		"what never arrived is listed by when it started": {
			exchange: exchange{method: "GET", path: "/v1/operations?outcome=undelivered&time=started"}, status: 200,
			asked: []any{operation.ListQuery{Undelivered: true}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{many: someRedeliveries(), dryRun: operation.DryRun{Matched: 30}, count: operation.OperationsCount{Count: 7, Exact: true}}
			answer, body := c.do(t, rest.New(rest.Options{Operations: f}))
			require.Equal(t, c.status, answer.StatusCode, body)
			require.Equal(t, c.asked, f.questions())
			require.Contains(t, body, c.answer)
			require.Equal(t, c.where, answer.Header.Get("Location"))
		})
	}
}

func TestABadFilterIsRefusedWithItsField(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exchange
		field, says string
	}{
		"no bound":                           {many(`{"filter":{}}`), "filter", "at least one"},
		"no filter":                          {many(`{"reason":"all of it"}`), "filter", "at least one"},
		"an endpoint that can't be":          {many(`{"filter":{"endpoint":"SH OP"}}`), "filter.endpoint", "1 to 50"},
		"an unknown outcome":                 {many(`{"filter":{"outcome":"failed"}}`), "filter.outcome", "exhausted, gone, expired, terminated"},
		"what was withdrawn":                 {many(`{"filter":{"outcome":"withdrawn"},"force":true}`), "filter.outcome", "not one of"},
		"acknowledged without force":         {many(`{"filter":{"outcome":"acknowledged"}}`), "filter.outcome", "force"},
		"a status of acknowledged":           {many(`{"filter":{"outcome":"acknowledged","status":"done"},"force":true}`), "filter.outcome", "not kept"},
		"a status of 65 bytes":               {many(`{"filter":{"status":"` + strings.Repeat("s", 65) + `"}}`), "filter.status", "64"},
		"a since that is no time":            {many(`{"filter":{"since":"24h"}}`), "filter.since", "RFC 3339"},
		"an until at since":                  {many(`{"filter":{"since":"2026-11-21T09:30:00Z","until":"2026-11-21T09:30:00Z"}}`), "filter.until", "not after since"},
		"an operation id, which is for one":  {many(`{"filter":{"operation_id":"1"}}`), "filter.operation_id", "not a field"},
		"a rate of nothing":                  {many(`{"filter":{"endpoint":"SHOP"},"rate_per_second":0}`), "rate_per_second", "above 0"},
		"a rate of 101":                      {many(`{"filter":{"endpoint":"SHOP"},"rate_per_second":101}`), "rate_per_second", "at most 100"},
		"a rate in words":                    {many(`{"filter":{"endpoint":"SHOP"},"rate_per_second":"10"}`), "rate_per_second", "a number"},
		"a reason of 257":                    {many(`{"filter":{"endpoint":"SHOP"},"reason":"` + strings.Repeat("r", 257) + `"}`), "reason", "256"},
		"a query":                            {exchange{method: "POST", path: "/v1/redeliveries?dry_run=1", body: `{"filter":{"endpoint":"SHOP"}}`}, "dry_run", "no query"},
		"an id that is not one":              {exchange{method: "GET", path: "/v1/redeliveries/rd_x"}, "id", "rd_"},
		"a stop with a body":                 {exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop", body: "{}"}, "(body)", "no body"},
		"a count grouped by what is unknown": {exchange{method: "GET", path: "/v1/operations/count?group_by=status"}, "group_by", "endpoint, outcome"},
		"a count with a page":                {exchange{method: "GET", path: "/v1/operations/count?page_token=x"}, "page_token", "not a parameter"},
		"a time of something else":           {exchange{method: "GET", path: "/v1/operations?time=observed"}, "time", "started, closed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			answer, body := c.do(t, rest.New(rest.Options{Operations: f}))
			require.Equal(t, http.StatusUnprocessableEntity, answer.StatusCode, body)
			require.Empty(t, f.questions())
			p := isProblem(t, answer, []byte(body))
			require.Len(t, p.Errors, 1, body)
			require.Equal(t, c.field, p.Errors[0].Field)
			require.Contains(t, p.Errors[0].Detail, c.says)
		})
	}
}

func TestAKeyRedeliversManyOnlyWhereItMay(t *testing.T) {
	t.Parallel()
	plain := rest.Key{Name: "ops", Scopes: []rest.Scope{rest.ScopeRedeliver}}
	bound := rest.Key{Name: "ops", Scopes: rest.Scopes, Endpoints: []string{"OTHER"}}
	forced := someRedeliveries()
	forced.Force = true
	for name, c := range map[string]struct {
		key rest.Key
		exchange
		many   operation.BulkRedelivery
		status int
		says   string
	}{
		"redeliver alone is enough":          {plain, many(`{"filter":{"endpoint":"SHOP"}}`), someRedeliveries(), 202, "rd_"},
		"force needs its own scope":          {plain, many(`{"filter":{"endpoint":"SHOP"},"force":true}`), someRedeliveries(), 403, "lacks the scope force"},
		"so does a dry run with force":       {plain, many(`{"filter":{"endpoint":"SHOP"},"force":true,"dry_run":true}`), someRedeliveries(), 403, "lacks the scope force"},
		"so does resuming a forced one":      {plain, exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/resume"}, forced, 403, "lacks the scope force"},
		"stopping a forced one does not":     {plain, exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, forced, 200, "rd_"},
		"seeing a forced one does not":       {plain, exchange{method: "GET", path: "/v1/redeliveries/" + manyID}, forced, 200, "rd_"},
		"a bound key has to name its own":    {bound, many(`{"filter":{"outcome":"gone"}}`), someRedeliveries(), 422, "is required with this key"},
		"a bound key may not name another":   {bound, many(`{"filter":{"endpoint":"SHOP"}}`), someRedeliveries(), 403, "not for that endpoint"},
		"a bound key may not see another's":  {bound, exchange{method: "GET", path: "/v1/redeliveries/" + manyID}, someRedeliveries(), 403, "not for that endpoint"},
		"a bound key may not stop another's": {bound, exchange{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, someRedeliveries(), 403, "not for that endpoint"},
		"a bound key is not shown another's": {bound, exchange{method: "GET", path: "/v1/redeliveries"}, someRedeliveries(), 200, `{"redeliveries":[]}`},
		"a bound key counts what it names":   {bound, exchange{method: "GET", path: "/v1/operations/count"}, someRedeliveries(), 422, "is required with this key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{many: c.many}
			c.header = map[string]string{"Authorization": "Bearer " + secret}
			answer, body := c.do(t, rest.New(rest.Options{Operations: f, Keys: oneKey(c.key)}))
			require.Equal(t, c.status, answer.StatusCode, body)
			require.Contains(t, body, c.says)
			require.False(t, answer.StatusCode >= 300 && slices.Contains(f.questions(), any("resume")), "nothing was resumed")
		})
	}
}

func TestABulkRedeliveryLeavesOneLineThatSaysWhoWhatAndWhy(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	server := rest.New(rest.Options{
		Operations: &fake{many: someRedeliveries()}, Log: zap.New(core),
		Keys: oneKey(rest.Key{Name: "ops", Scopes: rest.Scopes}),
	})
	e := many(`{"filter":{"endpoint":"SHOP"},"reason":"repaired"}`)
	e.header = map[string]string{"Authorization": "Bearer " + secret}
	e.do(t, server)
	lines := logs.FilterMessage("audit").All()
	require.Len(t, lines, 1)
	said := lines[0].ContextMap()
	require.Equal(t, "ops", said["who"])
	require.Equal(t, "redeliver many", said["action"])
	require.Equal(t, "repaired", said["reason"])
	require.Equal(t, manyID, said["redeliveries_id"])
	require.NotContains(t, said, "operation_id")
}
