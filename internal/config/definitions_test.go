package config_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/config"
	"ringback/internal/operation"
)

// ownBase is a valid file with a kind and a dialect of its own; as base, its values are
// each on a line.
const ownBase = `kinds:
  monobank:
    secrets: [token]
    operation_id: {pattern: '^[A-Za-z0-9_-]+$', max_length: 64}
    statuses:
      created: []
      hold: [rings, revocable]
      success: [final, rings]
    request:
      path: /api/merchant/invoice/status
      query:
        invoiceId: operation.operation_id
      headers:
        X-Token: secret.token
    answer:
      answered: has(body.invoiceId) || has(body.errCode)
      about: body.invoiceId
      status: body.status
      keep:
        failure_code: body.?errCode
    examples:
      - name: a paid invoice
        operation: {operation_id: p2_9}
        answer: {body: '{"invoiceId":"p2_9","status":"success"}'}
        status: success
sources:
  mono:
    kind: monobank
    base_urls: [https://api.monobank.ua]
    secrets:
      token: ${env:WSGATE_PASSWORD}
endpoints:
  SHOP:
    dialect: standard
    source: mono
    url: https://shop.example/in
    poll: {interval: 1m, lifetime: 1h}
    delivery: {interval: 1s, attempts: 3}
`

// refusedOwn are rows as those of refused, on ownBase, with the beginning of each error:
// what an expression lacks is said, and tested, by its own package.
var refusedOwn = []struct{ name, line, with, want string }{
	{"a name that is not known, in a plain text", "status: body.status", "      status: bodi.status", `
f:18:15: kinds.monobank.answer.status: `},
	{"a name that is not known, in single quotes", "status: body.status", "      status: 'string(bodi.status)'", `
f:18:23: kinds.monobank.answer.status: `},
	{"a name that is not known, in double quotes", "status: body.status", "      status: \"string(bodi.status)\"", `
f:18:23: kinds.monobank.answer.status: `},
	{"a name that is not known, behind an escape", "status: body.status", "      status: \"\\u0028bodi.status)\"", `
f:18:15: kinds.monobank.answer.status: `},
	{"a name that is not known, in a block", "status: body.status", "      status: |\n        has(body.status)\n          ? bodi.status\n          : null", `
f:20:13: kinds.monobank.answer.status: `},
	{"a name that is not known, in a folded block", "status: body.status", "      status: >\n        has(body.status)\n        ? bodi.status\n        : null", `
f:18:15: kinds.monobank.answer.status: `},
	{"a name that is not known, in the path", "path:", "      path: /v2/{operation.operation_id}/{operation.id}", `
f:10:43: kinds.monobank.request.path: `},
	{"a secret in a query", "invoiceId: operation", "        invoiceId: secret.token", `
f:12:20: kinds.monobank.request.query.invoiceId: `},
	{"a key that is not known", "about:", "      abuot: body.invoiceId", `
f:17:7: kinds.monobank.answer.abuot: unknown key (did you mean about?); allowed: about, answered, changed_at, details, keep, refused, retry_after, status`},
	{"the name of a built-in kind", "  monobank:", "  paysera:", `
f:2:3: kinds.paysera: is built in and cannot be replaced; give yours another name
f:28:11: sources.mono.kind: "monobank" is unknown; allowed: paysera, ukrcard`},
	{"an example that fails", "        status: success", "        status: hold", `
f:25:17: kinds.monobank.examples[0].status: a paid invoice: the example says "hold", but it is "success"`},
	{"no secret", "      token:", "", `
f:30:5: sources.mono.secrets.token: is missing; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"another secret", "      token:", "      tokn: ${env:WSGATE_PASSWORD}", `
f:30:5: sources.mono.secrets.token: is missing; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}
f:31:13: sources.mono.secrets.tokn: the kind monobank names no such secret (did you mean token?); allowed: token`},
	{"secrets of a built-in dialect", "    url:", "    url: https://shop.example/in\n    secrets: {token: '${env:WSGATE_PASSWORD}'}", `
f:37:5: endpoints.SHOP.secrets: must be left out: the dialect standard names no secrets`},
	{"a setting of another kind", "    base_urls:", "    base_urls: [https://api.monobank.ua]\n    login: gold", `
f:30:12: sources.mono.login: must be left out: a source of the kind monobank has none`},
	{"two ways to authorize", "    base_urls:", "    base_urls: [https://api.monobank.ua]\n    mac: {id: a, key: '${env:WSGATE_PASSWORD}'}\n    auth: {bearer: '${env:WSGATE_PASSWORD}'}", `
f:31:5: sources.mono.auth: cannot be set together with mac`},
	{"half of OAuth 2.0", "    base_urls:", "    base_urls: [https://api.monobank.ua]\n    auth: {oauth2: {token_url: 'http://127.0.0.1/token', client_id: a}}", `
f:30:12: sources.mono.auth.oauth2.client_secret: is missing; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}
f:30:32: sources.mono.auth.oauth2.token_url: egress to 127.0.0.1 is refused: plain http is spoken only to addresses that egress.allow covers; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a dialect of another core", "    dialect:", "    dialect: ukrcard", `
f:34:14: endpoints.SHOP.dialect: "ukrcard" cannot be used with "mono", a monobank source; allowed: standard`},
	{"a body within itself", "    answer:", "    details_request: {method: POST, path: /x, json: &again {a: [1, *again]}}\n    answer:", `
