package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"ringback/internal/config"
	"ringback/internal/egress"
	"ringback/internal/operation"
)

const signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// example is a whole file of the usual kind.
const example = `
api:      {listen: 127.0.0.1:8080, keys: [{name: core, sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae, scopes: [start, read, revoke, redeliver]}]}
egress:   {allow: [127.0.0.0/8]}              # beyond public addresses
sources:
  wsgate: {kind: ukrcard, base_urls: [http://127.0.0.1:9001], ext_system_id: ECOM_GOLD_BANK, login: gold, password: "${env:WSGATE_PASSWORD}", tls: {cert: client.pem, key: client.key, ca: client.pem}}
  wallet: {kind: paysera, base_urls: [http://127.0.0.1:9002], mac: {id: wkVd93h2uS, key: "${file:mac}"}}
endpoints:
  ECOM_GOLD_BANK:
    {dialect: ukrcard, source: wsgate, url: "http://127.0.0.1:9101/callback", methods: [payment, p2p_transfer, p2p_a2c, p2p_c2a],
     poll: {schedule: [5s, 10s, 15s, 30s, 1m, 1m, 2m, 3m, 5m, 10m], lifetime: 20m}, delivery: {interval: 3000ms, attempts: 10, timeout: 10s}}
  WALLET_SHOP:
    {dialect: paysera, source: wallet, callback_url: per_operation, poll: {interval: 10m, lifetime: 720h}, delivery: {interval: 60s, attempts: 20, timeout: 10s}, signing: {secrets: ["${env:SHOP_SECRET}"]}}
`

// folder is a configuration's folder: a client certificate for GOLDENBANK, its
// key, and the secret file "mac".
func folder(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	cert, key := certificate(tb, "GOLDENBANK", time.Now().Add(time.Hour))
	write(tb, dir, "client.pem", cert, 0o644)
	write(tb, dir, "client.key", key, 0o600)
	write(tb, dir, "mac", []byte("IrdTc8uQodU7PRpLzzLTW6wqZAO6tAMU\n"), 0o600)
	write(tb, dir, "codec", []byte(codecKey(1)+"\n"), 0o600)
	return dir
}

func write(tb testing.TB, dir, name string, content []byte, mode os.FileMode) {
	tb.Helper()
	path := filepath.Join(dir, name)
	require.NoError(tb, os.WriteFile(path, content, mode))
	require.NoError(tb, os.Chmod(path, mode), "the umask may have cut the mode")
}

