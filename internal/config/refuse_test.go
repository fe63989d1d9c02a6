package config_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/config"
)

// base is a valid file whose values are each on a line of their own, so that a
// row of the table below changes one line of it.
const base = `api:
  listen: 127.0.0.1:8080
  keys:
    - name: core
      sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
      scopes: [start]
egress:
  allow: [127.0.0.0/8]
sources:
  gate:
    kind: ukrcard
    base_urls: [http://127.0.0.1:9001]
    ext_system_id: ECOM
    login: gold
    password: ${env:WSGATE_PASSWORD}
  wallet:
    kind: paysera
    base_urls: [https://wallet.example]
    mac: {id: a, key: "${file:mac}"}
endpoints:
  SHOP:
    dialect: ukrcard
    source: gate
    url: https://shop.example/in
    methods: [payment]
    statuses: [2]
    poll:
      schedule: [5s]
      lifetime: 20m
    delivery:
      interval: 3s
      attempts: 10
`

// refused are files that are not taken: base with the line that contains
// `line` replaced by `with`, and the whole error.
var refused = []struct{ name, line, with, want string }{
	{"an unknown key at the top", "egress:", "egres:", `
f:7:1: egres: unknown key (did you mean egress?); allowed: api, audit, codec, dialects, egress, endpoints, kinds, notices, sources, telemetry
f:12:17: sources.gate.base_urls[0]: egress to 127.0.0.1 is refused: plain http is spoken only to addresses that egress.allow covers; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"an unknown key of an endpoint", "url: https", "    urll: https://shop.example/in", `
f:21:3: endpoints.SHOP.url: is missing; allowed: an http or https URL, or callback_url: per_operation instead
f:24:5: endpoints.SHOP.urll: unknown key (did you mean poll or url?); allowed: auth, callback_hosts, callback_url, card_number_screen, delivery, dialect, enabled, headers, honor_retry_after, max_concurrent, methods, poll, push, secrets, signing, source, statuses, supersede, tls, traceparent, url`},
	{"a key that is not known", "egress:", "cipher: {}\negress:", `
f:7:1: cipher: unknown key; allowed: api, audit, codec, dialects, egress, endpoints, kinds, notices, sources, telemetry`},
	{"a key that is bound to no endpoint", "scopes:", "      scopes: [start]\n      endpoints: []", `
f:7:7: api.keys[0].endpoints: must not be empty; leave it out for a key that is for all endpoints`},
	{"callers without a key beside keys", "egress:", "  anonymous: true\negress:", `
f:7:14: api.anonymous: cannot be true together with keys`},
	{"sealing without a key", "egress:", "codec: {required: true}\negress:", `
f:7:19: codec.required: cannot be true without keys`},
	{"a key written twice", "login:", "    login: gold\n    login: silver", `
f:15:5: mapping key "login" already defined at [14:5]`},
	{"two documents", "endpoints:", "---\nendpoints:", `
f:21:1: a second document begins here; allowed: one document`},
	{"a mistyped key of a delivery", "attempts:", "      attempt: 10", `
f:30:5: endpoints.SHOP.delivery.attempts: is missing; allowed: 1 to 1000
f:32:7: endpoints.SHOP.delivery.attempt: unknown key (did you mean attempts?); allowed: attempts, interval, timeout`},
	{"a tab that indents a key", "attempts:", "\t\tattempts: 10", `
f:32:1: a tab begins this line; allowed: spaces, by which YAML nests`},
	{"a tab among the spaces before a key", "ext_system_id:", "  \text_system_id: ECOM", `
f:13:3: a tab begins this line; allowed: spaces, by which YAML nests`},
	{"a tab before the element of a list", "- name:", "\t- name: core", `
f:4:1: a tab begins this line; allowed: spaces, by which YAML nests`},
	{"a line that is indented too far", "login:", "      login: gold", `
f:13:20: this value has keys in it or below it; allowed: keys of one mapping in one column, and quotes around a text with a colon and a space`},
	{"a text with a colon and a space", "login:", "    login: gold: silver", `
f:14:12: this value has keys in it or below it; allowed: keys of one mapping in one column, and quotes around a text with a colon and a space`},
	{"a line that is indented too little", "login:", "   login: gold", `
f:14:4: this belongs to nothing before it; allowed: lines of one mapping or list in one column, and quotes and brackets that end`},
	{"a quote that is not closed", "login:", "    login: \"gold", `
f:19:24: this belongs to nothing before it; allowed: lines of one mapping or list in one column, and quotes and brackets that end`},
	{"a key without a colon", "login:", "    login gold", `
f:14:5: this is no key with a value; allowed: a colon and a space between them`},
	{"a colon without a space", "login:", "    login:gold", `
f:14:5: this is no key with a value; allowed: a colon and a space between them`},
	{"UTF-16", "api:", "\xff\xfea\x00p\x00i\x00:\x00", `
f:1:1: this file is not UTF-8`},
	{"no YAML", "attempts:", "      attempts: \"10", `
f:32:17: could not find end character of double-quoted text`},
	{"a merge key", "methods:", "    <<: {}\n    methods: [payment]", `
f:25:5: endpoints.SHOP."<<": keys must be plain names; instead of a merge key (<<), an alias may stand for a whole value`},
	{"an alias without an anchor", "methods:", "    methods: *m", `
f:25:14: endpoints.SHOP.methods: there is no anchor &m before this alias`},
	{"a tag", "login:", "    login: !!str gold", `
f:14:12: sources.gate.login: YAML tags are not allowed`},
	{"a list where a mapping belongs", "allow:", "  - 127.0.0.0/8", `
f:7:1: egress: must be a mapping of keys to values`},
	{"a value where a list belongs", "methods:", "    methods: payment", `
f:25:14: endpoints.SHOP.methods: must be a list such as [a, b]`},
	{"a list where a value belongs", "login:", "    login: [gold]", `
f:14:5: sources.gate.login: must be a single value; allowed: a string`},
	{"a mapping where a value belongs", "login:", "    login: {gold: 1}", `
f:14:5: sources.gate.login: must be a single value; allowed: a string`},
	{"a key without a value", "dialect:", "    dialect:", `
f:22:5: endpoints.SHOP.dialect: must not be empty; allowed: a string`},

	{"a literal password", "password:", "    password: hunter22", `
f:15:15: sources.gate.password: a secret must not be written in this file; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"a literal signing secret", "statuses:", "    signing: {secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw]}", `
f:26:25: endpoints.SHOP.signing.secrets[0]: a secret must not be written in this file; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"a literal bearer token", "statuses:", "    auth: {bearer: hunter22}", `
f:26:20: endpoints.SHOP.auth.bearer: a secret must not be written in this file; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"a literal in a header that carries a credential", "statuses:", "    headers: {X-Api-Key: hunter22}", `
f:26:26: endpoints.SHOP.headers.X-Api-Key: a secret must not be written in this file; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"a variable that is not set", "password:", "    password: ${env:NOT_SET_ANYWHERE}", `
f:15:15: sources.gate.password: the environment variable NOT_SET_ANYWHERE is not set, or is empty`},
	{"a variable that is empty", "password:", "    password: ${env:EMPTY}", `
f:15:15: sources.gate.password: the environment variable EMPTY is not set, or is empty`},
	{"a variable without a name", "password:", "    password: ${env:}", `
f:15:15: sources.gate.password: this reference is invalid; allowed: ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"a secret file that is not there", "password:", "    password: ${file:none}", `
f:15:15: sources.gate.password: cannot read the file: stat DIR/none: no such file or directory`},
	{"a secret file that is empty", "password:", "    password: ${file:empty}", `
f:15:15: sources.gate.password: the file "empty" is empty`},
	{"a secret file that is a folder", "password:", "    password: ${file:.}", `
f:15:15: sources.gate.password: cannot read the file: "DIR" is not a regular file of at most 1048576 bytes`},
	{"a secret file without a name", "password:", "    password: ${file:}", `
f:15:15: sources.gate.password: this reference is invalid; allowed: ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"a credential that is not there", "password:", "    password: ${credential:none}", `
f:15:15: sources.gate.password: cannot read the file: stat DIR/none: no such file or directory`},
	{"a credential that is empty", "password:", "    password: ${credential:empty}", `
f:15:15: sources.gate.password: the file "DIR/empty" is empty`},
	{"a credential outside of its folder", "password:", "    password: ${credential:../mac}", `
f:15:15: sources.gate.password: this reference is invalid; allowed: ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"a reference of an unknown sort", "password:", "    password: ${vault:x}", `
f:15:15: sources.gate.password: this reference is invalid; allowed: ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"a reference that does not end", "password:", "    password: ${env:WSGATE_PASSWORD", `
f:15:15: sources.gate.password: this reference is invalid; allowed: ${env:NAME}, ${file:PATH} or ${credential:NAME}`},
	{"a reference where no secret is", "login:", "    login: ${env:WSGATE_PASSWORD}", `
f:14:12: sources.gate.login: references are expanded only in secrets; allowed: a string`},

	{"h of zero", "interval: 3s", "      interval: 0s", `
f:31:17: endpoints.SHOP.delivery.interval: 0s is below 1ms; allowed: 1ms to 87600h0m0s`},
	{"h below zero", "interval: 3s", "      interval: -1s", `
f:31:17: endpoints.SHOP.delivery.interval: -1s is below 1ms; allowed: 1ms to 87600h0m0s`},
	{"h finer than a millisecond", "interval: 3s", "      interval: 1.5ms", `
f:31:17: endpoints.SHOP.delivery.interval: 1.5ms is not a whole number of milliseconds; allowed: 1ms to 87600h0m0s`},
	{"h without a unit", "interval: 3s", "      interval: 3000", `
f:31:17: endpoints.SHOP.delivery.interval: "3000" is not a duration such as 500ms, 3s or 10m`},
	{"no h", "interval: 3s", "", `
f:30:5: endpoints.SHOP.delivery.interval: is missing; allowed: a duration such as 500ms, 3s or 10m`},
	{"k of zero", "attempts:", "      attempts: 0", `
f:32:17: endpoints.SHOP.delivery.attempts: 0 is below 1; allowed: 1 to 1000`},
	{"k above its limit", "attempts:", "      attempts: 1001", `
f:32:17: endpoints.SHOP.delivery.attempts: 1001 is above 1000; allowed: 1 to 1000`},
	{"k that is no whole number", "attempts:", "      attempts: 2.5", `
f:32:17: endpoints.SHOP.delivery.attempts: "2.5" is not a whole number`},
	{"no k", "attempts:", "", `
f:30:5: endpoints.SHOP.delivery.attempts: is missing; allowed: 1 to 1000`},
	{"a timeout of zero", "attempts:", "      attempts: 10\n      timeout: 0s", `
f:33:16: endpoints.SHOP.delivery.timeout: 0s is below 1ms; allowed: 1ms to 2m0s`},
	{"a timeout above its limit", "attempts:", "      attempts: 10\n      timeout: 121s", `
f:33:16: endpoints.SHOP.delivery.timeout: 2m1s is above 2m0s; allowed: 1ms to 2m0s`},
	{"a source's timeout above its limit", "ext_system_id:", "    ext_system_id: ECOM\n    timeout: 3m", `
f:14:14: sources.gate.timeout: 3m0s is above 2m0s; allowed: 1ms to 2m0s`},

	{"schedule and interval", "schedule:", "      schedule: [5s]\n      interval: 1s", `
f:29:17: endpoints.SHOP.poll.interval: cannot be set together with schedule`},
	{"neither schedule nor interval", "schedule:", "", `
f:27:5: endpoints.SHOP.poll.schedule: is missing; allowed: a list of gaps such as [5s, 10s, 15s], or interval instead`},
	{"an empty schedule", "schedule:", "      schedule: []", `
f:28:7: endpoints.SHOP.poll.schedule: must not be empty; allowed: a list of gaps such as [5s, 10s, 15s], or interval instead`},
	{"a gap of zero", "schedule:", "      schedule: [5s, 0s]", `
f:28:22: endpoints.SHOP.poll.schedule[1]: 0s is below 1ms; allowed: 1ms to 87600h0m0s`},
	{"a poll interval that would be a load test", "schedule:", "      interval: 99ms", `
f:28:17: endpoints.SHOP.poll.interval: 99ms is below 100ms; allowed: 100ms to 87600h0m0s`},
	{"no lifetime", "lifetime:", "", `
f:27:5: endpoints.SHOP.poll.lifetime: is missing; allowed: a duration such as 500ms, 3s or 10m`},
	{"a lifetime of zero", "lifetime:", "      lifetime: 0s", `
f:29:17: endpoints.SHOP.poll.lifetime: 0s is below 1ms; allowed: 1ms to 87600h0m0s`},
	{"a lifetime of centuries", "lifetime:", "      lifetime: 2562047h", `
f:29:17: endpoints.SHOP.poll.lifetime: 2562047h0m0s is above 87600h0m0s; allowed: 1ms to 87600h0m0s`},
	{"a first poll after centuries", "lifetime:", "      lifetime: 2562047h\n      initial_delay: 2562047h", `
f:29:17: endpoints.SHOP.poll.lifetime: 2562047h0m0s is above 87600h0m0s; allowed: 1ms to 87600h0m0s
f:30:22: endpoints.SHOP.poll.initial_delay: 2562047h0m0s is above 87600h0m0s; allowed: 0s to 87600h0m0s`},
	{"an interval of polls longer than any lifetime", "schedule:", "      interval: 87601h", `
f:28:17: endpoints.SHOP.poll.interval: 87601h0m0s is above 87600h0m0s; allowed: 100ms to 87600h0m0s`},
	{"a gap longer than any lifetime", "schedule:", "      schedule: [5s, 87601h]", `
f:28:22: endpoints.SHOP.poll.schedule[1]: 87601h0m0s is above 87600h0m0s; allowed: 1ms to 87600h0m0s`},
	{"gaps that are longer together", "schedule:", "      schedule: [5s, 87600h]", `
f:28:7: endpoints.SHOP.poll.schedule: has gaps that add up to more than 87600h0m0s`},
	{"a delivery that would last for centuries", "interval:", "      interval: 26000h", `
f:32:17: endpoints.SHOP.delivery.attempts: 10 attempts, each with interval and timeout, last longer than 87600h0m0s; allowed: 1 to 3`},
	{"an interval longer than any delivery", "interval:", "      interval: 2562047h", `
f:31:17: endpoints.SHOP.delivery.interval: 2562047h0m0s is above 87600h0m0s; allowed: 1ms to 87600h0m0s`},
	{"no poll at all", "lifetime:", "      lifetime: 20m\n      max_polls: 0", `
f:30:18: endpoints.SHOP.poll.max_polls: 0 is below 1; allowed: 1 to 1000000000`},
	{"a first poll after the lifetime", "lifetime:", "      lifetime: 20m\n      initial_delay: 21m", `
f:30:22: endpoints.SHOP.poll.initial_delay: 21m0s is above 20m0s; allowed: 0s to 20m0s`},

	{"an unknown dialect", "dialect:", "    dialect: soap", `
f:22:14: endpoints.SHOP.dialect: "soap" is unknown; allowed: paysera, standard, ukrcard`},
	{"a core's dialect on another core's source", "dialect:", "    dialect: paysera", `
f:22:14: endpoints.SHOP.dialect: "paysera" cannot be used with "gate", a ukrcard source; allowed: ukrcard, standard`},
	{"an unknown source", "source: gate", "    source: gates", `
f:23:13: endpoints.SHOP.source: "gates" is unknown (did you mean gate?); allowed: gate, wallet`},
	{"an unknown kind", "kind: ukrcard", "    kind: swift", `
f:11:11: sources.gate.kind: "swift" is unknown; allowed: paysera, ukrcard`},
	{"no kind", "kind: ukrcard", "", `
f:10:3: sources.gate.kind: is missing; allowed: paysera, ukrcard`},
	{"an unknown method", "methods:", "    methods: [payment, refund]", `
f:25:24: endpoints.SHOP.methods[1]: "refund" is unknown; allowed: payment, p2p_transfer, p2p_a2c, p2p_c2a`},
	{"a method that is there twice", "methods:", "    methods: [payment, payment]", `
f:25:24: endpoints.SHOP.methods[1]: "payment" occurs twice`},
	{"methods where the source has none", "source: gate", "    source: wallet", `
f:22:14: endpoints.SHOP.dialect: "ukrcard" cannot be used with "wallet", a paysera source; allowed: paysera, standard
f:25:5: endpoints.SHOP.methods: must be left out: a paysera source has no methods
f:26:16: endpoints.SHOP.statuses[0]: "2" is unknown; allowed: new, registered, waiting, waiting_funds, waiting_registration, waiting_password, reserved, frozen, processing, done, rejected, revoked, failed`},
	{"an unknown status", "statuses:", "    statuses: [2, done]", `
f:26:19: endpoints.SHOP.statuses[1]: "done" is unknown; allowed: 0, 1, 2, 3, 4, 5, 6`},
	{"an unknown final status", "ext_system_id:", "    ext_system_id: ECOM\n    final_statuses: [7]", `
f:14:22: sources.gate.final_statuses[0]: "7" is unknown; allowed: 0, 1, 2, 3, 4, 5, 6`},
	{"an unknown time zone", "ext_system_id:", "    ext_system_id: ECOM\n    registered_at_zone: Europe/Kiew", `
f:14:25: sources.gate.registered_at_zone: "Europe/Kiew" is not an IANA time zone such as Europe/Kyiv`},
	{"the machine's own time zone", "ext_system_id:", "    ext_system_id: ECOM\n    registered_at_zone: Local", `
f:14:25: sources.gate.registered_at_zone: "Local" is not an IANA time zone such as Europe/Kyiv`},
	{"what the kind says of its source", "ext_system_id:", "    ext_system_id: \"\"", `
f:13:20: sources.gate.ext_system_id: must hold 1 to 50 characters (Ukrcard /Confirm, header ExtSystemid)`},
	{"what the kind misses in its source", "ext_system_id:", "", `
f:10:3: sources.gate.ext_system_id: must hold 1 to 50 characters (Ukrcard /Confirm, header ExtSystemid)`},
	{"half a MAC", "mac:", "    mac: {id: a}", `
f:19:5: sources.wallet.mac.key: is missing beside mac.id: set both, or neither where a client certificate is used`},
	{"half a MAC, whose other half has a fault of its own", "mac:", "    mac: {id: a, key: \"${env:NOT_SET_ANYWHERE}\"}", `
f:19:23: sources.wallet.mac.key: the environment variable NOT_SET_ANYWHERE is not set, or is empty`},
	{"keys that are no list, before whoever may call without", "listen:", "  listen: 0.0.0.0:8080\n  keys: {name: core}\nzzz:", `
f:3:3: api.keys: must be a list such as [a, b]
f:4:1: zzz: unknown key; allowed: api, audit, codec, dialects, egress, endpoints, kinds, notices, sources, telemetry`},
	{"sources that are no mapping, before an endpoint of one of them", "sources:", "sources: []\nzzz:", `
f:9:1: sources: must be a mapping of keys to values
f:10:1: zzz: unknown key; allowed: api, audit, codec, dialects, egress, endpoints, kinds, notices, sources, telemetry`},
	{"endpoints that are no mapping, before what names one of them", "endpoints:", "notices: {endpoint: SHOP}\nendpoints: []\nzzz:", `
f:21:1: endpoints: must be a mapping of keys to values
f:22:1: zzz: unknown key; allowed: api, audit, codec, dialects, egress, endpoints, kinds, notices, sources, telemetry`},
	{"a lifetime that is none, before a delay within it", "lifetime:", "      lifetime: soon\n      initial_delay: 1m", `
f:29:17: endpoints.SHOP.poll.lifetime: "soon" is not a duration such as 500ms, 3s or 10m`},
	{"keys of the codec that are no list", "egress:", "codec: {required: true, keys: 7}\negress:", `
f:7:31: codec.keys: must be a list such as [a, b]`},
	{"notices to an endpoint of an unknown dialect", "endpoints:", "notices: {endpoint: N}\nendpoints:\n  N: {dialect: soap, url: https://n.example/, delivery: {interval: 1s, attempts: 1}}", `
f:22:16: endpoints.N.dialect: "soap" is unknown; allowed: paysera, standard, ukrcard`},
	{"the digest of the example", "sha256:", "      sha256: " + strings.Repeat("deadbeef", 8), `
f:5:15: api.keys[0].sha256: is the digest in deploy/ringback.example.yml, which no key has; make a key of your own with: starter keygen api-key`},
	{"an endpoint's name outside its alphabet", "  SHOP:", "  SHOP 1:", `
f:21:3: endpoints."SHOP 1": "SHOP 1" is not a valid name; allowed: 1 to 50 letters, digits, _ and -`},
	{"an endpoint's name over its length", "  SHOP:", "  " + strings.Repeat("S", 51) + ":", `
f:21:3: endpoints.` + strings.Repeat("S", 51) + `: "` + strings.Repeat("S", 51) + `" is not a valid name; allowed: 1 to 50 letters, digits, _ and -`},
	{"an unknown way to supersede", "statuses:", "    supersede: none", `
f:26:16: endpoints.SHOP.supersede: "none" is unknown; allowed: latest, every`},
	{"no room for an attempt", "statuses:", "    max_concurrent: 0", `
f:26:21: endpoints.SHOP.max_concurrent: 0 is below 1; allowed: 1 to 1000`},
	{"yes for true", "statuses:", "    honor_retry_after: yes", `
f:26:24: endpoints.SHOP.honor_retry_after: "yes" is not true or false`},
	{"yes for an endpoint that is enabled", "statuses:", "    enabled: yes", `
f:26:14: endpoints.SHOP.enabled: "yes" is not true, false or hold`},

	{"a URL of another scheme", "url: https", "    url: ftp://shop.example/", `
f:24:10: endpoints.SHOP.url: is not an absolute http or https URL; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a URL without a host", "url: https", "    url: https:///in", `
f:24:10: endpoints.SHOP.url: is a URL without a host; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a URL with a password", "url: https", "    url: https://shop:hunter22@shop.example/in", `
f:24:10: endpoints.SHOP.url: holds a user name or password, which a URL must not; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a URL with a fragment", "url: https", "    url: https://shop.example/in#x", `
f:24:10: endpoints.SHOP.url: holds a fragment (#…), which is never sent; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a private address that is not allowed", "url: https", "    url: https://10.1.2.3/in", `
f:24:10: endpoints.SHOP.url: egress to 10.1.2.3 is refused: it is not a public address and egress.allow does not cover it; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"plain http to a public address", "url: https", "    url: http://192.0.2.1/in", `
f:24:10: endpoints.SHOP.url: egress to 192.0.2.1 is refused: plain http is spoken only to addresses that egress.allow covers; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"plain http while nothing is allowed", "allow:", "  allow: []", `
f:12:17: sources.gate.base_urls[0]: egress to 127.0.0.1 is refused: plain http is spoken only to addresses that egress.allow covers; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"url and callback_url", "methods:", "    callback_url: per_operation", `
f:24:10: endpoints.SHOP.url: cannot be set together with callback_url`},
	{"another value of callback_url", "url: https", "    callback_url: https://shop.example/in", `
f:24:19: endpoints.SHOP.callback_url: "https://shop.example/in" is unknown; allowed: per_operation`},
	{"credentials for whatever URL a caller brings", "url: https", "    callback_url: per_operation\n    auth: {bearer: \"${file:mac}\"}", `
f:21:3: endpoints.SHOP.callback_hosts: is missing: auth, tls and secret headers would be sent to any URL that a caller brings; allowed: hosts such as pay.example.com, or "*.shop.example" for exactly one label more`},
	{"a secret header for whatever URL a caller brings", "url: https", "    callback_url: per_operation\n    headers: {X-Id: \"${file:mac}\"}", `
f:21:3: endpoints.SHOP.callback_hosts: is missing: auth, tls and secret headers would be sent to any URL that a caller brings; allowed: hosts such as pay.example.com, or "*.shop.example" for exactly one label more`},
	{"a client certificate for whatever URL a caller brings", "url: https", "    callback_url: per_operation\n    tls: {cert: client.pem, key: client.key}", `
f:21:3: endpoints.SHOP.callback_hosts: is missing: auth, tls and secret headers would be sent to any URL that a caller brings; allowed: hosts such as pay.example.com, or "*.shop.example" for exactly one label more`},
	{"another value of push", "statuses:", "    push: on", `
f:26:11: endpoints.SHOP.push: "on" is unknown; allowed: trust, hint, off`},
	{"an empty list of hosts", "url: https", "    callback_url: per_operation\n    callback_hosts: []", `
f:25:5: endpoints.SHOP.callback_hosts: must not be empty; allowed: hosts such as pay.example.com, or "*.shop.example" for exactly one label more`},
	{"hosts that are none", "url: https", "    callback_url: per_operation\n    callback_hosts: [\"pay.example:443\", \"*\"]", `
f:25:22: endpoints.SHOP.callback_hosts[0]: "pay.example:443" is not a host; allowed: hosts such as pay.example.com, or "*.shop.example" for exactly one label more
f:25:41: endpoints.SHOP.callback_hosts[1]: "*" is not a host; allowed: hosts such as pay.example.com, or "*.shop.example" for exactly one label more`},
	{"hosts beside a URL", "methods:", "    callback_hosts: [pay.example]", `
f:25:5: endpoints.SHOP.callback_hosts: must be left out: it goes with callback_url: per_operation`},
	{"a source's URL with a password", "base_urls: [http:", "    base_urls: [\"https://u:hunter22@gate.example\"]", `
f:12:17: sources.gate.base_urls[0]: holds a user name or password, which a URL must not; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a source's URL with a query", "base_urls: [http:", "    base_urls: [\"https://gate.example?x=1\"]", `
f:12:17: sources.gate.base_urls[0]: has a query; allowed: an http or https URL without one`},
	{"a base URL's mapping with another key", "base_urls: [http:", "    base_urls: [{url: http://127.0.0.1:9001, ca: client.pem}]", `
f:12:46: sources.gate.base_urls[0].ca: unknown key; allowed: tls, url`},
	{"a base URL's mapping without the URL", "base_urls: [http:", "    base_urls: [{tls: {ca: client.pem}}]", `
f:12:17: sources.gate.base_urls[0]: is not an absolute http or https URL; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a base URL that is a list", "base_urls: [http:", "    base_urls: [[http://127.0.0.1:9001]]", `
f:12:17: sources.gate.base_urls[0]: must be a mapping of keys to values`},
	{"a base URL that is nothing", "base_urls: [http:", "    base_urls: [~]", `
f:12:17: sources.gate.base_urls[0]: must not be empty; allowed: a string`},
	{"a base URL's certificate without its key", "base_urls: [http:", "    base_urls: [{url: http://127.0.0.1:9001, tls: {cert: client.pem}}]", `
f:12:46: sources.gate.base_urls[0].tls.key: is missing; allowed: a PEM file with the certificate's key, beside cert`},
	{"a source without a URL", "base_urls: [http:", "", `
f:10:3: sources.gate.base_urls: is missing; allowed: a list with at least one URL`},
	{"an egress rule that is no network", "allow:", "  allow: [127.0.0.1]", `
f:8:11: egress.allow[0]: "127.0.0.1" is not a network in CIDR notation such as 10.0.0.0/8, with no bit set after the prefix, or one port of it such as 10.0.0.0/8:443 or [fd00::/8]:443`},
	{"an egress rule that names an address", "allow:", "  allow: [127.0.0.0/8, 10.0.0.1/8]", `
f:8:24: egress.allow[1]: "10.0.0.1/8" is not a network in CIDR notation such as 10.0.0.0/8, with no bit set after the prefix, or one port of it such as 10.0.0.0/8:443 or [fd00::/8]:443`},

	{"an egress rule of a port that is none", "allow:", "  allow: [127.0.0.0/8, 10.0.0.0/8:0]", `
f:8:24: egress.allow[1]: "10.0.0.0/8:0" is not a network in CIDR notation such as 10.0.0.0/8, with no bit set after the prefix, or one port of it such as 10.0.0.0/8:443 or [fd00::/8]:443`},
	{"an egress rule of another port", "allow:", "  allow: [127.0.0.0/8:9]", `
f:12:17: sources.gate.base_urls[0]: egress to 127.0.0.1 is refused: plain http is spoken only to addresses that egress.allow covers; allowed: public addresses by https, and addresses that egress.allow covers`},

	{"an egress proxy without a URL", "egress:", "egress:\n  proxy: \"\"", `
f:8:10: egress.proxy: must not be empty; allowed: the URL of a proxy such as http://10.0.0.5:3128`},
	{"an egress proxy with a password", "egress:", "egress:\n  proxy: http://bob:hunter22@10.0.0.5:3128", `
f:8:10: egress.proxy: is not a proxy's URL: allowed is one such as http://10.0.0.5:3128, without credentials and path`},
	{"an egress proxy of another scheme", "egress:", "egress:\n  proxy: socks5://10.0.0.5:3128", `
f:8:10: egress.proxy: is not a proxy's URL: allowed is one such as http://10.0.0.5:3128, without credentials and path`},
	{"an egress proxy without a port", "egress:", "egress:\n  proxy: http://10.0.0.5", `
f:8:10: egress.proxy: is not a proxy's URL: allowed is one such as http://10.0.0.5:3128, without credentials and path`},
	{"an egress proxy at the metadata address", "egress:", "egress:\n  proxy: http://169.254.169.254:80", `
f:8:10: egress.proxy: the egress proxy has a link-local or metadata address, which opens only where egress.allow names it alone`},
	{"an address in decimal", "url: https", "    url: https://2130706433/in", `
f:24:10: endpoints.SHOP.url: has an IP address for a host that is not written in its plain form, such as 192.0.2.1; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"an address in hexadecimal", "url: https", "    url: https://0x7f.0.0.1/in", `
f:24:10: endpoints.SHOP.url: has an IP address for a host that is not written in its plain form, such as 192.0.2.1; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"the metadata address", "url: https", "    url: https://169.254.169.254/in", `
f:24:10: endpoints.SHOP.url: egress to 169.254.169.254 is refused: it is a link-local or metadata address, which opens only where egress.allow names it alone; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"the metadata address, mapped", "url: https", "    url: https://[::ffff:a9fe:a9fe]/in", `
f:24:10: endpoints.SHOP.url: egress to 169.254.169.254 is refused: it is a link-local or metadata address, which opens only where egress.allow names it alone; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a port of a system service", "url: https", "    url: https://8.8.8.8:25/in", `
f:24:10: endpoints.SHOP.url: egress to 8.8.8.8 is refused: its port is below 1024 and not 443, and egress.allow does not cover the address; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a port that is none", "url: https", "    url: https://shop.example:0/in", `
f:24:10: endpoints.SHOP.url: has a port outside 1 to 65535; allowed: public addresses by https, and addresses that egress.allow covers`},
	{"a digest that is too short", "sha256:", "      sha256: 2c26b4", `
f:5:15: api.keys[0].sha256: this value is not a SHA-256 in 64 hexadecimal digits; make a key and its digest by starter keygen api-key`},
	{"a digest that is not hexadecimal", "sha256:", "      sha256: " + strings.Repeat("g", 64), `
f:5:15: api.keys[0].sha256: this value is not a SHA-256 in 64 hexadecimal digits; make a key and its digest by starter keygen api-key`},
	{"a key where its digest belongs", "sha256:", "      sha256: hunter22", `
f:5:15: api.keys[0].sha256: this value is not a SHA-256 in 64 hexadecimal digits; make a key and its digest by starter keygen api-key`},
	{"a key of keygen's where its digest belongs", "sha256:", "      sha256: rbk_" + strings.Repeat("a", 64), `
f:5:15: api.keys[0].sha256: this value is not a SHA-256 in 64 hexadecimal digits; make a key and its digest by starter keygen api-key`},
	{"no digest", "sha256:", "", `
f:4:7: api.keys[0].sha256: is missing; allowed: the key's SHA-256 in 64 hexadecimal digits`},
	{"an unknown scope", "scopes:", "      scopes: [start, root]", `
f:6:23: api.keys[0].scopes[1]: "root" is unknown; allowed: start, push, withdraw, revoke, read, redeliver, redirect, force, ping, codec`},
	{"the scope that was split", "scopes:", "      scopes: [start, admin]", `
f:6:23: api.keys[0].scopes[1]: admin is two scopes now: write ping for who sends test callbacks, codec for who opens what is sealed`},
	{"an expiry that is no time", "scopes:", "      scopes: [start]\n      expires: soon", `
f:7:16: api.keys[0].expires: "soon" is not a time such as 2027-06-30T18:00:00Z, or a date such as 2027-06-30`},
	{"an address in the place of a network", "scopes:", "      scopes: [start]\n      from: [10.0.0.1]", `
f:7:14: api.keys[0].from[0]: "10.0.0.1" is not a network in CIDR notation such as 10.0.0.0/8, with no bit set after the prefix`},
	{"a key from no network", "scopes:", "      scopes: [start]\n      from: []", `
f:7:7: api.keys[0].from: must not be empty; leave it out for a key that may be used from everywhere`},
	{"no scope", "scopes:", "", `
f:4:7: api.keys[0].scopes: is missing; allowed: any of start, push, withdraw, revoke, read, redeliver, redirect, force, ping, codec`},
	{"a key for an endpoint that is not there", "scopes:", "      scopes: [start]\n      endpoints: [STORE]", `
f:7:19: api.keys[0].endpoints[0]: "STORE" is unknown; allowed: SHOP`},
	{"a key without a name", "- name:", "    -", `
f:5:7: api.keys[0].name: is missing; allowed: 1 to 50 letters, digits, _ and -`},
	{"one key for two", "scopes:", "      scopes: [start]\n    - {name: b, sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae, scopes: [read]}", `
f:7:25: api.keys[1].sha256: is the same as that of another key; keys must differ`},
	{"an address that is none", "listen:", "  listen: 8080", `
f:2:11: api.listen: "8080" is not an address to listen on; allowed: host:port such as 127.0.0.1:8080`},
	{"a rate of nothing", "listen:", "  listen: 127.0.0.1:8080\n  rate_limit: {per_second: 0, burst: 0, changes_per_second: NaN, changes_burst: 0}", `
f:3:28: api.rate_limit.per_second: 0 is below 0.001; allowed: 0.001 to 1e+06
f:3:38: api.rate_limit.burst: 0 is below 1; allowed: 1 to 1000000
f:3:61: api.rate_limit.changes_per_second: NaN is below 0.001; allowed: 0.001 to 1e+06
f:3:81: api.rate_limit.changes_burst: 0 is below 1; allowed: 1 to 1000000`},
	{"starts without end", "listen:", "  listen: 127.0.0.1:8080\n  max_starts: 10001", `
f:3:15: api.max_starts: 10001 is above 10000; allowed: 0 to 10000`},
	{"an address for telemetry that is none", "egress:", "telemetry: {listen: \"9464\"}\negress:", `
f:7:21: telemetry.listen: "9464" is not an address to listen on; allowed: host:port such as 127.0.0.1:8080`},
	{"a receiver of spans that is no URL", "egress:", "telemetry: {traces: {endpoint: \"127.0.0.1:4318\"}}\negress:", `
f:7:32: telemetry.traces.endpoint: is not a URL; allowed: the base URL of an OTLP/HTTP receiver such as http://127.0.0.1:4318 (credentials belong in OTEL_EXPORTER_OTLP_HEADERS)`},
	{"a receiver of spans with credentials", "egress:", "telemetry: {traces: {endpoint: \"https://a:b@collector.example\"}}\negress:", `
f:7:32: telemetry.traces.endpoint: holds a user name or password, which a URL must not; allowed: the base URL of an OTLP/HTTP receiver such as http://127.0.0.1:4318 (credentials belong in OTEL_EXPORTER_OTLP_HEADERS)`},
	{"more traces than there are", "egress:", "telemetry: {traces: {ratio: 1.5}}\negress:", `
f:7:29: telemetry.traces.ratio: 1.5 is above 1; allowed: 0 to 1`},
	{"a certificate without its key", "listen:", "  listen: 127.0.0.1:8080\n  tls: {cert: client.pem}", `
f:3:3: api.tls.key: is missing; allowed: a PEM file with the certificate's key, beside cert`},
	{"a certificate that is not there", "statuses:", "    tls: {cert: none.pem, key: client.key}", `
f:26:17: endpoints.SHOP.tls.cert: cannot read the file: stat DIR/none.pem: no such file or directory`},
	{"a certificate that is none", "statuses:", "    tls: {cert: mac, key: client.key}", `
f:26:17: endpoints.SHOP.tls.cert: tls: failed to find any PEM data in certificate input; allowed: a certificate and its key as PEM files`},
	{"authorities that are none", "statuses:", "    tls: {ca: mac}", `
f:26:15: endpoints.SHOP.tls.ca: "mac" contains no certificate; allowed: a PEM file with one or more`},
	{"bearer and basic", "statuses:", "    auth: {bearer: \"${file:mac}\", basic: {username: u, password: \"${file:mac}\"}}", `
f:26:35: endpoints.SHOP.auth.basic: cannot be set together with bearer`},
	{"basic without a password", "statuses:", "    auth: {basic: {username: \"u:v\"}}", `
f:26:12: endpoints.SHOP.auth.basic.password: is missing; allowed: a reference, ${env:NAME}, ${file:PATH} or ${credential:NAME}
f:26:30: endpoints.SHOP.auth.basic.username: must be a user name without a colon`},
	{"a header that is ours", "statuses:", "    headers: {webhook-id: x, content-type: y}", `
f:26:27: endpoints.SHOP.headers.webhook-id: is set by Ringback itself and cannot be replaced
f:26:44: endpoints.SHOP.headers.content-type: is set by Ringback itself and cannot be replaced`},
	{"headers that would contradict ours", "statuses:", "    headers: {HOST: a, proxy-Authorization: \"${file:mac}\", Webhook-Signature: \"${file:mac}\", traceparent: a, transfer-encoding: a}", `
f:26:21: endpoints.SHOP.headers.HOST: is set by Ringback itself and cannot be replaced
f:26:45: endpoints.SHOP.headers.proxy-Authorization: is set by Ringback itself and cannot be replaced
f:26:79: endpoints.SHOP.headers.Webhook-Signature: is set by Ringback itself and cannot be replaced
f:26:107: endpoints.SHOP.headers.traceparent: is set by Ringback itself and cannot be replaced
f:26:129: endpoints.SHOP.headers.transfer-encoding: is set by Ringback itself and cannot be replaced`},
	{"headers that let a request be repeated", "statuses:", "    headers: {idempotency-key: \"${file:mac}\", X-Idempotency-Key: \"${file:mac}\"}", `
f:26:32: endpoints.SHOP.headers.idempotency-key: would let one attempt be sent twice; use webhook-id, which Ringback sends, against duplicates
f:26:66: endpoints.SHOP.headers.X-Idempotency-Key: would let one attempt be sent twice; use webhook-id, which Ringback sends, against duplicates`},
	{"a header with a line break", "statuses:", "    headers: {X-A: \"a\\nB: c\"}", `
f:26:20: endpoints.SHOP.headers.X-A: cannot be sent; allowed: printable ASCII without a space at either end`},
	{"a header that would arrive without its beginning", "statuses:", "    headers: {X-A: \" a\"}", `
f:26:20: endpoints.SHOP.headers.X-A: cannot be sent; allowed: printable ASCII without a space at either end`},
	{"a header's name with a space", "statuses:", "    headers: {\"X A\": a}", `
f:26:22: endpoints.SHOP.headers."X A": is not a valid header name; allowed: letters, digits and -`},
	{"a header that is there twice", "statuses:", "    headers: {X-A: a, x-a: b}", `
f:26:28: endpoints.SHOP.headers.x-a: occurs twice: header names ignore case`},
	{"a header beside auth", "statuses:", "    auth: {bearer: \"${file:mac}\"}\n    headers: {Authorization: \"${file:mac}\"}", `
f:27:30: endpoints.SHOP.headers.Authorization: cannot be set together with auth`},
	{"a signing secret that is none", "statuses:", "    signing: {secrets: [\"${file:mac}\"]}", `
f:26:25: endpoints.SHOP.signing.secrets[0]: does not begin with whsec_ or whsk_; allowed: a reference to whsec_ and the base64 of 24 to 64 bytes, or whsk_ and the base64 of an ed25519 private key; make one: starter keygen whsec`},
}

func TestWhatAFileIsRefusedFor(t *testing.T) {
	setenv(t)
	dir := folder(t)
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	write(t, dir, "empty", []byte("\n"), 0o600)
	_, err := load(t, dir, base)
	require.NoError(t, err, "the base itself is good")

	for _, row := range refused {
		t.Run(row.name, func(t *testing.T) {
			c, err := load(t, dir, replaceLine(t, base, row.line, row.with))
			require.Nil(t, c)
			require.Error(t, err)
			got := strings.NewReplacer(dir+"/ringback.yml", "f", dir, "DIR").Replace(err.Error())
			require.Equal(t, strings.TrimPrefix(row.want, "\n"), got)
			require.NotContains(t, got, "hunter22", "no secret is shown")
			require.NotContains(t, got, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "no secret is shown")
		})
	}
}

func replaceLine(t *testing.T, base, line, with string) string {
	t.Helper()
	lines := strings.Split(base, "\n")
	for i := range lines {
		if strings.Contains(lines[i], line) {
			lines[i] = with
			return strings.Join(lines, "\n")
		}
	}
	require.FailNow(t, "base has no such line", line)
	return ""
}

func TestWithoutKeysTheAPIStaysOnLoopback(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, listen string
		loopback     bool
	}{
		{"an IPv4 loopback address", "127.0.0.1:8443", true},
		{"another IPv4 loopback address", "127.1.2.3:0", true},
		{"the IPv6 loopback address", "[::1]:8080", true},
		{"localhost", "localhost:8080", true},
		{"every address", ":8080", false},
		{"every IPv4 address", "0.0.0.0:8080", false},
		{"every IPv6 address", "[::]:8080", false},
		{"a private address", "10.0.0.1:8080", false},
		{"a name", "api.example:8080", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("f", []byte("api: {listen: \""+row.listen+"\"}"))
			_, ofTelemetry := config.Parse("f", []byte("telemetry: {listen: \""+row.listen+"\"}"))
			if row.loopback {
				require.NoError(t, err)
				require.NoError(t, ofTelemetry)
				return
			}
			require.EqualError(t, ofTelemetry, `f:1:21: telemetry.listen: "`+row.listen+`" can be reached from other machines, and api.keys is empty; allowed without keys: a loopback address such as 127.0.0.1:8080`)
			require.EqualError(t, err, `f:1:15: api.listen: "`+row.listen+`" can be reached from other machines, and api.keys is empty; allowed without keys: a loopback address such as 127.0.0.1:8080`)
		})
	}
}

func TestOneFileShowsAllItsErrorsInTheirOrder(t *testing.T) {
	t.Parallel()
	_, err := config.Parse("f", []byte("endpoints:\n  A: {dialect: x, delivery: {attempts: -1}}\napi: {listen: x}\nzzz: 1\n"))
	require.Equal(t, []string{
		`f:2:3: endpoints.A.poll.lifetime: is missing; allowed: a duration such as 500ms, 3s or 10m`,
		`f:2:3: endpoints.A.poll.schedule: is missing; allowed: a list of gaps such as [5s, 10s, 15s], or interval instead`,
		`f:2:3: endpoints.A.source: is missing; allowed: none, because none is configured`,
		`f:2:3: endpoints.A.url: is missing; allowed: an http or https URL, or callback_url: per_operation instead`,
		`f:2:16: endpoints.A.dialect: "x" is unknown; allowed: paysera, standard, ukrcard`,
		`f:2:19: endpoints.A.delivery.interval: is missing; allowed: a duration such as 500ms, 3s or 10m`,
		`f:2:40: endpoints.A.delivery.attempts: -1 is below 1; allowed: 1 to 1000`,
		`f:3:15: api.listen: "x" is not an address to listen on; allowed: host:port such as 127.0.0.1:8080`,
		`f:4:1: zzz: unknown key; allowed: api, audit, codec, dialects, egress, endpoints, kinds, notices, sources, telemetry`,
	}, strings.Split(err.Error(), "\n"))

	var fault *config.Fault
	require.ErrorAs(t, err, &fault)
	require.Equal(t, 2, fault.Line)
}

// Some editors begin UTF-8 with one (YAML 1.2, 5.2).
func TestAByteOrderMarkBeginsAFile(t *testing.T) {
	setenv(t)
	dir := folder(t)
	_, err := load(t, dir, "\uFEFF"+base)
	require.NoError(t, err)
	_, err = load(t, dir, "\uFEFF# a comment\n"+base)
	require.NoError(t, err)
}

func TestAnEmptyFileIsRefused(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "\n", "# only a comment\n", "---\n", "null", "~ # nothing\n", "&a null\n"} {
		_, err := config.Parse("f", []byte(content))
		require.EqualError(t, err, "f:1:1: the file is empty; allowed: api, audit, codec, dialects, egress, endpoints, kinds, notices, sources, telemetry", "%q", content)
	}
}

func TestAListThatIsTooLongIsRefused(t *testing.T) {
	setenv(t)
	long := strings.Replace(base, "[5s]", "["+strings.Repeat("5s,", 1000)+"5s]", 1)
	_, err := load(t, folder(t), long)
	require.ErrorContains(t, err, "endpoints.SHOP.poll.schedule: has 1001 elements; allowed: at most 1000")
}

// The parser would take minutes; the deadline is far above what the refusal takes.
func TestWhatNestsTooDeepIsRefusedBeforeItIsParsed(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		"x: " + strings.Repeat("[", 100_000):                            "f:1:103: nests too deep here; allowed: 100 levels",
		strings.Repeat("{a: ", 25_000):                                  "f:1:201: nests too deep here; allowed: 100 levels",
		strings.Repeat("- ", 50_000):                                    "f:1:201: nests too deep here; allowed: 100 levels",
		strings.Repeat("? ", 50_000):                                    "f:1:201: nests too deep here; allowed: 100 levels",
		strings.Repeat("a: ", 50_000):                                   "f:1:302: nests too deep here; allowed: 100 levels",
		"a: 1\nx: [1, 2, " + strings.Repeat("&a ", 50_000):              "f:2:305: nests too deep here; allowed: 100 levels",
		"x: " + strings.Repeat("[", 99) + strings.Repeat("!a ", 50_000): "f:1:103: nests too deep here; allowed: 100 levels",
	} {
		refused := make(chan error, 1)
		go func() {
			_, err := config.Parse("f", []byte(document))
			refused <- err
		}()
		select {
		case err := <-refused:
			require.EqualError(t, err, want, document[:20])
		case <-time.After(10 * time.Second):
			require.FailNow(t, "it hangs", document[:20])
		}
	}
}

func TestWhatIsWideOrQuotedDoesNotNest(t *testing.T) {
	t.Parallel()
	for _, document := range []string{
		"x:\n" + strings.Repeat("  - - a\n    - {b: &c [d], e: f}\n", 500),
		"x: [" + strings.Repeat("&a {b: c}, ", 500) + "]",
		"x: '" + strings.Repeat("[", 500) + "'\ny: \"" + strings.Repeat("{a: ", 500) + "\"\nz: |\n  " + strings.Repeat("- ", 500) + "\n# " + strings.Repeat("[", 500) + "\n",
		"x: " + strings.Repeat("[", 90) + strings.Repeat("]", 90),
	} {
		_, err := config.Parse("f", []byte(document))
		require.ErrorContains(t, err, "f:1:1: x: unknown key")
	}
}

// FuzzParse holds that no document makes Parse panic, hang or show what the
// environment holds, and that what it takes it takes again.
func FuzzParse(f *testing.F) {
	f.Setenv("FUZZ_SECRET", "do-not-show-me")
	f.Add(base)
	f.Add(example)
	f.Add(everyKey)
	f.Add(ownEvery)
	f.Add(strings.NewReplacer("\n", "\r", "body.", "bodi.").Replace(ownEvery))
	f.Add("kinds: {k: {details_request: {json: &a {a: [*a, *a]}}}}")
	f.Add("dialects: {d: {json: [1, -0, 1e400, .5, .inf, 0x1F, 1_000, True, ~, 'x', |\n  y\n]}}")
	f.Add("a: [http://h:1]")
	f.Add("a: {b: [http://h:1]}")
	f.Add("a: &a [*a]")
	f.Add("x: " + strings.Repeat("[", 2000))
	f.Add("]}: - {a: ], - b: [" + strings.Repeat("- ? &a !b c: ", 50))
	f.Add("endpoints: {A: {signing: {secrets: ['${env:FUZZ_SECRET}']}}}")
	f.Add("sources: {s: {password: '${file:/dev/zero}'}}")
	dir := folder(f)
	f.Fuzz(func(t *testing.T, content string) {
		name := filepath.Join(dir, "f.yml")
		first, err := config.Parse(name, []byte(content))
		if err != nil {
			require.NotContains(t, err.Error(), "do-not-show-me")
			for line := range strings.Lines(err.Error()) {
				require.Truef(t, strings.HasPrefix(line, name+":") || strings.HasPrefix(line, "read configuration"), "no position: %q", line)
			}
			return
		}
		again, err := config.Parse(name, []byte(content))
		require.NoError(t, err)
		require.Equal(t, first.Hash, again.Hash)
	})
}