f:15:61: kinds.monobank.details_request.json.a[1].a[1].a[1].a[1].a[1].a[1].a[1].a[1].a[1].a[1].a[1].a[1].a[1].a[1].a[1].a[1].a: is too deep or too much; allowed: 32 levels, and 10000 values in all bodies together`},
	{"a number that JSON does not know", "    answer:", "    details_request: {method: POST, path: /x, json: {a: 0x1F}}\n    answer:", `
f:15:57: kinds.monobank.details_request.json.a: "0x1F" is not a number as JSON writes it, such as 42 or 0.5`},
}

func TestWhatAFileWithDefinitionsIsRefusedFor(t *testing.T) {
	setenv(t)
	_, err := config.Parse("f", []byte(ownBase))
	require.NoError(t, err, "the base itself is good")
	for _, row := range refusedOwn {
		t.Run(row.name, func(t *testing.T) {
			_, err := config.Parse("f", []byte(replaceLine(t, ownBase, row.line, row.with)))
			require.Error(t, err)
			want, got := strings.Split(strings.TrimSpace(row.want), "\n"), strings.Split(err.Error(), "\n")
			require.Len(t, got, len(want), err)
			for i := range want {
				require.Truef(t, strings.HasPrefix(got[i], want[i]), "%s\nis not\n%s", got[i], want[i])
			}
		})
	}
}

// The parser counts a carriage return alone as a line break, as old editors write it.
func TestAFaultInAnExpressionIsFoundWhateverEndsTheLines(t *testing.T) {
	setenv(t)
	wrong := replaceLine(t, ownBase, "status: body.status", "      status: bodi.status")
	for _, lineBreak := range []string{"\n", "\r\n", "\r"} {
		_, err := config.Parse("f", []byte(strings.ReplaceAll(wrong, "\n", lineBreak)))
		require.ErrorContains(t, err, "f:18:15: kinds.monobank.answer.status: there is no bodi", "%q", lineBreak)
	}
}

// ownEvery is ownBase with a dialect of its own, and a source that authorizes by OAuth 2.0.
var ownEvery = strings.NewReplacer(
	"    dialect: standard", "    dialect: merchant\n    secrets: {shared: \"${env:WSGATE_PASSWORD}\"}\n    signing: {secrets: [\"${env:PAYSERA_MAC_KEY}\"]}",
	"    kind: monobank", "    kind: monobank\n    auth: {oauth2: {token_url: \"https://api.monobank.ua/token\", client_id: a, client_secret: \"${env:WSGATE_PASSWORD}\", scopes: [status]}}",
).Replace(ownBase) + `dialects:
  merchant:
    secrets: [shared]
    headers: {X-Shared: secret.shared}
    json: {invoiceId: operation.operation_id, status: status, amount: 1.50, note: ~, items: [true, "'x'", {}]}
    acknowledged: http.status == 200
    ping_status: expired
    signature: {scheme: hmac-sha256, encoding: hex, headers: {signature: X-Sign}}
    examples:
      - operation: {operation_id: a1}
        status: success
        body: '{"invoiceId":"a1","status":"success","amount":1.50,"items":[true,"x",{}]}'
      - answer: {http_status: 200}
        verdict: acknowledged
