package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/api/client"
	"ringback/api/rest"
	"ringback/internal/operation"
)

func acknowledgedPing() client.Ping {
	return client.Ping{
		Endpoint: "LEDGER", OperationID: "ringback-ping-mfrggzdfmz", CallbackID: "cb_ping_mfrggzdfmz", Dialect: "standard", Signed: true,
		At: at(15), TookMS: 12, Verdict: client.Acknowledged,
		Connection: &client.PingConnection{RemoteAddress: "203.0.113.7:443", TLSVersion: "TLS 1.3", ServerCertificate: "CN=ledger.example", ClientCertificate: "CN=ringback"},
		Request: operation.SentRequest{
			Line: "POST /hooks HTTP/1.1",
			Headers: []client.HeaderLine{
				{Name: "Host", Value: "ledger.example"}, {Name: "Authorization", Value: "[redacted]"}, {Name: "Webhook-Id", Value: "cb_ping_mfrggzdfmz"},
			},
			Body: `{"type":"ringback.ping"}`,
		},
		Answer: &operation.ReceivedAnswer{
			Line: "HTTP/1.1 200 OK", HTTPStatus: 200, Headers: []client.HeaderLine{{Name: "X", Value: "\x1b[31m"}},
			Body: "thank\nyou\x07", Truncated: true,
		},
	}
}

func TestPingShowsTheExchangeAndExitsByTheVerdict(t *testing.T) {
	t.Parallel()
	refused := acknowledgedPing()
	refused.Verdict, refused.Reason, refused.Signed = client.Unacknowledged, "no answer: connection refused", false
	refused.Answer, refused.Connection = nil, nil
	for name, tt := range map[string]struct {
		ping  client.Ping
		args  []string
		asked operation.PingRequest
		code  int
	}{
		"ping":         {acknowledgedPing(), nil, operation.PingRequest{}, exitOK},
		"ping-url":     {acknowledgedPing(), []string{"--url", "https://a.example/"}, operation.PingRequest{URL: "https://a.example/"}, exitOK},
		"ping-refused": {refused, nil, operation.PingRequest{}, exitUnacknowledged},
		"ping-json":    {refused, []string{"-o", "json"}, operation.PingRequest{}, exitUnacknowledged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{ping: tt.ping}
			got := place{}.at(t, f).run(context.Background(), append([]string{"ping", "LEDGER"}, tt.args...)...)
			require.Equal(t, tt.code, got.code, got.err)
			require.Equal(t, []any{"LEDGER", tt.asked}, f.calls())
			golden(t, name, got.out)
			if tt.code != exitOK {
				require.Equal(t, "starter: LEDGER did not acknowledge: no answer: connection refused\n", got.err)
			}
		})
	}
	got := place{}.at(t, &fake{err: &operation.Error{Problem: rest.ProblemTooManyRequests, Detail: "Wait."}}).run(context.Background(), "ping", "LEDGER")
	require.Equal(t, exitUnavailable, got.code, "a ping that was not made is no verdict of the receiver's")
}
