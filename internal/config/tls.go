package config

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// ClientTLS is our certificate for a server and the authorities that we trust. Cert
// and Key go together.
type ClientTLS struct {
	// Cert and Key are PEM files of our client certificate.
	Cert string `yaml:"cert,omitzero"`
	Key  string `yaml:"key,omitzero"`
	// CA is a PEM file with the authorities trusted instead of the system's.
	CA string `yaml:"ca,omitzero"`

	config     *tls.Config
	commonName string
}

func (t ClientTLS) isSet() bool { return t.Cert != "" || t.Key != "" || t.CA != "" }

// Config is the TLS configuration, nil where nothing is set. It is a copy.
func (t ClientTLS) Config() *tls.Config { return t.config.Clone() }

// ServerTLS is the API's own certificate.
type ServerTLS struct {
	Cert string `yaml:"cert,omitzero"`
	Key  string `yaml:"key,omitzero"`
	// ClientCA is a PEM file: clients must show a certificate of one of its authorities.
	ClientCA string `yaml:"client_ca,omitzero"`

	config *tls.Config
}

// Config is the TLS configuration of the listener. It is a copy.
func (t *ServerTLS) Config() *tls.Config {
	if t == nil {
		return nil
	}
	return t.config.Clone()
}

// clientTLS loads the files that t names.
func (v *validator) clientTLS(path string, t *ClientTLS) {
	if !t.isSet() {
		return
	}
	t.config = &tls.Config{MinVersion: tls.VersionTLS12}
	if t.Cert != "" || t.Key != "" {
		certificate, leaf := v.keyPair(path, t.Cert, t.Key)
		if leaf != nil {
			t.config.Certificates = []tls.Certificate{certificate}
			t.commonName = leaf.Subject.CommonName
		}
	}
	if t.CA != "" {
		t.config.RootCAs = v.authorities(path+".ca", t.CA)
	}
}

func (v *validator) serverTLS(path string, t *ServerTLS) {
	certificate, leaf := v.keyPair(path, t.Cert, t.Key)
	if leaf == nil {
		return
	}
	t.config = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	if t.ClientCA != "" {
		t.config.ClientCAs = v.authorities(path+".client_ca", t.ClientCA)
		t.config.ClientAuth = tls.RequireAndVerifyClientCert
	}
}

// keyPair loads a certificate and its key; leaf is nil on a fault.
func (v *validator) keyPair(path, cert, key string) (pair tls.Certificate, leaf *x509.Certificate) {
	if cert == "" {
		v.missing(path+".cert", "a PEM file with the certificate, beside key")
		return tls.Certificate{}, nil
	}
	if key == "" {
		v.missing(path+".key", "a PEM file with the certificate's key, beside cert")
		return tls.Certificate{}, nil
	}
	certPEM, certOK := v.pem(path+".cert", cert, false)
	keyPEM, keyOK := v.pem(path+".key", key, true)
	if !certOK || !keyOK {
		return tls.Certificate{}, nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		v.fault(path+".cert", "%w; allowed: a certificate and its key as PEM files", err)
		return tls.Certificate{}, nil
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		v.warn(path+".cert", "this certificate expired on %s", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return pair, pair.Leaf
}

func (v *validator) authorities(path, file string) *x509.CertPool {
	content, ok := v.pem(path, file, false)
	if !ok {
		return nil
	}
	pool := x509.NewCertPool()
	v.require(pool.AppendCertsFromPEM(content), path, "%s contains no certificate; allowed: a PEM file with one or more", quote(file))
	return pool
}

// pem reads a file and makes its content part of the configuration's hash.
func (v *validator) pem(path, file string, private bool) ([]byte, bool) {
	content, err := v.readFile(path, file, private)
	if err != nil {
		v.fault(path, "%w", err)
		return nil, false
	}
	v.secrets[path] = string(content)
	return content, true
}
