package config

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Codec is how what is kept in Temporal is sealed there.
type Codec struct {
	// Keys open what they sealed; the first one seals. None: nothing is sealed.
	Keys   []CodecKey  `yaml:"keys,omitempty"`
	Server CodecServer `yaml:"server,omitzero"`
}

// CodecKey is one key of the codec.
type CodecKey struct {
	// ID names the key in what it sealed: never give it to another key.
	ID string `yaml:"id,omitzero"`
	// Key is the base64 of 32 random bytes.
	Key Secret `yaml:"key,omitzero"`
}

// CodecServer is the API's part that opens payloads for the Temporal UI and CLI.
type CodecServer struct {
	// Origins are the Temporal UIs whose pages may ask, such as
	// https://temporal.example; the CLI needs none.
	Origins []string `yaml:"origins,omitempty"`
}

const (
	codecKeyBytes = 32
	maxCodecKeys  = 16
)

// Bytes is the key itself.
func (k CodecKey) Bytes() []byte {
	key, _ := base64.StdEncoding.DecodeString(k.Key.Reveal())
	return key
}

func (v *validator) codec(path string, c Codec) {
	if len(c.Keys) > maxCodecKeys {
		v.fault(path+".keys", "holds %d keys: allowed are at most %d", len(c.Keys), maxCodecKeys)
	}
	for i, key := range c.Keys {
		v.codecKey(fmt.Sprintf("%s.keys[%d]", path, i), key, c.Keys[:i])
	}
	for i, origin := range c.Server.Origins {
		v.origin(fmt.Sprintf("%s.server.origins[%d]", path, i), origin)
	}
}

func (v *validator) codecKey(path string, key CodecKey, before []CodecKey) {
	v.name(path+".id", key.ID)
	if slices.ContainsFunc(before, func(k CodecKey) bool { return k.ID == key.ID }) {
		v.fault(path+".id", "%s is there twice: allowed is each id once", quote(key.ID))
	}
	if key.Key.IsZero() {
		v.missing(path+".key", "a reference, ${env:NAME} or ${file:PATH}")
		return
	}
	if len(key.Bytes()) != codecKeyBytes {
		v.fault(path+".key", "is not the base64 of %d bytes: allowed is what openssl rand -base64 %d writes", codecKeyBytes, codecKeyBytes)
	}
	if slices.ContainsFunc(before, func(k CodecKey) bool { return k.Key.Reveal() == key.Key.Reveal() }) {
		v.fault(path+".key", "is that of another id, too: allowed is each key once")
	}
}

// origin is a page's origin as a browser sends it (RFC 6454, section 6.2).
func (v *validator) origin(path, origin string) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin || strings.Contains(origin, "*") {
		v.fault(path, "%s is not an origin: allowed is one such as https://temporal.example, without a path", quote(origin))
	}
}
