package source

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/cardnumber"
	"ringback/internal/operation"
)

func TestMACIsThePublishedVector(t *testing.T) {
	t.Parallel()
	signer := macSigner{
		id: "wkVd93h2uS", key: "IrdTc8uQodU7PRpLzzLTW6wqZAO6tAMU",
		now:   func() time.Time { return time.Unix(1343811600, 0) },
		nonce: func() string { return "nQnNaSNyubfPErjRO55yaaEYo9YZfKHN" },
	}
	const want = `MAC id="wkVd93h2uS", ts="1343811600", nonce="nQnNaSNyubfPErjRO55yaaEYo9YZfKHN", ` +
		`mac="/qxTA8FOgT0Dd0MHh9k/sUQ3Q38ckx8+S0PBxpIuttY="`
	for _, written := range []string{
		"https://wallet.paysera.com/rest/v1/payment/10145",
		"https://wallet.paysera.com:443/rest/v1/payment/10145",
		"https://WALLET.paysera.com/rest/v1/payment/10145",
	} {
		u, err := url.Parse(written)
		require.NoError(t, err)
		require.Equal(t, want, signer.authorization(http.MethodGet, u), written)
	}
	for _, written := range []string{
		"http://wallet.paysera.com/rest/v1/payment/10145",
		"https://wallet.paysera.com:8443/rest/v1/payment/10145",
		"https://wallet.paysera.com/rest/v1/payment/10145?x=1",
		"https://wallet.paysera.com/rest/v1/payment/10146",
	} {
		u, err := url.Parse(written)
		require.NoError(t, err)
		require.NotEqual(t, want, signer.authorization(http.MethodGet, u), written)
	}
}

func TestNoNonceComesTwice(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		nonce := macNonce()
		require.Regexp(t, `^[\x20\x21\x23-\x5B\x5D-\x7E]{32}$`, nonce)
		require.False(t, seen[nonce])
		seen[nonce] = true
	}
}

// Every decoder must take whatever a core can answer, and keep nothing that
// could not stand in a callback.

func FuzzUkrcardAnswer(f *testing.F) {
	for _, seed := range []string{`{"orderNumber":"A-1","respStatus":200,"orderStatus":2,"orderId":"x","actionCode":-1}`, `{"respStatus":"404"}`, `null`, `[]`, `{`, `{"respStatus":{}}`, `{"respStatus":2e2,"orderStatus":"22"}`} {
		f.Add([]byte(seed), "A-1")
	}
	asData := opened(f, UkrcardAsData())
	f.Fuzz(func(t *testing.T, body []byte, orderNumber string) {
		q := operation.Query{OperationID: orderNumber}
		observed, err := ukrcardObservation(answer{body: body}, q)
		requireUkrcard(t, observed, err)
		observed, err = judged(asData, answer{httpStatus: 200, body: body}, q, asData.screened)
		requireUkrcard(t, observed, err)
	})
}

// opened is the core of a definition.
func opened(t testing.TB, d Definition) *core {
	t.Helper()
	kind, faults := d.Compile("as data")
	require.Empty(t, faults)
	return kind.Open(Config{}).(*core)
}

// judged is what becomes of an answer.
func judged[T any](c *core, got answer, q operation.Query, read func(answer, operation.Query) (T, error)) (T, error) {
	result, failure := judge(context.Background(), c, got, q, read)
	if failure != nil {
		return result, failure
	}
	return result, nil
}

func requireUkrcard(t *testing.T, observed operation.Observation, err error) {
	t.Helper()
	if err != nil {
		require.Zero(t, observed)
		return
	}
	raw := observed.Raw
	require.Regexp(t, `^[0-9]{1,3}$`, raw["respStatus"])
	require.Regexp(t, `^[0-9]?$`, observed.Status)
	require.Equal(t, raw["orderStatus"], observed.Status)
	require.LessOrEqual(t, len(raw["orderId"]), 36)
	require.Regexp(t, `^(-?[0-9]{1,9})?$`, raw["actionCode"])
	require.LessOrEqual(t, len(raw), 4)
	if raw["respStatus"] != "200" {
		require.Empty(t, observed.Status)
	}
}

func FuzzUkrcardDetails(f *testing.F) {
	for _, seed := range []string{`{"respStatus":200,"actionCodeDescription":"card 4111111111111111","amount":1,"date":"x","pan":"4111111111111111"}`, `{"respStatus":200,"amount":4111111111111111}`, `{"respStatus":200,"amount":{"a":[1]}}`} {
		f.Add([]byte(seed))
	}
	allowed := []string{"respStatus", "orderStatus", "orderNumber", "orderId", "actionCode", "actionCodeDescription", "amount", "currency", "date"}
	asData := opened(f, UkrcardAsData())
	f.Fuzz(func(t *testing.T, body []byte) {
		q := operation.Query{OperationID: "A-1"}
		for _, read := range []func() (map[string]any, error){
			func() (map[string]any, error) { return ukrcardExtended(answer{body: body}, q) },
			func() (map[string]any, error) {
				return judged(asData, answer{httpStatus: 200, body: body}, q, asData.extended)
			},
		} {
			picked, err := read()
			if err != nil {
				continue
			}
			for name := range picked {
				require.Contains(t, allowed, name)
			}
			requireClean(t, picked)
		}
	})
}

func FuzzPayseraAnswer(f *testing.F) {
	for _, seed := range []string{`{"id":1,"status":"failed","failure_status":{"code":"cancelled_by_user"}}`, `{"id":"1","status":"done","failure_status":[]}`, `{"id":{}}`, `null`, `[`, `{"id":1,"status":"done","amount":{"amount":"1","currency":"EUR","x":2},"commission":null}`} {
		f.Add(200, []byte(seed), "1")
	}
	asData := opened(f, PayseraAsData())
	f.Fuzz(func(t *testing.T, status int, body []byte, id string) {
		got, q := answer{httpStatus: status, body: body}, operation.Query{OperationID: id}
		observed, err := payseraObservation(got, q)
		picked, detailsErr := payseraExtended(got, q)
		requirePaysera(t, status, observed, picked, err, detailsErr)
		observed, err = judged(asData, got, q, asData.screened)
		picked, detailsErr = judged(asData, got, q, asData.extended)
		if err != nil && detailsErr == nil {
			return // a status that looks like a card number
		}
		requirePaysera(t, status, observed, picked, err, detailsErr)
	})
}

func requirePaysera(t *testing.T, status int, observed operation.Observation, picked map[string]any, err, detailsErr error) {
	t.Helper()
	require.Equal(t, err == nil, detailsErr == nil)
	if err != nil {
		return
	}
	require.True(t, status >= 200 && status <= 299)
	require.Regexp(t, payseraWord, observed.Status)
	raw := observed.Raw
	delete(raw, "status")
	delete(raw, "failure_code")
	require.Empty(t, raw)
	requireClean(t, picked)
}

// requireClean wants a value that can be written as JSON and holds no card number.
func requireClean(t *testing.T, picked map[string]any) {
	t.Helper()
	_, err := json.Marshal(picked)
	require.NoError(t, err)
	for name, value := range picked {
		switch v := value.(type) {
		case string:
			require.False(t, cardnumber.In(v), name)
			require.LessOrEqual(t, len(v), maxDetailText)
		case json.Number:
			require.False(t, cardnumber.In(v.String()), name)
		case map[string]any:
			requireClean(t, v)
		case bool:
		default:
			t.Fatalf("%s is a %T", name, v)
		}
	}
}
