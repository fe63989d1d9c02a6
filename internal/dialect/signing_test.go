package dialect_test

import (
	"encoding/base64"
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

func TestASignerSignsSoThatTheLibraryVerifies(t *testing.T) {
	t.Parallel()
	newer, older, foreign := secretOf("n", 32), secretOf("o", 24), secretOf("f", 64)
	signer, err := dialect.NewSigner([]string{newer, older})
	require.NoError(t, err)
	body := []byte("transfer_id=239441503&status=done&date=1596014146")
	at := time.Now()
	headers := signer.Headers("cb_1", at, body)

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
	headers := signer.Headers("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", headers.Get("webhook-signature"))
}

func TestWithoutSecretsThereIsNoSignature(t *testing.T) {
	t.Parallel()
	none, err := dialect.NewSigner(nil)
	require.NoError(t, err)
	for name, signer := range map[string]*dialect.Signer{"a nil signer": nil, "a signer without secrets": none} {
		headers := signer.Headers("cb_1", time.Unix(1596014146, 999), nil)
		require.Equal(t, "cb_1", headers.Get("webhook-id"), name)
		require.Equal(t, "1596014146", headers.Get("webhook-timestamp"), name)
		require.NotContains(t, headers, "Webhook-Signature", name)
	}
}

func TestASecretThatCannotSignIsRefusedWithoutNamingIt(t *testing.T) {
	t.Parallel()
	good := secretOf("g", 32)
	for _, tt := range []struct{ name, secret, says string }{
		{"empty", "", "does not begin with whsec_"},
		{"without the prefix", strings.TrimPrefix(good, "whsec_"), "does not begin with whsec_"},
		{"a private asymmetric key", "whsk_" + good[6:], "does not begin with whsec_"},
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