`

func TestAHeaderHasOneWriter(t *testing.T) {
	setenv(t)
	const bearer = `auth: {bearer: "${env:WSGATE_PASSWORD}"}`
	endpoint := func(line string) []string {
		return []string{"    source: mono\n", "    source: mono\n    " + line + "\n"}
	}
	for _, tt := range []struct {
		name string
		// changes are what in ownEvery is replaced, and by what.
		changes []string
		want    string
	}{
		{"a kind's, beside auth", []string{"X-Token: secret", "authorization: secret"}, `f:29:5: sources.mono.auth: cannot be set: the kind monobank sets the header Authorization itself`},
		{
			"a kind's for the details, beside mac",
			[]string{"    answer:\n", "    details_request: {path: /x, headers: {authorization: secret.token}}\n    answer:\n", "    auth: {oauth2", "    mac: {id: a, key: \"${env:PAYSERA_MAC_KEY}\"} # {oauth2"},
			`f:30:5: sources.mono.mac: cannot be set: the kind monobank sets the header Authorization itself`,
		},
		{"a dialect's, beside auth", append(endpoint(bearer), "{X-Shared:", "{AUTHORIZATION:"), `f:39:5: endpoints.SHOP.auth: cannot be set: the dialect merchant sets the header Authorization itself`},
		{"a dialect's, beside the endpoint's", endpoint("headers: {x-shared: a}"), `f:39:25: endpoints.SHOP.headers.x-shared: cannot be set: the dialect merchant sets this header itself`},
		{"a signature's, beside the endpoint's", endpoint("headers: {x-SIGN: a}"), `f:39:23: endpoints.SHOP.headers.x-SIGN: cannot be set: the dialect merchant sets this header itself`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Parse("f", []byte(strings.NewReplacer(tt.changes...).Replace(ownEvery)))
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestALiteralCredentialIsRefusedInTheHeadersOfAllThatSend(t *testing.T) {
	setenv(t)
	const (
		refused  = ": a secret must not be written in this file; allowed: "
		kind     = "        X-Token: secret.token\n"
		details  = "    answer:\n"
		dialect  = "{X-Shared: secret.shared}"
		endpoint = "    source: mono\n"
	)
	for _, tt := range []struct{ name, old, new, want string }{
		{"an endpoint's", endpoint, endpoint + "    headers: {X-Api-Key: hunter22}\n", "endpoints.SHOP.headers.X-Api-Key" + refused + "a reference, ${env:NAME}"},
		{"a kind's", kind, kind + "        X-Auth: \"'Bearer hunter22'\"\n", "kinds.monobank.request.headers.X-Auth" + refused + "secret.NAME"},
		{"a kind's for the details", details, "    details_request: {path: /x, headers: {Cookie: \"'a=hunter22'\"}}\n" + details, "kinds.monobank.details_request.headers.Cookie" + refused + "secret.NAME"},
		{"a dialect's", dialect, "{X-Shared: secret.shared, Authorization: \"'Bearer hunter22'\"}", "dialects.merchant.headers.Authorization" + refused + "secret.NAME"},
		{"one that is put together", kind, kind + "        X-Api-Key: \"'Basic ' + base64.encode(b'ann:hunter22')\"\n", "kinds.monobank.request.headers.X-Api-Key" + refused + "secret.NAME"},
		{"one of digits", kind, kind + "        X-Api-Key: 4711\n", "kinds.monobank.request.headers.X-Api-Key" + refused + "secret.NAME"},
		{"a secret, and what depends on the operation", kind, kind + "        X-Key-Of: operation.operation_id\n        X-Auth-Time: string(unix(request.timestamp))\n", ""},
		{"nothing", kind, kind + "        X-Auth: ~\n", ""},
		{"another header", dialect, "{X-Shared: secret.shared, X-Shop: \"'7'\"}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, ownEvery, tt.old)
			_, err := config.Parse("f", []byte(strings.Replace(ownEvery, tt.old, tt.new, 1)))
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter22")
			require.NotContains(t, err.Error(), "4711")
		})
	}
}

// Each attempt and each poll would fail by it.
func TestASecretThatCanNotBeSentIsRefused(t *testing.T) {
	setenv(t)
	const own = "${env:NAMED}"
	for want, file := range map[string]string{
		"sources.mono.secrets.token":    strings.Replace(ownEvery, "token: ${env:WSGATE_PASSWORD}", "token: "+own, 1),
		"endpoints.SHOP.secrets.shared": strings.Replace(ownEvery, `shared: "${env:WSGATE_PASSWORD}"`, `shared: "`+own+`"`, 1),
		"endpoints.SHOP.auth.bearer":    strings.Replace(ownEvery, "    source: mono\n", "    source: mono\n    auth: {bearer: \""+own+"\"}\n", 1),
		"sources.mono.auth.bearer":      regexp.MustCompile(`auth: \{oauth2.*`).ReplaceAllLiteralString(ownEvery, `auth: {bearer: "`+own+`"}`),
	} {
		t.Setenv("NAMED", "one line 0123456789")
		_, err := config.Parse("f", []byte(file))
		require.NoError(t, err, want)
		for _, value := range []string{"one line 0123456789\nand another", "another 0123456789 "} {
			t.Setenv("NAMED", value)
			_, err = config.Parse("f", []byte(file))
			require.ErrorContains(t, err, want+": cannot be sent; allowed: printable ASCII without a space at either end")
			require.NotContains(t, err.Error(), "another")
		}
	}
}

func TestAShortSigningKeyIsWarnedOfAndAShorterOneRefused(t *testing.T) {
	setenv(t)
	file := strings.Replace(ownEvery, "${env:PAYSERA_MAC_KEY}", "${env:SIGNING_KEY}", 1)
	t.Setenv("SIGNING_KEY", "hunter22")
	c, err := config.Parse("f", []byte(file))
	require.NoError(t, err)
	require.Contains(t, c.Warnings, "f:37:25: endpoints.SHOP.signing.secrets[0]: is an HMAC key of fewer than 16 bytes, which may be found by trying: give 32 random ones")
	t.Setenv("SIGNING_KEY", "hunter2")
	_, err = config.Parse("f", []byte(file))
	require.EqualError(t, err, "f:37:25: endpoints.SHOP.signing.secrets[0]: is an HMAC key of 7 bytes, which can be found by trying; allowed: 8 and more, best 32 random ones")

	for path, used := range map[string]*strings.Replacer{
		"sources.mono.secrets.token":    strings.NewReplacer("X-Token: secret.token", "X-Sign: hex(hmac(secret.token, 'sha256', request.target))", "token: ${env:WSGATE_PASSWORD}", "token: ${env:SIGNING_KEY}"),
		"endpoints.SHOP.secrets.shared": strings.NewReplacer("X-Shared: secret.shared", "X-Sign2: \"hex(hmac(secret.shared, 'sha256', status))\"", `shared: "${env:WSGATE_PASSWORD}"`, `shared: "${env:SIGNING_KEY}"`),
	} {
		t.Setenv("SIGNING_KEY", "hunter2\n")
		c, err := config.Parse("f", []byte(used.Replace(ownEvery)))
		require.NoError(t, err)
		require.Contains(t, strings.Join(c.Warnings, "\n"), path+": is an HMAC key of fewer than 16 bytes, which may be found by trying: give 32 random ones")
		t.Setenv("SIGNING_KEY", "hunter2")
		_, err = config.Parse("f", []byte(used.Replace(ownEvery)))
		require.ErrorContains(t, err, path+": is an HMAC key of 7 bytes, which can be found by trying; allowed: 8 and more, best 32 random ones")
	}
}

func TestAFileHasKindsAndDialectsOfItsOwn(t *testing.T) {
	setenv(t)
	c, err := config.Parse("f", []byte(ownEvery))
	require.NoError(t, err)
	require.Equal(t, 3, c.Examples())
	for name, known := range map[string]bool{"monobank": true, "paysera": true, "swift": false} {
		kind, ok := c.Kind(name)
		require.Equal(t, known, ok, name)
		require.Equal(t, known, kind.Name == name, name)
	}
	for name, known := range map[string]bool{"merchant": true, "standard": true, "soap": false} {
		d, ok := c.Dialect(name)
		require.Equal(t, known, ok && d.Name() == name, name)
	}
	require.Subset(t, c.Vocabulary(), []string{"hold", "done", "1"})

	shop, ok := c.Endpoint("SHOP")
	require.True(t, ok)
	require.Equal(t, "monobank", shop.SourceKind)
	require.Equal(t, "merchant", shop.Dialect)
	require.True(t, shop.Rules.IsFinal("success"))
	require.True(t, shop.Rules.IsRevocable("hold"))
	require.NotEmpty(t, shop.Hosts, "its dialect sends a secret")
	opened := c.Sources["mono"].Open(noClient)
	require.Equal(t, map[string]string{"token": "hunter22"}, opened.Secrets)
	require.Empty(t, opened.Header, "an access token is no setting")
}

func TestAPingStatusOfNoSourceIsWarnedOf(t *testing.T) {
	setenv(t)
	for status, want := range map[string][]string{
		"succss":  {`f:48:18: dialects.merchant.ping_status: "succss" is no status of monobank, which SHOP watches (did you mean success?): is a test callback to say that?`},
		"success": nil,
	} {
		c, err := config.Parse("f", []byte(strings.Replace(ownEvery, "ping_status: expired", "ping_status: "+status, 1)))
		require.NoError(t, err)
		require.Equal(t, want, c.Warnings)
	}
}

// TestAStatusThatDoesNotRingIsWarnedOf holds it for an endpoint's statuses; a start that
// asks for one is refused.
func TestAStatusThatDoesNotRingIsWarnedOf(t *testing.T) {
	setenv(t)
	for statuses, want := range map[string][]string{
		"[created]":          {`f:36:16: endpoints.SHOP.statuses[0]: "created" does not ring in the kind monobank, and has no effect here`},
		"[success, hold]":    nil,
		"[success, created]": {`f:36:25: endpoints.SHOP.statuses[1]: "created" does not ring in the kind monobank, and has no effect here`},
	} {
		c, err := config.Parse("f", []byte(strings.Replace(ownBase, "    source: mono\n", "    source: mono\n    statuses: "+statuses+"\n", 1)))
		require.NoError(t, err)
		require.Equal(t, want, c.Warnings, statuses)
	}
	for finals, warnings := range map[string]int{"['1', '2', '6']": 0, "['1']": 2} {
		c, err := config.Parse("f", []byte(fmt.Sprintf(`sources:
  bank: {kind: ukrcard, base_urls: ["https://wsgate.example"], ext_system_id: e, client_dn: CN=a, login: l, password: "${env:WSGATE_PASSWORD}", final_statuses: %s}
endpoints:
  SHOP: {dialect: standard, source: bank, url: "https://shop.example/in", statuses: ['1', '2', '6'], poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 1}}
