package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"
)

// TLSFiles names PEM files for TLS. Empty names: the system's authorities, and
// no client certificate.
type TLSFiles struct {
	// CA holds the authorities to trust, and no others.
	CA string
	// Cert is the client certificate; Key is its key, by default in the same file.
	Cert, Key string
}

// Transport is a transport for [Client.HTTP] that uses the files. They are read
// once.
func (f TLSFiles) Transport() (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("reading the API's authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the API's authorities: %s holds no certificate in PEM", f.CA)
		}
	}
	if f.Cert != "" {
		if f.Key == "" {
			f.Key = f.Cert
		}
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate (%s, key %s): %w", f.Cert, f.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
	}, nil
}
