// The program record writes the histories of the next release into
// workflows/testdata/histories/next: of operations with every ending, of notices, of bulk
// redeliveries and of a gate, recorded on a real Temporal server. Tests replay them, and
// those of every release, with the current workflow code.
//
//	go -C dev run ./record       records those that have no file yet
//	go -C dev run ./record -all  records all again
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	folder := flag.String("folder", "../workflows/testdata/histories/next", "`directory` of the histories")
	all := flag.Bool("all", false, "record also those that have a file")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := record(ctx, *folder, *all); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(ctx context.Context, folder string, all bool) error {
	s := &recording{receiver: map[string]*simulator.Receiver{}}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return err
	}
	if err := s.warmUp(ctx); err != nil {
		return err
	}
	save := func(name string, perform func() ([]byte, error)) error {
		path := filepath.Join(folder, name+".json")
		if _, err := os.Stat(path); err == nil && !all {
			return nil
		}
		history, err := perform()
		if err != nil {
			return fmt.Errorf("recording %s: %w", name, err)
		}
		fmt.Println("recorded", path)
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, history, 0o600))
	}
	for i, story := range stories {
		if err := save(story.name, func() ([]byte, error) { return s.perform(ctx, story, fmt.Sprint(1001+i)) }); err != nil {
			return err
		}
	}
	if err := save("notices/notice", func() ([]byte, error) { return s.notice(ctx, "1901") }); err != nil {
		return err
	}
	if err := save("notices/outage", func() ([]byte, error) { return s.outage(ctx, "1902") }); err != nil {
		return err
	}
	if err := save("gates/passed", func() ([]byte, error) { return s.gate(ctx) }); err != nil {
		return err
	}
	for i, story := range bulkStories {
		if err := save("redeliveries/"+story.name, func() ([]byte, error) { return s.performBulk(ctx, story, 2001+100*i) }); err != nil {
			return err
		}
	}
	return nil
}

// recording has Ringback and its simulators in this process.
type recording struct {
	temporal client.Client
	api      apiclient.Client
	wsgate   *simulator.WSGate
	core     *simulator.PayseraCore
	receiver map[string]*simulator.Receiver
	cleanups []func()
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
    {dialect: paysera, source: wallet, url: %[4]q, push: trust, poll: {interval: 300ms, lifetime: 720h}, delivery: {interval: 20ms, attempts: 4, timeout: 5s}}
  WALLET_EVERY:
    {dialect: paysera, source: wallet, url: %[4]q, push: trust, supersede: every, poll: {interval: 300ms, lifetime: 720h}, delivery: {interval: 300ms, attempts: 4, timeout: 5s}}
  WALLET_BRIEF:
    {dialect: paysera, source: wallet, url: %[4]q, push: trust, poll: {interval: 300ms, lifetime: 1s}, delivery: {interval: 20ms, attempts: 4, timeout: 5s}}
  WALLET_SLOW:
    {dialect: paysera, source: wallet, url: %[4]q, push: trust, poll: {interval: 1m, lifetime: 720h}, delivery: {interval: 6s, attempts: 3, timeout: 5s}}
`

const password = "not-a-secret"

func (s *recording) open(ctx context.Context) error {
	server, err := temporalserver.Start(ctx, temporalserver.Options{Attributes: workflows.Attributes})
	if err != nil {
		return err
	}
	s.cleanups = append(s.cleanups, func() { _ = server.Stop() })
	if err := s.startSimulators(); err != nil { //nolint:contextcheck // simulators live until they are closed
		return err
	}
	return s.startRingback(ctx, server.FrontendAddr())
}

// startSimulators starts both cores and a receiver of each dialect.
func (s *recording) startSimulators() (err error) {
	s.wsgate, err = simulator.StartWSGate("127.0.0.1:0", simulator.WSGateOptions{
		Login: "gold", Password: password, ExtSystemID: "CARD", ClientDN: "GOLD",
	})
	if err != nil {
		return err
	}
	s.cleanups = append(s.cleanups, func() { _ = s.wsgate.Close() })
	s.core, err = simulator.StartPayseraCore("127.0.0.1:0", simulator.PayseraOptions{MACID: "record", MACKey: password})
	if err != nil {
		return err
	}
	s.cleanups = append(s.cleanups, func() { _ = s.core.Close() })
	for _, dialect := range []string{"ukrcard", "paysera", "standard"} {
		receiver, err := simulator.StartReceiver("127.0.0.1:0", dialect)
		if err != nil {
			return err
		}
		s.receiver[dialect] = receiver
		s.cleanups = append(s.cleanups, func() { _ = receiver.Close() })
	}
	return nil
}

// startRingback runs the API and a worker in this process.
func (s *recording) startRingback(ctx context.Context, temporal string) error {
	folder, err := os.MkdirTemp("", "ringback-record-")
	if err != nil {
		return err
	}
	s.cleanups = append(s.cleanups, func() { _ = os.RemoveAll(folder) })
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
	s.cleanups = append(s.cleanups, s.temporal.Close)
	started, ended := make(chan string, 1), make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() {
		ended <- app.Run(running, app.Options{
			ConfigPath: path, Temporal: options, API: true, Worker: true, Listen: "127.0.0.1:0", TelemetryListen: "127.0.0.1:0",
			Log: zap.NewNop(), Started: func(address, _ string) { started <- address },
		})
	}()
	s.cleanups = append(s.cleanups, func() {
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

func (s *recording) close() {
	for _, cleanup := range slices.Backward(s.cleanups) {
		cleanup()
	}
}
