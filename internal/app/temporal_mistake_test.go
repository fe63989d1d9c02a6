package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"ringback/internal/operation"
	"ringback/internal/service"
	"ringback/workflows"
)

// refusing is a Temporal server that refuses what it is told to.
type refusing struct {
	workflowservice.UnimplementedWorkflowServiceServer
	operatorservice.UnimplementedOperatorServiceServer
	namespace, search, add error
}

func (r refusing) DescribeNamespace(context.Context, *workflowservice.DescribeNamespaceRequest) (*workflowservice.DescribeNamespaceResponse, error) {
	return &workflowservice.DescribeNamespaceResponse{}, r.namespace
}

func (r refusing) CountWorkflowExecutions(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	return &workflowservice.CountWorkflowExecutionsResponse{}, r.search
}

func (r refusing) AddSearchAttributes(context.Context, *operatorservice.AddSearchAttributesRequest) (*operatorservice.AddSearchAttributesResponse, error) {
	return nil, r.add
}

// serveTemporal serves on the loopback address; config nil: without TLS.
func serveTemporal(t *testing.T, served refusing, config *tls.Config) (address string) {
	t.Helper()
	listener, listening := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, listening)
	var options []grpc.ServerOption
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	server := grpc.NewServer(options...)
	for _, err := range []*error{&served.namespace, &served.search, &served.add} {
		*err = serviceerror.ToStatus(*err).Err()
	}
	workflowservice.RegisterWorkflowServiceServer(server, served)
	operatorservice.RegisterOperatorServiceServer(server, served)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// using is a program that is to connect to Temporal as o says, and what it logs.
func using(t *testing.T, o client.Options) (*process, *observer.ObservedLogs) {
	t.Helper()
	o.Namespace = "shop"
	core, logs := observer.New(zapcore.InfoLevel)
	p := &process{Options: Options{ConfigPath: filepath.Join(t.TempDir(), "ringback.yml"), Temporal: o, Log: zap.New(core)}, registry: prometheus.NewRegistry()}
	write(t, p.ConfigPath, keyedConfig)
	require.NoError(t, p.prepare(t.Context()))
	t.Cleanup(p.client.Close)
	return p, logs
}

