package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// secretVariable holds the signing secrets where no file is named.
const secretVariable = "RINGBACK_SIGNING_SECRET"

// verification is a callback as it was received, and what it is held against.
type verification struct {
	secretFile, headersFile, bodyFile string
	headerLines                       []string
	tolerance                         time.Duration
}

func (t *tool) verify() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the signature of a received callback",
		Long: `Check the signature of a received callback (Standard Webhooks), in any dialect,
and say which check fails: secret, headers, timestamp or signature. Nothing is
sent anywhere.

The secret, whsec_..., is read from --secret-file or from
RINGBACK_SIGNING_SECRET; it is never an argument, which others could see. Of
several, one on each line, any may have signed. The headers are a file of
"Name: value" lines as a server's log has them, or --header for each of
webhook-id, webhook-timestamp and webhook-signature. The body are the exact bytes
received, from --body or the standard input: one line break more is another body.

Exits with 0 if the callback is valid, with 1 if it is not.`,
		Example: `  starter verify --headers headers.txt --body body.json
  starter verify --secret-file secret.txt --headers headers.txt --tolerance 0 < body.json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&v.secretFile, "secret-file", "", "read the signing secrets from this `FILE` (else from the environment: "+secretVariable+")")
	flags.StringVar(&v.headersFile, "headers", "", "read the received headers from this `FILE`")
	flags.StringArrayVarP(&v.headerLines, "header", "H", nil, "a received header, `\"NAME: VALUE\"`; may be repeated")
	flags.StringVar(&v.bodyFile, "body", "-", "read the received body from this `FILE`; -: the standard input")
	flags.DurationVar(&v.tolerance, "tolerance", 5*time.Minute, "how far webhook-timestamp may be from now (`TIME`); 0: any time")
	cmd.RunE = t.begin(func(_ *cobra.Command, _ []string) error {
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
	if file == "" {
		secrets := strings.Fields(t.getenv(secretVariable))
		if len(secrets) == 0 {
			return nil, usage("no signing secret: set %s, or name a file with --secret-file", secretVariable)
		}
		return secrets, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("reading --secret-file: %w", err)
	}
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		t.note("warning: others may read %s (%s)", file, info.Mode().Perm())
	}
	secrets := strings.Fields(string(data))
	if len(secrets) == 0 {
		return nil, usage("--secret-file %s is empty", file)
	}
	return secrets, nil
}

func (v verification) headers() (http.Header, error) {
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
		addHeader(headers, line) // a request line is none, and no harm
	}
	return headers, nil
}

func addHeader(h http.Header, line string) bool {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return false
	}
	// As curl -v and "starter ping" show what was sent.
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
func checkCallback(secrets []string, headers http.Header, body []byte, tolerance time.Duration, now time.Time) []check {
	keys, checked := checkSecrets(secrets)
	all := []check{checked}
	if checked.OK {
		all = append(all, checkHeaders(headers))
	}
	if all[len(all)-1].OK {
		all = append(all, checkTimestamp(headers.Get(standardwebhooks.HeaderWebhookTimestamp), tolerance, now))
	}
	if all[len(all)-1].OK {
		all = append(all, checkSignature(keys, headers, body))
	}
	return all
}

// The form of a secret (Standard Webhooks, "Symmetric (HMAC)").
const (
	secretPrefix   = "whsec_"
	shortestSecret = 24
	longestSecret  = 64
)

// checkSecrets never repeats a secret.
func checkSecrets(secrets []string) ([]*standardwebhooks.Webhook, check) {
	var keys []*standardwebhooks.Webhook
	for i, secret := range secrets {
		key, err := secretKey(secret)
		if err != nil {
			return nil, check{"secret", false, fmt.Sprintf("secret %d of %d %s", i+1, len(secrets), err)}
		}
		webhook, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, check{"secret", false, fmt.Sprintf("secret %d of %d can't be used", i+1, len(secrets))}
		}
		keys = append(keys, webhook)
	}
	return keys, check{"secret", true, fmt.Sprintf("%d given", len(keys))}
}

