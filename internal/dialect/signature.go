package dialect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"hash"
	"maps"
	"net/http"
	"slices"
	"strings"

	"ringback/internal/expression"
	"ringback/internal/headername"
)

// SignatureHeaders are the names of the headers that a signature is sent in. An empty
// name is not sent.
type SignatureHeaders struct {
	Signature string `yaml:"signature,omitzero"`
	// Timestamp is the attempt's Unix second, ID the callback's id.
	Timestamp string `yaml:"timestamp,omitzero"`
	ID        string `yaml:"id,omitzero"`
}

// with are the headers of a signature.
func (n SignatureHeaders) with(o Outgoing, signature string) http.Header {
	headers := http.Header{}
	for name, value := range map[string]string{n.Signature: signature, n.Timestamp: o.timestamp(), n.ID: o.ID} {
		if name != "" && value != "" {
			headers.Set(name, value)
		}
	}
	return headers
}

// signing is a compiled Signature.
type signing struct {
	Signature
	over, format *expression.Expression
}

// The schemes.
const (
	schemeStandard = "standard-webhooks"
	schemeECDSA    = "ecdsa-p256-sha256"
	schemeRFC9421  = "rfc9421"
)

// hmacHashes are those of the HMAC schemes, by the scheme's name.
var hmacHashes = map[string]func() hash.Hash{"hmac-sha256": sha256.New, "hmac-sha512": sha512.New}

// keysOfScheme are the keys of a signature that each scheme allows beside scheme.
var keysOfScheme = map[string][]string{
	schemeStandard: {"headers.signature", "headers.timestamp", "headers.id"},
	"hmac-sha256":  {"encoding", "over", "prefix", "format", "key_encoding", "headers.signature", "headers.timestamp", "headers.id"},
	"hmac-sha512":  {"encoding", "over", "prefix", "format", "key_encoding", "headers.signature", "headers.timestamp", "headers.id"},
	schemeECDSA:    {"encoding", "over", "prefix", "format", "headers.signature", "headers.timestamp", "headers.id"},
	schemeRFC9421:  {"key_id"},
}

// Schemes are the names of all schemes.
var Schemes = slices.Sorted(maps.Keys(keysOfScheme))

