package config

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// Codec is the encryption of what is kept in Temporal.
type Codec struct {
	// Keys decrypt what they encrypted; the first one encrypts. None: nothing is encrypted.
	Keys []CodecKey `yaml:"keys,omitempty"`
	// Migrating takes, beside what is sealed for its workflow, what is not.
	Migrating bool `yaml:"migrating,omitempty"`
	// Required is true unless set: see CheckReload.
	Required bool        `yaml:"required"`
	Server   CodecServer `yaml:"server,omitzero"`
}

// CodecKey is one key of the codec.
type CodecKey struct {
	// ID names the key in each payload; it must never be given to another key.
	ID string `yaml:"id,omitzero"`
	// Key is the base64 of 32 random bytes.
	Key Secret `yaml:"key,omitzero"`
}

// CodecServer decrypts payloads for the Temporal UI and CLI, in the API.
type CodecServer struct {
	// Origins are the Temporal UIs whose pages may call it; the CLI needs none.
	Origins []string `yaml:"origins,omitempty"`
}

const (
	codecKeyBytes = 32
	maxCodecKeys  = 16
)

// Bytes is the key itself.
func (k CodecKey) Bytes() [codecKeyBytes]byte {
	key, _ := base64.StdEncoding.DecodeString(k.Key.Reveal())
	return [codecKeyBytes]byte(key)
}

func (v *validator) codec(path string, c Codec) {
	if c.Migrating {
		v.warn(path+".migrating", "payloads that are not sealed for their run are taken; set it to false once the runs of before are past the retention")
	}
	v.require(len(c.Keys) > 0 || v.broken(path+".keys") || !c.Required || !v.present(path+".required"), path+".required", "cannot be true without keys")
	for i, key := range c.Keys {
		v.codecKey(indexed(path+".keys", i), key, c.Keys[:i])
	}
	for i, origin := range c.Server.Origins {
		v.origin(indexed(path+".server.origins", i), origin)
	}
}

func (v *validator) codecKey(path string, key CodecKey, before []CodecKey) {
	decoded, err := base64.StdEncoding.DecodeString(key.Key.Reveal())
	v.require(err == nil && len(decoded) == codecKeyBytes, path+".key",
		"is not the base64 of %d bytes; make one: starter keygen codec", codecKeyBytes)
	for _, other := range before {
		v.require(other.ID != key.ID, path+".id", "%s occurs twice", quote(key.ID))
		v.require(other.Key.Reveal() != key.Key.Reveal(), path+".key", "is the same as that of another id; keys must differ")
	}
}

// origin is a page's origin as a browser sends it (RFC 6454, section 6.2).
func (v *validator) origin(path, origin string) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin || strings.Contains(origin, "*") {
		v.fault(path, "%s is not an origin; allowed: a scheme and a host such as https://temporal.example, without a path", quote(origin))
	}
}
