// The program record writes the history of one operation of every ending, of
// notices and of bulk redeliveries, into workflows/testdata/histories, recorded on a real Temporal server. Tests replay
// each of them with the workflow code of the day.
//
//	go -C dev run ./record       records what has no file yet
//	go -C dev run ./record -all  records everything anew (before the first release only)
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/dev/temporalserver"
	"ringback/internal/app"
	"ringback/workflows"
)

func main() {
	folder := flag.String("folder", "../workflows/testdata/histories", "where the histories are kept")
	all := flag.Bool("all", false, "record also what has a file")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := record(ctx, *folder, *all); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(ctx context.Context, folder string, all bool) error {
	s, err := newStage(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	if err := s.acquaint(ctx); err != nil {
		return err
	}
	for i, story := range stories {
		path := filepath.Join(folder, story.name+".json")
		if _, err := os.Stat(path); err == nil && !all {
			continue
		}
		history, err := s.perform(ctx, story, fmt.Sprint(1001+i))
		if err != nil {
			return fmt.Errorf("the story %s: %w", story.name, err)
		}
		if err := os.WriteFile(path, history, 0o600); err != nil {
			return err
		}
		fmt.Println("recorded", path)
	}
	if err := s.recordNotices(ctx, filepath.Join(folder, "notices"), all); err != nil {
		return err
	}
	return s.recordBulks(ctx, filepath.Join(folder, "redeliveries"), all)
}

// stage is a whole Ringback with its simulators.
type stage struct {
	temporal client.Client
	api      apiclient.Client
	wsgate   *simulator.WSGate
	core     *simulator.PayseraCore
	receiver map[string]*simulator.Receiver
	undo     []func()
}

const configuration = `
egress: {allow: [127.0.0.0/8]}
notices: {endpoint: OPERATORS, failing_after: 3}
sources:
  wsgate: {kind: ukrcard, base_urls: [%q], ext_system_id: CARD, login: gold, password: "${env:RECORD_PASSWORD}", client_dn: GOLD}
  wallet: {kind: paysera, base_urls: [%q], mac: {id: record, key: "${env:RECORD_PASSWORD}"}}
endpoints:
  OPERATORS:
    {dialect: standard, url: %[5]q, delivery: {interval: 20ms, attempts: 4, timeout: 5s}}
  CARD:
    {dialect: ukrcard, source: wsgate, url: %[3]q, poll: {schedule: [100ms, 100ms], lifetime: 20m}, delivery: {interval: 20ms, attempts: 4, timeout: 5s}}
  CARD_LONG:
    {dialect: ukrcard, source: wsgate, url: %[3]q, poll: {interval: 100ms, max_polls: 20, lifetime: 20m}, delivery: {interval: 20ms, attempts: 30, timeout: 5s}}
  CARD_SLOW:
    {dialect: ukrcard, source: wsgate, url: %[3]q, poll: {schedule: [6s], lifetime: 20m}, delivery: {interval: 6s, attempts: 3, timeout: 5s}}
  WALLET:
    {dialect: paysera, source: wallet, url: %[4]q, poll: {interval: 300ms, lifetime: 720h}, delivery: {interval: 20ms, attempts: 4, timeout: 5s}}
  WALLET_EVERY:
    {dialect: paysera, source: wallet, url: %[4]q, supersede: every, poll: {interval: 300ms, lifetime: 720h}, delivery: {interval: 300ms, attempts: 4, timeout: 5s}}
  WALLET_BRIEF:
    {dialect: paysera, source: wallet, url: %[4]q, poll: {interval: 300ms, lifetime: 1s}, delivery: {interval: 20ms, attempts: 4, timeout: 5s}}
  WALLET_SLOW:
    {dialect: paysera, source: wallet, url: %[4]q, poll: {interval: 1m, lifetime: 720h}, delivery: {interval: 6s, attempts: 3, timeout: 5s}}
`

const password = "a-password-of-the-stage"

func newStage(ctx context.Context) (*stage, error) {
	s := &stage{receiver: map[string]*simulator.Receiver{}}
	if err := s.build(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) build(ctx context.Context) error {
	server, err := temporalserver.Start(ctx, temporalserver.Options{Attributes: workflows.Attributes})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() { _ = server.Stop() })
	if err := s.simulate(); err != nil { //nolint:contextcheck // simulators live until they are closed
		return err
	}
	return s.start(ctx, server.FrontendAddr())
}

// simulate starts both cores and a receiver of each dialect.
func (s *stage) simulate() (err error) {
	s.wsgate, err = simulator.StartWSGate("127.0.0.1:0", simulator.WSGateOptions{
		Login: "gold", Password: password, ExtSystemID: "CARD", ClientDN: "GOLD",
	})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() { _ = s.wsgate.Close() })
	s.core, err = simulator.StartPayseraCore("127.0.0.1:0", simulator.PayseraOptions{MACID: "record", MACKey: password})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() { _ = s.core.Close() })
	for _, dialect := range []string{"ukrcard", "paysera", "standard"} {
		receiver, err := simulator.StartReceiver("127.0.0.1:0", dialect)
		if err != nil {
			return err
		}
		s.receiver[dialect] = receiver
		s.undo = append(s.undo, func() { _ = receiver.Close() })
	}
	return nil
}

// start runs the API and a worker in this process.
func (s *stage) start(ctx context.Context, temporal string) error {
	folder, err := os.MkdirTemp("", "ringback-record-")
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "ringback.yml")
	text := fmt.Sprintf(configuration, s.wsgate.URL(), s.core.URL(), s.receiver["ukrcard"].URL(), s.receiver["paysera"].URL(), s.receiver["standard"].URL())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Setenv("RECORD_PASSWORD", password); err != nil {
		return err
	}
	options := client.Options{HostPort: temporal, Identity: recorder}
	if s.temporal, err = client.DialContext(ctx, options); err != nil {
		return err
	}
	s.undo = append(s.undo, s.temporal.Close)
	started, ended := make(chan string, 1), make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() {
		ended <- app.Run(running, app.Options{
			ConfigPath: path, Temporal: options, API: true, Worker: true, Listen: "127.0.0.1:0",
			Log: zap.NewNop(), Started: func(address string) { started <- address },
		})
	}()
	s.undo = append(s.undo, func() {
		stop()
		if err := <-ended; err != nil {
			fmt.Fprintln(os.Stderr, "record: stopping Ringback:", err)
		}
	})
	select {
	case address := <-started:
		s.api.Base = "http://" + address
		return nil
	case err := <-ended:
		ended <- err
		return fmt.Errorf("starting Ringback: %w", err)
	}
}

func (s *stage) close() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
}
