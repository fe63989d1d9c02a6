package simulator_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/simulator"
)

func startDocumented(t *testing.T, name, secret string) *simulator.DocumentedCore {
	t.Helper()
	c, err := simulator.StartDocumentedCore("127.0.0.1:0", name, secret)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestADocumentedCoreAnswersAsItsDocumentsSay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path, header, value string
		refused             int
		statuses            []string
		id, status          string
	}{
		"monobank": {"/api/merchant/invoice/status?invoiceId=p1", "X-Token", "secret", http.StatusForbidden, []string{"created", "hold", "success"}, "invoiceId", "status"},
		"mollie":   {"/v2/payments/p1", "Authorization", "Bearer secret", http.StatusUnauthorized, []string{"open", "paid"}, "id", "status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startDocumented(t, name, "secret")
			get := func(value string) (int, map[string]any) {
				return ask(t, http.DefaultClient, http.MethodGet, c.URL()+tt.path, map[string]string{tt.header: value})
			}
			code, _ := get(tt.value)
			require.Equal(t, http.StatusNotFound, code)
			c.Script("p1", simulator.Steps(tt.statuses...)...)
			code, _ = get("another")
			require.Equal(t, tt.refused, code)
			for _, want := range tt.statuses {
				code, body := get(tt.value)
				require.Equal(t, http.StatusOK, code)
				require.Equal(t, "p1", body[tt.id])
				require.Equal(t, want, body[tt.status])
			}
			asked := c.Questions("p1")
			require.Len(t, asked, 2+len(tt.statuses))
			require.NotEmpty(t, asked[1].Refused)
			require.Empty(t, asked[2].Header.Get(tt.header), "no credentials are remembered")
		})
	}
}

func TestPayPalAnswersWhereThereIsAToken(t *testing.T) {
	t.Parallel()
	c := startDocumented(t, "paypal", "client:secret")
	c.Script("i1", simulator.TransferStep{Status: "FAILED", FailureCode: "RECEIVER_UNREGISTERED"})
	token := func(client string) (int, string) {
		// The client in front of the host is sent as Basic authorization.
		at := strings.Replace(c.URL(), "//", "//"+client+"@", 1) + "/v1/oauth2/token"
		response, err := http.PostForm(at, url.Values{"grant_type": {"client_credentials"}})
		require.NoError(t, err)
		defer response.Body.Close()
		var body struct {
			Token string `json:"access_token"`
		}
		require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
		return response.StatusCode, body.Token
	}
	get := func(token string) (int, map[string]any) {
		return ask(t, http.DefaultClient, http.MethodGet, c.URL()+"/v1/payments/payouts-item/i1", map[string]string{"Authorization": "Bearer " + token})
	}
	code, _ := token("client:another")
	require.Equal(t, http.StatusUnauthorized, code)
	_, issued := token("client:secret")
	code, body := get(issued)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "FAILED", body["transaction_status"])
	require.Equal(t, "RECEIVER_UNREGISTERED", body["errors"].(map[string]any)["name"])
	c.RevokeTokens()
	code, body = get(issued)
	require.Equal(t, http.StatusUnauthorized, code)
	require.Equal(t, "AUTHENTICATION_FAILURE", body["name"])
	require.Equal(t, 1, c.TokensIssued())
}
