package simulator_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/simulator"
)

var wallet = simulator.PayseraOptions{MACID: "wkVd93h2uS", MACKey: "IrdTc8uQodU7PRpLzzLTW6wqZAO6tAMU"}

func startPaysera(t *testing.T, o simulator.PayseraOptions) *simulator.PayseraCore {
	t.Helper()
	c, err := simulator.StartPayseraCore("127.0.0.1:0", o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// signed asks for a transfer with a MAC over what is said, whatever is sent.
func signed(t *testing.T, c *simulator.PayseraCore, method, id, ts, nonce string) (int, map[string]any) {
	t.Helper()
	url := c.URL() + "/transfer/rest/v1/transfers/" + id
	mac := simulator.MAC(wallet.MACKey, request(t, method, url, nil), ts, nonce, "")
	return ask(t, http.DefaultClient, method, url, map[string]string{
		"Authorization": fmt.Sprintf(`MAC id=%q, ts=%q, nonce=%q, mac=%q`, wallet.MACID, ts, nonce, mac),
	})
}

func nonceOf(i int) string { return "nonce-" + strconv.Itoa(i) }

func now() string { return strconv.FormatInt(time.Now().Unix(), 10) }

func TestTheMACIsThatOfThePublishedVector(t *testing.T) {
	t.Parallel()
	r := request(t, http.MethodGet, "https://wallet.paysera.com:443/rest/v1/payment/10145", nil)
	require.Equal(t, "/qxTA8FOgT0Dd0MHh9k/sUQ3Q38ckx8+S0PBxpIuttY=",
		simulator.MAC(wallet.MACKey, r, "1343811600", "nQnNaSNyubfPErjRO55yaaEYo9YZfKHN", ""))
}

func TestPayseraAnswersItsScriptAndRepeatsTheLast(t *testing.T) {
	t.Parallel()
	c := startPaysera(t, wallet)
	c.Script("12345678", simulator.Steps("waiting_funds", "reserved", "done")...)
	var got []any
	for i := range 4 {
		status, body := signed(t, c, http.MethodGet, "12345678", now(), nonceOf(i))
		require.Equal(t, http.StatusOK, status)
		require.EqualValues(t, 12345678, body["id"])
		got = append(got, body["status"])
	}
	require.Equal(t, []any{"waiting_funds", "reserved", "done", "done"}, got)
	require.Len(t, c.Questions("12345678"), 4)
	require.Empty(t, c.Questions("12345678")[0].Header.Get("Authorization"))
}

func TestPayseraAnswersByTime(t *testing.T) {
	t.Parallel()
	c := startPaysera(t, wallet)
	c.Schedule("7", simulator.TransferStep{Status: "waiting_funds", For: 100 * time.Millisecond}, simulator.TransferStep{Status: "done"})
	_, body := signed(t, c, http.MethodGet, "7", now(), nonceOf(1))
	require.Equal(t, "waiting_funds", body["status"])
	time.Sleep(150 * time.Millisecond)
	_, body = signed(t, c, http.MethodGet, "7", now(), nonceOf(2))
	require.Equal(t, "done", body["status"])
}

func TestPayseraRefusesAMACThatIsNotRight(t *testing.T) {
	t.Parallel()
	c := startPaysera(t, wallet)
	c.SetStatus("7", "new")
	url := c.URL() + "/transfer/rest/v1/transfers/7"
	good := simulator.MAC(wallet.MACKey, request(t, http.MethodGet, url, nil), now(), "n", "")
	for name, authorization := range map[string]string{
		"none":              "",
		"a bearer":          "Bearer x",
		"another id":        fmt.Sprintf(`MAC id="other", ts=%q, nonce="n", mac=%q`, now(), good),
		"another mac":       fmt.Sprintf(`MAC id=%q, ts=%q, nonce="n", mac="AAAA"`, wallet.MACID, now()),
		"another nonce":     fmt.Sprintf(`MAC id=%q, ts=%q, nonce="m", mac=%q`, wallet.MACID, now(), good),
		"an old time":       fmt.Sprintf(`MAC id=%q, ts="1343811600", nonce="n", mac=%q`, wallet.MACID, good),
		"a hash of no body": fmt.Sprintf(`MAC id=%q, ts=%q, nonce="n", mac=%q, ext="body_hash=x"`, wallet.MACID, now(), good),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := ask(t, http.DefaultClient, http.MethodGet, url, map[string]string{"Authorization": authorization})
			require.Equal(t, http.StatusUnauthorized, status)
			require.Equal(t, "unauthorized", body["error"])
		})
	}
}

