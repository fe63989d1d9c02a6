package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// systemKey signs as monobank does.
var systemKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

const systemSecret = "what signs callbacks in RFC 9421's form"

// systemVariables are the environment of the files in deploy/systems.
func systemVariables() map[string]string {
	der, err := x509.MarshalECPrivateKey(systemKey)
	if err != nil {
		panic(err)
	}
	return map[string]string{
		"MONO_TOKEN": "mono-token", "SHOP_SIGNING_KEY": string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
		"MOLLIE_API_KEY": "test_key", "PAYPAL_CLIENT_SECRET": "paypal-secret", "SHOP_SIGNING_SECRET": systemSecret,
	}
}

// realSystem is a system that a file alone describes, and how an operation goes there.
type realSystem struct {
	name, endpoint, id string
	// secret is the core's, as the simulated one wants it.
	secret string
	// quiet is a status about which nothing is sent; then the others are sent.
	quiet string
	sent  []string
	// notYet is an answer that does not acknowledge by the system's document.
	notYet simulator.Reply
	// signed checks the signature of what the receiver got.
	signed func(t *testing.T, url string, got simulator.Received)
}

func realSystems() []realSystem {
	return []realSystem{
		{
			name: "monobank", endpoint: "SHOP", id: "p2_9ZgpZVsl3", secret: "mono-token",
			quiet: "created", sent: []string{"processing", "hold", "expired"}, notYet: simulator.Reply{HTTPStatus: http.StatusAccepted},
			signed: func(t *testing.T, _ string, got simulator.Received) {
				t.Helper()
				signature, err := base64.StdEncoding.DecodeString(got.Header.Get("X-Sign"))
				require.NoError(t, err)
				sum := sha256.Sum256(got.Body)
				require.True(t, ecdsa.VerifyASN1(&systemKey.PublicKey, sum[:], signature))
			},
		},
		{
			name: "mollie", endpoint: "SHOP", id: "tr_7UhSN1zuXS", secret: "test_key",
			quiet: "open", sent: []string{"pending", "paid"}, notYet: simulator.Reply{HTTPStatus: http.StatusNoContent},
			signed: func(t *testing.T, _ string, got simulator.Received) {
				t.Helper()
				require.Equal(t, "id=tr_7UhSN1zuXS", string(got.Body), "the document's form has the id alone, and no signature")
				require.Equal(t, "application/x-www-form-urlencoded", got.Header.Get("Content-Type"))
			},
		},
		{
			name: "paypal", endpoint: "PAYOUTS", id: "8AELMXH8UB2P8", secret: "AeA1QIZXiflr1_shop:paypal-secret",
			quiet: "PENDING", sent: []string{"ONHOLD", "UNCLAIMED", "RETURNED"}, notYet: simulator.Reply{HTTPStatus: http.StatusFound, Header: map[string]string{"Location": "/elsewhere"}},
			signed: verifyMessageSignature,
		},
	}
}

var signatureInput = regexp.MustCompile(`^sig1=(\(("[^"]+"(?: "[^"]+")*)\);[^,]+)$`)

// verifyMessageSignature is RFC 9421 as a receiver would check it, with the shared secret.
func verifyMessageSignature(t *testing.T, url string, got simulator.Received) {
	t.Helper()
	sum := sha256.Sum256(got.Body)
	require.Equal(t, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":", got.Header.Get("Content-Digest"))
	input := signatureInput.FindStringSubmatch(got.Header.Get("Signature-Input"))
	require.NotNil(t, input, got.Header.Get("Signature-Input"))
	var base strings.Builder
	for _, quoted := range strings.Fields(input[2]) {
		name := strings.Trim(quoted, `"`)
		value, derived := map[string]string{"@method": http.MethodPost, "@target-uri": url}[name]
		if !derived {
			value = got.Header.Get(name)
		}
		fmt.Fprintf(&base, "%q: %s\n", name, value)
	}
	mac := hmac.New(sha256.New, []byte(systemSecret))
	mac.Write([]byte(base.String() + `"@signature-params": ` + input[1]))
	require.Equal(t, "sig1=:"+base64.StdEncoding.EncodeToString(mac.Sum(nil))+":", got.Header.Get("Signature"))
}

