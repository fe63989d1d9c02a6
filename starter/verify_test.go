package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

const (
	signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // Standard Webhooks' own example
	anotherSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	aBody         = `{"orderNumber":"ORDER-1","respStatus":200,"orderStatus":2}`
)

func signature(t *testing.T, secret, id string, at time.Time, body string) string {
	t.Helper()
	webhook, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	text, err := webhook.Sign(id, at, []byte(body))
	require.NoError(t, err)
	return text
}

// received are a callback's files and a configuration, as the examples name them.
func received(t *testing.T) map[string]string {
	t.Helper()
	dir, now := t.TempDir(), time.Now()
	files := map[string]string{
		"headers.txt": fmt.Sprintf("POST /callback HTTP/1.1\r\nHost: bank.example\r\nWebhook-Id: cb_x\r\nWebhook-Timestamp: %d\r\nWebhook-Signature: %s\r\n",
			now.Unix(), signature(t, signingSecret, "cb_x", now, aBody)),
		"ringback.yml": aConfig, "answer.json": `{"id":"1007","status":"done"}`, "body.json": aBody, "secret.txt": anotherSecret + "\n" + signingSecret + "\n",
	}
	for name, content := range files {
		files[name] = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(files[name], []byte(content), 0o600))
	}
	files["shop.yml"] = filepath.Join(dir, "shop.yml") // which init writes
	return files
}

func TestVerifyNamesTheCheckThatFails(t *testing.T) {
	t.Parallel()
	now := time.Now()
	seconds := func(ago time.Duration) string { return strconv.FormatInt(now.Add(-ago).Unix(), 10) }
	good := map[string]string{"webhook-id": "cb_x", "webhook-timestamp": seconds(0), "webhook-signature": signature(t, signingSecret, "cb_x", now, aBody)}
	with := func(name, value string) map[string]string {
		headers := map[string]string{"webhook-id": good["webhook-id"], "webhook-timestamp": good["webhook-timestamp"], "webhook-signature": good["webhook-signature"]}
		headers[name] = value
		if value == "" {
			delete(headers, name)
		}
		return headers
	}
	aged := func(ago time.Duration) map[string]string {
		headers := with("webhook-timestamp", seconds(ago))
		headers["webhook-signature"] = signature(t, signingSecret, "cb_x", now.Add(-ago), aBody)
		return headers
	}
	pair := ed25519.NewKeyFromSeed([]byte("an ed25519 seed of 32 bytes 0123"))
	public := "whpk_" + base64.StdEncoding.EncodeToString(pair[ed25519.SeedSize:])
	asymmetric := with("webhook-signature", "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(pair, []byte("cb_x."+seconds(0)+"."+aBody))))
	short := "whsec_" + base64.StdEncoding.EncodeToString([]byte("short"))
	for name, tt := range map[string]struct {
		secret  string
		headers map[string]string
		body    string
		args    []string
		fails   string
		says    string
	}{
		"all is well":                           {signingSecret, good, aBody, nil, "", "The callback is valid."},
		"signed with the second secret":         {anotherSecret + "\n" + signingSecret, good, aBody, nil, "", "secret 2 of 2"},
		"one of two signatures":                 {signingSecret, with("webhook-signature", "v1,AAAA "+good["webhook-signature"]), aBody, nil, "", "valid"},
		"an old one, where age does not matter": {signingSecret, aged(48 * time.Hour), aBody, []string{"--tolerance", "0"}, "", "any time is accepted"},
		"an old one within the tolerance":       {signingSecret, aged(time.Hour), aBody, []string{"--tolerance", "2h"}, "", "1h0m"},
		"an old one":                            {signingSecret, aged(6 * time.Minute), aBody, nil, "timestamp", "older than 5m0s"},
		"one of tomorrow":                       {signingSecret, aged(-6 * time.Minute), aBody, nil, "timestamp", "ahead"},
		"a timestamp in words":                  {signingSecret, with("webhook-timestamp", "noon"), aBody, nil, "timestamp", "is not Unix seconds"},
		"another id":                            {signingSecret, with("webhook-id", "cb_y"), aBody, nil, "signature", "none of 1"},
		"another secret":                        {anotherSecret, good, aBody, nil, "signature", "none of 1"},
		"another body":                          {signingSecret, good, strings.Replace(aBody, "2}", "1}", 1), nil, "signature", "over this id, timestamp and body"},
		"a body with a line break too many":     {signingSecret, good, aBody + "\n", nil, "signature", "without the line break at its end"},
		"no body":                               {signingSecret, good, "", nil, "signature", "was there really none"},
		"an asymmetric signature alone":         {signingSecret, with("webhook-signature", "v1a,AAAA"), aBody, nil, "signature", "none of 1 is made with the secret"},
		"no signature":                          {signingSecret, with("webhook-signature", ""), aBody, nil, "headers", "webhook-signature is missing"},
		"no id":                                 {signingSecret, with("webhook-id", ""), aBody, nil, "headers", "webhook-id is missing"},
		"a secret without its prefix":           {strings.TrimPrefix(signingSecret, "whsec_"), good, aBody, nil, "secret", "does not begin with whsec_ or whpk_"},
		"a secret that is not base64":           {"whsec_!!!", good, aBody, nil, "secret", "is not base64"},
		"a public key":                          {public, asymmetric, aBody, nil, "", "made with public key 1 of 1"},
		"a public key after a secret":           {signingSecret + "\n" + public, asymmetric, aBody, nil, "", "made with public key 2 of 2"},
		"both kinds of signature, the key":      {public, with("webhook-signature", good["webhook-signature"]+" "+asymmetric["webhook-signature"]), aBody, nil, "", "valid"},
		"both kinds of signature, the secret":   {signingSecret, with("webhook-signature", asymmetric["webhook-signature"]+" "+good["webhook-signature"]), aBody, nil, "", "valid"},
		"a public key, another body":            {public, asymmetric, strings.Replace(aBody, "2}", "1}", 1), nil, "signature", "none of 1 is made with the public key"},
		"another public key":                    {"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", asymmetric, aBody, nil, "signature", "none of 1"},
		"a public key for symmetric ones":       {public, good, aBody, nil, "signature", "none of 1 is made with the public key"},
		"a private key is not the receiver's":   {"whsk_" + strings.TrimPrefix(public, "whpk_"), asymmetric, aBody, nil, "secret", "is the sender's private key"},
		"a public key that is too short":        {"whpk_" + strings.TrimPrefix(short, "whsec_"), asymmetric, aBody, nil, "secret", "holds 5 bytes; a public key has 32"},
		"a public key that is not base64":       {"whpk_!!!", asymmetric, aBody, nil, "secret", "is not base64 after whpk_"},
		"a secret that is too short":            {short, good, aBody, nil, "secret", "holds 5 bytes; 24 to 64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"verify"}
			for header, value := range tt.headers {
				args = append(args, "-H", header+": "+value)
			}
			p := place{env: map[string]string{secretVariable: tt.secret}, in: tt.body}
			got := p.run(context.Background(), append(args, tt.args...)...)
			require.NotContains(t, got.out+got.err, strings.TrimPrefix(signingSecret, "whsec_"), "no secret is repeated")
			require.Contains(t, got.out, tt.says)
			if tt.fails == "" {
				require.Equal(t, exitOK, got.code, got.err)
				return
			}
			require.Equal(t, exitFailed, got.code)
			require.Contains(t, got.err, "not valid: "+tt.fails+": ")

			var shown struct {
				Valid  bool    `json:"valid"`
				Checks []check `json:"checks"`
			}
			got = p.run(context.Background(), append(append(args, tt.args...), "-o", "json")...)
			require.NoError(t, json.Unmarshal([]byte(got.out), &shown))
			require.False(t, shown.Valid)
			last := shown.Checks[len(shown.Checks)-1]
			require.Equal(t, tt.fails, last.Check)
			require.False(t, last.OK)
		})
	}
}

