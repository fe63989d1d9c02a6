package smoke

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap/zapcore"

	"ringback/dev/simulator"
	"ringback/dev/temporalserver"
	"ringback/internal/app"
	"ringback/internal/zaplog"
)

func TestSmoke(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	srv, err := temporalserver.Start(ctx, temporalserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := simulator.StartWSGate("127.0.0.1:0", simulator.WSGateOptions{Login: "gold", Password: "secret1", ExtSystemID: "ECOM", ClientDN: "GOLD"})
	if err != nil {
		t.Fatal(err)
	}
	rcv, _ := simulator.StartReceiver("127.0.0.1:0", "ukrcard")
	os.Setenv("PW", "secret1")
	cfg := fmt.Sprintf(`
egress: {allow: [127.0.0.0/8]}
sources:
  wsgate: {kind: ukrcard, base_urls: ["%s"], ext_system_id: ECOM, login: gold, password: "${env:PW}", client_dn: GOLD}
endpoints:
  ECOM:
    {dialect: ukrcard, source: wsgate, url: "%s/cb", poll: {schedule: [500ms, 1s, 6s, 1s], lifetime: 20m}, delivery: {interval: 50ms, attempts: 5, timeout: 10s}}
  SLOW:
    {dialect: ukrcard, source: wsgate, url: "%s/cb", poll: {schedule: [500ms, 500ms], lifetime: 20m}, delivery: {interval: 6s, attempts: 3, timeout: 10s}}
`, gate.URL(), rcv.URL(), rcv.URL())
	path := filepath.Join(t.TempDir(), "c.yml")
	os.WriteFile(path, []byte(cfg), 0o600)
	started := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		done <- app.Run(ctx, app.Options{ConfigPath: path, Temporal: client.Options{HostPort: srv.FrontendAddr()}, API: true, Worker: true, Listen: "127.0.0.1:0",
			Log: zaplog.NewConsole(os.Stderr, zapcore.InfoLevel), Started: func(a string) { started <- a }})
	}()
	addr := <-started
	do := func(method, p, body string) string {
		req, _ := http.NewRequest(method, "http://"+addr+p, bytes.NewBufferString(body))
		req.Header.Set("Content-Type", "application/json")
		begun := time.Now()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		fmt.Println(method, p, res.StatusCode, time.Since(begun).Round(time.Millisecond/10), string(b))
		return string(b)
	}
	gate.Script("A1", simulator.WSGateAnswer{OrderStatus: 2})
	do("POST", "/v1/operations", `{"endpoint":"ECOM","operation_id":"A1","method":"payment","reference":{"registered_at":"2026-11-21T09:00:00+02:00"}}`)
	time.Sleep(200 * time.Millisecond)
	do("GET", "/v1/operations/ECOM/A1", "")
	do("POST", "/v1/operations", `{"endpoint":"ECOM","operation_id":"A1","method":"payment","reference":{"registered_at":"2026-11-21T09:00:00+02:00"}}`)
	gate.Script("A2", simulator.WSGateAnswer{OrderStatus: 0}, simulator.WSGateAnswer{OrderStatus: 0}, simulator.WSGateAnswer{OrderStatus: 2})
	rcv.Script("A2", simulator.Reply{HTTPStatus: 500}, simulator.Reply{HTTPStatus: 500}, simulator.Reply{HTTPStatus: 500}, simulator.Acknowledge)
	do("POST", "/v1/operations", `{"endpoint":"ECOM","operation_id":"A2","method":"payment","reference":{"registered_at":"2026-11-21T09:00:00+02:00"}}`)
	for range 4 {
		time.Sleep(600 * time.Millisecond)
		do("GET", "/v1/operations/ECOM/A2", "")
	}
	gate.Script("B1", simulator.WSGateAnswer{OrderStatus: 0}, simulator.WSGateAnswer{OrderStatus: 5})
	rcv.Script("B1", simulator.Reply{HTTPStatus: 500})
	do("POST", "/v1/operations", `{"endpoint":"SLOW","operation_id":"B1","method":"payment","reference":{"registered_at":"2026-11-21T09:00:00+02:00"}}`)
	for range 16 {
		time.Sleep(1000 * time.Millisecond)
		do("GET", "/v1/operations/SLOW/B1", "")
	}
	rcv.Script("B1", simulator.Acknowledge)
	do("POST", "/v1/operations/SLOW/B1/redelivery", "")
	time.Sleep(300 * time.Millisecond)
	do("GET", "/v1/operations/SLOW/B1", "")
	gate.Script("C1", simulator.WSGateAnswer{OrderStatus: 0})
	do("POST", "/v1/operations", `{"endpoint":"ECOM","operation_id":"C1","method":"payment","reference":{"registered_at":"2026-11-21T09:00:00+02:00"}}`)
	do("POST", "/v1/operations/ECOM/C1/status", `{"status":"2"}`)
	time.Sleep(300 * time.Millisecond)
	do("GET", "/v1/operations/ECOM/C1", "")
	gate.Script("C2", simulator.WSGateAnswer{OrderStatus: 0})
	do("POST", "/v1/operations", `{"endpoint":"ECOM","operation_id":"C2","method":"payment","reference":{"registered_at":"2026-11-21T09:00:00+02:00"}}`)
	do("POST", "/v1/operations/ECOM/C2/revocation", `{"initiated_by":"core","reason":"x"}`)
	do("POST", "/v1/operations/ECOM/C2/revocation", `{"initiated_by":"core","reason":"x"}`)
	do("DELETE", "/v1/operations/ECOM/C2", ``)
	gate.Script("C3", simulator.WSGateAnswer{OrderStatus: 0})
	do("POST", "/v1/operations", `{"endpoint":"ECOM","operation_id":"C3","method":"payment","reference":{"registered_at":"2026-11-21T09:00:00+02:00"}}`)
	do("DELETE", "/v1/operations/ECOM/C3", ``)
	time.Sleep(600 * time.Millisecond)
	do("GET", "/v1/operations/ECOM/C3", "")
	do("GET", "/v1/operations/ECOM/C3/details", "")
	do("GET", "/v1/operations", "")
	for _, r := range rcv.Received("") {
		fmt.Println(r.At.Format("05.000"), r.Operation, r.Status, r.Attempt, r.Gap, string(r.Body))
	}
	cancel()
	fmt.Println(<-done)
	srv.Stop()
}