func certificate(tb testing.TB, name string, until time.Time) (certPEM, keyPEM []byte) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: until.Add(-time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(tb, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(tb, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func setenv(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"EMPTY": "", "WSGATE_PASSWORD": "hunter22", "RECEIVER_TOKEN": "hunter22",
		"PAYSERA_MAC_KEY": "IrdTc8uQodU7PRpLzzLTW6wqZAO6tAMU", "CODEC_KEY": codecKey(1),
		"SHOP_SECRET": signingSecret, "SHOP_SIGNING_SECRET": signingSecret, "LEDGER_SIGNING_SECRET": signingSecret,
	} {
		t.Setenv(name, value)
	}
}

func load(t *testing.T, dir, content string) (*config.Config, error) {
	t.Helper()
	write(t, dir, "ringback.yml", []byte(content), 0o644)
	return config.Load(filepath.Join(dir, "ringback.yml"))
}

func TestAFileIsRead(t *testing.T) {
	setenv(t)
	c, err := load(t, folder(t), example)
	require.NoError(t, err)

	require.Equal(t, "127.0.0.1:8080", c.API.Listen)
	require.Equal(t, config.RateLimit{PerSecond: 200, Burst: 400, ChangesPerSecond: 2000, ChangesBurst: 4000}, c.API.RateLimit)
	require.Zero(t, c.API.MaxStarts)
	require.Equal(t, config.Telemetry{Listen: "127.0.0.1:9464", Traces: config.Traces{Ratio: 1}}, c.Telemetry)
	require.Equal(t, config.Digest(sha256.Sum256([]byte("foo"))), c.API.Keys[0].SHA256)
	require.Equal(t, []string{"start", "read", "revoke", "redeliver"}, c.API.Keys[0].Scopes)
	require.Equal(t, []egress.Network{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}}, c.Egress.Allow)

	wsgate := c.Sources["wsgate"]
	require.Equal(t, 10*time.Second, wsgate.Timeout)
	require.Len(t, wsgate.TLS.Config().Certificates, 1)
	opened := wsgate.Open(noClient)
	require.Equal(t, "GOLDENBANK", opened.Bases[0].ClientDN, "the certificate's common name")
	require.Equal(t, "hunter22", opened.Password)
	require.Equal(t, "IrdTc8uQodU7PRpLzzLTW6wqZAO6tAMU", c.Sources["wallet"].Open(noClient).MACKey, "without the file's last newline")
	require.Nil(t, c.Sources["wallet"].TLS.Config())

	require.Equal(t, []string{signingSecret}, c.Endpoints["WALLET_SHOP"].Signing.Reveal())
	require.Empty(t, c.Warnings)
	require.Regexp(t, `^[0-9a-f]{12}$`, c.Hash)
	require.Len(t, c.PageKey, 26)
	require.NotContains(t, fmt.Sprintf("%x", c.PageKey), c.Hash)
}

func TestAnEndpointAsAStartSeesIt(t *testing.T) {
	setenv(t)
	c, err := load(t, folder(t), example)
	require.NoError(t, err)

	gold, ok := c.Endpoint("ECOM_GOLD_BANK")
	require.True(t, ok)
	require.NotEmpty(t, gold.Fields)
	require.True(t, gold.Rules.DeliversUnanswered, "the kind's rules")
	gold.Fields, gold.Rules = nil, operation.Rules{}
	want := operation.Endpoint{
		Name: "ECOM_GOLD_BANK", Host: "127.0.0.1:9101", Dialect: "ukrcard", Source: "wsgate", SourceKind: "ukrcard",
		Methods: []string{"payment", "p2p_transfer", "p2p_a2c", "p2p_c2a"},
		Policy: operation.Policy{
			Poll: operation.PollPolicy{
				ScheduleMS: []int64{5000, 10000, 15000, 30000, 60000, 60000, 120000, 180000, 300000, 600000},
				LifetimeMS: 1_200_000,
			},
			Delivery:  operation.DeliveryPolicy{IntervalMS: 3000, Attempts: 10, TimeoutMS: 10_000},
			Supersede: "latest",
			Push:      "hint",
		},
		ScreenIdentifiers: true,
	}
	require.Empty(t, cmp.Diff(want, gold))

	shop, ok := c.Endpoint("WALLET_SHOP")
	require.True(t, ok)
	require.True(t, shop.PerOperationURL)
	require.Equal(t, int64(600_000), shop.Policy.Poll.IntervalMS)
	require.Contains(t, shop.Rules.Final, "done")

	_, ok = c.Endpoint("NOBODY")
	require.False(t, ok)
}

// everyKey sets every key that there is, with an alias for a shared policy.
const everyKey = `
api:
  listen: 0.0.0.0:8443
  keys:
    - {name: core, sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae, scopes: [start], endpoints: [A], expires: 2099-06-30}
    - {name: core, sha256: fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9, scopes: [read, withdraw, revoke, redeliver, force, ping, codec], expires: "2099-06-30T18:00:00+02:00", from: [10.0.0.0/8, "fd00::/8"]}
  rate_limit: {per_second: 0.5, burst: 7, changes_per_second: 0.25, changes_burst: 3}
  max_starts: 12
  audit_reads: true
  tls: {cert: client.pem, key: client.key, client_ca: client.pem}
egress: {allow: [10.0.0.0/8, "fd00::/8"], proxy: "http://proxy.example:3128"}
audit: {file: audit.log}
codec: {keys: [{id: a, key: "${file:codec}"}], server: {origins: [https://temporal.example]}}
sources:
  s:
    kind: ukrcard
    base_urls: [https://10.0.24.224, {url: https://prewsgate.example, tls: {cert: client.pem, key: client.key}}]
    ext_system_id: 0042
    login: gold
    password: ${env:WSGATE_PASSWORD}
    client_dn: OTHERBANK
    registered_at_zone: Europe/Vilnius
    final_statuses: [1, 2, 6]
    tls: {ca: client.pem}
    timeout: 2m
  m:
    kind: paysera
    base_urls: [https://wallet.example]
    mac: {id: a, key: "${file:mac}"}
endpoints:
  A:
    dialect: standard
    source: s
    url: https://client.example/in?shop=7
    methods: [payment]
    statuses: [2]
    enabled: false
    supersede: every
    poll: &often {interval: 100ms, max_polls: 3, lifetime: 1m, initial_delay: 0s}
    delivery: {interval: 10ms, attempts: 1, timeout: 1ms}
    signing: {secrets: ["${env:SHOP_SECRET}", "${env:SHOP_SECRET}"]}
    honor_retry_after: true
    card_number_screen: false
    tls: {cert: client.pem, key: client.key, ca: client.pem}
    auth: {bearer: "${env:WSGATE_PASSWORD}"}
    headers: {X-Shop: "7", X-Api-Key: "k=${env:WSGATE_PASSWORD};v=1"}
    max_concurrent: 5
    push: off
  B:
    dialect: paysera
    source: m
    callback_url: per_operation
    callback_hosts: [pay.example.com, "*.shop.example"]
    poll: *often
    delivery: {interval: 24h, attempts: 1000}
    auth: {basic: {username: u, password: "${env:WSGATE_PASSWORD}"}}
`

func noClient(*tls.Config, time.Duration) *http.Client { return nil }

func TestEachBaseURLHasItsOwnTLSOrTheSources(t *testing.T) {
	setenv(t)
	dir := folder(t)
	cert, key := certificate(t, "PUBLICBANK", time.Now().Add(time.Hour))
	write(t, dir, "public.pem", cert, 0o644)
	write(t, dir, "public.key", key, 0o600)
	for _, tt := range []struct {
		name, bases, more string
		dns               []string
		trusts            []bool
	}{
		{
			name:  "the source's for each, whether it is a URL or a mapping",
			bases: `[https://a.example, {url: https://b.example}]`,
			dns:   []string{"GOLDENBANK", "GOLDENBANK"}, trusts: []bool{true, true},
		},
		{
			name:  "its own, of which none of the source's is left",
			bases: `[https://a.example, {url: https://b.example, tls: {cert: public.pem, key: public.key}}]`,
			dns:   []string{"GOLDENBANK", "PUBLICBANK"}, trusts: []bool{true, false},
		},
		{
			name:  "only other authorities",
			bases: `[{url: https://a.example, tls: {ca: public.pem}}, https://b.example]`,
			dns:   []string{"", "GOLDENBANK"}, trusts: []bool{true, true},
		},
		{
			name: "client_dn is for all", more: ", client_dn: OTHERBANK",
			bases: `[https://a.example, {url: https://b.example, tls: {cert: public.pem, key: public.key}}]`,
			dns:   []string{"OTHERBANK", "OTHERBANK"}, trusts: []bool{true, false},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "sources:\n  s: {kind: ukrcard, base_urls: " + tt.bases + `, ext_system_id: E, login: gold, password: "${env:WSGATE_PASSWORD}", tls: {cert: client.pem, key: client.key, ca: client.pem}` + tt.more + "}\n"
			c, err := load(t, dir, text)
			require.NoError(t, err)
			var shown, dns []string
			var trusts []bool
			opened := c.Sources["s"].Open(func(config *tls.Config, timeout time.Duration) *http.Client {
				require.Equal(t, 10*time.Second, timeout)
				name := ""
				if len(config.Certificates) > 0 {
					name = config.Certificates[0].Leaf.Subject.CommonName
				}
				shown, trusts = append(shown, name), append(trusts, config.RootCAs != nil)
				return nil
			})
			for _, base := range opened.Bases {
				dns = append(dns, base.ClientDN)
			}
			require.Equal(t, tt.dns, dns)
			require.Equal(t, tt.trusts, trusts)
			if tt.more == "" {
				require.Equal(t, tt.dns, shown)
			}
		})
	}
}

