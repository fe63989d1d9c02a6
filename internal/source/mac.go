package source

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// macSigner writes Paysera's MAC authorization (guides/transfer/authentication;
// an early draft of "HTTP MAC Access Authentication").
type macSigner struct {
	id, key string
	now     func() time.Time
	nonce   func() string
}

func newMACSigner(id, key string) macSigner {
	return macSigner{id: id, key: key, now: time.Now, nonce: macNonce}
}

// macNonce is 32 characters of the nonce's alphabet, as Paysera's own client sends.
func macNonce() string { return (rand.Text() + rand.Text())[:32] }

// checkMAC says what is wrong with the settings of the MAC.
func checkMAC(c Config) []SettingError {
	switch {
	case c.MACID == "" && c.MACKey != "":
		return []SettingError{{"mac.id", "is missing beside mac.key: set both, or neither where a client certificate is used"}}
	case c.MACID != "" && c.MACKey == "":
		return []SettingError{{"mac.key", "is missing beside mac.id: set both, or neither where a client certificate is used"}}
	}
	return nil
}

// authorization is the header's value for a request without a body.
func (m macSigner) authorization(method string, u *url.URL) string {
	ts, nonce := strconv.FormatInt(m.now().Unix(), 10), m.nonce()
	return fmt.Sprintf("MAC id=%q, ts=%q, nonce=%q, mac=%q", m.id, ts, nonce, m.mac(ts, nonce, method, u))
}

// mac signs each element followed by a line feed. The port is always written,
// also where the URL leaves the scheme's own out: the published vector has 443.
// The last element is ext, which is empty without a body.
func (m macSigner) mac(ts, nonce, method string, u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	elements := []string{ts, nonce, method, u.RequestURI(), strings.ToLower(u.Hostname()), port, ""}
	sum := hmac.New(sha256.New, []byte(m.key))
	sum.Write([]byte(strings.Join(elements, "\n") + "\n"))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}