var (
	apiLine      = regexp.MustCompile(`(?m)^api: .*$`)
	baseURLs     = regexp.MustCompile(`base_urls: \[.*\]`)
	tokenURL     = regexp.MustCompile(`token_url: \S+`)
	endpointURL  = regexp.MustCompile(`(?m)^    url: \S+$`)
	pollLine     = regexp.MustCompile(`(?m)^    poll: .*$`)
	deliveryLine = regexp.MustCompile(`(?m)^    delivery: .*$`)
)

// useSystem writes the system's file with the addresses and the pace of a test.
func (w *environment) useSystem(t *testing.T, name string, core *simulator.DocumentedCore, url string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "systems", name+".yml"))
	require.NoError(t, err)
	for pattern, line := range map[*regexp.Regexp]string{
		apiLine:     "api: {listen: 127.0.0.1:0}\ntelemetry: {listen: 127.0.0.1:0}\negress: {allow: [127.0.0.0/8]}",
		baseURLs:    fmt.Sprintf("base_urls: [%q]", core.URL()),
		tokenURL:    "token_url: " + core.URL() + "/v1/oauth2/token",
		endpointURL: "    url: " + url,
		pollLine:    "    poll: {interval: 100ms, lifetime: 5m}", deliveryLine: "    delivery: {interval: 50ms, attempts: 10, timeout: 5s}",
	} {
		text = pattern.ReplaceAllLiteral(text, []byte(line))
	}
	w.config = filepath.Join(t.TempDir(), name+".yml")
	require.NoError(t, os.WriteFile(w.config, text, 0o600))
}

// Each system is watched and called back as its documents say, by its file alone.
func TestARealSystemByItsFileAlone(t *testing.T) {
	t.Parallel()
	for _, system := range realSystems() {
		t.Run(system.name, func(t *testing.T) {
			t.Parallel()
			core, err := simulator.StartDocumentedCore("127.0.0.1:0", system.name, system.secret)
			require.NoError(t, err)
			closeAtEnd(t, core.Close)
			shop := receiver(t, system.name)
			w := &environment{temporal: sharedServer(t)}
			w.useSystem(t, system.name, core, shop.URL()+"/callbacks")
			api := w.run(t).Client

			core.Script(system.id, simulator.Steps(system.quiet)...)
			shop.Script(system.id, failing(http.StatusInternalServerError), system.notYet, simulator.Acknowledge)
			key := start(t, api, operation.StartRequest{Endpoint: system.endpoint, OperationID: system.id})
			awaitState(t, api, key, func(s operation.State) bool { return s.Polls >= 2 })
			require.Empty(t, shop.Received(system.id), "nothing is sent about %s", system.quiet)
			for i, status := range system.sent {
				core.RevokeTokens()
				core.Script(system.id, simulator.Steps(status)...)
				// The first callback is acknowledged by its third attempt.
				for _, got := range awaitCallbacks(t, shop, system.id, i+3) {
					system.signed(t, shop.URL()+"/callbacks", got)
				}
			}
			state := awaitClosed(t, api, key)
			require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
			require.Equal(t, system.sent[len(system.sent)-1], state.Status.Value)
			system.requireAttempts(t, shop.Received(system.id))
			require.Equal(t, "unacknowledged unacknowledged acknowledged", verdicts(state.Deliveries[0]))
			if system.name == "paypal" {
				require.Equal(t, len(system.sent)+1, core.TokensIssued(), "a token is kept, and renewed once it is refused")
				return
			}
			for _, question := range core.Questions(system.id) {
				require.Empty(t, question.Refused)
			}
		})
	}
}

// requireAttempts requires one callback for each status, in order, of which the first
// took three attempts with the same bytes.
func (r realSystem) requireAttempts(t *testing.T, all []simulator.Received) {
	t.Helper()
	require.Len(t, all, len(r.sent)+2)
	require.Equal(t, all[0].Body, all[1].Body)
	require.Equal(t, all[0].Body, all[2].Body)
	seen := map[string]bool{}
	for i, got := range all[2:] {
		require.False(t, seen[got.CallbackID])
		seen[got.CallbackID] = true
		if got.Status != "" {
			require.Equal(t, r.sent[i], got.Status)
		}
	}
}