func secretKey(secret string) ([]byte, error) {
	encoded, found := strings.CutPrefix(secret, secretPrefix)
	if !found {
		return nil, errors.New("does not begin with " + secretPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("is not base64 after " + secretPrefix)
	}
	if len(key) < shortestSecret || len(key) > longestSecret {
		return nil, fmt.Errorf("holds %d bytes; %d to %d are allowed", len(key), shortestSecret, longestSecret)
	}
	return key, nil
}

func checkHeaders(headers http.Header) check {
	names := []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature}
	for _, name := range names {
		switch values := headers.Values(name); {
		case len(values) == 0 || values[0] == "":
			return check{"headers", false, name + " is missing"}
		case len(values) > 1:
			return check{"headers", false, name + " is there twice"}
		}
	}
	return check{"headers", true, names[0] + " " + headers.Get(names[0])}
}

func checkTimestamp(text string, tolerance time.Duration, now time.Time) check {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return check{"timestamp", false, fmt.Sprintf("%q is not Unix seconds", text)}
	}
	at := time.Unix(seconds, 0).UTC()
	age := now.Sub(at).Truncate(time.Second)
	detail := fmt.Sprintf("%s, %s ago", at.Format(time.RFC3339), age)
	if age < 0 {
		detail = fmt.Sprintf("%s, %s ahead", at.Format(time.RFC3339), -age)
	}
	switch {
	case tolerance == 0:
		return check{"timestamp", true, detail + "; any time is accepted"}
	case age > tolerance:
		return check{"timestamp", false, detail + fmt.Sprintf(": older than %s (--tolerance)", tolerance)}
	case -age > tolerance:
		return check{"timestamp", false, detail + fmt.Sprintf(": further ahead than %s (--tolerance); is this clock right?", tolerance)}
	}
	return check{"timestamp", true, detail}
}

func checkSignature(keys []*standardwebhooks.Webhook, headers http.Header, body []byte) check {
	signatures := strings.Fields(headers.Get(standardwebhooks.HeaderWebhookSignature))
	if i := signedBy(keys, headers, body); i > 0 {
		return check{"signature", true, fmt.Sprintf("made with secret %d of %d over %d bytes", i, len(keys), len(body))}
	}
	detail := fmt.Sprintf("none of %d is made with the secret over this id, timestamp and body of %d bytes", len(signatures), len(body))
	switch {
	case !strings.Contains(headers.Get(standardwebhooks.HeaderWebhookSignature), "v1,"):
		detail = "webhook-signature holds no signature of version v1"
	case len(body) == 0:
		detail += "; was there really none?"
	default:
		detail += almost(keys, headers, body)
	}
	return check{"signature", false, detail}
}

// signedBy is which key signed, counted from 1; 0: none.
func signedBy(keys []*standardwebhooks.Webhook, headers http.Header, body []byte) int {
	for i, key := range keys {
		if key.VerifyIgnoringTimestamp(body, headers) == nil {
			return i + 1
		}
	}
	return 0
}

// almost says what an editor or a log may have changed of the body.
func almost(keys []*standardwebhooks.Webhook, headers http.Header, body []byte) string {
	trimmed := bytes.TrimRight(body, "\r\n")
	for _, guess := range []struct {
		body []byte
		says string
	}{
		{trimmed, "without the line break at its end"},
		{append(bytes.Clone(trimmed), '\n'), "with a line break at its end"},
		{bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), "with line breaks of LF instead of CRLF"},
	} {
		if signedBy(keys, headers, guess.body) > 0 {
			return "; it is valid " + guess.says + ": give the exact bytes"
		}
	}
	return ""
}

func (t *tool) showChecks(all []check) error {
	last := all[len(all)-1]
	if err := t.writeChecks(all, last.OK); err != nil {
		return err
	}
	if !last.OK {
		return end(exitFailed, "not valid: %s: %s", last.Check, printable(last.Detail))
	}
	return nil
}

func (t *tool) writeChecks(all []check, valid bool) error {
	if t.output == outputJSON {
		data, err := json.Marshal(map[string]any{"valid": valid, "checks": all})
		if err != nil {
			return fmt.Errorf("writing the checks: %w", err)
		}
		return t.showJSON(reply{body: data})
	}
	var b bytes.Buffer
	table := newTable(&b)
	for _, c := range all {
		result := "ok"
		if !c.OK {
			result = "failed"
		}
		table.row(c.Check, result, c.Detail)
	}
	table.flush()
	if valid {
		b.WriteString("\nThe callback is valid.\n")
	}
	_, err := t.out.Write(b.Bytes())
	return err
}
