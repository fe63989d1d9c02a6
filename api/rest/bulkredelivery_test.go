package rest_test

import (
	"slices"
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

func many(body string) httpCall {
	return httpCall{method: "POST", path: "/v1/redeliveries", body: body}
}

func TestABulkRedeliveryIsForKeysOfItsEndpointAndScope(t *testing.T) {
	t.Parallel()
	plain := rest.Key{Name: "ops", Scopes: []string{operation.ScopeRedeliver}}
	bound := rest.Key{Name: "ops", Scopes: operation.Scopes, Endpoints: []string{"OTHER"}}
	forced := someRedeliveries()
	forced.Force = true
	for name, c := range map[string]struct {
		key rest.Key
		httpCall
		many   operation.BulkRedelivery
		status int
		says   string
	}{
		"redeliver alone is enough":          {plain, many(`{"filter":{"endpoint":"SHOP"}}`), someRedeliveries(), 202, "rd_"},
		"force needs its own scope":          {plain, many(`{"filter":{"endpoint":"SHOP"},"force":true}`), someRedeliveries(), 403, "lacks the scope force"},
		"so does a dry run with force":       {plain, many(`{"filter":{"endpoint":"SHOP"},"force":true,"dry_run":true}`), someRedeliveries(), 403, "lacks the scope force"},
		"so does resuming a forced one":      {plain, httpCall{method: "POST", path: "/v1/redeliveries/" + manyID + "/resume"}, forced, 403, "lacks the scope force"},
		"stopping a forced one does not":     {plain, httpCall{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, forced, 200, "rd_"},
		"seeing a forced one does not":       {plain, httpCall{method: "GET", path: "/v1/redeliveries/" + manyID}, forced, 200, "rd_"},
		"a bound key has to name its own":    {bound, many(`{"filter":{"outcome":"gone"}}`), someRedeliveries(), 422, "is required with this key"},
		"a bound key may not name another":   {bound, many(`{"filter":{"endpoint":"SHOP"}}`), someRedeliveries(), 403, "not for that endpoint"},
		"a bound key may not see another's":  {bound, httpCall{method: "GET", path: "/v1/redeliveries/" + manyID}, someRedeliveries(), 403, "not for that endpoint"},
		"a bound key may not stop another's": {bound, httpCall{method: "POST", path: "/v1/redeliveries/" + manyID + "/stop"}, someRedeliveries(), 403, "not for that endpoint"},
		"a bound key is not shown another's": {bound, httpCall{method: "GET", path: "/v1/redeliveries"}, someRedeliveries(), 200, `{"redeliveries":[]}`},
		"a bound key counts what it names":   {bound, httpCall{method: "GET", path: "/v1/operations/count"}, someRedeliveries(), 422, "is required with this key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{many: c.many}
			c.header = map[string]string{"Authorization": "Bearer " + secret}
			response, body := c.do(t, rest.New(rest.Options{Operations: f, Settings: oneKey(c.key)}))
			require.Equal(t, c.status, response.StatusCode, body)
			require.Contains(t, body, c.says)
			require.False(t, response.StatusCode >= 300 && slices.Contains(f.received(), any("resume")), "nothing was resumed")
		})
	}
}

func TestTheAuditLineOfABulkRedeliveryHasItsReason(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	server := rest.New(rest.Options{
		Operations: &fake{many: someRedeliveries()}, Log: zap.New(core),
		Settings: oneKey(rest.Key{Name: "ops", Scopes: operation.Scopes}),
	})
	e := many(`{"filter":{"endpoint":"SHOP"},"reason":"repaired"}`)
	e.header = map[string]string{"Authorization": "Bearer " + secret}
	e.do(t, server)
	line := ended(t, logs)
	require.Equal(t, "ops", line["who"])
	require.Equal(t, "redeliver many", line["action"])
	require.Equal(t, "repaired", line["reason"])
	require.Equal(t, manyID, line["redeliveries_id"])
	require.NotContains(t, line, "operation_id")
}