func TestVerifyReadsHeadersOfALogAndSecretsOfAFile(t *testing.T) {
	t.Parallel()
	files := received(t)
	got := bare(nil, "verify", "--secret-file", files["secret.txt"], "--headers", files["headers.txt"], "--body", files["body.json"])
	require.Equal(t, exitOK, got.code, got.err)
	require.Empty(t, got.err)
	require.NoError(t, os.Chmod(files["secret.txt"], 0o644))
	got = bare(nil, "verify", "--secret-file", files["secret.txt"], "--headers", files["headers.txt"], "--body", files["body.json"])
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.err, "others may read")

	data, err := os.ReadFile(files["headers.txt"])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(files["headers.txt"], append(data, "webhook-id: cb_y\n"...), 0o600))
	got = bare(nil, "verify", "--secret-file", files["secret.txt"], "--headers", files["headers.txt"], "--body", files["body.json"])
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "headers: webhook-id is there twice")
}

func TestVerifyNamesMissingInput(t *testing.T) {
	t.Parallel()
	p := place{env: map[string]string{secretVariable: signingSecret}}
	for says, args := range map[string][]string{
		"no headers":    nil,
		"--header is":   {"-H", "webhook-id"},
		"--headers":     {"--headers", "testdata/none"},
		"--body":        {"-H", "a: b", "--body", "testdata/none"},
		"--secret-file": {"-H", "a: b", "--secret-file", "testdata/none"},
	} {
		got := p.run(context.Background(), append([]string{"verify"}, args...)...)
		require.Equal(t, exitUsage, got.code, got.err)
		require.Contains(t, got.err, says)
	}
}
