package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// secretVariable holds the signing secrets where no file is named.
const secretVariable = "RINGBACK_SIGNING_SECRET"

// verifyFlags are the verify command's flags.
type verifyFlags struct {
	secretFile, headersFile, bodyFile string
	headerLines                       []string
	tolerance                         time.Duration
}

// noSecretArgs refuses arguments without repeating them: one may be the secret.
func noSecretArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("verify takes no arguments; what it reads is named by flags")
	}
	return nil
}

func (t *tool) verify() *cobra.Command {
	var v verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the signature of a received callback",
		Long: `Check the signature of a received callback (Standard Webhooks), in any dialect,
and say which check fails: secret, headers, timestamp or signature. Nothing is
sent anywhere.

The secret, whsec_..., or the sender's public key, whpk_..., is read from
--secret-file or from RINGBACK_SIGNING_SECRET; it is never an argument, which
others could see. Of several, one on each line, any may have signed. The headers
are a file of "Name: value" lines as a server's log has them, or --header for
each of webhook-id, webhook-timestamp and webhook-signature. The body are the
exact bytes received, from --body or the standard input: one line break more is
another body.

Exits with 0 if the callback is valid, with 1 if it is not.`,
		Example: `  starter verify --headers headers.txt --body body.json
  starter verify --secret-file secret.txt --headers headers.txt --tolerance 0 < body.json`,
		Args: noSecretArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&v.secretFile, "secret-file", "", "read the signing secrets from this `FILE` (else from the environment: "+secretVariable+")")
	flags.StringVar(&v.headersFile, "headers", "", "read the received headers from this `FILE`")
	flags.StringArrayVarP(&v.headerLines, "header", "H", nil, "a received header, `\"NAME: VALUE\"`; may be repeated")
	flags.StringVar(&v.bodyFile, "body", "-", "read the received body from this `FILE`; -: the standard input")
	flags.DurationVar(&v.tolerance, "tolerance", 5*time.Minute, "how far webhook-timestamp may be from now (`TIME`); 0: any time")
	cmd.RunE = t.run(func(_ *cobra.Command, _ []string) error {
		if v.tolerance < 0 {
			return usage("--tolerance %s is negative", v.tolerance)
		}
		secrets, err := t.secrets(v.secretFile)
		if err != nil {
			return err
		}
		headers, err := v.headers()
		if err != nil {
			return err
		}
		body, err := t.body(v.bodyFile)
		if err != nil {
			return err
		}
		return t.showChecks(checkCallback(secrets, headers, body, v.tolerance, time.Now()))
	})
	return cmd
}

func (t *tool) secrets(file string) ([]string, error) {
	if file != "" {
		text, err := t.readSecret("--secret-file", file)
		return strings.Fields(text), err
	}
	secrets := strings.Fields(t.getenv(secretVariable))
	if len(secrets) == 0 {
		return nil, usage("no signing secret: set %s, or name a file with --secret-file", secretVariable)
	}
	return secrets, nil
}

func (v verifyFlags) headers() (http.Header, error) {
	headers := http.Header{}
	for _, line := range v.headerLines {
		if !addHeader(headers, line) {
			return nil, usage("--header is not a header such as \"webhook-id: cb_...\"")
		}
	}
	if v.headersFile == "" {
		if len(v.headerLines) == 0 {
			return nil, usage("no headers: name a file with --headers, or give each with --header")
		}
		return headers, nil
	}
	data, err := os.ReadFile(v.headersFile)
	if err != nil {
		return nil, usage("reading --headers: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		addHeader(headers, line) // other lines, such as the request line, are skipped
	}
	return headers, nil
}

func addHeader(h http.Header, line string) bool {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return false
	}
	// "curl -v" and "starter ping" put > before a line that was sent.
	h.Add(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), ">")), strings.TrimSpace(value))
	return true
}

func (t *tool) body(file string) ([]byte, error) {
	if file == "-" {
		body, err := io.ReadAll(t.in)
		if err != nil {
			return nil, fmt.Errorf("reading the body from the standard input: %w", err)
		}
		return body, nil
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("reading --body: %w", err)
	}
	return body, nil
}

// check is one check of a received callback.
type check struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// checkCallback checks a received callback up to the first check that fails.
func checkCallback(secrets []string, headers http.Header, body []byte, tolerance time.Duration, now time.Time) (all []check) {
	var keys []verificationKey
	for _, next := range []struct {
		name string
		run  func() (detail string, err error)
	}{
		{"secret", func() (_ string, err error) {
			keys, err = parseKeys(secrets)
			return fmt.Sprintf("%d given", len(keys)), err
		}},
		{"headers", func() (string, error) { return checkHeaders(headers) }},
		{"timestamp", func() (string, error) {
			return checkTimestamp(headers.Get(standardwebhooks.HeaderWebhookTimestamp), tolerance, now)
		}},
		{"signature", func() (string, error) { return checkSignature(keys, headers, body) }},
	} {
		detail, err := next.run()
		if err != nil {
			return append(all, check{next.name, false, err.Error()})
		}
		all = append(all, check{next.name, true, detail})
	}
	return all
}

// The forms of secrets and keys, and how an asymmetric signature begins (Standard Webhooks).
const (
	secretPrefix      = "whsec_"
	publicKeyPrefix   = "whpk_"
	privateKeyPrefix  = "whsk_"
	versionAsymmetric = "v1a,"
)

