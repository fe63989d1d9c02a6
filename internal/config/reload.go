package config

import (
	"errors"
	"maps"
	"slices"
)

// CheckReload is an error where next, read while c is in force, takes away what keeps
// strangers out: a file that was emptied or cut off by mistake opens no door.
func (c *Config) CheckReload(next *Config) error {
	var faults []error
	refuse := func(taken bool, fault string) {
		if taken {
			faults = append(faults, errors.New(fault))
		}
	}
	refuse(len(c.API.Keys) > 0 && len(next.API.Keys) == 0 && !next.API.Anonymous,
		"api.keys is empty now, which would let in every caller without a key; set api.anonymous: true if it shall")
	refuse(len(c.Codec.Keys) > 0 && len(next.Codec.Keys) == 0 && next.Codec.Required,
		"codec.keys is empty now, so that nothing would be sealed any more; set codec.required: false if it shall be so")
	refuse(c.API.TLS.asksForCertificates() && !next.API.TLS.asksForCertificates(),
		"api.tls.client_ca cannot be taken away while the program runs, which would let in callers without a certificate; restart it")
	for _, name := range slices.Sorted(maps.Keys(next.Endpoints)) {
		before, after := c.Endpoints[name], next.Endpoints[name]
		refuse(len(before.CallbackHosts) > 0 && len(after.CallbackHosts) == 0 && after.CallbackURL == PerOperation,
			"endpoints."+name+".callback_hosts cannot be taken away while the program runs, which would let callbacks go to any host; restart it")
	}
	return errors.Join(faults...)
}

// ReplacedCodecKeys are the ids under which next has another key than c. That mends one
// that was wrong; what the one before sealed can't be opened any more.
func (c *Config) ReplacedCodecKeys(next *Config) (ids []string) {
	for _, key := range next.Codec.Keys {
		if slices.ContainsFunc(c.Codec.Keys, func(k CodecKey) bool { return k.ID == key.ID && k.Bytes() != key.Bytes() }) {
			ids = append(ids, key.ID)
		}
	}
	return ids
}

func (t *ServerTLS) asksForCertificates() bool { return t != nil && t.ClientCA != "" }
