package scratch

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

	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"ringback/dev/simulator"
	"ringback/dev/temporalserver"
	"ringback/internal/app"
	"ringback/internal/zaplog"
)

func TestOper(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	srv, err := temporalserver.Start(ctx, temporalserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gate, _ := simulator.StartWSGate("127.0.0.1:0", simulator.WSGateOptions{Login: "gold", Password: "secret1", ExtSystemID: "ECOM", ClientDN: "GOLD"})
	rcv, _ := simulator.StartReceiver("127.0.0.1:0", "ukrcard")
	os.Setenv("PW", "secret1")
	cfg := fmt.Sprintf(`
egress: {allow: [127.0.0.0/8]}
sources:
  wsgate: {kind: ukrcard, base_urls: ["%s"], ext_system_id: ECOM, login: gold, password: "${env:PW}", client_dn: GOLD}
endpoints:
  SLOW:
    {dialect: ukrcard, source: wsgate, url: "%s/cb", poll: {schedule: [500ms, 500ms], lifetime: 20m}, delivery: {interval: 6s, attempts: 4, timeout: 10s}}
`, gate.URL(), rcv.URL())
	path := filepath.Join(t.TempDir(), "c.yml")
	os.WriteFile(path, []byte(cfg), 0o600)
	started := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		done <- app.Run(ctx, app.Options{ConfigPath: path, Temporal: client.Options{HostPort: srv.FrontendAddr()}, API: true, Worker: true, Listen: "127.0.0.1:0",
			Log: zaplog.NewConsole(io.Discard, zapcore.InfoLevel), Started: func(a string) { started <- a }})
	}()
	addr := <-started
	do := func(method, p, body string) string {
		req, _ := http.NewRequest(method, "http://"+addr+p, bytes.NewBufferString(body))
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		return string(b)
	}
	c, _ := client.Dial(client.Options{HostPort: srv.FrontendAddr()})
	ws := c.WorkflowService()
	rcv.Default(simulator.Reply{HTTPStatus: 500})
	t0 := time.Now()
	say := func(f string, a ...any) { fmt.Printf("%6.2f "+f+"\n", append([]any{time.Since(t0).Seconds()}, a...)...) }
	for _, id := range []string{"PAUSE", "EDITH", "EDITK", "RESET", "RESETHB", "NONE"} {
		gate.Script(id, simulator.WSGateAnswer{OrderStatus: 2})
		do("POST", "/v1/operations", `{"endpoint":"SLOW","operation_id":"`+id+`","method":"payment","reference":{"registered_at":"2026-11-21T09:00:00+02:00"}}`)
	}
	time.Sleep(2 * time.Second)
	exec := func(id string) *commonpb.WorkflowExecution { return &commonpb.WorkflowExecution{WorkflowId: "SLOW/" + id} }
	_, err = ws.PauseActivity(ctx, &workflowservice.PauseActivityRequest{Namespace: "default", Execution: exec("PAUSE"), Identity: "me", Activity: &workflowservice.PauseActivityRequest_Type{Type: "Deliver"}})
	say("pause %v", err)
	_, err = ws.UpdateActivityOptions(ctx, &workflowservice.UpdateActivityOptionsRequest{Namespace: "default", Execution: exec("EDITH"), Activity: &workflowservice.UpdateActivityOptionsRequest_Type{Type: "Deliver"},
		ActivityOptions: &activitypb.ActivityOptions{RetryPolicy: &commonpb.RetryPolicy{InitialInterval: durationpb.New(2 * time.Second), MaximumInterval: durationpb.New(2 * time.Second)}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"retry_policy.initial_interval", "retry_policy.maximum_interval"}}})
	say("edit h %v", err)
	_, err = ws.UpdateActivityOptions(ctx, &workflowservice.UpdateActivityOptionsRequest{Namespace: "default", Execution: exec("EDITK"), Activity: &workflowservice.UpdateActivityOptionsRequest_Type{Type: "Deliver"},
		ActivityOptions: &activitypb.ActivityOptions{RetryPolicy: &commonpb.RetryPolicy{MaximumAttempts: 2}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"retry_policy.maximum_attempts"}}})
	say("edit k %v", err)
	_, err = ws.ResetActivity(ctx, &workflowservice.ResetActivityRequest{Namespace: "default", Execution: exec("RESET"), Activity: &workflowservice.ResetActivityRequest_Type{Type: "Deliver"}})
	say("reset %v", err)
	_, err = ws.ResetActivity(ctx, &workflowservice.ResetActivityRequest{Namespace: "default", Execution: exec("RESETHB"), ResetHeartbeat: true, Activity: &workflowservice.ResetActivityRequest_Type{Type: "Deliver"}})
	say("reset hb %v", err)
	time.Sleep(10 * time.Second)
	say("PAUSE state %s", do("GET", "/v1/operations/SLOW/PAUSE", ""))
	_, err = ws.UnpauseActivity(ctx, &workflowservice.UnpauseActivityRequest{Namespace: "default", Execution: exec("PAUSE"), Activity: &workflowservice.UnpauseActivityRequest_Type{Type: "Deliver"}})
	say("unpause %v", err)
	time.Sleep(30 * time.Second)
	for _, id := range []string{"PAUSE", "EDITH", "EDITK", "RESET", "RESETHB", "NONE"} {
		fmt.Println(id)
		for _, r := range rcv.Received(id) {
			fmt.Printf("   %6.2f %d gap %v\n", r.At.Sub(t0).Seconds(), r.Attempt, r.Gap)
		}
		fmt.Println(do("GET", "/v1/operations/SLOW/"+id, ""))
	}
	cancel()
	<-done
	srv.Stop()
}
