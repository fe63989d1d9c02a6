package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
)

// call is a request that is written to the API's socket as it is, so that no
// client tidies it up.
type call struct {
	input, want string
	// method is POST and path /v1/operations unless set.
	method, path string
	// header replaces Authorization and Content-Type where it is not nil.
	header []string
	body   string
	// raw is the whole request instead of all that.
	raw string
}

// rows are the calls as rows of the table.
func (h *hostileEnvironment) rows(calls []call) []hostile {
	rows := make([]hostile, len(calls))
	for i, c := range calls {
		rows[i] = hostile{input: c.input, want: c.want, exactly: true, try: func(t *testing.T) string {
			t.Helper()
			return h.send(t, c)
		}}
	}
	return rows
}

func (c call) text() string {
	if c.raw != "" {
		return c.raw
	}
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.path == "" {
		c.path = "/v1/operations"
	}
	if c.header == nil {
		c.header = []string{"Authorization: Bearer " + keyAll, "Content-Type: application/json"}
	}
	head := append([]string{c.method + " " + c.path + " HTTP/1.1", "Host: ringback", fmt.Sprintf("Content-Length: %d", len(c.body)), "Connection: close"}, c.header...)
	return strings.Join(head, "\r\n") + "\r\n\r\n" + c.body
}

// send writes a call and says what was answered: "422 invalid: callback.url".
func (h *hostileEnvironment) send(t *testing.T, c call) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.Base, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	// A server that has read enough answers before the end, and closes.
	_, _ = io.WriteString(conn, c.text())
	// A read ends with its client: only what is no whole request is broken off.
	if half, ok := conn.(*net.TCPConn); ok && c.raw != "" {
		_ = half.CloseWrite()
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "no answer"
	}
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NotContains(t, string(body), card, "what was refused is not repeated")
	return inShort(t, response, body)
}

