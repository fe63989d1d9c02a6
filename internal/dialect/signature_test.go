package dialect_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/dialect"
	"ringback/internal/expression"
)

// signedBy is a dialect whose one particular is its signature.
func signedBy(t *testing.T, s dialect.Signature) dialect.Dialect {
	t.Helper()
	compiled, faults := withSignature(s).Compile("signed")
	require.Empty(t, faults)
	return compiled
}

func withSignature(s dialect.Signature) dialect.Definition {
	return dialect.Definition{Text: "status", Acknowledged: "true", Signature: &s}
}

func pemOf(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// github is the example of GitHub's documentation ("Validating webhook deliveries").
var github = dialect.Signature{Scheme: "hmac-sha256", Prefix: "sha256=", Headers: dialect.SignatureHeaders{Signature: "X-Hub-Signature-256"}}

const (
	githubSecret    = "It's a Secret to Everybody"
	githubBody      = "Hello, World!"
	githubSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	githubHex       = "49742773206120536563726574" + "20746f2045766572796" + "26f6479"
)

// rfc4231 is the result of test case 1 of RFC 4231.
const rfc4231 = "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"

func TestAnHMACIsThatOfPublishedExamples(t *testing.T) {
	t.Parallel()
	named := func(change func(*dialect.Signature)) dialect.Signature {
		s := github
		change(&s)
		return s
	}
	for _, tt := range []struct {
		name      string
		signature dialect.Signature
		secrets   []string
		body      string
		header    string
		want      string
	}{
		{"GitHub's", github, []string{githubSecret}, githubBody, "X-Hub-Signature-256", githubSignature},
		{"of several secrets the first signs", github, []string{githubSecret, "the next secret"}, githubBody, "X-Hub-Signature-256", githubSignature},
		{"a secret in hexadecimal", named(func(s *dialect.Signature) { s.KeyEncoding = "hex" }), []string{githubHex}, githubBody, "X-Hub-Signature-256", githubSignature},
		{"a secret in base64", named(func(s *dialect.Signature) { s.KeyEncoding = "base64" }), []string{base64.StdEncoding.EncodeToString([]byte(githubSecret))}, githubBody, "X-Hub-Signature-256", githubSignature},
		{"RFC 4231's of SHA-512", dialect.Signature{Scheme: "hmac-sha512", Headers: dialect.SignatureHeaders{Signature: "X-Sign"}}, []string{strings.Repeat("\v", 20)}, "Hi There", "X-Sign", rfc4231},
		{"a template over another text", named(func(s *dialect.Signature) { s.Over = "body.replace('?', '!')" }), []string{githubSecret}, "Hello, World?", "X-Hub-Signature-256", githubSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			signer, err := signedBy(t, tt.signature).Signer(tt.secrets)
			require.NoError(t, err)
			headers := signed(t, signer, "cb_1", time.Unix(1596014146, 0), []byte(tt.body))
			require.Equal(t, tt.want, headers.Get(tt.header))
			require.Equal(t, "cb_1", headers.Get("webhook-id"), "whatever the scheme")
			require.Equal(t, "1596014146", headers.Get("webhook-timestamp"))
			require.Empty(t, headers.Get("webhook-signature"))
		})
	}
}

// The form of Stripe's header, in which the signatures of two secrets stand.
func TestAFormatHoldsTheSignaturesOfAllSecrets(t *testing.T) {
	t.Parallel()
	s := dialect.Signature{
		Scheme: "hmac-sha256", Over: "timestamp + '.' + body", Format: "'t=' + timestamp + ',v1=' + signatures.join(',v1=')",
		Headers: dialect.SignatureHeaders{Signature: "Pay-Signature", Timestamp: "Pay-Timestamp", ID: "Pay-Id"},
	}
	at := time.Unix(1596014146, 0)
	signer, err := signedBy(t, s).Signer([]string{"the new secret", "the old secret"})
	require.NoError(t, err)
	headers := signed(t, signer, "cb_1", at, []byte("{}"))

	plain := dialect.Signature{Scheme: "hmac-sha256", Headers: dialect.SignatureHeaders{Signature: "S"}}
	want := "t=1596014146"
	for _, secret := range []string{"the new secret", "the old secret"} {
		one, err := signedBy(t, plain).Signer([]string{secret})
		require.NoError(t, err)
		want += ",v1=" + signed(t, one, "cb_1", at, []byte("1596014146.{}")).Get("S")
	}
	require.Equal(t, want, headers.Get("Pay-Signature"))
	require.Equal(t, "1596014146", headers.Get("Pay-Timestamp"))
	require.Equal(t, "cb_1", headers.Get("Pay-Id"))
}

