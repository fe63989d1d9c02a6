package app

import (
	"crypto/tls"
	"fmt"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"ringback/internal/config"
)

// temporalOptions are those of TEMPORAL_* and temporal.toml. The files of a client
// certificate are read for each connection, so that a renewed one needs no restart.
func temporalOptions() (client.Options, error) {
	profile, err := envconfig.LoadClientConfigProfile(envconfig.LoadClientConfigProfileOptions{})
	var options client.Options
	if err == nil {
		options, err = profile.ToClientOptions(envconfig.ToClientOptionsRequest{})
	}
	if err != nil {
		return client.Options{}, fmt.Errorf("reading where Temporal is from TEMPORAL_* and temporal.toml: %w", config.Denied(err, "0640"))
	}
	if shown := options.ConnectionOptions.TLS; shown != nil && profile.TLS != nil && profile.TLS.ClientCertPath != "" {
		shown.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(profile.TLS.ClientCertPath, profile.TLS.ClientKeyPath)
			if err != nil {
				return nil, fmt.Errorf("reading the client certificate for Temporal, %s: %w", profile.TLS.ClientCertPath, config.Denied(err, "0640"))
			}
			return &pair, nil
		}
	}
	return options, nil
}
