package dialect_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"ringback/internal/dialect"
)

// secretOf is a valid secret of n bytes of c.
func secretOf(c string, n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, n)))
}

// signed are the headers of a callback that is sent to https://shop.example/hook.
func signed(t *testing.T, signer *dialect.Signer, id string, at time.Time, body []byte) http.Header {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://shop.example/hook", nil)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	headers, err := signer.Headers(dialect.Outgoing{ID: id, At: at, Request: r, Body: body})
	require.NoError(t, err)
	return headers
}

func TestASignerSignsSoThatTheLibraryVerifies(t *testing.T) {
	t.Parallel()
	newer, older, foreign := secretOf("n", 32), secretOf("o", 24), secretOf("f", 64)
	signer, err := dialect.NewSigner([]string{newer, older})
	require.NoError(t, err)
	body := []byte("transfer_id=239441503&status=done&date=1596014146")
	at := time.Now()
	headers := signed(t, signer, "cb_1", at, body)

	require.Equal(t, "cb_1", headers.Get("webhook-id"))
	require.Equal(t, strconv.FormatInt(at.Unix(), 10), headers.Get("webhook-timestamp"))
	require.Len(t, strings.Fields(headers.Get("webhook-signature")), 2)
	for _, secret := range []string{newer, older} {
		receiver, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		require.NoError(t, receiver.Verify(body, headers), "a receiver with either secret verifies")
		require.Error(t, receiver.Verify(append(body, '0'), headers), "another body does not verify")
	}
	receiver, err := standardwebhooks.NewWebhook(foreign)
	require.NoError(t, err)
	require.ErrorIs(t, receiver.Verify(body, headers), standardwebhooks.ErrNoMatchingSignature)
}

func TestASignerSignsTheSpecificationsExample(t *testing.T) {
	t.Parallel()
	signer, err := dialect.NewSigner([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	require.NoError(t, err)
	headers := signed(t, signer, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", headers.Get("webhook-signature"))
}

// The standard's asymmetric example, as its makers' own server signs it.
const (
	examplePrivateKey = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	exampleSeed       = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
	examplePublicKey  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	exampleSignature  = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

func TestASignerSignsTheAsymmetricExample(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"the private and the public key": examplePrivateKey, "the private key alone": exampleSeed} {
		signer, err := dialect.NewSigner([]string{key})
		require.NoError(t, err, name)
		headers := signed(t, signer, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
		require.Equal(t, exampleSignature, headers.Get("webhook-signature"), name)
	}
}

// A receiver may change over from secrets to keys as from one secret to the next.
func TestBothKindsOfSignatureAreInOneHeader(t *testing.T) {
	t.Parallel()
	secret := secretOf("n", 32)
	signer, err := dialect.NewSigner([]string{examplePrivateKey, secret})
	require.NoError(t, err)
	body, at := []byte("exact\x00bytes\xff\r\n"), time.Now()
	headers := signed(t, signer, "cb_1", at, body)
	signatures := strings.Split(headers.Get("webhook-signature"), " ")
	require.Len(t, signatures, 2)

	receiver, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	require.NoError(t, receiver.Verify(body, headers), "the library passes over v1a and verifies v1")

	public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(examplePublicKey, "whpk_"))
	require.NoError(t, err)
	signature, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signatures[0], "v1a,"))
	require.NoError(t, err)
	text := "cb_1." + strconv.FormatInt(at.Unix(), 10) + "." + string(body)
	require.True(t, ed25519.Verify(public, []byte(text), signature))
	require.False(t, ed25519.Verify(public, []byte(text+"\n"), signature))
}

func TestWithoutSecretsThereIsNoSignature(t *testing.T) {
	t.Parallel()
	none, err := dialect.NewSigner(nil)
	require.NoError(t, err)
	for name, signer := range map[string]*dialect.Signer{"a nil signer": nil, "a signer without secrets": none} {
		headers := signed(t, signer, "cb_1", time.Unix(1596014146, 999), nil)
		require.Equal(t, "cb_1", headers.Get("webhook-id"), name)
		require.Equal(t, "1596014146", headers.Get("webhook-timestamp"), name)
		require.NotContains(t, headers, "Webhook-Signature", name)
	}
}

func TestASecretThatCannotSignIsRefusedWithoutNamingIt(t *testing.T) {
	t.Parallel()
	good := secretOf("g", 32)
	for _, tt := range []struct{ name, secret, says string }{
		{"empty", "", "does not begin with whsec_ or whsk_"},
		{"without the prefix", strings.TrimPrefix(good, "whsec_"), "does not begin with whsec_ or whsk_"},
		{"a public key", "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "does not begin with whsec_ or whsk_"},
		{"a private key that is not base64", "whsk_hunter2-is-not-base64!", "is not base64 after whsk_"},
		{"a private key that is too short", "whsk_" + secretOf("p", 31)[6:], "holds 31 bytes after whsk_"},
		{"a private key with something of another length behind it", "whsk_" + secretOf("p", 63)[6:], "holds 63 bytes after whsk_"},
		{"a private key with another's public key", "whsk_" + secretOf("p", 64)[6:], "holds a public key that is not the private key's own"},
		{"not base64", "whsec_hunter2-is-not-base64!", "is not base64"},
		{"nothing after the prefix", "whsec_", "holds 0 bytes"},
		{"too short", secretOf("s", 23), "holds 23 bytes"},
		{"too long", secretOf("l", 65), "holds 65 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			signer, err := dialect.NewSigner([]string{good, tt.secret})
			require.Nil(t, signer)
			require.ErrorContains(t, err, tt.says)
			require.ErrorContains(t, err, "signing secret 2 of 2")
			require.NotContains(t, err.Error(), good)
			if len(tt.secret) > len("whsec_") {
				require.NotContains(t, err.Error(), strings.TrimPrefix(tt.secret, "whsec_"))
			}
		})
	}
}
