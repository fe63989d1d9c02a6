package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

func (t *tool) ping() *cobra.Command {
	var body operation.PingRequest
	cmd := &cobra.Command{
		Use:   "ping ENDPOINT",
		Short: "Send a test callback to an endpoint and show the exchange",
		Long: `Send a test callback to a registered endpoint, as every attempt is made: in its
dialect, signed if it has signing secrets, with its headers and its client
certificate. The whole exchange is shown, secrets masked; nothing is kept.

The message says what it is: its operation id begins with ringback-ping-, and it
claims nothing that could be taken for money moved (Ukrcard: respStatus 504 and
no orderStatus; Paysera: status failed; standard: type ringback.ping). Ukrcard's
rule holds for it too: the answer must repeat that orderNumber.

Exits with 6 where the receiver did not acknowledge. Needs the scope admin.`,
		Example: `  starter ping LEDGER
  starter ping WALLET_SHOP --url https://shop.example/callbacks -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: t.completeEndpoint,
	}
	cmd.Flags().StringVar(&body.URL, "url", "", "the `URL` to ring, for an endpoint whose URL comes with each operation")
	cmd.RunE = t.begin(func(cmd *cobra.Command, args []string) error {
		c, err := t.client()
		if err != nil {
			return err
		}
		r, err := c.call(cmd.Context(), http.MethodPost, "/v1/endpoints/"+url.PathEscape(args[0])+"/ping", body)
		if err != nil {
			return err
		}
		return t.showPing(r)
	})
	return cmd
}

func (t *tool) showPing(r reply) error {
	var p operation.Ping
	if err := r.into(&p); err != nil {
		return err
	}
	if err := t.showExchange(r, p); err != nil {
		return err
	}
	if p.Verdict != operation.Acknowledged {
		return end(exitUnacknowledged, "%s did not acknowledge: %s", printable(p.Endpoint), printable(p.Reason))
	}
	return nil
}

func (t *tool) showExchange(r reply, p operation.Ping) error {
	if t.output == outputJSON {
		return t.showJSON(r)
	}
	var b bytes.Buffer
	signed := "not signed"
	if p.Signed {
		signed = "signed"
	}
	fmt.Fprintf(&b, "Test callback %s to %s, dialect %s, %s\n", printable(p.OperationID), printable(p.Endpoint), printable(p.Dialect), signed)
	writeConnection(&b, p.Connection)
	b.WriteByte('\n')
	writeMessage(&b, "> ", p.Request.Line, p.Request.Headers, p.Request.Body)
	if p.Answer != nil {
		b.WriteByte('\n')
		writeMessage(&b, "< ", p.Answer.Line, p.Answer.Headers, p.Answer.Body)
		if p.Answer.Truncated {
			b.WriteString("< (there is more)\n")
		}
	}
	fmt.Fprintf(&b, "\n%s in %d ms", p.Verdict, p.TookMS)
	if p.Reason != "" {
		fmt.Fprintf(&b, ": %s", printable(p.Reason))
	}
	b.WriteByte('\n')
	_, err := t.out.Write(b.Bytes())
	return err
}

func writeConnection(b *bytes.Buffer, c *operation.Connection) {
	if c == nil {
		return
	}
	text := "Connected to " + c.RemoteAddress
	if c.TLSVersion != "" {
		text += ", " + c.TLSVersion
	}
	if c.ServerCertificate != "" {
		text += ", the receiver's certificate " + c.ServerCertificate
	}
	if c.ClientCertificate != "" {
		text += ", ours " + c.ClientCertificate
	}
	fmt.Fprintln(b, printable(text))
}

// writeMessage writes a request or an answer as curl -v does.
func writeMessage(b *bytes.Buffer, prefix, line string, headers []operation.HeaderLine, body string) {
	fmt.Fprintln(b, prefix+printable(line))
	for _, h := range headers {
		fmt.Fprintln(b, prefix+printable(h.Name+": "+h.Value))
	}
	fmt.Fprintln(b, strings.TrimSpace(prefix))
	for text := range strings.Lines(body) {
		fmt.Fprintln(b, prefix+printable(strings.TrimRight(text, "\r\n")))
	}
}