func TestPayseraTakesANonceOnce(t *testing.T) {
	t.Parallel()
	c := startPaysera(t, wallet)
	c.SetStatus("7", "new")
	ts := now()
	status, _ := signed(t, c, http.MethodGet, "7", ts, "once")
	require.Equal(t, http.StatusOK, status)
	status, _ = signed(t, c, http.MethodGet, "7", ts, "once")
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestDeleteRevokesAsTheReferenceShows(t *testing.T) {
	t.Parallel()
	c := startPaysera(t, wallet)
	c.SetStatus("7", "waiting_funds")
	status, body := signed(t, c, http.MethodDelete, "7", now(), nonceOf(1))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "failed", body["status"])
	require.Equal(t, "cancelled_by_user", body["failure_status"].(map[string]any)["code"])

	_, body = signed(t, c, http.MethodGet, "7", now(), nonceOf(2))
	require.Equal(t, "failed", body["status"])
	require.Equal(t, false, body["cancelable"])

	status, _ = signed(t, c, http.MethodDelete, "7", now(), nonceOf(3))
	require.Equal(t, http.StatusConflict, status)
}

func TestAnUnknownTransferIsNotFound(t *testing.T) {
	t.Parallel()
	c := startPaysera(t, wallet)
	for i, method := range []string{http.MethodGet, http.MethodDelete} {
		status, body := signed(t, c, method, "8", now(), nonceOf(i))
		require.Equal(t, http.StatusNotFound, status)
		require.Equal(t, "not_found", body["error"])
	}
}

func TestPayseraCanAnswerIdsAsStringsAndErr(t *testing.T) {
	t.Parallel()
	o := wallet
	o.StringIDs = true
	o.Default = []simulator.TransferStep{{HTTPStatus: http.StatusInternalServerError}, {Status: "new"}}
	c := startPaysera(t, o)
	status, body := signed(t, c, http.MethodGet, "9", now(), nonceOf(1))
	require.Equal(t, http.StatusInternalServerError, status)
	require.Contains(t, body, "error")
	_, body = signed(t, c, http.MethodGet, "9", now(), nonceOf(2))
	require.Equal(t, "9", body["id"])
	require.Equal(t, "new", body["status"])
}

func TestPayseraCanBeAnsweredForByItsOwner(t *testing.T) {
	t.Parallel()
	o := wallet
	var asked []simulator.Question
	o.Answer = func(id string, q simulator.Question) (simulator.TransferStep, bool) {
		asked = append(asked, q)
		return simulator.TransferStep{Status: "frozen"}, id == "7"
	}
	c := startPaysera(t, o)
	_, body := signed(t, c, http.MethodGet, "7", now(), nonceOf(1))
	require.Equal(t, "frozen", body["status"])
	status, _ := signed(t, c, http.MethodGet, "8", now(), nonceOf(2))
	require.Equal(t, http.StatusNotFound, status)
	status, _ = signed(t, c, http.MethodGet, "7", now(), nonceOf(2))
	require.Equal(t, http.StatusUnauthorized, status)
	require.Len(t, asked, 3)
	require.Empty(t, asked[1].Refused)
	require.NotEmpty(t, asked[2].Refused)
	require.Empty(t, asked[2].Header.Get("Authorization"))
	require.Empty(t, c.Questions("7"), "nothing is remembered")
}
