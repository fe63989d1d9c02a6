package scratch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	enumspb "go.temporal.io/api/enums/v1"
	"go.uber.org/zap/zapcore"

	"ringback/dev/temporalserver"
	"ringback/internal/app"
	"ringback/internal/zaplog"
)

func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func TestLoad(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	srv, err := temporalserver.Start(ctx, temporalserver.Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var got sync.Map
	mux := http.NewServeMux()
	mux.HandleFunc("/Confirm", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"respStatus":200,"orderStatus":2,"orderNumber":"%s"}`, r.Header["Ordernumber"][0])
	})
	mux.HandleFunc("/cb", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var on string
		fmt.Sscanf(string(b), `{"orderNumber":"%s`, &on)
		on = on[:bytes.IndexByte([]byte(on), '"')]
		got.Store(on, time.Now())
		fmt.Fprintf(w, `{"orderNumber":"%s","applicationStatus":200}`, on)
	})
	hs := &http.Server{Addr: "127.0.0.1:18999", Handler: mux}
	go hs.ListenAndServe()
	os.Setenv("PW", "secret1")
	cfg := `
egress: {allow: [127.0.0.0/8]}
sources:
  wsgate: {kind: ukrcard, base_urls: ["http://127.0.0.1:18999"], ext_system_id: ECOM, login: gold, password: "${env:PW}", client_dn: GOLD}
endpoints:
  ECOM:
    {dialect: ukrcard, source: wsgate, url: "http://127.0.0.1:18999/cb", poll: {schedule: [500ms, 1s, 6s, 1s], lifetime: 20m}, delivery: {interval: 50ms, attempts: 5, timeout: 10s}}
`
	path := filepath.Join(t.TempDir(), "c.yml")
	os.WriteFile(path, []byte(cfg), 0o600)
	started := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		done <- app.Run(ctx, app.Options{ConfigPath: path, Temporal: client.Options{HostPort: srv.FrontendAddr()}, API: true, Worker: true, Listen: "127.0.0.1:0",
			Log: zaplog.New(io.Discard, zapcore.InfoLevel), Started: func(a string) { started <- a }})
	}()
	addr := <-started
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	start := func(id string) int {
		req, _ := http.NewRequest("POST", "http://"+addr+"/v1/operations", bytes.NewBufferString(`{"endpoint":"ECOM","operation_id":"`+id+`","method":"payment","reference":{"registered_at":"2026-11-21T09:00:00+02:00"}}`))
		req.Header.Set("Content-Type", "application/json")
		res, err := hc.Do(req)
		if err != nil {
			return 0
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode
	}
	for i := range 20 {
		start(fmt.Sprintf("W%d", i))
	}
	time.Sleep(2 * time.Second)
	run := func(name string, n int, rate int) {
		at := make([]time.Time, n)
		c0, t0 := cpu(), time.Now()
		var wg sync.WaitGroup
		for i := range n {
			time.Sleep(time.Until(t0.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			wg.Go(func() {
				at[i] = time.Now()
				if c := start(fmt.Sprintf("%s%d", name, i)); c != 201 {
					t.Errorf("code %d", c)
				}
			})
		}
		wg.Wait()
		time.Sleep(500 * time.Millisecond)
		var ls []time.Duration
		for i := range n {
			v, ok := got.Load(fmt.Sprintf("%s%d", name, i))
			if !ok {
				continue
			}
			ls = append(ls, v.(time.Time).Sub(at[i]))
		}
		sort.Slice(ls, func(a, b int) bool { return ls[a] < ls[b] })
		fmt.Println(name, "got", len(ls), "of", n, "p50", ls[len(ls)/2], "p99", ls[len(ls)*99/100], "cpu/op", (cpu()-c0)/time.Duration(n))
	}
	run("R", 500, 50)
	run("S", 500, 50)
	// burst 64
	var n atomic.Int64
	t0, c0 := time.Now(), cpu()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				i := n.Add(1)
				if i > 1500 {
					return
				}
				start(fmt.Sprintf("B%d", i))
			}
		})
	}
	wg.Wait()
	fmt.Println("burst", 1500/time.Since(t0).Seconds(), "ops/s", (cpu()-c0)/1500)
	time.Sleep(time.Second)
	m := 0
	got.Range(func(k, v any) bool { m++; return true })
	fmt.Println("callbacks", m)
	c, _ := client.Dial(client.Options{HostPort: srv.FrontendAddr()})
	it := c.GetWorkflowHistory(ctx, "ECOM/R1", "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		e, _ := it.Next()
		fmt.Println(e.EventId, e.EventType)
	}
	cancel()
	<-done
	srv.Stop()
}