func TestCredentialsGoToTheHostsOfTheFileAlone(t *testing.T) {
	setenv(t)
	for name, tt := range map[string]struct {
		endpoint string
		// evil says that callbacks may be sent to any URL that an operation brought.
		evil bool
	}{
		"URLs of operations, without credentials":                 {`callback_url: per_operation`, true},
		"URLs of operations, signed":                              {`callback_url: per_operation, signing: {secrets: ["${env:SHOP_SECRET}"]}`, true},
		"URLs of operations, with a header that is not secret":    {`callback_url: per_operation, headers: {X-Shop: "7"}`, true},
		"URLs of operations at listed hosts":                      {`callback_url: per_operation, callback_hosts: [pay.example]`, false},
		"URLs of operations at listed hosts, with credentials":    {`callback_url: per_operation, callback_hosts: [pay.example], auth: {bearer: "${env:WSGATE_PASSWORD}"}`, false},
		"operations from before, at an endpoint without secrets":  {`url: "https://pay.example/in"`, true},
		"operations from before, at an endpoint with credentials": {`url: "https://pay.example/in", auth: {bearer: "${env:WSGATE_PASSWORD}"}`, false},
	} {
		c, err := config.Parse("f", []byte("sources:\n  w: {kind: paysera, base_urls: [https://w.example], mac: {id: a, key: \"${env:WSGATE_PASSWORD}\"}}\nendpoints:\n  E: {dialect: paysera, source: w, "+
			tt.endpoint+", poll: {interval: 1s, lifetime: 1m}, delivery: {interval: 1s, attempts: 1}}\n"))
		require.NoError(t, err, name)
		e, _ := c.Endpoint("E")
		require.Empty(t, e.Hosts.Check("https://pay.example/other"), name)
		require.Equal(t, tt.evil, e.Hosts.Check("https://evil.example/in") == "", name)
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	setenv(t)
	c, err := load(t, folder(t), everyKey)
	require.NoError(t, err)

	require.Equal(t, config.RateLimit{PerSecond: 0.5, Burst: 7, ChangesPerSecond: 0.25, ChangesBurst: 3}, c.API.RateLimit)
	require.Equal(t, 12, c.API.MaxStarts)
	require.Equal(t, tls.RequireAndVerifyClientCert, c.API.TLS.Config().ClientAuth)
	require.Equal(t, []string{"A"}, c.API.Keys[0].Endpoints)

	s := c.Sources["s"]
	require.Equal(t, "0042", s.ExtSystemID, "the digits as they are written")
	require.Equal(t, "OTHERBANK", s.ClientDN)
	require.Equal(t, "http://proxy.example:3128", c.Egress.Proxy)
	require.Equal(t, "Europe/Vilnius", s.Open(noClient).RegisteredAtZone.String())
	require.Equal(t, []string{"1", "2", "6"}, s.FinalStatuses)
	require.Equal(t, 2*time.Minute, s.Timeout)
	require.Empty(t, s.TLS.Config().Certificates)
	require.NotNil(t, s.TLS.Config().RootCAs)

	a := c.Endpoints["A"]
	require.Equal(t, config.EnabledFalse, a.Enabled)
	require.True(t, a.HonorRetryAfter)
	require.Equal(t, 5, a.MaxConcurrent)
	require.Equal(t, operation.PushOff, a.Push)
	require.Equal(t, "7", a.Headers["X-Shop"].Reveal())
	require.Equal(t, "k=hunter22;v=1", a.Headers["X-Api-Key"].Reveal())
	require.Len(t, a.Signing.Secrets, 2)
	header := http.Header{}
	a.Auth.Apply(header)
	require.Equal(t, "Bearer hunter22", header.Get("Authorization"))

	seen, ok := c.Endpoint("A")
	require.True(t, ok)
	require.True(t, seen.Disabled)
	require.False(t, seen.ScreenIdentifiers)
	require.Equal(t, "every", seen.Policy.Supersede)
	require.Equal(t, []string{"2"}, seen.Statuses)
	require.True(t, seen.Rules.IsFinal("6"))
	require.Equal(t, operation.PollPolicy{IntervalMS: 100, MaxPolls: 3, LifetimeMS: 60_000}, seen.Policy.Poll)

	b := c.Endpoints["B"]
	require.Equal(t, a.Poll, b.Poll, "the alias")
	require.Equal(t, 10*time.Second, b.Delivery.Timeout, "the default")
	request := &http.Request{Header: http.Header{}}
	b.Auth.Apply(request.Header)
	user, password, _ := request.BasicAuth()
	require.Equal(t, []string{"u", "hunter22"}, []string{user, password})
}

func TestAnEndpointWithoutMethodsAllowsAllOfItsSource(t *testing.T) {
	setenv(t)
	c, err := load(t, folder(t), strings.Replace(example, "methods: [payment, p2p_transfer, p2p_a2c, p2p_c2a],", "", 1))
	require.NoError(t, err)
	e, _ := c.Endpoint("ECOM_GOLD_BANK")
	require.Equal(t, []string{"payment", "p2p_transfer", "p2p_a2c", "p2p_c2a"}, e.Methods)
}

func TestTheHashTellsConfigurationsApart(t *testing.T) {
	setenv(t)
	dir := folder(t)
	hash := func(content string) string {
		c, err := load(t, dir, content)
		require.NoError(t, err)
		return c.Hash
	}
	first := hash(example)
	require.Equal(t, first, hash("# a comment\n"+example), "not by its comments")
	require.Equal(t, first, hash(strings.Replace(example, "3000ms", "3s", 1)), "not by its spelling")
	require.NotEqual(t, first, hash(strings.Replace(example, "attempts: 10", "attempts: 11", 1)))

	t.Setenv("WSGATE_PASSWORD", "hunter23")
	second := hash(example)
	require.NotEqual(t, first, second, "by a secret")

	cert, key := certificate(t, "GOLDENBANK", time.Now().Add(time.Hour))
	write(t, dir, "client.pem", cert, 0o644)
	write(t, dir, "client.key", key, 0o600)
	third := hash(example)
	require.NotEqual(t, second, third, "by a certificate")

	other := t.TempDir()
	for _, name := range []string{"client.pem", "client.key", "mac"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		write(t, other, name, content, 0o600)
	}
	moved, err := load(t, other, example)
	require.NoError(t, err)
	require.Equal(t, third, moved.Hash, "not by where its files lie")
}

func TestWarnings(t *testing.T) {
	setenv(t)
	dir := folder(t)
	cert, key := certificate(t, "GOLDENBANK", time.Now().Add(-time.Hour))
	write(t, dir, "client.pem", cert, 0o644)
	chmod(t, filepath.Join(dir, "client.pem"), 0o646)
	write(t, dir, "client.key", key, 0o644)
	write(t, dir, "mac", []byte("secret"), 0o604)
	c, err := load(t, dir, example)
	require.NoError(t, err)
	require.Len(t, c.Warnings, 5)
	all := strings.ReplaceAll(strings.Join(c.Warnings, "\n"), dir, "DIR")
	require.Contains(t, all, "DIR/ringback.yml:6:90: sources.wallet.mac.key: DIR/mac: every user of this machine can read this file (mode 0604): 0640 will do, with the group of the programs (65532 in the image)")
	require.Contains(t, all, "sources.wsgate.tls.key: DIR/client.key: every user of this machine can read this file (mode 0644)")
	require.Contains(t, all, "sources.wsgate.tls.cert: DIR/client.pem: every user of this machine can change this file (mode 0646): chmod o-w")
	require.Contains(t, all, "sources.wsgate.tls.cert: this certificate expired on ")
}

func TestAKeyThatExpiresSoonIsWarnedOf(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for name, row := range map[string]struct {
		expires time.Time
		says    string
	}{
		"it has expired":            {time.Now().Add(-time.Hour), "the key core expired at "},
		"it will within two weeks":  {time.Now().Add(13 * day), "the key core expires at "},
		"it will in a longer while": {time.Now().Add(15 * day), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Parse("f", fmt.Appendf(nil, "api:\n  keys:\n    - {name: core, sha256: %x, scopes: [read], expires: %s}\n",
				sha256.Sum256(nil), row.expires.Format(time.RFC3339)))
			require.NoError(t, err)
			require.WithinDuration(t, row.expires, c.API.Keys[0].Expires, time.Second)
			if row.says == "" {
				require.Empty(t, c.Warnings)
				return
			}
			require.Len(t, c.Warnings, 1)
			require.Contains(t, c.Warnings[0], "f:3:")
			require.Contains(t, c.Warnings[0], "api.keys[0].expires: "+row.says)
		})
	}
}

func TestAFileThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := config.Load(filepath.Join(dir, "none.yml"))
	require.ErrorIs(t, err, os.ErrNotExist)

	write(t, dir, "big.yml", bytes.Repeat([]byte("#"), 1<<20+1), 0o600)
	_, err = config.Load(filepath.Join(dir, "big.yml"))
	require.ErrorContains(t, err, "is not a regular file of at most 1048576 bytes")
}

// exampleInDeploy is what everybody copies, with a digest of their own.
func exampleInDeploy(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "deploy", "ringback.example.yml"))
	require.NoError(t, err)
	return bytes.Replace(content, bytes.Repeat([]byte("deadbeef"), 8), []byte(strings.Repeat("01234567", 8)), 1)
}

func TestTheExampleInDeployIsRefusedForItsDigestAlone(t *testing.T) {
	setenv(t)
	_, err := config.Load(filepath.Join("..", "..", "deploy", "ringback.example.yml"))
	require.ErrorContains(t, err, "api.keys[0].sha256: is the digest in deploy/ringback.example.yml, which no key has; make a key of your own with: starter keygen api-key")
	require.NotContains(t, err.Error(), "\n")
	c, err := config.Parse("f", exampleInDeploy(t))
	require.NoError(t, err)
	require.Len(t, c.Sources, 2)
	require.Len(t, c.Endpoints, 3)
	require.Empty(t, c.Warnings)
}