func TestStandardWebhooksMayHaveOtherNames(t *testing.T) {
	t.Parallel()
	signer, err := signedBy(t, dialect.Signature{
		Scheme: "standard-webhooks", Headers: dialect.SignatureHeaders{ID: "svix-id", Timestamp: "svix-timestamp", Signature: "svix-signature"},
	}).Signer([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	require.NoError(t, err)
	headers := signed(t, signer, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", headers.Get("svix-signature"))
	require.Equal(t, headers.Get("webhook-id"), headers.Get("svix-id"))
	require.Equal(t, "1614265330", headers.Get("svix-timestamp"))
}

func TestECDSASignsAsDER(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(`{"invoiceId":"a1"}`))
	d := signedBy(t, dialect.Signature{Scheme: "ecdsa-p256-sha256", Headers: dialect.SignatureHeaders{Signature: "X-Sign"}})
	for name, secret := range map[string]string{"PKCS#8": pemOf(t, key), "SEC 1": string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))} {
		signer, err := d.Signer([]string{secret})
		require.NoError(t, err, name)
		signature, err := base64.StdEncoding.DecodeString(signed(t, signer, "cb_1", time.Now(), []byte(`{"invoiceId":"a1"}`)).Get("X-Sign"))
		require.NoError(t, err, name)
		require.True(t, ecdsa.VerifyASN1(&key.PublicKey, sum[:], signature), name)
	}
}

func TestHTTPMessageSignaturesCoverTheRequest(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer, err := signedBy(t, dialect.Signature{Scheme: "rfc9421", KeyID: "key-1"}).Signer([]string{pemOf(t, edwards), pemOf(t, curve)})
	require.NoError(t, err)
	headers := signed(t, signer, "cb_1", time.Unix(1618884473, 0), []byte(`{"hello": "world"}`))

	require.Equal(t, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", headers.Get("Content-Digest"), "the example of RFC 9530")
	inputs, signatures := strings.Split(headers.Get("Signature-Input"), ", "), strings.Split(headers.Get("Signature"), ", ")
	const parameters = `("@method" "@target-uri" "content-digest" "content-type");created=1618884473;keyid="key-1";alg=`
	require.Equal(t, []string{"sig1=" + parameters + `"ed25519"`, "sig2=" + parameters + `"ecdsa-p256-sha256"`}, inputs)
	require.Len(t, signatures, 2)

	base := func(input string) []byte {
		return []byte("\"@method\": POST\n\"@target-uri\": https://shop.example/hook\n\"content-digest\": " + headers.Get("Content-Digest") +
			"\n\"content-type\": application/json\n\"@signature-params\": " + input[len("sig1="):])
	}
	octets := func(signature, label string) []byte {
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(signature, label+"=:"), ":"))
		require.NoError(t, err)
		return decoded
	}
	require.True(t, ed25519.Verify(edwards.Public().(ed25519.PublicKey), base(inputs[0]), octets(signatures[0], "sig1")))
	sum, both := sha256.Sum256(base(inputs[1])), octets(signatures[1], "sig2")
	require.True(t, verifyFixed(&curve.PublicKey, sum[:], both))
}

func TestASignatureThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	header := dialect.SignatureHeaders{Signature: "X-Sign"}
	for _, tt := range []struct {
		name      string
		signature dialect.Signature
		want      expression.Fault
	}{
		{"an unknown scheme", dialect.Signature{Scheme: "md5"}, expression.Fault{Path: "signature.scheme", Detail: "is unknown; allowed: ecdsa-p256-sha256, hmac-sha256, hmac-sha512, rfc9421, standard-webhooks"}},
		{"no name for it", dialect.Signature{Scheme: "hmac-sha256"}, expression.Fault{Path: "signature.headers.signature", Detail: "is missing; allowed: the name of the header that the signature is sent in"}},
		{"a header of the protocol", dialect.Signature{Scheme: "hmac-sha256", Headers: dialect.SignatureHeaders{Signature: "content-type"}}, expression.Fault{Path: "signature.headers.signature", Detail: "is set by Ringback itself and cannot be replaced"}},
		{"one name twice", dialect.Signature{Scheme: "hmac-sha256", Headers: dialect.SignatureHeaders{Signature: "X-Sign", ID: "x-sign"}}, expression.Fault{Path: "signature.headers.id", Detail: "is the name of another header of the signature"}},
		{"an unknown encoding", dialect.Signature{Scheme: "hmac-sha256", Encoding: "base32", Headers: header}, expression.Fault{Path: "signature.encoding", Detail: "is unknown; allowed: hex, base64"}},
		{"what the scheme has not", dialect.Signature{Scheme: "rfc9421", Over: "body"}, expression.Fault{Path: "signature.over", Detail: "must be left out: the scheme rfc9421 has none"}},
		{"a prefix that begins with a space", dialect.Signature{Scheme: "hmac-sha256", Prefix: " a", Headers: header}, expression.Fault{Path: "signature.prefix", Detail: "cannot be sent; allowed: printable ASCII without a space before it"}},
		{"a prefix of a format", dialect.Signature{Scheme: "hmac-sha256", Prefix: "a", Format: "id", Headers: header}, expression.Fault{Path: "signature.prefix", Detail: "cannot be set together with format"}},
		{"a key id beyond ASCII", dialect.Signature{Scheme: "rfc9421", KeyID: "ä"}, expression.Fault{Path: "signature.key_id", Detail: `cannot be sent; allowed: printable ASCII without " and \`}},
		{"a key id with a quote", dialect.Signature{Scheme: "rfc9421", KeyID: `a"b`}, expression.Fault{Path: "signature.key_id", Detail: `cannot be sent; allowed: printable ASCII without " and \`}},
		{"a template of another type", dialect.Signature{Scheme: "hmac-sha256", Over: "true", Headers: header}, expression.Fault{Path: "signature.over", Line: 1, Column: 1, Detail: "the value is a bool; allowed: a string, a whole number or null"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, faults := withSignature(tt.signature).Compile("signed")
			require.Equal(t, []expression.Fault{tt.want}, faults)
		})
	}
	_, faults := withSignature(dialect.Signature{Scheme: "hmac-sha256", Prefix: "HMAC ", Headers: header}).Compile("signed")
	require.Empty(t, faults, "the signature stands behind the space")
}

func TestAKeyThatCannotSignIsRefusedWithoutNamingIt(t *testing.T) {
	t.Parallel()
	header := dialect.SignatureHeaders{Signature: "X-Sign"}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for _, tt := range []struct {
		name      string
		signature dialect.Signature
		secret    string
		says      string
	}{
		{"hexadecimal that is none", dialect.Signature{Scheme: "hmac-sha256", KeyEncoding: "hex", Headers: header}, "hunter2", "is not hex of a secret"},
		{"a single letter", dialect.Signature{Scheme: "hmac-sha256", Headers: header}, "x", "is an HMAC key of 1 bytes"},
		{"seven bytes", dialect.Signature{Scheme: "hmac-sha512", Headers: header}, "hunter2", "is an HMAC key of 7 bytes, which can be found by trying; allowed: 8 and more"},
		{"seven bytes in hexadecimal", dialect.Signature{Scheme: "hmac-sha256", KeyEncoding: "hex", Headers: header}, "68756e74657232", "is an HMAC key of 7 bytes"},
		{"seven bytes for messages", dialect.Signature{Scheme: "rfc9421"}, "hunter2", "is an HMAC key of 7 bytes"},
		{"no PEM", dialect.Signature{Scheme: "ecdsa-p256-sha256", Headers: header}, "hunter2", "is not PEM"},
		{"PEM of something else", dialect.Signature{Scheme: "ecdsa-p256-sha256", Headers: header}, "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----", "holds no private key"},
		{"another curve", dialect.Signature{Scheme: "ecdsa-p256-sha256", Headers: header}, pemOf(t, p384), "holds another key than one of ECDSA on P-256"},
		{"another curve for messages", dialect.Signature{Scheme: "rfc9421"}, pemOf(t, p384), "holds another key than one of ed25519 or of ECDSA on P-256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := signedBy(t, tt.signature).Signer([]string{tt.secret})
			require.ErrorContains(t, err, "signing secret 1 of 1 "+tt.says)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "68756e74657232")
		})
	}
	_, err = signedBy(t, github).Signer(nil)
	require.ErrorContains(t, err, "there is no signing secret")
}

func TestAShortKeyOfAnHMACSignsAndIsWarnedOf(t *testing.T) {
	t.Parallel()
	header := dialect.SignatureHeaders{Signature: "X-Sign"}
	for _, tt := range []struct {
		name      string
		signature dialect.Signature
		secret    string
		weak      bool
	}{
		{"eight bytes", dialect.Signature{Scheme: "hmac-sha256", Headers: header}, "hunter22", true},
		{"fifteen bytes", dialect.Signature{Scheme: "hmac-sha512", Headers: header}, strings.Repeat("x", 15), true},
		{"sixteen bytes", dialect.Signature{Scheme: "hmac-sha512", Headers: header}, strings.Repeat("x", 16), false},
		{"fifteen bytes in base64", dialect.Signature{Scheme: "hmac-sha256", KeyEncoding: "base64", Headers: header}, strings.Repeat("A", 20), true},
		{"fifteen bytes for messages", dialect.Signature{Scheme: "rfc9421"}, strings.Repeat("x", 15), true},
		{"sixteen bytes for messages", dialect.Signature{Scheme: "rfc9421"}, strings.Repeat("x", 16), false},
		{"Standard Webhooks, which has a rule of its own", dialect.Signature{Scheme: "standard-webhooks"}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := signedBy(t, tt.signature).Signer([]string{tt.secret})
			require.NoError(t, err)
			weakness := tt.signature.Weakness(tt.secret)
			require.Equal(t, tt.weak, strings.HasPrefix(weakness, "is an HMAC key of fewer than 16 bytes"), weakness)
			require.Equal(t, tt.weak, weakness != "")
		})
	}
}

func verifyFixed(key *ecdsa.PublicKey, sum, signature []byte) bool {
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return len(signature) == 64 && ecdsa.Verify(key, sum, r, s)
}
