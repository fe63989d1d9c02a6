package exchange_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ringback/internal/exchange"
)

var lowerHex = regexp.MustCompile("%[0-9A-F]{2}")

// TestASecretIsHiddenHoweverItIsWritten: as it is, in JSON with and without the escapes of
// HTML and PHP, and in a URL, also where one secret is how another begins.
func TestASecretIsHiddenHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	plainJSON := strings.NewReplacer(`\u003c`, "<", `\u0026`, "&")
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune(`ab"<&\ /é`)), 4, 12, -1), 1, 4).Draw(t, "secrets")
		secrets = append(secrets, secrets[0]+"efgh")
		var shown []string
		for _, secret := range secrets {
			written, err := json.Marshal(secret)
			require.NoError(t, err)
			escaped := string(written[1 : len(written)-1])
			shown = append(shown, secret, escaped, plainJSON.Replace(escaped), url.QueryEscape(secret), url.PathEscape(secret),
				strings.ReplaceAll(escaped, "/", `\/`), lowerHex.ReplaceAllStringFunc(url.QueryEscape(secret), strings.ToLower))
		}
		hidden := strings.Repeat("[redacted]|", len(shown))
		require.Equal(t, hidden, exchange.NewMask(nil, secrets...).Text([]byte(strings.Join(shown, "|")+"|")))
	})
}

func TestAHeaderThatIsASecretIsHiddenWhateverItsLength(t *testing.T) {
	t.Parallel()
	credentials := base64.StdEncoding.EncodeToString([]byte("ann:pw"))
	mask := exchange.NewMask(http.Header{"Authorization": {"Basic " + credentials}, "X-Shop": {"abc"}}, "xyz", "")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://core.example/", nil)
	require.NoError(t, err)
	request.Header = http.Header{"Authorization": {"Basic " + credentials}, "X-Shop": {"abc"}, "X-Token": {"xyz"}, "X-Other": {"xy", ""}}
	shown := map[string]string{}
	for _, line := range mask.Request(request, "", true).Headers {
		shown[line.Name] += line.Value
	}
	require.Equal(t, map[string]string{"Host": "core.example", "User-Agent": "", "Authorization": "[redacted]", "X-Shop": "[redacted]", "X-Token": "[redacted]", "X-Other": "xy"}, shown)
	answer := mask.Answer(&http.Response{Header: http.Header{"X-Echo": {"xyz"}}}, []byte("you are "+credentials))
	require.Equal(t, "[redacted]", answer.Headers[0].Value)
	require.Equal(t, "you are [redacted]", answer.Body)
}

// TestALongAnswerIsMaskedBeforeItIsCut: half a secret would be shown as it is.
func TestALongAnswerIsMaskedBeforeItIsCut(t *testing.T) {
	t.Parallel()
	mask := exchange.NewMask(nil, "secret-of-the-core")
	for _, secret := range []string{"secret-of-the-core", "bearer token-of-nobody-else", "4111 1111 1111 1111"} {
		for before := range len(secret) {
			body := strings.Repeat("x", 4<<10-before) + secret + strings.Repeat("x", 1<<20)
			shown := mask.Answer(&http.Response{}, []byte(body))
			require.True(t, shown.Truncated)
			rest := strings.TrimLeft(shown.Body, "x")
			require.LessOrEqual(t, len(shown.Body), 4<<10)
			require.Truef(t, strings.HasPrefix("[redacted]", rest) || strings.HasPrefix("4111 11** **** 1111", rest), "%s", rest)
		}
	}
}

func TestAnAnswerOfTheGreatestLengthThatIsShownIsWhole(t *testing.T) {
	t.Parallel()
	for length, truncated := range map[int]bool{4 << 10: false, 4<<10 + 1: true} {
		shown := exchange.NewMask(nil).Answer(&http.Response{}, []byte(strings.Repeat("é", length/2)+strings.Repeat("x", length%2)))
		require.Equal(t, truncated, shown.Truncated)
		require.Equal(t, strings.Repeat("é", 2<<10), shown.Body)
	}
}
