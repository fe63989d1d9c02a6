package dialect

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// messageComponents are what an HTTP Message Signature covers (RFC 9421, 2).
var messageComponents = []string{"@method", "@target-uri", "content-digest", "content-type"}

// messageKey is a key for HTTP Message Signatures.
type messageKey struct {
	// id and algorithm are the parameters keyid and alg; an empty one is left out.
	id, algorithm string
	sign          bytesKey
}

// messageSigner signs by HTTP Message Signatures (RFC 9421) with a Content-Digest
// (RFC 9530). Every secret signs: sig1, sig2 and so on. A secret is the PEM of a
// private key of ed25519 or of ECDSA on P-256, or a text for hmac-sha256. keyID is the
// parameter keyid; empty: the key's JWK thumbprint (RFC 7638), and none with a text.
func messageSigner(keyID string, secrets []string) (*Signer, error) {
	keys, err := keysOf(secrets, func(secret string) (messageKey, error) { return newMessageKey(keyID, secret) })
	if err != nil {
		return nil, err
	}
	return &Signer{sign: func(o Outgoing) (http.Header, error) {
		header := http.Header{"Content-Digest": {contentDigest(o.Body)}}
		r := o.Request.Clone(o.Request.Context())
		r.Header.Set("Content-Digest", header.Get("Content-Digest"))
		var inputs, signatures []string
		for i, key := range keys {
			parameters := key.parameters(messageComponents, o.At.Unix())
			signature, err := key.sign([]byte(signatureBase(r, messageComponents, parameters)))
			if err != nil {
				return nil, errors.New("the signature could not be made")
			}
			label := "sig" + strconv.Itoa(i+1) + "="
			inputs = append(inputs, label+parameters)
			signatures = append(signatures, label+byteSequence(signature))
		}
		header["Signature-Input"] = []string{strings.Join(inputs, ", ")}
		header["Signature"] = []string{strings.Join(signatures, ", ")}
		return header, nil
	}}, nil
}

func newMessageKey(id, secret string) (messageKey, error) {
	if !isPEM(secret) {
		octets, err := Signature{}.hmacSecret(secret)
		return messageKey{id, "hmac-sha256", hmacKey(sha256.New, octets)}, err
	}
	key, err := privateKey(secret)
	if err != nil {
		return messageKey{}, err
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return messageKey{cmp.Or(id, thumbprint(key.Public())), "ed25519", func(covered []byte) ([]byte, error) {
			return ed25519.Sign(key, covered), nil
		}}, nil
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return messageKey{cmp.Or(id, thumbprint(key.Public())), "ecdsa-p256-sha256", ecdsaFixed(key)}, nil
		}
	}
	return messageKey{}, errors.New("holds another key than one of ed25519 or of ECDSA on P-256")
}

// ecdsaFixed signs the SHA-256 of what is covered; the signature is r and s, of 32 bytes each.
func ecdsaFixed(key *ecdsa.PrivateKey) bytesKey {
	return func(covered []byte) ([]byte, error) {
		sum := sha256.Sum256(covered)
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature, nil
	}
}

// parameters are the signature's, written once for the header and for what is signed.
func (k messageKey) parameters(components []string, created int64) string {
	parameters := `("` + strings.Join(components, `" "`) + `");created=` + strconv.FormatInt(created, 10)
	if k.id != "" {
		parameters += `;keyid="` + k.id + `"`
	}
	if k.algorithm != "" {
		parameters += `;alg="` + k.algorithm + `"`
	}
	return parameters
}

// signatureBase is what is signed (RFC 9421, 2.5).
func signatureBase(r *http.Request, components []string, parameters string) string {
	var base strings.Builder
	for _, name := range components {
		fmt.Fprintf(&base, "%q: %s\n", name, messageComponent(r, name))
	}
	return base.String() + `"@signature-params": ` + parameters
}

func messageComponent(r *http.Request, name string) string {
	switch name {
	case "@method":
		return r.Method
	case "@target-uri":
		return r.URL.Scheme + "://" + r.URL.Host + r.URL.RequestURI()
	}
	return strings.Join(r.Header.Values(name), ", ")
}

func contentDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=" + byteSequence(sum[:])
}

// byteSequence is one of a structured field (RFC 9651, 3.3.5).
func byteSequence(octets []byte) string {
	return ":" + base64.StdEncoding.EncodeToString(octets) + ":"
}

// thumbprint is the JWK thumbprint of a public key (RFC 7638; RFC 8037, appendix A.3).
func thumbprint(public crypto.PublicKey) string {
	encode, jwk := base64.RawURLEncoding.EncodeToString, ""
	switch key := public.(type) {
	case ed25519.PublicKey:
		jwk = `{"crv":"Ed25519","kty":"OKP","x":"` + encode(key) + `"}`
	case *ecdsa.PublicKey:
		point, _ := key.Bytes() // 4, x and y: it was read from a valid key
		jwk = `{"crv":"P-256","kty":"EC","x":"` + encode(point[1:33]) + `","y":"` + encode(point[33:]) + `"}`
	}
	sum := sha256.Sum256([]byte(jwk))
	return encode(sum[:])
}
