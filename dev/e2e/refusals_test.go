package e2e_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/apiclient"
)

func TestBadInputNamesItsFieldAndStartsNothing(t *testing.T) {
	leavesNothing(t)
	w := newWorld(t, startEngine(t), quick)
	api := w.run(t).Client
	const order = `"endpoint":"ECOM_GOLD_BANK","operation_id":"A2C-1","method":"p2p_a2c","reference":{"registered_at":"2026-11-21T09:30:00+02:00"`
	const transfer = `"endpoint":"WALLET_SHOP","operation_id":"1","callback":{"url":`
	for name, tt := range map[string]struct {
		body   string
		status int
		field  string
	}{
		"JSON that is none":                     {`{`, http.StatusBadRequest, ""},
		"a body of a megabyte":                  {`{"endpoint":"` + strings.Repeat("a", 1<<20) + `"}`, http.StatusRequestEntityTooLarge, ""},
		"an unknown field":                      {`{"endpoint":"LEDGER","operation_id":"1","pan":"1"}`, http.StatusUnprocessableEntity, "pan"},
		"an unknown endpoint":                   {`{"endpoint":"NOBODY","operation_id":"1"}`, http.StatusUnprocessableEntity, "endpoint"},
		"no operation id":                       {`{"endpoint":"LEDGER"}`, http.StatusUnprocessableEntity, "operation_id"},
		"an order number of 33 characters":      {`{` + strings.Replace(order, "A2C-1", strings.Repeat("1a", 16)+"1", 1) + `}}`, http.StatusUnprocessableEntity, "operation_id"},
		"an unknown method":                     {`{` + strings.Replace(order, "p2p_a2c", "refund", 1) + `}}`, http.StatusUnprocessableEntity, "method"},
		"an order id of 37 characters":          {`{` + order + `,"order_id":"` + strings.Repeat("x", 37) + `"}}`, http.StatusUnprocessableEntity, "reference.order_id"},
		"an order without its date":             {`{"endpoint":"ECOM_GOLD_BANK","operation_id":"A2C-1","method":"payment"}`, http.StatusUnprocessableEntity, "reference.registered_at"},
		"an unknown status":                     {`{"endpoint":"LEDGER","operation_id":"1","known_status":"paid"}`, http.StatusUnprocessableEntity, "known_status"},
		"a URL for an endpoint that has one":    {`{"endpoint":"LEDGER","operation_id":"1","callback":{"url":"http://127.0.0.1/"}}`, http.StatusUnprocessableEntity, "callback.url"},
		"no URL where each operation has one":   {`{"endpoint":"WALLET_SHOP","operation_id":"1"}`, http.StatusUnprocessableEntity, "callback.url"},
		"a URL that is not http":                {`{` + transfer + `"ftp://127.0.0.1/"}}`, http.StatusUnprocessableEntity, "callback.url"},
		"a URL with userinfo":                   {`{` + transfer + `"http://a:b@127.0.0.1/"}}`, http.StatusUnprocessableEntity, "callback.url"},
		"a URL into a private network":          {`{` + transfer + `"https://10.0.0.1/"}}`, http.StatusUnprocessableEntity, "callback.url"},
		"a URL to the cloud's metadata":         {`{` + transfer + `"http://169.254.169.254/"}}`, http.StatusUnprocessableEntity, "callback.url"},
		"a card number as order number":         {`{` + strings.Replace(order, "A2C-1", "4111111111111111", 1) + `}}`, http.StatusUnprocessableEntity, "operation_id"},
		"a card number within a transfer's URL": {`{` + transfer + `"http://127.0.0.1/?c=4111111111111111"}}`, http.StatusUnprocessableEntity, "callback.url"},
	} {
		t.Run(name, func(t *testing.T) {
			problem := refused(t, api, tt.body)
			require.Equal(t, tt.status, problem.Status, "%s", problem)
			if tt.field == "" {
				return
			}
			var fields []string
			for _, fault := range problem.Errors {
				fields = append(fields, fault.Field)
				require.NotEmpty(t, fault.Detail)
			}
			require.Contains(t, fields, tt.field)
			require.NotContains(t, problem.Error(), "4111111111111111", "what was refused is not repeated")
		})
	}
	page, err := api.List(t.Context(), url.Values{})
	require.NoError(t, err)
	require.Empty(t, page.Operations, "no workflow was started")
}

// refused posts a start that must not be accepted.
func refused(t *testing.T, api *apiclient.Client, body string) *apiclient.Problem {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api.Base+"/v1/operations", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := api.HTTP.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"), "%s", text)
	problem := apiclient.ReadProblem(response, text)
	require.NotEmpty(t, problem.Detail)
	return problem
}
