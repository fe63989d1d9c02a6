package e2e_test

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Keys that are in the configuration and open nothing.
const (
	keyExpired   = "key-that-has-expired"
	keyElsewhere = "key-of-another-network"
)

// keyUses are keys that are used for more than they are for, guesses, and an audit that
// can't be written.
func (h *hostileEnvironment) keyUses() []hostile {
	const operation = "/v1/operations/LEDGER/closed"
	bearer := func(key string) []string {
		return []string{"Authorization: Bearer " + key, "Content-Type: application/json"}
	}
	crafted := []byte("crafted")
	token := base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(crafted)), crafted...))
	rows := h.rows([]call{
		{input: "a key that has expired", method: http.MethodGet, path: operation, header: bearer(keyExpired), want: "401 unauthenticated"},
		{input: "a key of another network", method: http.MethodGet, path: operation, header: bearer(keyElsewhere), want: "403 forbidden"},
		{input: "a key of another network, by a forged header", method: http.MethodGet, path: operation,
			header: append(bearer(keyElsewhere), "X-Forwarded-For: 192.0.2.1"), want: "403 forbidden"},
		{input: "who may only start withdraws", method: http.MethodDelete, path: operation, header: bearer(keyStart), want: "403 forbidden"},
		{input: "who may only start pings", path: "/v1/endpoints/LEDGER/ping", header: bearer(keyStart), want: "403 forbidden"},
		{input: "who may only start opens what is sealed", path: "/codec/decode", header: bearer(keyStart), body: `{"payloads":[]}`, want: "403 forbidden"},
		{input: "bulk redeliveries of what is no key", method: http.MethodGet, path: "/v1/redeliveries?key=a%27%20OR%201", want: "422 invalid: key"},
		{input: "a crafted page token with a checksum", method: http.MethodGet, path: "/v1/operations?page_token=" + token, want: "422 invalid: page_token"},
	})
	return append(rows,
		hostile{input: "guesses of a key", want: "429 too-many-requests", exactly: true, try: func(t *testing.T) (got string) {
			for i := range 1000 {
				got = h.sendFrom(t, "127.0.0.2", call{header: bearer("guess" + strconv.Itoa(i))})
				if got != "401 unauthenticated" {
					break
				}
			}
			return got
		}},
		hostile{input: "starter: a key by plain http to another machine", want: "exit 2: starter: the API key would travel to 192.0.2.1:1 unencrypted", try: func(t *testing.T) string {
			return h.runProgram(t, "starter", []string{"RINGBACK_API=http://192.0.2.1:1", "RINGBACK_API_KEY=" + keyAll}, "state", ledger, "closed")
		}},
		hostile{input: "starter: all bulk redeliveries are stopped", want: "exit 2: starter: --stop needs --key", try: func(t *testing.T) string {
			return h.runProgram(t, "starter", []string{"RINGBACK_API=" + h.Base, "RINGBACK_API_KEY=" + keyAll}, "redeliveries", "--stop")
		}},
		hostile{input: "configuration: an audit that can't be opened", want: "opening audit.file", try: func(t *testing.T) string {
			return h.configured(t, "api", soundFile+"\naudit: {file: nowhere/audit.log}\n")
		}},
		hostile{input: "configuration: the scope admin", want: "admin is two scopes now", try: func(t *testing.T) string {
			return h.configured(t, "api", strings.Replace(soundFile, "listen: 127.0.0.1:0",
				"listen: 127.0.0.1:0, keys: [{name: a, sha256: "+strings.Repeat("a", 64)+", scopes: [admin]}]", 1))
		}},
	)
}

// sendFrom is send from another address of this machine.
func (h *hostileEnvironment) sendFrom(t *testing.T, address string, c call) string {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: patience}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(h.Base, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, c.text())
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return inShort(t, response, body)
}