// signature compiles a signature; nil if its scheme is unknown.
func (c *compiler) signature(s Signature) *signing {
	allowed, known := keysOfScheme[s.Scheme]
	if !known {
		c.Add("signature.scheme", "is unknown; allowed: %s", strings.Join(Schemes, ", "))
		return nil
	}
	given := []struct{ key, value string }{
		{"headers.signature", s.Headers.Signature}, {"headers.timestamp", s.Headers.Timestamp}, {"headers.id", s.Headers.ID},
		{"encoding", s.Encoding}, {"over", s.Over}, {"prefix", s.Prefix}, {"format", s.Format}, {"key_encoding", s.KeyEncoding}, {"key_id", s.KeyID},
	}
	for _, field := range given {
		c.Require(field.value == "" || slices.Contains(allowed, field.key), "signature."+field.key, "must be left out: the scheme %s has none", s.Scheme)
	}
	for i, header := range given[:3] {
		if header.value == "" {
			continue
		}
		at, fault := "signature."+header.key, headername.Fault(header.value)
		c.Require(fault == "", at, "%s", fault)
		twice := slices.ContainsFunc(given[:i], func(other struct{ key, value string }) bool { return strings.EqualFold(other.value, header.value) })
		c.Require(!twice, at, "is the name of another header of the signature")
	}
	c.Require(s.Headers.Signature != "" || s.Scheme == schemeStandard || s.Scheme == schemeRFC9421, "signature.headers.signature", "is missing; allowed: the name of the header that the signature is sent in")
	c.Require(s.Prefix == "" || s.Format == "", "signature.prefix", "cannot be set together with format")
	c.Require(headername.IsValue(s.Prefix+"0"), "signature.prefix", "cannot be sent; allowed: printable ASCII without a space before it")
	c.Require(headername.IsValue(`"`+s.KeyID+`"`) && !strings.ContainsAny(s.KeyID, `"\`), "signature.key_id", `cannot be sent; allowed: printable ASCII without " and \`)
	c.encoding("signature.encoding", s.Encoding, "hex", "base64")
	c.encoding("signature.key_encoding", s.KeyEncoding, "text", "hex", "base64")
	return &signing{
		Signature: s,
		over:      c.Expression(expression.SignatureScope(), "signature.over", s.Over, expression.Text),
		format:    c.Expression(expression.SignatureHeaderScope(), "signature.format", s.Format, expression.Text),
	}
}

func (c *compiler) encoding(path, value string, allowed ...string) {
	c.Require(value == "" || slices.Contains(allowed, value), path, "is unknown; allowed: %s", strings.Join(allowed, ", "))
}

// signer signs with the secrets: with all of them by standard-webhooks and rfc9421, and
// where there is a format; else with the first.
func (s *signing) signer(secrets []string) (*Signer, error) {
	switch {
	case len(secrets) == 0:
		return nil, errors.New("there is no signing secret, and the dialect signs")
	case s.Scheme == schemeStandard:
		return standardSigner(s.Headers, secrets)
	case s.Scheme == schemeRFC9421:
		return messageSigner(s.KeyID, secrets)
	}
	keys, err := keysOf(secrets, s.key)
	if err != nil {
		return nil, err
	}
	if s.format == nil {
		keys = keys[:1]
	}
	return &Signer{sign: func(o Outgoing) (http.Header, error) {
		covered, err := s.covered(o)
		if err != nil {
			return nil, err
		}
		signatures := make([]string, len(keys))
		for i, key := range keys {
			signature, err := key(covered)
			if err != nil {
				return nil, errors.New("the signature could not be made")
			}
			signatures[i] = s.encode(signature)
		}
		value, err := s.value(o, signatures)
		return s.Headers.with(o, value), err
	}}, nil
}

// covered is what is signed.
func (s *signing) covered(o Outgoing) ([]byte, error) {
	if s.over == nil {
		return o.Body, nil
	}
	text, err := textOf(s.over, map[string]any{"timestamp": o.timestamp(), "id": o.ID, "body": string(o.Body)})
	return []byte(text), err
}

// value is that of the signature's header.
func (s *signing) value(o Outgoing, signatures []string) (string, error) {
	if s.format == nil {
		return s.Prefix + signatures[0], nil
	}
	value, err := textOf(s.format, map[string]any{"timestamp": o.timestamp(), "id": o.ID, "signatures": signatures})
	if err == nil && !headername.IsValue(value) {
		err = errors.New("signature.format: the value cannot be sent: it is not " + headername.ValueWords)
	}
	return value, err
}

func (s *signing) encode(signature []byte) string {
	if s.Encoding == "hex" || s.Encoding == "" && s.Scheme != schemeECDSA {
		return hex.EncodeToString(signature)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

func (s *signing) key(secret string) (bytesKey, error) {
	if s.Scheme == schemeECDSA {
		key, err := p256Key(secret)
		if err != nil {
			return nil, err
		}
		return ecdsaDER(key), nil
	}
	octets, err := s.hmacSecret(secret)
	if err != nil {
		return nil, err
	}
	return hmacKey(hmacHashes[s.Scheme], octets), nil
}

// hmacSecret is the key that a secret stands for.
func (s Signature) hmacSecret(secret string) ([]byte, error) {
	octets, err := []byte(secret), error(nil)
	switch s.KeyEncoding {
	case "hex":
		octets, err = hex.DecodeString(secret)
	case "base64":
		octets, err = base64.StdEncoding.DecodeString(secret)
	}
	if err != nil {
		return nil, errors.New("is not " + s.KeyEncoding + " of a secret")
	}
	if fault := expression.KeyFault(octets); fault != "" {
		return nil, errors.New(fault)
	}
	return octets, nil
}

// Weakness is what to say about a secret that signs, but should not; empty: nothing.
func (s *Signature) Weakness(secret string) string {
	if s == nil {
		return ""
	}
	_, byHMAC := hmacHashes[s.Scheme]
	if !byHMAC && (s.Scheme != schemeRFC9421 || isPEM(secret)) {
		return ""
	}
	octets, err := s.hmacSecret(secret)
	if err != nil {
		return ""
	}
	return expression.KeyWeakness(octets)
}

// bytesKey signs what a scheme covers.
type bytesKey func(covered []byte) ([]byte, error)

func hmacKey(newHash func() hash.Hash, secret []byte) bytesKey {
	return func(covered []byte) ([]byte, error) {
		mac := hmac.New(newHash, secret)
		mac.Write(covered)
		return mac.Sum(nil), nil
	}
}

// ecdsaDER signs the SHA-256 of what is covered; the signature is ASN.1 DER.
func ecdsaDER(key *ecdsa.PrivateKey) bytesKey {
	return func(covered []byte) ([]byte, error) {
		sum := sha256.Sum256(covered)
		return ecdsa.SignASN1(rand.Reader, key, sum[:])
	}
}

func isPEM(secret string) bool { return strings.Contains(secret, "-----BEGIN ") }

// privateKey reads a PEM block of a private key: PKCS#8, or SEC 1 for ECDSA. Its
// errors hold nothing of the text.
func privateKey(text string) (any, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("is not PEM")
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, errors.New("holds no private key of PKCS#8 or SEC 1 in its PEM")
}

// p256Key reads the private key of ECDSA on the curve P-256.
func p256Key(text string) (*ecdsa.PrivateKey, error) {
	key, err := privateKey(text)
	if err != nil {
		return nil, err
	}
	if p256, ok := key.(*ecdsa.PrivateKey); ok && p256.Curve == elliptic.P256() {
		return p256, nil
	}
	return nil, errors.New("holds another key than one of ECDSA on P-256")
}

// sets reports whether the signature sets the header of that name.
func (s Signature) sets(name string) bool {
	names := []string{s.Headers.Signature, s.Headers.Timestamp, s.Headers.ID}
	if s.Scheme == schemeRFC9421 {
		names = []string{"Signature", "Signature-Input", "Content-Digest"}
	}
	return slices.ContainsFunc(names, func(other string) bool { return strings.EqualFold(other, name) })
}
