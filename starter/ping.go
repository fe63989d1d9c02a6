package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ringback/api/client"
)

func (t *tool) ping() *cobra.Command {
	var target string
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

Exits with 6 where the receiver did not acknowledge. Needs the scope ping.`,
		Example: `  starter ping LEDGER
  starter ping WALLET_SHOP --url https://shop.example/callbacks -o json`,
		Args: cobra.ExactArgs(1),
		RunE: t.withAPI(func(ctx context.Context, api *client.Client, args []string) error {
			ping, err := api.Ping(ctx, args[0], target)
			if err != nil {
				return err
			}
			if err := t.show(ping, func(w io.Writer) { writePing(w, ping) }); err != nil {
				return err
			}
			if ping.Verdict != client.Acknowledged {
				return exit(exitUnacknowledged, "%s did not acknowledge: %s", printable(ping.Endpoint), printable(ping.Reason))
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&target, "url", "", "the `URL` to call, for an endpoint whose URL comes with each operation")
	return cmd
}

func writePing(w io.Writer, p client.Ping) {
	signed := "not signed"
	if p.Signed {
		signed = "signed"
	}
	_, _ = fmt.Fprintf(w, "Test callback %s to %s, dialect %s, %s\n", printable(p.OperationID), printable(p.Endpoint), printable(p.Dialect), signed)
	writeConnection(w, p.Connection)
	writeAttempt(w, p)
}

// writeAttempt writes the request, the answer if there is one, and the verdict.
func writeAttempt(w io.Writer, p client.Ping) {
	_, _ = fmt.Fprintln(w)
	writeMessage(w, "> ", p.Request.Line, p.Request.Headers, p.Request.Body)
	if p.Answer != nil {
		_, _ = fmt.Fprintln(w)
		writeMessage(w, "< ", p.Answer.Line, p.Answer.Headers, p.Answer.Body)
		if p.Answer.Truncated {
			_, _ = fmt.Fprintln(w, "< (there is more)")
		}
	}
	_, _ = fmt.Fprintf(w, "\n%s\n", printable(withReason(fmt.Sprintf("%s in %d ms", p.Verdict, p.TookMS), p.Reason)))
}

func writeConnection(w io.Writer, c *client.PingConnection) {
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
	_, _ = fmt.Fprintln(w, printable(text))
}

// writeMessage writes a request or a response as curl -v does.
func writeMessage(w io.Writer, prefix, line string, headers []client.HeaderLine, body string) {
	_, _ = fmt.Fprintln(w, prefix+printable(line))
	for _, h := range headers {
		_, _ = fmt.Fprintln(w, prefix+printable(h.Name+": "+h.Value))
	}
	_, _ = fmt.Fprintln(w, strings.TrimSpace(prefix))
	for text := range strings.Lines(body) {
		_, _ = fmt.Fprintln(w, prefix+printable(strings.TrimRight(text, "\r\n")))
	}
}