// commented is a key that the example shows in a comment.
var commented = regexp.MustCompile(`(?m)^(\s*)# ([a-z_]+: .*?)(\s{2,}#.*)?$`)

// TestTheExampleInDeployNamesEveryKey takes the example with all of its
// comments that are keys taken out of comments, and holds that nothing that
// the file may say is left out of it.
func TestTheExampleInDeployNamesEveryKey(t *testing.T) {
	t.Parallel()
	content := exampleInDeploy(t)
	for _, structure := range []any{
		config.Config{}, config.API{}, config.Key{}, config.RateLimit{}, config.Egress{}, config.Source{}, config.MAC{},
		config.Endpoint{}, config.Poll{}, config.Delivery{}, config.Signing{}, config.Auth{}, config.Basic{}, config.OAuth2{},
		config.ClientTLS{}, config.ServerTLS{}, config.Telemetry{}, config.Traces{}, config.Notices{}, config.Audit{}, config.Codec{}, config.CodecKey{}, config.CodecServer{},
	} {
		for i := range reflect.TypeOf(structure).NumField() {
			key, _, _ := strings.Cut(reflect.TypeOf(structure).Field(i).Tag.Get("yaml"), ",")
			if key != "" && key != "-" {
				require.Containsf(t, string(content), key+":", "of %T", structure)
			}
		}
	}
}

