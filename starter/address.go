package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"
)

const (
	defaultAPI  = "http://127.0.0.1:8080"
	apiVariable = "RINGBACK_API"
	keyVariable = "RINGBACK_API_KEY"

	caVariable      = "RINGBACK_CA"
	certVariable    = "RINGBACK_CERT"
	certKeyVariable = "RINGBACK_CERT_KEY"
)

// client is the API as the flags, the file and the environment say.
func (t *tool) client() (*client, error) {
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
	if key != "" && base.Scheme == "http" && !isLoopback(base.Hostname()) {
		_, _ = fmt.Fprintf(t.err, "starter: warning: the API key travels to %s unencrypted\n", base.Host)
	}
	return &client{base: base, key: key, http: &http.Client{Transport: transport, CheckRedirect: noRedirect}}, nil
}

// noRedirect keeps the key from being carried elsewhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (t *tool) address() (*url.URL, error) {
	switch {
	case t.api != "":
		return baseURL("--api", t.api)
	case t.config != "":
		return addressIn(t.config)
	case t.getenv(apiVariable) != "":
		return baseURL(apiVariable, t.getenv(apiVariable))
	}
	return baseURL("the default", defaultAPI)
}

func baseURL(whence, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, usage("%s is not a URL such as %s", whence, defaultAPI)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// addressIn is where the API of that configuration file listens. Only this is
// read of it, and no secret is resolved: an engineer need not hold them.
func addressIn(path string) (*url.URL, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("reading --config: %w", err)
	}
	var file struct {
		API struct {
			Listen string `yaml:"listen"`
			TLS    any    `yaml:"tls"`
		} `yaml:"api"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, usage("reading --config %s: %w", path, err)
	}
	if file.API.Listen == "" {
		file.API.Listen = strings.TrimPrefix(defaultAPI, "http://")
	}
	host, port, err := net.SplitHostPort(file.API.Listen)
	if err != nil {
		return nil, usage("--config %s: api.listen is not host:port: %w", path, err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	scheme := "http"
	if file.API.TLS != nil {
		scheme = "https"
	}
	return baseURL("api.listen", scheme+"://"+net.JoinHostPort(host, port))
}

func (t *tool) key() (string, error) {
	if t.keyFile == "" {
		return soundKey(keyVariable, t.getenv(keyVariable))
	}
	info, err := os.Stat(t.keyFile)
	if err != nil {
		return "", usage("reading --key-file: %w", err)
	}
	data, err := os.ReadFile(t.keyFile)
	if err != nil {
		return "", usage("reading --key-file: %w", err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		_, _ = fmt.Fprintf(t.err, "starter: warning: others may read %s (%s)\n", t.keyFile, info.Mode().Perm())
	}
	key, err := soundKey("--key-file "+t.keyFile, string(data))
	if err == nil && key == "" {
		return "", usage("--key-file %s is empty", t.keyFile)
	}
	return key, err
}

// soundKey is the key without the line's end; it is never shown.
func soundKey(whence, text string) (string, error) {
	key := strings.TrimSpace(text)
	if strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", usage("%s holds something else than one API key", whence)
	}
	return key, nil
}

func (t *tool) transport() (*http.Transport, error) {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		// One run makes a handful of requests.
		DisableKeepAlives: true,
	}
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	return transport, errors.Join(t.trust(transport.TLSClientConfig), t.show(transport.TLSClientConfig))
}

// trust says whose certificate the API must have: the system's authorities',
// or those of one file alone.
func (t *tool) trust(c *tls.Config) error {
	whence, file := t.fileOf("--ca", t.caFile, caVariable)
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return usage("reading %s: %w", whence, err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return usage("%s %s holds no certificate in PEM", whence, file)
	}
	return nil
}

// show reads the client certificate, if there is one.
func (t *tool) show(c *tls.Config) error {
	whence, cert := t.fileOf("--cert", t.certFile, certVariable)
	keyWhence, key := t.fileOf("--cert-key", t.certKeyFile, certKeyVariable)
	switch {
	case cert == "" && key == "":
		return nil
	case cert == "":
		return usage("%s is given without a certificate: --cert, or %s", keyWhence, certVariable)
	case key == "":
		keyWhence, key = whence, cert
	}
	if info, err := os.Stat(key); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		t.note("warning: others may read %s (%s)", key, info.Mode().Perm())
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return usage("reading the client certificate (%s, %s): %w", whence, keyWhence, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}

// fileOf is the file that a flag names, else one that a variable does, and
// which of both said so.
func (t *tool) fileOf(flag, value, variable string) (whence, file string) {
	if value != "" {
		return flag, value
	}
	return variable, t.getenv(variable)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