`, finals)))
		require.NoError(t, err)
		require.Len(t, c.Warnings, warnings, "final_statuses: %s", finals)
	}
}

func TestDefinitionsAreShownAndHashed(t *testing.T) {
	setenv(t)
	c, err := config.Parse("f", []byte(ownEvery))
	require.NoError(t, err)
	content, err := c.Effective()
	require.NoError(t, err)
	require.NotContains(t, string(content), "hunter22")
	shown := strings.Replace(string(content), `- "[redacted]"`, `- "${env:PAYSERA_MAC_KEY}"`, 1)
	again, err := config.Parse("f", []byte(strings.ReplaceAll(shown, `"[redacted]"`, `"${env:WSGATE_PASSWORD}"`)))
	require.NoError(t, err, string(content))
	require.Equal(t, c.Kinds, again.Kinds)
	require.Equal(t, c.Dialects, again.Dialects)
	require.Equal(t, c.Hash, again.Hash)
	for line, with := range map[string]string{"      hold: [rings, revocable]": "      hold: [rings]", "    ping_status:": "    ping_status: gone"} {
		changed, err := config.Parse("f", []byte(replaceLine(t, ownEvery, line, with)))
		require.NoError(t, err)
		require.NotEqual(t, c.Hash, changed.Hash, with)
	}
}

func TestASourceThatIsNeverPolled(t *testing.T) {
	t.Parallel()
	file := func(source, endpoint string) string {
		return "kinds:\n  feed: {push: {lifetime_status: expired}, statuses: {paid: [final, rings], expired: [final, rings]}}\n" +
			"sources:\n  bank: {kind: feed" + source + "}\n" +
			"endpoints:\n  SHOP: {dialect: standard, source: bank, url: \"https://shop.example/in\", " + endpoint + ", delivery: {interval: 1s, attempts: 1}}\n"
	}
	c, err := config.Parse("f", []byte(file("", "poll: {lifetime: 1h}")))
	require.NoError(t, err)
	require.Equal(t, operation.PushTrust, c.Endpoints["SHOP"].Push, "what is pushed is the status")
	shop, _ := c.Endpoint("SHOP")
	require.True(t, shop.Rules.PushOnly)
	require.Equal(t, "expired", shop.Rules.LifetimeStatus)
	silent := strings.Replace(file("", "poll: {lifetime: 1h}"), "expired: [final, rings]", "expired: [final]", 1)
	_, err = config.Parse("f", []byte(silent))
	require.ErrorContains(t, err, "kinds.feed.push.lifetime_status: is not one that rings")
	_, err = config.Parse("f", []byte(file("", "statuses: [paid], poll: {lifetime: 1h}")))
	require.EqualError(t, err, `f:6:75: endpoints.SHOP.statuses: leaves out "expired", which is sent when the lifetime is over (push.lifetime_status): it would not be delivered`)
	_, err = config.Parse("f", []byte(file(", base_urls: [\"https://bank.example\"]", "push: hint, poll: {interval: 1s}")))
	require.EqualError(t, err, `f:4:22: sources.bank.base_urls: must be left out: a source of the kind feed is never polled
