package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/dialect"
)

// The secrets that a configuration of init refers to.
var referred = strings.NewReplacer("${env:CORE_PASSWORD}", "${file:secret}", "${env:CORE_MAC_KEY}", "${file:secret}", "${env:SIGNING_SECRET}", "${file:whsec}")

// requireGood runs config check on a configuration whose secrets are files beside it.
func requireGood(t *testing.T, content string, secrets map[string]string) {
	t.Helper()
	files := map[string]string{"ringback.yml": content}
	for name, secret := range secrets {
		files[name] = secret
	}
	got := bare(nil, "config", "check", filepath.Join(configured(t, files), "ringback.yml"), "--strict")
	require.Equal(t, exitOK, got.code, "%s\n%s%s", content, got.out, got.err)
}

func TestEveryConfigurationOfInitIsGood(t *testing.T) {
	t.Parallel()
	for _, core := range cores {
		for _, client := range []string{core, standard} {
			for _, where := range []string{"https://shop.example/hooks", "per_operation"} {
				t.Run(core+", "+client+", "+where, func(t *testing.T) {
					t.Parallel()
					answers := []string{"--core", core, "--client", client, "--where", where}
					byFlags, asked := filepath.Join(t.TempDir(), "a.yml"), filepath.Join(t.TempDir(), "b.yml")
					got := bare(nil, append([]string{"init", byFlags}, answers...)...)
					require.Equal(t, exitOK, got.code, got.err)
					require.Contains(t, got.out, "starter config check "+byFlags)
					requireGood(t, referred.Replace(content(t, byFlags)), map[string]string{"secret": "0123456789", "whsec": generators["whsec"]().Secret})

					got = place{terminal: true, in: core + "\n" + client + "\n" + where + "\n"}.run(context.Background(), "init", asked)
					require.Equal(t, exitOK, got.code, got.err)
					require.Contains(t, got.err, "Which core is polled: ukrcard or paysera? Which dialect")
					require.Equal(t, content(t, byFlags), content(t, asked), "questions and flags do the same")
				})
			}
		}
	}
}

func TestInitKeepsAURLsQueryFromOtherUsers(t *testing.T) {
	t.Parallel()
	for where, readable := range map[string]os.FileMode{"https://shop.example/hooks": 0o004, "https://shop.example/hooks?token=s3cret": 0} {
		file := filepath.Join(t.TempDir(), "a.yml")
		got := bare(nil, "init", file, "--core", "paysera", "--client", "standard", "--where", where)
		require.Equal(t, exitOK, got.code, got.err)
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, readable, info.Mode().Perm()&0o004, where)
	}
}

func TestInitRefusesWhatItCanNotWrite(t *testing.T) {
	t.Parallel()
	dir := configured(t, map[string]string{"there.yml": "mine"})
	file := func(name string) string { return filepath.Join(dir, name) }
	good := []string{"--core", "paysera", "--client", "standard", "--where"}
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"over a file that is there":         {append([]string{file("there.yml")}, append(good, "https://a.example")...), exitFailed, "is there already"},
		"in a folder that is not":           {append([]string{file("none/a.yml")}, append(good, "https://a.example")...), exitFailed, "writing the configuration"},
		"without a terminal and an answer":  {[]string{file("a.yml"), "--core", "paysera"}, exitUsage, "give --core, --client and --where"},
		"a core that is none":               {[]string{file("a.yml"), "--core", "visa"}, exitUsage, `core: "visa" is neither ukrcard nor paysera`},
		"a client of the other core":        {[]string{file("a.yml"), "--core", "paysera", "--client", "ukrcard"}, exitUsage, `client: "ukrcard" is neither paysera nor standard`},
		"a receiver that may not be called": {append([]string{file("a.yml")}, append(good, "http://10.0.0.1/")...), exitUsage, "--where "},
		"a receiver that is no URL":         {append([]string{file("a.yml")}, append(good, "\"\nx: y")...), exitUsage, "--where "},
	} {
		got := bare(nil, append([]string{"init"}, tt.args...)...)
		require.Equal(t, tt.code, got.code, "%s: %s", name, got.err)
		require.Contains(t, got.err, tt.says, name)
		require.NoFileExists(t, file("a.yml"), name)
	}
	require.Equal(t, "mine", content(t, file("there.yml")))
}

func TestWhatKeygenMakesIsAccepted(t *testing.T) {
	t.Parallel()
	made := func(kind string) generated {
		got := bare(nil, "keygen", kind, "-o", "json")
		require.Equal(t, exitOK, got.code, got.err)
		require.Empty(t, got.err)
		var g generated
		require.NoError(t, json.Unmarshal([]byte(got.out), &g))
		require.NotContains(t, g.YAML, g.Secret, "the configuration never has it")
		return g
	}
	signed := strings.TrimSuffix(aConfig, "}\n") + ", signing: {%s}}\n"
	key, secret, private, codec := made("api-key"), made("whsec"), made("whsk"), made("codec")
	requireGood(t, strings.Replace(aConfig, "api: {", "api: {keys: ["+strings.TrimPrefix(key.YAML, "- ")+"], ", 1), nil)
	requireGood(t, fmt.Sprintf(signed, referred.Replace(secret.YAML)), map[string]string{"whsec": secret.Secret})
	requireGood(t, fmt.Sprintf(signed, referred.Replace(private.YAML)), map[string]string{"whsec": private.Secret})
	requireGood(t, aConfig+"codec:\n  keys:\n    "+strings.Replace(codec.YAML, "env:CODEC_KEY", "file:codec", 1)+"\n", map[string]string{"codec": codec.Secret})
	require.NotEqual(t, secret.Secret, made("whsec").Secret)

	// What the private key signs, the public one verifies.
	signer, err := dialect.NewSigner([]string{private.Secret})
	require.NoError(t, err)
	var headers strings.Builder
	signedBy, err := signer.Headers(dialect.Outgoing{ID: "cb_x", At: time.Now(), Body: []byte(aBody)})
	require.NoError(t, err)
	require.NoError(t, signedBy.Write(&headers))
	dir := configured(t, map[string]string{"public.txt": private.Public, "headers.txt": headers.String(), "body.json": aBody})
	got := bare(nil, "verify", "--secret-file", filepath.Join(dir, "public.txt"), "--headers", filepath.Join(dir, "headers.txt"), "--body", filepath.Join(dir, "body.json"))
	require.Equal(t, exitOK, got.code, got.out)
}

func TestKeygensOutputIsTheSecretAlone(t *testing.T) {
	t.Parallel()
	got := bare(nil, "keygen", "whsk")
	require.Equal(t, exitOK, got.code, got.err)
	encoded, found := strings.CutPrefix(strings.TrimSuffix(got.out, "\n"), "whsk_")
	require.True(t, found, "so that it can be written to a file")
	_, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	require.Contains(t, got.err, "paste this line into the configuration, under the endpoint's signing:\n  secrets: [")
	require.Contains(t, got.err, "give the receiver this public key:\n  whpk_")
	require.NotContains(t, got.err, encoded)
}
