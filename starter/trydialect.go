package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ringback/api/client"
	"ringback/internal/config"
	"ringback/internal/exchange"
	"ringback/internal/nearest"
	"ringback/internal/operation"
	"ringback/internal/receiver"
	"ringback/internal/wiring"
)

// triedCallback is what a callback is about.
type triedCallback struct {
	dialect, endpoint, operation, status string
	keep                                 map[string]string
}

// triedDialect is a callback as it would be sent.
type triedDialect struct {
	client.Ping
	// Never is why the endpoint would not send it.
	Never string `json:"never,omitempty"`
}

func (t *tool) tryDialect() *cobra.Command {
	var (
		tried  triedCallback
		answer answerFlags
	)
	cmd := &cobra.Command{
		Use:   "dialect NAME",
		Short: "Show the callback about a status, and the verdict on an answer",
		Long: `Show the callback about a status as an endpoint would send it: method, headers, body
and signature, secrets masked. Nothing is sent. With --answer or --http-status the
answer is judged, too.

The URL, headers, credentials and signing secrets are those of --endpoint, else of the
first endpoint of that dialect. Exits with 6 where the answer acknowledges nothing.`,
		Example: `  starter try dialect standard --status done --config ringback.yml
  starter try dialect standard --status failed --keep failure_code=59 --http-status 202 --config ringback.yml`,
		Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, args []string) error {
			tried.dialect = args[0]
			c, err := t.loaded()
			if err != nil {
				return err
			}
			body, err := t.given(cmd, answer)
			if err != nil {
				return err
			}
			r := &recorder{mask: exchange.NewMask(nil), given: append([]byte{}, body...), status: answer.status}
			e, err := tried.endpointIn(c, r)
			if err != nil {
				return err
			}
			sent := receiver.Show(cmd.Context(), e, tried.request(c))
			if sent.Request.Line == "" {
				return exit(exitFailed, "no callback about %s: %s", printable(tried.status), printable(sent.Reason))
			}
			if body == nil {
				sent.Verdict, sent.Reason, sent.Answer = "", "", nil
			}
			shown := triedDialect{Ping: sent, Never: tried.never(c)}
			if err := t.show(shown, func(w io.Writer) { writeTriedDialect(w, shown) }); err != nil {
				return err
			}
			if body != nil && sent.Verdict != client.Acknowledged {
				return exit(exitUnacknowledged, "the answer acknowledges nothing: %s", printable(sent.Reason))
			}
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&tried.status, "status", "", "the `STATUS` that the callback is about")
	flags.StringVar(&tried.operation, "operation", "ORDER-1", "the operation's `ID`")
	flags.StringVar(&tried.endpoint, "endpoint", "", "send it as this `ENDPOINT` would")
	flags.StringToStringVar(&tried.keep, "keep", nil, "what the source kept of its answer (`NAME=VALUE`); may be repeated")
	answer.add(cmd, "receiver")
	_ = cmd.MarkFlagRequired("status")
	return cmd
}

// endpointIn is the endpoint that the callback is sent by, to which r answers.
func (d triedCallback) endpointIn(c *config.Config, r *recorder) (receiver.Endpoint, error) {
	spoken, known := c.Dialect(d.dialect)
	if !known {
		return receiver.Endpoint{}, noSuch("dialect", d.dialect, slices.Values(c.DialectNames()))
	}
	name := d.nameIn(c)
	configured, exists := c.Endpoints[name]
	switch {
	case name == "":
		return receiver.Endpoint{Dialect: spoken, URL: "https://receiver.example/", Client: r.client(c.Guard.Client(nil, 0))}, nil
	case !exists:
		return receiver.Endpoint{}, noSuch("endpoint", name, maps.Keys(c.Endpoints))
	case configured.Dialect != d.dialect:
		return receiver.Endpoint{}, usage("%s is of the dialect %s", name, configured.Dialect)
	}
	e, err := wiring.Endpoint(c, configured, wiring.Clients{
		Attempt: func(config.Endpoint) *http.Client { return r.client(c.Guard.Client(nil, 0)) },
		Token:   r.tokenClient(c.Guard.Client),
	})
	if e.URL == "" {
		e.URL = "https://receiver.example/"
	}
	return e, err
}

// nameIn is the endpoint's name: the one asked for, or the first of the dialect.
func (d triedCallback) nameIn(c *config.Config) string {
	if d.endpoint != "" {
		return d.endpoint
	}
	for _, name := range slices.Sorted(maps.Keys(c.Endpoints)) {
		if c.Endpoints[name].Dialect == d.dialect {
			return name
		}
	}
	return ""
}

// never is why the endpoint sends no callback about the status; empty where it does.
func (d triedCallback) never(c *config.Config) string {
	name := d.nameIn(c)
	e, known := c.Endpoint(name)
	if !known || c.Endpoints[name].Source == "" {
		return ""
	}
	of := c.Sources[c.Endpoints[name].Source].Kind
	kind, _ := c.Kind(of)
	switch {
	case !e.Rules.Delivers(d.status) && !slices.Contains(kind.Vocabulary, d.status):
		return fmt.Sprintf("%s never sends it: %s is no status of the kind %s%s", name, d.status, of, nearest.Hint(d.status, kind.Vocabulary))
	case !e.Rules.Delivers(d.status):
		return fmt.Sprintf("%s never sends it: %s does not ring in the kind %s", name, d.status, of)
	case len(e.Statuses) > 0 && !slices.Contains(e.Statuses, d.status):
		return fmt.Sprintf("%s never sends it, unless a start asks for it: its statuses have no %s", name, d.status)
	}
	return ""
}

func (d triedCallback) request(c *config.Config) receiver.Request {
	key := operation.Key{Endpoint: d.nameIn(c), OperationID: d.operation}
	now := operation.At(time.Now())
	e, _ := c.Endpoint(key.Endpoint)
	return receiver.Request{
		Number: 1, TimeoutMS: time.Minute.Milliseconds(),
		Callback: operation.Callback{
			ID: operation.CallbackID(key, d.status), Key: key, Final: e.Rules.IsFinal(d.status),
			Observation: operation.Observation{Status: d.status, Raw: d.keep, BegunAt: now, ObservedAt: now},
		},
	}
}

func writeTriedDialect(w io.Writer, sent triedDialect) {
	signed := "not signed"
	if sent.Signed {
		signed = "signed"
	}
	_, _ = fmt.Fprintf(w, "Dialect %s as %s sends it, %s\n", printable(sent.Dialect), printable(orNone(sent.Endpoint)), signed)
	if sent.Never != "" {
		_, _ = fmt.Fprintln(w, printable(sent.Never)+".")
	}
	if sent.Verdict != "" {
		writeAttempt(w, sent.Ping)
		return
	}
	_, _ = fmt.Fprintln(w)
	writeMessage(w, "> ", sent.Request.Line, sent.Request.Headers, sent.Request.Body)
}