f:6:81: endpoints.SHOP.push: must be trust, or left out: "bank" is never polled
f:6:87: endpoints.SHOP.poll.lifetime: is missing; allowed: a duration such as 500ms, 3s or 10m
f:6:104: endpoints.SHOP.poll.interval: must be left out: "bank" is never polled`)
}

func TestASourceHasTheKeysOfItsKindAlone(t *testing.T) {
	setenv(t)
	file := func(kind, keys string) string {
		return "kinds:\n  feed: {push: {}, statuses: {paid: [final, rings]}}\n" +
			"  asked: {statuses: {paid: [final, rings]}, request: {path: /x}, answer: {answered: has(body.id), status: body.id}}\n" +
			"sources:\n  bank: {kind: " + kind + ", " + keys + "}\n" +
			"endpoints:\n  SHOP: {dialect: standard, source: bank, url: \"https://shop.example/in\", poll: {lifetime: 1h}, delivery: {interval: 1s, attempts: 1}}\n"
	}
	urls := `base_urls: ["https://bank.example"]`
	for _, tt := range []struct {
		kind, why string
		refused   []string
	}{
		{"feed", "is never polled", []string{urls, "auth: {}", "mac: {}", "tls: {}", "timeout: 5s", "client_dn: a", "login: a"}},
		{"asked", "has none", []string{"client_dn: a", "ext_system_id: a", "login: a", "password: '${env:WSGATE_PASSWORD}'", "registered_at_zone: Europe/Kyiv"}},
		{"paysera", "has none", []string{"auth: {}", "client_dn: a", "ext_system_id: a", "login: a", "password: '${env:WSGATE_PASSWORD}'", "registered_at_zone: Europe/Kyiv"}},
		{"ukrcard", "has none", []string{"auth: {}", "mac: {}"}},
	} {
		for _, written := range tt.refused {
			key, _, _ := strings.Cut(written, ":")
			_, err := config.Parse("f", []byte(file(tt.kind, written)))
			require.ErrorContains(t, err, "sources.bank."+key+": must be left out: a source of the kind "+tt.kind+" "+tt.why, written)
		}
	}
	_, err := config.Parse("f", []byte(file("feed", "secrets: {token: '${env:WSGATE_PASSWORD}'}")))
	require.EqualError(t, err, "f:5:22: sources.bank.secrets: must be left out: the kind feed names no secrets")

	c, err := config.Parse("f", []byte(file("feed", "final_statuses: [paid]")))
	require.NoError(t, err)
	shown, err := c.Effective()
	require.NoError(t, err)
	again, err := config.Parse("f", shown)
	require.NoError(t, err, "what is shown of it has no key that is refused: %s", shown)
	require.Equal(t, c.Hash, again.Hash)
}

// Each poll would fail by it.
func TestALiteralAcceptThatCannotBeSentIsRefused(t *testing.T) {
	setenv(t)
	for _, header := range []string{"Accept", "Content-Type"} {
		_, err := config.Parse("f", []byte(strings.Replace(ownBase, "        X-Token: secret.token\n", "        X-Token: secret.token\n        "+header+": \"'application/json '\"\n", 1)))
		require.ErrorContains(t, err, "kinds.monobank.request.headers."+header+": cannot be sent")
	}
}

// A mistake in a push-only kind must not ask its endpoints for a poll schedule, which is refused there.
func TestAWrongKindThatPushesAsksForNoSchedule(t *testing.T) {
	setenv(t)
	_, err := config.Parse("f", []byte(`kinds:
  feed: {secrets: [token], push: {}, statuses: {paid: [final, rings]}}
sources:
  bank: {kind: feed}
endpoints:
  SHOP: {dialect: standard, source: bank, url: "https://shop.example/in", poll: {lifetime: 1h}, delivery: {interval: 1s, attempts: 1}}
`))
	require.ErrorContains(t, err, "kinds.feed.secrets: can't stand beside push")
	require.NotContains(t, err.Error(), "poll.schedule")
}