// inShort is an answer in short; one that is a problem must be a whole one.
func inShort(t *testing.T, response *http.Response, body []byte) string {
	t.Helper()
	if response.Header.Get("Content-Type") != "application/problem+json" {
		return fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	problem := apiclient.ReadProblem(response.StatusCode, response.Header, body)
	require.Equal(t, response.StatusCode, problem.Status)
	require.NotEmpty(t, problem.Title)
	require.NotEmpty(t, problem.Detail)
	require.NotEmpty(t, response.Header.Get("X-Request-Id"))
	short := fmt.Sprintf("%d %s", problem.Status, problem.Type[strings.LastIndex(problem.Type, "/")+1:])
	var fields []string
	for _, fault := range problem.Errors {
		require.NotEmpty(t, fault.Detail)
		fields = append(fields, fault.Field)
	}
	slices.Sort(fields)
	fields = slices.Compact(fields)
	switch {
	case len(fields) > 4:
		return fmt.Sprintf("%s: %d fields", short, len(fields))
	case len(fields) > 0:
		return short + ": " + strings.Join(fields, ", ")
	}
	return short
}

// bodies are requests whose body is not what the call takes.
func (h *hostileEnvironment) bodies() []hostile {
	const start = `{"endpoint":"LEDGER","operation_id":"1"`
	as := func(contentType string) []string {
		return []string{"Authorization: Bearer " + keyAll, "Content-Type: " + contentType}
	}
	calls := []call{
		{input: "no body", body: "", want: "400 malformed"},
		{input: "spaces", body: "  \n", want: "400 malformed"},
		{input: "half an object", body: `{`, want: "400 malformed"},
		{input: "two objects", body: start + `}{}`, want: "400 malformed"},
		{input: "a comma too many", body: start + `,}`, want: "400 malformed"},
		{input: "single quotes", body: `{'endpoint':'LEDGER'}`, want: "400 malformed"},
		{input: "a comment", body: start + `/* */}`, want: "400 malformed"},
		{input: "NaN", body: `{"endpoint":NaN}`, want: "400 malformed"},
		{input: "a byte order mark", body: "\xef\xbb\xbf" + start + `}`, want: "400 malformed"},
		{input: "bytes that are not UTF-8", body: `{"endpoint":"LEDGER","operation_id":"` + "\xff\xfe" + `"}`, want: "400 malformed"},
		{input: "a line break within a string", body: "{\"endpoint\":\"LED\nGER\"}", want: "400 malformed"},
		{input: "a form", body: `endpoint=LEDGER&operation_id=1`, want: "400 malformed"},
		{input: "XML", body: `<start endpoint="LEDGER"/>`, want: "400 malformed"},
		{input: "30,000 brackets", body: strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000), want: "400 malformed"},
		{input: "a list", body: `[]`, want: "422 invalid: (body)"},
		{input: "a string", body: `"LEDGER"`, want: "422 invalid: (body)"},
		{input: "null", body: `null`, want: "422 invalid: (body)"},
		{input: "9,000 brackets in a field", body: `{"endpoint":"LEDGER","operation_id":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, want: "422 invalid: operation_id"},
		{input: "an unknown field", body: start + `,"pan":"1"}`, want: "422 invalid: pan"},
		{input: "1,000 unknown fields", body: start + manyFields(1000) + `}`, want: "422 invalid: 20 fields"},
		{input: "__proto__", body: start + `,"__proto__":{"admin":true}}`, want: "422 invalid: __proto__"},
		{input: "a field in capitals", body: `{"Endpoint":"LEDGER","operation_id":"1"}`, want: "422 invalid: Endpoint"},
		{input: "a field twice", body: start + `,"operation_id":"2"}`, want: "422 invalid: operation_id"},
		{input: "a field twice, once escaped", body: start + `,"operation_\u0069d":"2"}`, want: "422 invalid: operation_id"},
		{input: "null in a field", body: `{"endpoint":"LEDGER","operation_id":null}`, want: "422 invalid: operation_id"},
		{input: "a number for a string", body: `{"endpoint":"LEDGER","operation_id":1}`, want: "422 invalid: operation_id"},
		{input: "true for a string", body: `{"endpoint":true,"operation_id":"1"}`, want: "422 invalid: endpoint"},
		{input: "an object for a string", body: `{"endpoint":"LEDGER","operation_id":{"$ne":""}}`, want: "422 invalid: operation_id"},
		{input: "a list for a string", body: `{"endpoint":["LEDGER"],"operation_id":"1"}`, want: "422 invalid: endpoint"},
		{input: "a list for an object", body: start + `,"reference":[]}`, want: "422 invalid: reference"},
		{input: "a string for an object", body: start + `,"callback":"http://127.0.0.1/"}`, want: "422 invalid: callback"},
		{input: "a string for a list", body: start + `,"callback":{"statuses":"done"}}`, want: "422 invalid: callback.statuses"},
		{input: "a number in a list of strings", body: start + `,"callback":{"statuses":[1]}}`, want: "422 invalid: callback.statuses[0]"},
		{input: "half a surrogate pair", body: `{"endpoint":"LEDGER","operation_id":"\ud800"}`, want: "422 invalid: operation_id"},
		{input: "an escaped NUL", body: `{"endpoint":"LEDGER","operation_id":"a\u0000b"}`, want: "422 invalid: operation_id"},
		{input: "one byte over 64 KiB", body: start + `}` + strings.Repeat(" ", 64<<10), want: "413 too-large"},
		{input: "a megabyte", body: `{"endpoint":"` + strings.Repeat("a", 1<<20) + `"}`, want: "413 too-large"},
		{input: "no content type", header: as("")[:1], body: start + `}`, want: "415 unsupported-media-type"},
		{input: "text/plain", header: as("text/plain"), body: start + `}`, want: "415 unsupported-media-type"},
		{input: "a form's content type", header: as("application/x-www-form-urlencoded"), body: start + `}`, want: "415 unsupported-media-type"},
		{input: "multipart", header: as("multipart/form-data; boundary=x"), body: start + `}`, want: "415 unsupported-media-type"},
		{input: "UTF-16", header: as("application/json; charset=utf-16"), body: start + `}`, want: "415 unsupported-media-type"},
		{input: "a broken content type", header: as("application/json; charset"), body: start + `}`, want: "415 unsupported-media-type"},
		{input: "gzip", header: append(as("application/json"), "Content-Encoding: gzip"), body: "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", want: "400 malformed"},
	}
	return h.rows(calls)
}

func manyFields(n int) string {
	var fields strings.Builder
	for i := range n {
		fmt.Fprintf(&fields, `,"f%d":1`, i)
	}
	return fields.String()
}

// starts are sound JSON that no operation may be started from.
func (h *hostileEnvironment) starts() []hostile {
	ledger := func(id string) string { return fmt.Sprintf(`{"endpoint":"LEDGER","operation_id":%q}`, id) }
	at := func(endpoint string) string { return fmt.Sprintf(`{"endpoint":%q,"operation_id":"1"}`, endpoint) }
	gold := func(was, is string) string {
		return strings.Replace(`{"endpoint":"ECOM_GOLD_BANK","operation_id":"A-1","method":"p2p_a2c","reference":{"registered_at":"2026-11-21T09:30:00+02:00","order_id":"x"}}`, was, is, 1)
	}
	const when = `"2026-11-21T09:30:00+02:00"`
	calls := []call{
		{input: "no endpoint", body: `{"operation_id":"1"}`, want: "422 invalid: endpoint"},
		{input: "an unknown endpoint", body: at("NOBODY"), want: "422 invalid: endpoint"},
		{input: "an endpoint in small letters", body: at("ledger"), want: "422 invalid: endpoint"},
		{input: "an endpoint with a slash", body: at("LEDGER/1"), want: "422 invalid: endpoint"},
		{input: "an endpoint that climbs", body: at("../LEDGER"), want: "422 invalid: endpoint"},
		{input: "an endpoint with a space behind", body: at("LEDGER "), want: "422 invalid: endpoint"},
		{input: "an endpoint of look-alike letters", body: at("LЕDGER"), want: "422 invalid: endpoint"},
		{input: "an endpoint of 51 characters", body: at(strings.Repeat("E", 51)), want: "422 invalid: endpoint"},
		{input: "an endpoint that is switched off", body: at(off), want: "422 invalid: endpoint"},
		{input: "a card number as endpoint", body: at(card), want: "422 invalid: endpoint"},
		{input: "no operation id", body: `{"endpoint":"LEDGER"}`, want: "422 invalid: operation_id"},
		{input: "an empty operation id", body: ledger(""), want: "422 invalid: operation_id"},
		{input: "an id of ..", body: ledger(".."), want: "422 invalid: operation_id"},
		{input: "an id with a slash where none may be", body: ledger("a/b"), want: "422 invalid: operation_id"},
		{input: "an id of 65 characters", body: ledger(strings.Repeat("a", 65)), want: "422 invalid: operation_id"},
		{input: "an id of 10,000 characters", body: ledger(strings.Repeat("a", 10_000)), want: "422 invalid: operation_id"},
		{input: "an id with a line break", body: `{"endpoint":"LEDGER","operation_id":"1\r\nX-Admin: 1"}`, want: "422 invalid: operation_id"},
		{input: "an id of a picture", body: ledger("💳"), want: "422 invalid: operation_id"},
		{input: "an id that turns the writing", body: ledger("a\u202eb"), want: "422 invalid: operation_id"},
		{input: "an id of SQL", body: ledger(`1' OR '1'='1`), want: "422 invalid: operation_id"},
		{input: "a card number as id", body: ledger(card), want: "422 invalid: operation_id"},
		{input: "a card number as order number", body: gold("A-1", card), want: "422 invalid: operation_id"},
		{input: "a card number in groups as order number", body: gold("A-1", "4111 1111 1111 1111"), want: "422 invalid: operation_id"},
		{input: "an order number of 33 characters", body: gold("A-1", strings.Repeat("1a", 16)+"1"), want: "422 invalid: operation_id"},
		{input: "no method", body: gold(`"method":"p2p_a2c",`, ""), want: "422 invalid: method"},
		{input: "an unknown method", body: gold("p2p_a2c", "refund"), want: "422 invalid: method"},
		{input: "a method in capitals", body: gold("p2p_a2c", "P2P_A2C"), want: "422 invalid: method"},
		{input: "a card number as method", body: gold("p2p_a2c", card), want: "422 invalid: method"},
		{input: "a method where there are none", body: `{"endpoint":"LEDGER","operation_id":"1","method":"payment"}`, want: "422 invalid: method"},
		{input: "no date", body: gold(`"registered_at":`+when+`,`, ""), want: "422 invalid: reference.registered_at"},
		{input: "a date without a zone", body: gold("+02:00", ""), want: "422 invalid: reference.registered_at"},
		{input: "the 31st of November", body: gold("11-21", "11-31"), want: "422 invalid: reference.registered_at"},
		{input: "an hour of 25", body: gold("T09", "T25"), want: "422 invalid: reference.registered_at"},
		{input: "a year of five digits", body: gold("2026", "12026"), want: "422 invalid: reference.registered_at"},
		{input: "a Unix time", body: gold(when, "1763710200"), want: "422 invalid: reference.registered_at"},
		{input: "tomorrow", body: gold(when, `"tomorrow"`), want: "422 invalid: reference.registered_at"},
		{input: "an order id of 37 characters", body: gold(`"x"`, `"`+strings.Repeat("x", 37)+`"`), want: "422 invalid: reference.order_id"},
		{input: "a card number as order id", body: gold(`"x"`, `"`+card+`"`), want: "422 invalid: reference.order_id"},
		{input: "an order id where there is none", body: `{"endpoint":"LEDGER","operation_id":"1","reference":{"order_id":"1"}}`, want: "422 invalid: reference.order_id"},
		{input: "an unknown status", body: `{"endpoint":"LEDGER","operation_id":"1","known_status":"paid"}`, want: "422 invalid: known_status"},
		{input: "a card number as status", body: `{"endpoint":"LEDGER","operation_id":"1","known_status":"` + card + `"}`, want: "422 invalid: known_status"},
		{input: "an unknown status to deliver", body: `{"endpoint":"LEDGER","operation_id":"1","callback":{"statuses":["paid"]}}`, want: "422 invalid: callback.statuses"},
		{input: "a card number to deliver", body: `{"endpoint":"LEDGER","operation_id":"1","callback":{"statuses":["` + card + `"]}}`, want: "422 invalid: callback.statuses"},
		{input: "a URL for an endpoint that has one", body: `{"endpoint":"LEDGER","operation_id":"1","callback":{"url":"http://127.0.0.1/"}}`, want: "422 invalid: callback.url"},
		{input: "no URL where each operation has one", body: `{"endpoint":"WALLET_SHOP","operation_id":"1"}`, want: "422 invalid: callback.url"},
		{input: "an open operation with other content", body: `{"endpoint":"IDLE","operation_id":"open","known_status":"reserved"}`, want: "409 conflict: known_status"},
		{input: "an ended operation with other content", body: `{"endpoint":"LEDGER","operation_id":"closed","known_status":"reserved"}`, want: "409 conflict: known_status"},
	}
	for _, url := range foreign {
		calls = append(calls, call{input: "callback to " + url.called, want: "422 invalid: callback.url",
			body: fmt.Sprintf(`{"endpoint":"WALLET_SHOP","operation_id":"1","callback":{"url":%q}}`, url.text)})
	}
	return h.rows(calls)
}

// foreign are URLs that Ringback must never call.
var foreign = []struct{ called, text string }{
	{"ftp", "ftp://127.0.0.1/"},
	{"a file", "file:///etc/passwd"},
	{"javascript", "javascript:alert(1)"},
	{"gopher", "gopher://127.0.0.1:6379/_FLUSHALL"},
	{"a path alone", "/callback"},
	{"no host", "http:///callback"},
	{"no scheme", "//127.0.0.1/callback"},
	{"a URL with a password", "http://a:b@127.0.0.1/"},
	{"a URL with a fragment", "http://127.0.0.1/#x"},
	{"a URL with a line break", "http://127.0.0.1/\r\nX: y"},
	{"a URL with backslashes", `http:\\10.0.0.1\`},
	{"a URL with a space before it", " http://127.0.0.1/"},
	{"port 0", "http://127.0.0.1:0/"},
	{"port 65536", "http://127.0.0.1:65536/"},
	{"a URL with a card number", "http://127.0.0.1/?c=" + card},
	{"10.0.0.1", "https://10.0.0.1/"},
	{"172.16.0.1", "https://172.16.0.1/"},
	{"192.168.0.1", "https://192.168.0.1/"},
	{"100.64.0.1", "https://100.64.0.1/"},
	{"0.0.0.0", "https://0.0.0.0/"},
	{"the cloud's metadata", "http://169.254.169.254/latest/meta-data/"},
	{"10.0.0.1 as one number", "https://167772161/"},
	{"10.0.0.1 in hexadecimal", "https://0x0a000001/"},
	{"10.0.0.1 in octal", "https://012.0.0.1/"},
	{"10.1, short", "https://10.1/"},
	{"[::]", "https://[::]/"},
	{"[::1]", "https://[::1]/"},
	{"[fd00::1]", "https://[fd00::1]/"},
	{"[fe80::1]", "https://[fe80::1]/"},
	{"10.0.0.1 mapped into IPv6", "https://[::ffff:10.0.0.1]/"},
	{"10.0.0.1 by NAT64", "https://[64:ff9b::a00:1]/"},
	{"10.0.0.1 by 6to4", "https://[2002:a00:1::1]/"},
	{"a broadcast", "https://255.255.255.255/"},
	{"a multicast", "https://224.0.0.1/"},
	{"http in clear outside egress.allow", "http://203.0.113.1/"},
}

// paths are paths, methods and queries that lead nowhere.
func (h *hostileEnvironment) paths() []hostile {
	const operation, list = "/v1/operations/LEDGER/closed", "/v1/operations?"
	get := func(input, path, want string) call {
		return call{input: input, method: http.MethodGet, path: path, want: want}
	}
	calls := []call{
		{input: "PUT", method: http.MethodPut, want: "405 method-not-allowed"},
		{input: "PATCH", method: http.MethodPatch, path: operation, want: "405 method-not-allowed"},
		{input: "TRACE", method: http.MethodTrace, path: operation, want: "405 method-not-allowed"},
		{input: "a method in small letters", method: "get", path: operation, want: "405 method-not-allowed"},
		{input: "a method that nobody knows", method: "REVOKE", path: operation, want: "405 method-not-allowed"},
		{input: "POST to an operation", path: operation, want: "405 method-not-allowed"},
		get("the root", "/", "404 no-such-route"),
		get("another version", "/v2/operations", "404 no-such-route"),
		get("a slash behind", "/v1/operations/", "404 no-such-route"),
		get("two slashes before", "//v1/operations", "404 no-such-route"),
		get("an endpoint without an operation", "/v1/operations/LEDGER", "404 no-such-route"),
		get("a slash within an id, not encoded", "/v1/operations/LEDGER/a/b", "404 no-such-route"),
		get("..", "/v1/operations/../operations", "422 invalid: endpoint"),
		get("%2e%2e as endpoint", "/v1/operations/%2e%2e/closed", "422 invalid: endpoint"),
		get("%2e%2e as id", "/v1/operations/LEDGER/%2e%2e", "422 invalid: operation_id"),
		get("%2e%2e%2f within an id", "/v1/operations/LEDGER/%2e%2e%2fLEDGER%2fclosed", "404 not-found"),
		get("%00 in an id", "/v1/operations/LEDGER/clo%00sed", "422 invalid: operation_id"),
		get("%0d%0a in an id", "/v1/operations/LEDGER/a%0d%0aX:%20y", "422 invalid: operation_id"),
		get("%ff in an id", "/v1/operations/LEDGER/%ff", "422 invalid: operation_id"),
		get("%zz in an id", "/v1/operations/LEDGER/%zz", "400 Bad Request"),
		get("an id encoded twice", "/v1/operations/LEDGER/clos%2565d", "404 not-found"),
		get("an id of 300 characters", "/v1/operations/LEDGER/"+strings.Repeat("a", 300), "422 invalid: operation_id"),
		get("a path of 100 KiB", "/v1/operations/LEDGER/"+strings.Repeat("a", 100<<10), "431 Request Header Fields Too Large"),
		get("a card number as id", "/v1/operations/LEDGER/"+card, "422 invalid: operation_id"),
		get("an unknown operation", "/v1/operations/LEDGER/nobody", "404 not-found"),
		get("another endpoint's operation", "/v1/operations/IDLE/closed", "404 not-found"),
		get("an endpoint that is not there", "/v1/operations/NOBODY/closed", "404 not-found"),
		get("details of an unknown operation", "/v1/operations/LEDGER/nobody/details", "404 not-found"),
		get("what Go's debugger would show", "/debug/pprof/", "404 no-such-route"),
		get("a query where none is taken", operation+"?force=true", "422 invalid: force"),
		get("a query that is not encoded", list+"endpoint=%zz", "422 invalid: (query)"),
		get("a query with a semicolon", list+"endpoint=LEDGER;outcome=gone", "422 invalid: (query)"),
		get("an unknown parameter", list+"query=1%3D1", "422 invalid: query"),
		get("a parameter twice", list+"endpoint=LEDGER&endpoint=IDLE", "422 invalid: endpoint"),
		get("an empty endpoint", list+"endpoint=", "422 invalid: endpoint"),
		get("an endpoint of visibility's language", list+"endpoint=x%27%20OR%20WorkflowType!%3D%27", "422 invalid: endpoint"),
		get("an unknown outcome", list+"outcome=won", "422 invalid: outcome"),
		get("an outcome of visibility's language", list+"outcome=gone%27%20OR%20%271%27%3D%271", "422 invalid: outcome"),
		get("an unknown time", list+"time=never", "422 invalid: time"),
		get("since yesterday", list+"since=yesterday", "422 invalid: since"),
		get("since with a + that is a space", list+"since=2026-11-21T09:30:00+02:00", "422 invalid: since"),
		get("until before since", list+"since=2026-11-21T00:00:00Z&until=2026-11-20T00:00:00Z", "422 invalid: until"),
		get("a page token that is none", list+"page_token=abc", "422 invalid: page_token"),
		get("a page token of garbage in base64", list+"page_token=AAECAwQFBgcICQ%3D%3D", "422 invalid: page_token"),
		get("a page token of 5,000 characters", list+"page_token="+strings.Repeat("A", 5000), "422 invalid: page_token"),
		get("an unknown grouping", "/v1/operations/count?group_by=status", "422 invalid: group_by"),
		get("a bulk redelivery's id that is none", "/v1/redeliveries/%27%20OR%201", "422 invalid: id"),
		get("an unknown bulk redelivery", "/v1/redeliveries/rd_"+strings.Repeat("a", 26), "404 not-found"),
		get("a bulk redelivery that is an operation", "/v1/redeliveries/LEDGER%2Fclosed", "422 invalid: id"),
	}
	return h.rows(calls)
}

// keys are calls with no key, a wrong one, or one that may not do that.
func (h *hostileEnvironment) keys() []hostile {
	const start, operation = `{"endpoint":"LEDGER","operation_id":"1"}`, "/v1/operations/LEDGER/closed"
	by := func(lines ...string) []string { return append(lines, "Content-Type: application/json") }
	bearer := func(key string) []string { return by("Authorization: Bearer " + key) }
	digest := "b5d54c39e66671c9731b9f471e585d8262cd4f54963f0c93082d8dcf334d4c78"
	calls := []call{
		{input: "no key", header: by(), body: start, want: "401 unauthenticated"},
		{input: "a wrong key", header: bearer("guess"), body: start, want: "401 unauthenticated"},
		{input: "an empty key", header: bearer(""), body: start, want: "401 unauthenticated"},
		{input: "a key and more", header: bearer(keyAll + "x"), body: start, want: "401 unauthenticated"},
		{input: "half a key", header: bearer(keyAll[:10]), body: start, want: "401 unauthenticated"},
		{input: "a digest for the key", header: bearer(digest), body: start, want: "401 unauthenticated"},
		{input: "a key of a megabyte's tenth", header: bearer(strings.Repeat("k", 100<<10)), body: start, want: "431 Request Header Fields Too Large"},
		{input: "a key without a scheme", header: by("Authorization: " + keyAll), body: start, want: "401 unauthenticated"},
		{input: "basic authentication", header: by("Authorization: Basic Y29yZTprZXk="), body: start, want: "401 unauthenticated"},
		{input: "two keys, both good", header: by("Authorization: Bearer "+keyAll, "Authorization: Bearer "+keyAll), body: start, want: "401 unauthenticated"},
		{input: "a good key behind a bad one", header: by("Authorization: Bearer guess", "Authorization: Bearer "+keyAll), body: start, want: "401 unauthenticated"},
		{input: "the key in the query", header: by(), path: "/v1/operations?access_token=" + keyAll, body: start, want: "401 unauthenticated"},
		{input: "the key in a cookie", header: by("Cookie: Authorization=" + keyAll), body: start, want: "401 unauthenticated"},
		{input: "the key in another header", header: by("X-Api-Key: " + keyAll), body: start, want: "401 unauthenticated"},
		{input: "no key, for a bad body", header: by(), body: `{`, want: "401 unauthenticated"},
		{input: "a reader starts", header: bearer(keyReader), body: start, want: "403 forbidden"},
		{input: "a reader withdraws", method: http.MethodDelete, path: operation, header: bearer(keyReader), want: "403 forbidden"},
		{input: "a reader revokes", path: operation + "/revocation", header: bearer(keyReader), body: `{"initiated_by":"core"}`, want: "403 forbidden"},
		{input: "a reader redelivers", path: operation + "/redelivery", header: bearer(keyReader), body: `{}`, want: "403 forbidden"},
		{input: "a reader redelivers many", path: "/v1/redeliveries", header: bearer(keyReader), body: `{"filter":{"endpoint":"LEDGER"}}`, want: "403 forbidden"},
		{input: "a reader pings", path: "/v1/endpoints/LEDGER/ping", header: bearer(keyReader), want: "403 forbidden"},
		{input: "who may only start reads", method: http.MethodGet, path: operation, header: bearer(keyStart), want: "403 forbidden"},
		{input: "force without its scope", path: operation + "/redelivery", body: `{"force":true}`, want: "403 forbidden"},
		{input: "force in bulk without its scope", path: "/v1/redeliveries", body: `{"filter":{"endpoint":"LEDGER","outcome":"acknowledged"},"force":true}`, want: "403 forbidden"},
		{input: "a foreign endpoint: start", header: bearer(keyBound), body: `{"endpoint":"IDLE","operation_id":"1"}`, want: "403 forbidden"},
		{input: "a foreign endpoint: read", method: http.MethodGet, path: "/v1/operations/IDLE/open", header: bearer(keyBound), want: "403 forbidden"},
		{input: "a foreign endpoint: withdraw", method: http.MethodDelete, path: "/v1/operations/IDLE/open", header: bearer(keyBound), want: "403 forbidden"},
		{input: "a foreign endpoint: push", path: "/v1/operations/IDLE/open/status", header: bearer(keyBound), body: `{"status":"done"}`, want: "403 forbidden"},
		{input: "a foreign endpoint: revoke", path: "/v1/operations/IDLE/open/revocation", header: bearer(keyBound), body: `{"initiated_by":"core"}`, want: "403 forbidden"},
		{input: "a foreign endpoint: ping", path: "/v1/endpoints/IDLE/ping", header: bearer(keyBound), want: "403 forbidden"},
		{input: "a foreign endpoint: list", method: http.MethodGet, path: "/v1/operations?endpoint=IDLE", header: bearer(keyBound), want: "403 forbidden"},
		{input: "every endpoint, by a key for one: list", method: http.MethodGet, path: "/v1/operations", header: bearer(keyBound), want: "422 invalid: endpoint"},
		{input: "every endpoint, by a key for one: redeliver", path: "/v1/redeliveries", header: bearer(keyBound), body: `{"filter":{"outcome":"gone"}}`, want: "422 invalid: filter.endpoint"},
	}
	return h.rows(calls)
}

// changes are calls that an operation as it stands does not allow.
func (h *hostileEnvironment) changes() []hostile {
	const open, ended, nobody, many = "/v1/operations/IDLE/open", "/v1/operations/LEDGER/closed", "/v1/operations/LEDGER/nobody", "/v1/redeliveries"
	calls := []call{
		{input: "push: unknown operation", path: nobody + "/status", body: `{"status":"done"}`, want: "404 not-found"},
		{input: "push: ended operation", path: ended + "/status", body: `{"status":"done"}`, want: "409 closed"},
		{input: "push: unknown status", path: open + "/status", body: `{"status":"paid"}`, want: "422 invalid: status"},
		{input: "push: a card number as status", path: open + "/status", body: `{"status":"` + card + `"}`, want: "422 invalid: status"},
		{input: "push: a number as status", path: open + "/status", body: `{"status":2}`, want: "422 invalid: status"},
		{input: "push: more than a status", path: open + "/status", body: `{"status":"done","final":true}`, want: "422 invalid: final"},
		{input: "revocation: no body", path: open + "/revocation", want: "400 malformed"},
		{input: "revocation: by nobody", path: open + "/revocation", body: `{}`, want: "422 invalid: initiated_by"},
		{input: "revocation: by an unknown one", path: open + "/revocation", body: `{"initiated_by":"admin"}`, want: "422 invalid: initiated_by"},
		{input: "revocation: a reason of 257 characters", path: open + "/revocation", body: `{"initiated_by":"core","reason":"` + strings.Repeat("x", 257) + `"}`, want: "422 invalid: reason"},
		{input: "revocation: a card number as reason", path: open + "/revocation", body: `{"initiated_by":"core","reason":"card ` + card + `"}`, want: "422 invalid: reason"},
		{input: "revocation: its time", path: open + "/revocation", body: `{"initiated_by":"core","at":"2026-11-21T09:30:00Z"}`, want: "422 invalid: at"},
		{input: "revocation: of what can't be revoked", path: open + "/revocation", body: `{"initiated_by":"core"}`, want: "409 not-revocable"},
		{input: "revocation: of an ended operation", path: ended + "/revocation", body: `{"initiated_by":"core"}`, want: "409 closed"},
		{input: "revocation: of an unknown operation", path: nobody + "/revocation", body: `{"initiated_by":"core"}`, want: "404 not-found"},
		{input: "withdrawal: with a body", method: http.MethodDelete, path: open, body: `{"force":true}`, want: "422 invalid: (body)"},
		{input: "withdrawal: with a query", method: http.MethodDelete, path: open + "?force=true", want: "422 invalid: force"},
		{input: "withdrawal: of an ended operation", method: http.MethodDelete, path: ended, want: "409 closed"},
		{input: "withdrawal: of an unknown operation", method: http.MethodDelete, path: nobody, want: "404 not-found"},
		{input: "redelivery: of an open operation", path: open + "/redelivery", body: `{}`, want: "409 not-redeliverable"},
		{input: "redelivery: of what was acknowledged", path: ended + "/redelivery", body: `{}`, want: "409 not-redeliverable"},
		{input: "redelivery: of an unknown operation", path: nobody + "/redelivery", body: `{}`, want: "404 not-found"},
		{input: "redelivery: force in quotes", path: ended + "/redelivery", body: `{"force":"true"}`, want: "422 invalid: force"},
		{input: "redelivery: by somebody else", path: ended + "/redelivery", body: `{"by":"core"}`, want: "422 invalid: by"},
		{input: "redelivery: a card number as reason", path: ended + "/redelivery", body: `{"reason":"` + card + `"}`, want: "422 invalid: reason"},
		{input: "redelivery: other statuses", path: ended + "/redelivery", body: `{"callback":{"statuses":["done"]}}`, want: "422 invalid: callback.statuses"},
		{input: "redelivery: a URL for an endpoint that has one", path: ended + "/redelivery", body: `{"callback":{"url":"http://127.0.0.1/"}}`, want: "409 not-redeliverable"},
		{input: "many: no filter", path: many, body: `{}`, want: "422 invalid: filter"},
		{input: "many: an empty filter", path: many, body: `{"filter":{}}`, want: "422 invalid: filter"},
		{input: "many: an unknown filter", path: many, body: `{"filter":{"where":"1=1"}}`, want: "422 invalid: filter.where"},
		{input: "many: an endpoint that is no name", path: many, body: `{"filter":{"endpoint":"*"}}`, want: "422 invalid: filter.endpoint"},
		{input: "many: an endpoint that is not there", path: many, body: `{"filter":{"endpoint":"NOBODY"}}`, want: "422 invalid: filter.endpoint"},
		{input: "many: an outcome that is not redelivered", path: many, body: `{"filter":{"outcome":"withdrawn"}}`, want: "422 invalid: filter.outcome"},
		{input: "many: acknowledged without force", path: many, body: `{"filter":{"outcome":"acknowledged"}}`, want: "422 invalid: filter.outcome"},
		{input: "many: a card number as status", path: many, body: `{"filter":{"status":"` + card + `"}}`, want: "422 invalid: filter.status"},
		{input: "many: a status of 65 characters", path: many, body: `{"filter":{"status":"` + strings.Repeat("s", 65) + `"}}`, want: "422 invalid: filter.status"},
		{input: "many: a time that is none", path: many, body: `{"filter":{"since":"24h"}}`, want: "422 invalid: filter.since"},
		{input: "many: until before since", path: many, body: `{"filter":{"since":"2026-11-21T00:00:00Z","until":"2026-11-20T00:00:00Z"}}`, want: "422 invalid: filter.until"},
		{input: "many: a rate of 0", path: many, body: `{"filter":{"outcome":"gone"},"rate_per_second":0}`, want: "422 invalid: rate_per_second"},
		{input: "many: a rate below 0", path: many, body: `{"filter":{"outcome":"gone"},"rate_per_second":-1}`, want: "422 invalid: rate_per_second"},
		{input: "many: a rate of a billion", path: many, body: `{"filter":{"outcome":"gone"},"rate_per_second":1e9}`, want: "422 invalid: rate_per_second"},
		{input: "many: a rate that is no number", path: many, body: `{"filter":{"outcome":"gone"},"rate_per_second":1e999}`, want: "422 invalid: rate_per_second"},
		{input: "many: a card number as reason", path: many, body: `{"filter":{"outcome":"gone"},"reason":"` + card + `"}`, want: "422 invalid: reason"},
		{input: "many: stop an unknown one", path: many + "/rd_" + strings.Repeat("a", 26) + "/stop", want: "404 not-found"},
		{input: "many: resume with a body", path: many + "/rd_" + strings.Repeat("a", 26) + "/resume", body: `{"rate_per_second":100}`, want: "422 invalid: (body)"},
		{input: "ping: an endpoint that is not there", path: "/v1/endpoints/NOBODY/ping", want: "422 invalid: endpoint"},
		{input: "ping: a URL for an endpoint that has one", path: "/v1/endpoints/LEDGER/ping", body: `{"url":"http://127.0.0.1/"}`, want: "422 invalid: url"},
		{input: "ping: no URL where each operation has one", path: "/v1/endpoints/WALLET_SHOP/ping", want: "422 invalid: url"},
		{input: "ping: the cloud's metadata", path: "/v1/endpoints/WALLET_SHOP/ping", body: `{"url":"http://169.254.169.254/"}`, want: "422 invalid: url"},
		{input: "ping: a private address", path: "/v1/endpoints/WALLET_SHOP/ping", body: `{"url":"https://10.0.0.1/"}`, want: "422 invalid: url"},
		{input: "ping: a card number", path: "/v1/endpoints/WALLET_SHOP/ping", body: `{"url":"http://127.0.0.1/` + card + `"}`, want: "422 invalid: url"},
		{input: "ping: headers of one's own", path: "/v1/endpoints/LEDGER/ping", body: `{"headers":{"X":"y"}}`, want: "422 invalid: headers"},
	}
	return h.rows(calls)
}

// connections are requests that are hardly HTTP.
func (h *hostileEnvironment) connections() []hostile {
	const authorization = "Authorization: Bearer " + keyAll + "\r\nContent-Type: application/json\r\nConnection: close\r\n"
	const start = `{"endpoint":"LEDGER","operation_id":"1"}`
	post := func(lines, body string) string {
		return "POST /v1/operations HTTP/1.1\r\nHost: ringback\r\n" + authorization + lines + "\r\n" + body
	}
	length := fmt.Sprintf("Content-Length: %d\r\n", len(start))
	calls := []call{
		{input: "no HTTP at all", raw: "hello\r\n\r\n", want: "400 Bad Request"},
		{input: "a TLS handshake", raw: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", want: "400 Bad Request"},
		{input: "HTTP/2 without an upgrade", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", want: "404 no-such-route"},
		{input: "HTTP/9.9", raw: "GET / HTTP/9.9\r\nHost: x\r\n\r\n", want: "505 HTTP Version Not Supported"},
		{input: "no host", raw: "GET /v1/operations HTTP/1.1\r\n" + authorization + "\r\n", want: "400 Bad Request"},
		{input: "two hosts", raw: post("Host: other\r\n"+length, start), want: "400 Bad Request"},
		{input: "a space in a header's name", raw: post("X Y: z\r\n"+length, start), want: "400 Bad Request"},
		{input: "a NUL in a header", raw: post("X: \x00\r\n"+length, start), want: "400 Bad Request"},
		{input: "100 KiB of headers", raw: post("X: "+strings.Repeat("x", 100<<10)+"\r\n"+length, start), want: "431 Request Header Fields Too Large"},
		{input: "5,000 headers", raw: post(strings.Repeat("X-Filler: filler\r\n", 5000)+length, start), want: "431 Request Header Fields Too Large"},
		{input: "two lengths", raw: post(length+"Content-Length: 1\r\n", start), want: "400 Bad Request"},
		{input: "a length below 0", raw: post("Content-Length: -1\r\n", start), want: "400 Bad Request"},
		{input: "a length that is no number", raw: post("Content-Length: ten\r\n", start), want: "400 Bad Request"},
		{input: "a body shorter than its length", raw: post("Content-Length: 1000\r\n", start), want: "400 malformed"},
		{input: "a chunk whose length is none", raw: post("Transfer-Encoding: chunked\r\n", "zz\r\n"+start), want: "400 malformed"},
		{input: "chunks that never end", raw: post("Transfer-Encoding: chunked\r\n", "5\r\n{\"end"), want: "400 malformed"},
		{input: "a transfer coding that nobody knows", raw: post("Transfer-Encoding: gzip, chunked\r\n", start), want: "501 Not Implemented"},
		{input: "a request behind the request", raw: post("Content-Length: 0\r\n", "POST /v1/operations HTTP/1.1\r\n\r\n"), want: "400 malformed"},
		{input: "a request line that names another host", raw: "POST http://169.254.169.254/v1/nothing HTTP/1.1\r\nHost: ringback\r\n" + authorization + "\r\n", want: "404 no-such-route"},
		{input: "CONNECT", raw: "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n" + authorization + "\r\n", want: "404 no-such-route"},
		{input: "OPTIONS *", raw: "OPTIONS * HTTP/1.1\r\nHost: ringback\r\n" + authorization + "\r\n", want: "200 OK"},
	}
	rows := h.rows(calls)
	return append(rows, hostile{input: "a client that goes before its answer", want: "gone", exactly: true, try: func(t *testing.T) string {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.Base, "http://"))
		require.NoError(t, err)
		_, err = io.WriteString(conn, call{body: `{"endpoint":"NOBODY","operation_id":"1"}`}.text())
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		return "gone"
	}})
}