// TestTheExamplesCommentsAreKeysToo holds that a line taken out of its comment
// is understood: the only faults left are the files that it names.
func TestTheExamplesCommentsAreKeysToo(t *testing.T) {
	setenv(t)
	_, err := config.Parse("f", commented.ReplaceAll(exampleInDeploy(t), []byte("$1$2")))
	require.Error(t, err)
	for line := range strings.Lines(err.Error()) {
		require.Contains(t, line, "cannot read the file: ", "a key that is understood")
	}
}

func TestARevocationIsDeliveredWhereTheDialectHasAStatusForIt(t *testing.T) {
	setenv(t)
	c, err := config.Parse("c.yml", []byte(`
egress: {allow: [127.0.0.0/8]}
sources:
  wsgate: {kind: ukrcard, base_urls: ["http://127.0.0.1:9001"], ext_system_id: GOLD, login: gold, password: "${env:WSGATE_PASSWORD}", client_dn: GOLD}
endpoints:
  OWN: {dialect: ukrcard, source: wsgate, url: "http://127.0.0.1:9101/", poll: {interval: 1s, lifetime: 1m}, delivery: {interval: 1s, attempts: 1}}
  STANDARD: {dialect: standard, source: wsgate, url: "http://127.0.0.1:9101/", poll: {interval: 1s, lifetime: 1m}, delivery: {interval: 1s, attempts: 1}}
`))
	require.NoError(t, err)
	own, _ := c.Endpoint("OWN")
	require.False(t, own.Rules.Delivers("revoked"), "Ukrcard's document has no such orderStatus")
	standard, _ := c.Endpoint("STANDARD")
	require.True(t, standard.Rules.Delivers("revoked"))
}