func TestAMistakeInWhereTemporalIsIsNamed(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	serves := func(version uint16) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ours.pair(t, "temporal")}, MinVersion: version, MaxVersion: version}
	}
	asks := func(version uint16) *tls.Config {
		config := serves(version)
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, ours.pool()
		return config
	}
	trusts := func(a authority) client.ConnectionOptions {
		return client.ConnectionOptions{TLS: &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}}
	}
	otherName := trusts(ours)
	otherName.TLS.ServerName = "temporal.example"
	shows := trusts(ours)
	shows.TLS.Certificates = []tls.Certificate{ours.pair(t, "worker")}
	plain := client.ConnectionOptions{TLSDisabled: true}
	key := client.NewAPIKeyStaticCredentials("a key")

	for name, tc := range map[string]struct {
		answers error
		serves  *tls.Config
		options client.Options
		want    string
	}{
		"no such namespace":              {serviceerror.NewNamespaceNotFound("shop"), nil, client.Options{}, "the namespace \"shop\" is not there: make it by `temporal operator namespace create --namespace shop"},
		"no API key":                     {serviceerror.NewPermissionDenied("", ""), nil, client.Options{}, "set TEMPORAL_API_KEY to a key for the namespace \"shop\""},
		"a certificate without rights":   {serviceerror.NewPermissionDenied("", ""), asks(tls.VersionTLS13), client.Options{ConnectionOptions: shows}, "does not let this program's certificate into the namespace \"shop\""},
		"an API key without rights":      {serviceerror.NewPermissionDenied("", ""), nil, client.Options{Credentials: key, ConnectionOptions: plain}, "Temporal refuses the API key"},
		"an API key that has expired":    {status.Error(codes.Unauthenticated, ""), nil, client.Options{Credentials: key, ConnectionOptions: plain}, "Temporal refuses the API key"},
		"an API key with a newline":      {nil, nil, client.Options{Credentials: client.NewAPIKeyStaticCredentials("a key\n"), ConnectionOptions: plain}, "set TEMPORAL_API_KEY to the key without it"},
		"TLS where none is spoken":       {nil, nil, client.Options{ConnectionOptions: trusts(ours)}, "Temporal speaks no TLS and this program does"},
		"no TLS where it is spoken":      {nil, serves(tls.VersionTLS13), client.Options{}, "Temporal speaks TLS and this program does not"},
		"nothing where all is asked for": {nil, asks(tls.VersionTLS12), client.Options{}, "Temporal speaks TLS and this program does not"},
		"another name":                   {nil, serves(tls.VersionTLS13), client.Options{ConnectionOptions: otherName}, "another name (tls: failed to verify certificate: x509: certificate is not valid for any names, but wanted to match temporal.example)"},
		"another authority":              {nil, serves(tls.VersionTLS13), client.Options{ConnectionOptions: trusts(others)}, "is not trusted (tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		"no certificate, TLS 1.3":        {nil, asks(tls.VersionTLS13), client.Options{ConnectionOptions: trusts(ours)}, "or that it has none (remote error: tls: certificate required)"},
		"no certificate, TLS 1.2":        {nil, asks(tls.VersionTLS12), client.Options{ConnectionOptions: trusts(ours)}, "or that it has none (remote error: tls: "},
		"a server that is busy":          {serviceerror.NewUnavailable("busy"), nil, client.Options{}, ""},
		"a server that is busy, by TLS":  {serviceerror.NewUnavailable("busy"), serves(tls.VersionTLS13), client.Options{ConnectionOptions: trusts(ours)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.options.HostPort = serveTemporal(t, refusing{namespace: tc.answers}, tc.serves)
			p, _ := using(t, tc.options)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // which the SDK tries for
			defer cancel()
			err := p.tryConnect(ctx)
			require.Error(t, err)
			got := p.mistake(t.Context(), err)
			require.Equal(t, tc.want == "", got == "", got)
			require.Contains(t, got, tc.want)
		})
	}
	t.Run("a host that does not resolve", func(t *testing.T) {
		t.Parallel()
		for _, options := range []client.Options{{}, {ConnectionOptions: trusts(ours)}} {
			options.HostPort = "nobody.invalid:7233"
			p, _ := using(t, options)
			require.Contains(t, p.mistake(t.Context(), context.DeadlineExceeded), "the host in TEMPORAL_ADDRESS is not known")
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		p, _ := using(t, client.Options{HostPort: "127.0.0.1:1"})
		require.Empty(t, p.mistake(t.Context(), context.DeadlineExceeded))
	})
}

func TestAProgramThatMayNotAddSearchAttributesNeedsThemToBeThere(t *testing.T) {
	t.Parallel()
	missing := serviceerror.NewInvalidArgument("invalid query: invalid search attribute: RingbackEndpoint")
	for name, tc := range map[string]struct {
		served refusing
		want   string
	}{
		"they are there, and all of OperatorService is refused": {refusing{add: serviceerror.NewPermissionDenied("", "")}, ""},
		"one is missing, and the right to add it":               {refusing{search: missing, add: serviceerror.NewPermissionDenied("", "")}, "have them added by `temporal operator search-attribute create --namespace shop --name RingbackEndpoint --type Keyword --name "},
		"one is missing, and OperatorService is not served":     {refusing{search: missing, add: serviceerror.NewUnimplemented("")}, "search attributes are missing in the namespace \"shop\", and this program may not add them"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := using(t, client.Options{HostPort: serveTemporal(t, tc.served, nil)})
			_, err := p.service.PrepareNamespace(t.Context())
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, service.ErrAttributesMissing)
			require.Contains(t, p.mistake(t.Context(), err), tc.want)
		})
	}
}

func TestTheDocumentAddsTheSearchAttributes(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/deploy/temporal.md")
	require.NoError(t, err)
	document := strings.ReplaceAll(string(content), " \\\n  ", " ")
	require.Contains(t, document, "\n"+addAttributes("ringback")+"\n")
	tcld := "tcld namespace search-attributes add --namespace ringback.a1b2c"
	for _, key := range workflows.Attributes {
		tcld += fmt.Sprintf(" --search-attribute %s=%s", key.GetName(), key.GetValueType())
	}
	require.Contains(t, document, "\n"+tcld+"\n")
}

func TestAMistakeIsTriedAgainMoreAndMoreSeldom(t *testing.T) {
	t.Parallel()
	p, logs := using(t, client.Options{HostPort: serveTemporal(t, refusing{namespace: serviceerror.NewNamespaceNotFound("shop")}, nil)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.connect(ctx) }()
	said := func() []observer.LoggedEntry {
		return logs.FilterMessage("Temporal cannot be used as it is set here").All()
	}
	require.Eventually(t, func() bool { return len(said()) >= 2 }, 30*time.Second, 10*time.Millisecond)
	for _, err := range []error{p.ready(t.Context()), p.checkReachable()} {
		require.ErrorContains(t, err, "says what to mend")
		refused, ok := errors.AsType[*operation.Error](err)
		require.True(t, ok)
		require.Equal(t, 30*time.Second, refused.RetryAfter)
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	for i, wait := range []time.Duration{time.Second, 2 * time.Second} {
		require.Equal(t, wait, said()[i].ContextMap()["trying_again_in"])
		require.Contains(t, said()[i].ContextMap()["mistake"], "temporal operator namespace create")
	}
}
