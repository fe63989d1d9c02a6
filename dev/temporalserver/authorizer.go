package temporalserver

import (
	"context"
	"strings"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
)

// TLS are the PEM files with which the frontend speaks TLS, to clients alone that show a
// certificate of the same authority. The server is itself such a client.
type TLS struct{ Certificate, Key, Authority string }

// Call is one call that a client makes of the frontend.
type Call struct {
	// Client is the common name of the client's certificate; empty without TLS.
	Client string
	// APIKey is what the client sends as a bearer token.
	APIKey string
	// Namespace is empty in a call that has none.
	Namespace string
	// Method is the full name of the gRPC method.
	Method string
}

// root is the server's configuration of TLS; nil: none.
func (t *TLS) root() config.RootTLS {
	if t == nil {
		return config.RootTLS{}
	}
	client := config.ClientTLS{RootCAFiles: []string{t.Authority}}
	return config.RootTLS{
		Frontend: config.GroupTLS{
			Server: config.ServerTLS{CertFile: t.Certificate, KeyFile: t.Key, ClientCAFiles: []string{t.Authority}, RequireClientAuth: true},
			Client: client,
		},
		SystemWorker: config.WorkerTLS{CertFile: t.Certificate, KeyFile: t.Key, Client: client},
	}
}

// clientOptions are those of a client of the frontend at address.
func (t *TLS) clientOptions(address, namespace string) (client.Options, error) {
	profile := envconfig.ClientConfigProfile{Address: address, Namespace: namespace}
	if t != nil {
		profile.TLS = &envconfig.ClientConfigTLS{ClientCertPath: t.Certificate, ClientKeyPath: t.Key, ServerCACertPath: t.Authority}
	}
	return profile.ToClientOptions(envconfig.ToClientOptionsRequest{})
}

// allow lets those calls through for which it is true.
type allow func(Call) bool

// GetClaims implements [authorization.ClaimMapper].
func (allow) GetClaims(from *authorization.AuthInfo) (*authorization.Claims, error) {
	claims := &authorization.Claims{Extensions: strings.TrimPrefix(from.AuthToken, "Bearer ")}
	if from.TLSSubject != nil {
		claims.Subject = from.TLSSubject.CommonName
	}
	return claims, nil
}

// Authorize implements [authorization.Authorizer].
func (a allow) Authorize(_ context.Context, by *authorization.Claims, of *authorization.CallTarget) (authorization.Result, error) {
	call := Call{Namespace: of.Namespace, Method: of.APIName}
	if by != nil {
		call.Client = by.Subject
		call.APIKey, _ = by.Extensions.(string)
	}
	if a(call) {
		return authorization.Result{Decision: authorization.DecisionAllow}, nil
	}
	return authorization.Result{Decision: authorization.DecisionDeny}, nil
}