// withNotices is a file with these notices and this endpoint OPS.
func withNotices(notices, ops string) string {
	return `
notices: ` + notices + `
egress: {allow: [127.0.0.0/8]}
sources:
  wallet: {kind: paysera, base_urls: ["http://127.0.0.1:9002"]}
endpoints:
  SHOP: {dialect: paysera, source: wallet, callback_url: per_operation, poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
  LEDGER: {dialect: standard, source: wallet, url: "http://127.0.0.1:9103/hooks", poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
  OPS: {` + ops + `, delivery: {interval: 2s, attempts: 7, timeout: 1s}}
`
}

func TestAnEndpointOnHoldTakesStarts(t *testing.T) {
	t.Parallel()
	for written, refuses := range map[string]bool{"true": false, "false": true, "hold": false, `"hold"`: false} {
		c, err := config.Parse("f", []byte(strings.Replace(withoutSecrets, "enabled: hold", "enabled: "+written, 1)))
		require.NoError(t, err)
		require.Equal(t, config.Enabled(strings.Trim(written, `"`)), c.Endpoints["SHOP"].Enabled)
		shop, _ := c.Endpoint("SHOP")
		require.Equal(t, refuses, shop.Disabled, written)
	}
}

const opsURL = `dialect: standard, url: "http://127.0.0.1:9104/ops"`

func TestNoticesGoToTheEndpointThatTheFileNames(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("f", []byte(withNotices("{endpoint: OPS}", opsURL)))
	require.NoError(t, err)
	require.Equal(t, 20, c.Notices.FailingAfter, "the default")
	shop, _ := c.Endpoint("SHOP")
	require.Equal(t, &operation.Recipient{
		Endpoint: "OPS", Policy: operation.DeliveryPolicy{IntervalMS: 2000, Attempts: 7, TimeoutMS: 1000},
	}, shop.Notices)
	ops, _ := c.Endpoint("OPS")
	require.Nil(t, ops.Notices, "a notice causes no notice")
	require.True(t, ops.Disabled, "without a source it takes no operations")

	c, err = config.Parse("f", []byte(withNotices("{endpoint: LEDGER, failing_after: 3}", opsURL+`, source: wallet, poll: {interval: 1m, lifetime: 1h}`)))
	require.NoError(t, err)
	ledger, _ := c.Endpoint("LEDGER")
	require.False(t, ledger.Disabled, "with a source it takes operations as well")
	require.Equal(t, 3, c.Notices.FailingAfter)
}

func TestAnEndpointThatCannotReceiveNoticesIsRefused(t *testing.T) {
	t.Parallel()
	const nothingPolled = "f:9:3: endpoints.OPS.poll.lifetime: is missing; allowed: a duration such as 500ms, 3s or 10m\n" +
		"f:9:3: endpoints.OPS.poll.schedule: is missing; allowed: a list of gaps such as [5s, 10s, 15s], or interval instead\n"
	const whole = opsURL + `, source: wallet, poll: {interval: 1m, lifetime: 1h}`
	for name, tt := range map[string]struct{ notices, ops, want string }{
		"an endpoint that is not there": {"{endpoint: NOBODY}", whole,
			`f:2:21: notices.endpoint: "NOBODY" is unknown; allowed: LEDGER, OPS, SHOP`},
		"another dialect": {"{endpoint: SHOP}", whole,
			`f:2:21: notices.endpoint: "SHOP" cannot receive notices; allowed: an endpoint of the dialect standard with a url`},
		"no endpoint": {"{failing_after: 5}", whole,
			`f:2:1: notices.endpoint: is missing; allowed: the endpoint that receives notices`},
		"one that is failing before the first attempt": {"{endpoint: OPS, failing_after: 0}", whole,
			`f:2:41: notices.failing_after: 0 is below 1; allowed: 1 to 1000`},
		"another endpoint without a source": {"{endpoint: LEDGER}", opsURL,
			nothingPolled + "f:9:3: endpoints.OPS.source: is missing; allowed: wallet"},
		"half a source": {"{endpoint: OPS}", opsURL + `, source: wallet`,
			strings.TrimSpace(nothingPolled)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("f", []byte(withNotices(tt.notices, tt.ops)))
			require.EqualError(t, err, tt.want)
		})
	}
}