// verificationKey is one secret or public key that a receiver holds.
type verificationKey struct {
	noun     string
	verifies func(headers http.Header, body []byte) bool
}

// parseKeys never repeats a secret.
func parseKeys(secrets []string) (keys []verificationKey, err error) {
	for i, secret := range secrets {
		key, err := parseKey(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d %w", i+1, len(secrets), err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(secret string) (verificationKey, error) {
	prefix, encoded, _ := strings.Cut(secret, "_")
	prefix += "_"
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case prefix == privateKeyPrefix:
		return verificationKey{}, errors.New("is the sender's private key, which a receiver must not have: ask for the public one, " + publicKeyPrefix + "...")
	case prefix != secretPrefix && prefix != publicKeyPrefix:
		return verificationKey{}, errors.New("does not begin with " + secretPrefix + " or " + publicKeyPrefix)
	case err != nil:
		return verificationKey{}, errors.New("is not base64 after " + prefix)
	case prefix == publicKeyPrefix && len(key) != ed25519.PublicKeySize:
		return verificationKey{}, fmt.Errorf("holds %d bytes; a public key has %d", len(key), ed25519.PublicKeySize)
	case prefix == publicKeyPrefix:
		return verificationKey{"public key", func(headers http.Header, body []byte) bool {
			return isSignedBy(key, headers, body)
		}}, nil
	case len(key) < 24 || len(key) > 64:
		return verificationKey{}, fmt.Errorf("holds %d bytes; 24 to 64 are allowed", len(key))
	}
	webhook, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return verificationKey{}, errors.New("can't be used")
	}
	return verificationKey{"secret", func(headers http.Header, body []byte) bool {
		return webhook.VerifyIgnoringTimestamp(body, headers) == nil
	}}, nil
}

// isSignedBy verifies v1a, which the standard's library does not.
func isSignedBy(key ed25519.PublicKey, headers http.Header, body []byte) bool {
	text := append([]byte(headers.Get(standardwebhooks.HeaderWebhookID)+"."+headers.Get(standardwebhooks.HeaderWebhookTimestamp)+"."), body...)
	return slices.ContainsFunc(strings.Fields(headers.Get(standardwebhooks.HeaderWebhookSignature)), func(one string) bool {
		encoded, found := strings.CutPrefix(one, versionAsymmetric)
		signature, err := base64.StdEncoding.DecodeString(encoded)
		return found && err == nil && ed25519.Verify(key, text, signature)
	})
}

func checkHeaders(headers http.Header) (string, error) {
	names := []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature}
	for _, name := range names {
		switch values := headers.Values(name); {
		case len(values) == 0 || values[0] == "":
			return "", errors.New(name + " is missing")
		case len(values) > 1:
			return "", errors.New(name + " is there twice")
		}
	}
	return names[0] + " " + headers.Get(names[0]), nil
}

func checkTimestamp(text string, tolerance time.Duration, now time.Time) (string, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%q is not Unix seconds", text)
	}
	at := time.Unix(seconds, 0).UTC()
	age := now.Sub(at).Truncate(time.Second)
	detail := fmt.Sprintf("%s, %s ago", at.Format(time.RFC3339), age)
	if age < 0 {
		detail = fmt.Sprintf("%s, %s ahead", at.Format(time.RFC3339), -age)
	}
	switch {
	case tolerance == 0:
		return detail + "; any time is accepted", nil
	case age > tolerance:
		return "", fmt.Errorf("%s: older than %s (--tolerance)", detail, tolerance)
	case -age > tolerance:
		return "", fmt.Errorf("%s: further ahead than %s (--tolerance); is this clock right?", detail, tolerance)
	}
	return detail, nil
}

func checkSignature(keys []verificationKey, headers http.Header, body []byte) (string, error) {
	verifying := func(body []byte) int {
		return slices.IndexFunc(keys, func(k verificationKey) bool { return k.verifies(headers, body) })
	}
	if i := verifying(body); i >= 0 {
		return fmt.Sprintf("made with %s %d of %d over %d bytes", keys[i].noun, i+1, len(keys), len(body)), nil
	}
	hint := ""
	if len(body) == 0 {
		hint = "; was there really none?"
	}
	// What editors and logs do to a body.
	trimmed := bytes.TrimRight(body, "\r\n")
	for change, guess := range map[string][]byte{
		"without the line break at its end":      trimmed,
		"with a line break at its end":           append(bytes.Clone(trimmed), '\n'),
		"with line breaks of LF instead of CRLF": bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")),
	} {
		if verifying(guess) >= 0 {
			hint = "; it is valid " + change + ": give the exact bytes"
		}
	}
	signatures := len(strings.Fields(headers.Get(standardwebhooks.HeaderWebhookSignature)))
	return "", fmt.Errorf("none of %d is made with the %s over this id, timestamp and body of %d bytes%s", signatures, keys[0].noun, len(body), hint)
}

func (t *tool) showChecks(all []check) error {
	last := all[len(all)-1]
	err := t.show(map[string]any{"valid": last.OK, "checks": all}, func(w io.Writer) {
		var table rows
		for _, c := range all {
			result := "ok"
			if !c.OK {
				result = "failed"
			}
			table.add(c.Check, result, c.Detail)
		}
		table.write(w)
		if last.OK {
			_, _ = fmt.Fprint(w, "\nThe callback is valid.\n")
		}
	})
	if err == nil && !last.OK {
		return exit(exitFailed, "not valid: %s: %s", last.Check, printable(last.Detail))
	}
	return err
}
