package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc/codes"

	"ringback/internal/service"
	"ringback/workflows"
)

// mistake says which setting keeps this program from Temporal, and how to mend it, after
// a call failed with err. It is empty where waiting may help.
func (p *process) mistake(ctx context.Context, err error) string {
	namespace := p.Temporal.Namespace
	if _, missing := errors.AsType[*serviceerror.NamespaceNotFound](err); missing {
		return fmt.Sprintf("the namespace %q is not there: make it by `temporal operator namespace create --namespace %s --retention 30d`, or set TEMPORAL_NAMESPACE to another",
			namespace, namespace)
	}
	if errors.Is(err, service.ErrAttributesMissing) {
		return fmt.Sprintf("search attributes are missing in the namespace %q, and this program may not add them: have them added by `%s`; on Temporal Cloud, see docs/deploy/temporal.md",
			namespace, addAttributes(namespace))
	}
	switch code := serviceerror.ToStatus(err).Code(); {
	case strings.Contains(err.Error(), `header key "authorization" contains value with non-printable`): // gRPC's, before it calls
		return "the API key has a line break at its end, or another character that no header may have: set TEMPORAL_API_KEY to the key without it"
	case code != codes.PermissionDenied && code != codes.Unauthenticated:
		return p.mistakeInTLS(ctx)
	case p.Temporal.Credentials == nil && p.presentsCertificate():
		return fmt.Sprintf("Temporal does not let this program's certificate into the namespace %q: give it the right there, or set TEMPORAL_API_KEY", namespace)
	case p.Temporal.Credentials == nil:
		return fmt.Sprintf("Temporal lets nobody in without a credential: set TEMPORAL_API_KEY to a key for the namespace %q", namespace)
	default:
		return fmt.Sprintf("Temporal refuses the API key: set TEMPORAL_API_KEY to one that has not expired, for the namespace %q", namespace)
	}
}

// addAttributes is the command that adds all search attributes; it leaves alone those
// that are there.
func addAttributes(namespace string) string {
	command := "temporal operator search-attribute create --namespace " + namespace
	for _, key := range workflows.Attributes {
		command += fmt.Sprintf(" --name %s --type %s", key.GetName(), key.GetValueType())
	}
	return command
}

func (p *process) presentsCertificate() bool {
	settings := p.Temporal.ConnectionOptions.TLS
	return settings != nil && (len(settings.Certificates) > 0 || settings.GetClientCertificate != nil)
}

// mistakeInTLS greets Temporal by TLS: gRPC tells these failures from a server that is
// away by their text alone.
func (p *process) mistakeInTLS(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	configured := p.Temporal.ConnectionOptions.TLS
	if configured == nil {
		err := greet(ctx, p.Temporal.HostPort, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nothing is sent
		if _, unresolved := errors.AsType[*net.DNSError](err); unresolved {
			return notKnown(err)
		}
		if err == nil || isAlert(err) {
			return "Temporal speaks TLS and this program does not: set TEMPORAL_TLS=true, and TEMPORAL_TLS_SERVER_CA_CERT_PATH where the authority is your own"
		}
		return ""
	}
	err := greet(ctx, p.Temporal.HostPort, configured.Clone())
	_, unresolved := errors.AsType[*net.DNSError](err)
	_, speaksNone := errors.AsType[tls.RecordHeaderError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, invalid := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case unresolved:
		return notKnown(err)
	case speaksNone:
		return "Temporal speaks no TLS and this program does: set TEMPORAL_TLS=false; an API key and the other TEMPORAL_TLS_… variables switch it on"
	case otherName:
		return fmt.Sprintf("Temporal's certificate has another name (%v): set TEMPORAL_TLS_SERVER_NAME, or the host in TEMPORAL_ADDRESS, to one that it has", err)
	case unknown:
		return fmt.Sprintf("Temporal's certificate is not trusted (%v): set TEMPORAL_TLS_SERVER_CA_CERT_PATH to that of its authority", err)
	case invalid:
		return fmt.Sprintf("Temporal's certificate is not valid (%v): renew it there", err)
	case isAlert(err):
		return fmt.Sprintf("Temporal refuses the certificate of this program, or that it has none (%v): set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH", err)
	}
	return ""
}

func notKnown(err error) string {
	return fmt.Sprintf("the host in TEMPORAL_ADDRESS is not known (%v): set it to one that resolves here", err)
}

// greet makes a connection by TLS and reads the first byte: with TLS 1.3 a server that
// wants a certificate says so only after the client's handshake.
func greet(ctx context.Context, address string, config *tls.Config) error {
	config.NextProtos = []string{"h2"}
	address = address[strings.LastIndex(address, "/")+1:] // without gRPC's scheme
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	if _, err = conn.Read(make([]byte, 1)); isAlert(err) {
		return err
	}
	return nil
}

// isAlert reports whether the other side of a connection refused it in TLS's own words.
func isAlert(err error) bool {
	failed, ok := errors.AsType[*net.OpError](err)
	return ok && failed.Op == "remote error"
}
