package main

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"

	"ringback/api/client"
)

// listener is one of the two that a program has, and how to say where it is.
type listener struct{ flag, section, variable, fallback string }

var (
	apiListener    = listener{"--api", "api", apiVariable, defaultAPI}
	probesListener = listener{"--telemetry", "telemetry", telemetryVariable, defaultTelemetry}
)

const (
	defaultAPI        = "http://127.0.0.1:8080"
	apiVariable       = "RINGBACK_API"
	defaultTelemetry  = "http://127.0.0.1:9464"
	telemetryVariable = "RINGBACK_TELEMETRY"

	keyVariable = "RINGBACK_API_KEY"

	caVariable      = "RINGBACK_CA"
	certVariable    = "RINGBACK_CERT"
	certKeyVariable = "RINGBACK_CERT_KEY"
)

// connect is a client of the API that the flags, the configuration file and the
// environment name. It repeats nothing: a person sees at once what is wrong.
func (t *tool) connect() (*client.Client, error) {
	if t.timeout <= 0 {
		return nil, usage("--timeout %s is not above 0", t.timeout)
	}
	base, err := t.address()
	if err != nil {
		return nil, err
	}
	key, err := t.key()
	if err != nil {
		return nil, err
	}
	transport, err := t.transport()
	if err != nil {
		return nil, err
	}
	api := &client.Client{Base: base.String(), Key: key, Insecure: t.insecure, MaxAttempts: 1,
		HTTP: http.Client{Transport: transport, Timeout: t.timeout}}
	if err := api.Check(); err != nil {
		return nil, usage("%w: use https, or --insecure where the network encrypts by itself", err)
	}
	return api, nil
}

func (t *tool) address() (*url.URL, error) {
	l, given := t.listener(), t.api
	if l == probesListener {
		given = t.telemetry
	}
	switch {
	case given != "":
		return baseURL(l.flag, given)
	case t.config != "":
		return l.addressIn(t.config)
	}
	return baseURL(l.variable, cmp.Or(t.getenv(l.variable), l.fallback))
}

// listener is the one that the command calls.
func (t *tool) listener() listener {
	if t.probes {
		return probesListener
	}
	return apiListener
}

func baseURL(origin, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, usage("%s is not a URL such as %s", origin, defaultAPI)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// addressIn is where a program with that configuration file listens. No secret of the
// file is resolved: an engineer need not hold them.
func (l listener) addressIn(path string) (*url.URL, error) {
	type section struct {
		Listen string `yaml:"listen"`
		TLS    any    `yaml:"tls"`
	}
	var parts struct {
		API       section `yaml:"api"`
		Telemetry section `yaml:"telemetry"`
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(data, &parts)
	}
	if err != nil {
		return nil, usage("reading --config %s: %w", path, err)
	}
	listens := parts.API.Listen
	if l == probesListener {
		listens = parts.Telemetry.Listen
	}
	host, port, err := net.SplitHostPort(cmp.Or(listens, strings.TrimPrefix(l.fallback, "http://")))
	if err != nil {
		return nil, usage("--config %s: %s.listen is not host:port: %w", path, l.section, err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	scheme := "http"
	if parts.API.TLS != nil {
		scheme = "https"
	}
	return baseURL(l.section+".listen", scheme+"://"+net.JoinHostPort(host, port))
}

// key is the API key without its line break; it is never shown.
func (t *tool) key() (string, error) {
	origin, text := keyVariable, t.getenv(keyVariable)
	if t.keyFile != "" {
		data, err := t.readSecret("--key-file", t.keyFile)
		if err != nil {
			return "", err
		}
		origin, text = "--key-file "+t.keyFile, data
	}
	key := strings.TrimSpace(text)
	if strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", usage("%s holds something else than one API key", origin)
	}
	return key, nil
}

// readSecret reads a file that is not empty, and warns if others may read it.
func (t *tool) readSecret(flag, path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", usage("reading %s: %w", flag, err)
	}
	if strings.TrimSpace(string(data)) == "" {
		return "", usage("%s %s is empty", flag, path)
	}
	t.warnIfReadable(path)
	return string(data), nil
}

func (t *tool) warnIfReadable(path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		t.note("warning: others may read %s (%s)", path, info.Mode().Perm())
	}
}

func (t *tool) transport() (*http.Transport, error) {
	files := client.TLSFiles{
		CA:   cmp.Or(t.tls.CA, t.getenv(caVariable)),
		Cert: cmp.Or(t.tls.Cert, t.getenv(certVariable)),
		Key:  cmp.Or(t.tls.Key, t.getenv(certKeyVariable)),
	}
	if files.Key != "" && files.Cert == "" {
		return nil, usage("--cert-key or %s is given without a certificate: --cert or %s", certKeyVariable, certVariable)
	}
	transport, err := files.Transport()
	if err != nil {
		return nil, usage("%w (--ca, --cert and --cert-key name the files)", err)
	}
	if files.Cert != "" {
		t.warnIfReadable(cmp.Or(files.Key, files.Cert))
	}
	transport.DisableKeepAlives = true // one run makes a handful of requests
	return transport, nil
}
