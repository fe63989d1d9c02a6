// Package demo simulates both cores and their receivers, with a configuration of
// Ringback that names them.
package demo

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"text/template"

	"ringback/dev/simulator"
)

// The names in demo.yml that the story uses.
const (
	UkrcardEndpoint  = "ECOM_GOLD_BANK"
	PayseraEndpoint  = "WALLET_SHOP"
	StandardEndpoint = "LEDGER"
)

//go:embed demo.yml
var configuration string

// The simulators' preferred addresses are fixed, so that operations kept in a data
// directory still find their receivers after a restart.
const (
	wsgateAddr           = "127.0.0.1:9001"
	payseraAddr          = "127.0.0.1:9002"
	ukrcardReceiverAddr  = "127.0.0.1:9101"
	payseraReceiverAddr  = "127.0.0.1:9102"
	standardReceiverAddr = "127.0.0.1:9103"
)

// World is the running simulators.
type World struct {
	WSGate           *simulator.WSGate
	PayseraCore      *simulator.PayseraCore
	UkrcardReceiver  *simulator.Receiver
	PayseraReceiver  *simulator.Receiver
	StandardReceiver *simulator.Receiver

	secrets map[string]string
	closers []func() error
}

// Start starts every simulator, with new secrets. An order without a script goes
// 0, 0, 2, a transfer without one waits for funds, so that operations that a user
// starts have a status.
func Start() (*World, error) {
	w := &World{secrets: map[string]string{
		"RINGBACK_DEMO_WSGATE_PASSWORD": rand.Text(),
		"RINGBACK_DEMO_MAC_KEY":         rand.Text(),
		"RINGBACK_DEMO_SIGNING_SECRET":  "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text())),
	}}
	if err := w.start(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *World) start() (err error) {
	w.WSGate, err = listen(w, wsgateAddr, func(addr string) (*simulator.WSGate, error) {
		return simulator.StartWSGate(addr, simulator.WSGateOptions{
			ExtSystemID: UkrcardEndpoint, Login: "gold", Password: w.secrets["RINGBACK_DEMO_WSGATE_PASSWORD"], ClientDN: "GOLDENBANK",
			Default: simulator.Statuses(0, 0, 2),
		})
	})
	if err != nil {
		return err
	}
	w.PayseraCore, err = listen(w, payseraAddr, func(addr string) (*simulator.PayseraCore, error) {
		return simulator.StartPayseraCore(addr, simulator.PayseraOptions{
			MACID: "demo", MACKey: w.secrets["RINGBACK_DEMO_MAC_KEY"], Default: simulator.Steps("waiting_funds"),
		})
	})
	if err != nil {
		return err
	}
	for _, r := range []struct {
		to            **simulator.Receiver
		addr, dialect string
	}{
		{&w.UkrcardReceiver, ukrcardReceiverAddr, "ukrcard"},
		{&w.PayseraReceiver, payseraReceiverAddr, "paysera"},
		{&w.StandardReceiver, standardReceiverAddr, "standard"},
	} {
		*r.to, err = listen(w, r.addr, func(addr string) (*simulator.Receiver, error) {
			return simulator.StartReceiver(addr, r.dialect)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// listen starts a simulator on addr, or on a free port where addr is taken.
func listen[S interface{ Close() error }](w *World, addr string, start func(addr string) (S, error)) (S, error) {
	s, err := start(addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(addr)
		s, err = start(net.JoinHostPort(host, "0"))
	}
	if err == nil {
		w.closers = append(w.closers, s.Close)
	}
	return s, err
}

// WriteConfig writes the configuration of this world into dir, sets the
// variables that it refers to, and returns the file's path.
func (w *World) WriteConfig(dir string) (string, error) {
	for name, value := range w.secrets {
		if err := os.Setenv(name, value); err != nil {
			return "", fmt.Errorf("set %s for the demo's configuration: %w", name, err)
		}
	}
	path := filepath.Join(dir, "demo.yml")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	addresses := map[string]string{
		"WSGate":           w.WSGate.URL(),
		"PayseraCore":      w.PayseraCore.URL(),
		"UkrcardReceiver":  w.UkrcardReceiver.URL(),
		"StandardReceiver": w.StandardReceiver.URL(),
	}
	err = template.Must(template.New(path).Option("missingkey=error").Parse(configuration)).Execute(file, addresses)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	return path, nil
}

// Close ends every simulator.
func (w *World) Close() error {
	var errs []error
	for _, closer := range w.closers {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}
