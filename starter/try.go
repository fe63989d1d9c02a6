package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringback/internal/config"
	"ringback/internal/exchange"
	"ringback/internal/expression"
	"ringback/internal/nearest"
	"ringback/internal/operation"
	"ringback/internal/source"
	"ringback/internal/wiring"
)

func (t *tool) try() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "try",
		Short: "Try out a source or a dialect of a configuration file",
		Long: `Try out a source or a dialect of the configuration file of --config before anything
runs on it. No program is asked, nothing is kept, and no secret is shown.`,
		Example: `  starter try source wallet --operation 1007 --answer answer.json --config ringback.yml
  starter try dialect standard --status done --config ringback.yml`,
		Args: subcommandsOnly,
		RunE: t.run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	cmd.AddCommand(t.trySource(), t.tryDialect())
	return cmd
}

// answerFlags are an answer that is given instead of asked for.
type answerFlags struct {
	file   string
	status int
}

func (a *answerFlags) add(cmd *cobra.Command, of string) {
	cmd.Flags().StringVar(&a.file, "answer", "", "take the body of the "+of+"'s answer from this `FILE`, and send nothing (-: the standard input)")
	cmd.Flags().IntVar(&a.status, "http-status", http.StatusOK, "the HTTP `STATUS` of that answer; without --answer its body is empty")
}

// given is the answer of the flags; nil: there is none.
func (t *tool) given(cmd *cobra.Command, a answerFlags) ([]byte, error) {
	if a.file == "" && !cmd.Flags().Changed("http-status") {
		return nil, nil
	}
	if a.status < 100 || a.status > 999 {
		return nil, usage("--http-status %d is not a status of HTTP: 100 to 999", a.status)
	}
	switch a.file {
	case "":
		return []byte{}, nil
	case "-":
		return io.ReadAll(t.in)
	}
	body, err := os.ReadFile(a.file)
	if err != nil {
		return nil, usage("reading the answer: %w", err)
	}
	return body, nil
}

// loaded is the configuration of --config.
func (t *tool) loaded() (*config.Config, error) {
	path, err := t.configFile(nil)
	if err != nil {
		return nil, err
	}
	return config.Load(path)
}

// noSuch says which names there are.
func noSuch(what, name string, all iter.Seq[string]) error {
	names := slices.Sorted(all)
	return usage("there is no %s %q in this file%s; it has: %s", what, name, nearest.Hint(name, names), cmp.Or(strings.Join(names, ", "), none))
}

// triedSource is what a try of a source showed.
type triedSource struct {
	Source string         `json:"source"`
	Kind   string         `json:"kind"`
	Asked  []triedRequest `json:"asked"`
	// Expressions are those of the kind, where it is data, in the order of their evaluation.
	Expressions []triedExpression `json:"expressions,omitempty"`
	// Status is what would be observed: nil where there is an error, or no status.
	Status *string `json:"status"`
	Final  bool    `json:"final"`
	// Error is why nothing would be observed; ErrorKind is its kind.
	ErrorKind source.ErrorKind  `json:"error_kind,omitempty"`
	Error     string            `json:"error,omitempty"`
	Keep      map[string]string `json:"keep,omitempty"`
	// Details are JSON.
	Details map[string]json.RawMessage `json:"details,omitempty"`
	// Then is what Ringback would do, a sentence each.
	Then []string `json:"then"`
}

type triedRequest struct {
	Request operation.SentRequest     `json:"request"`
	Answer  *operation.ReceivedAnswer `json:"answer"`
	Error   string                    `json:"error,omitempty"`
}

type triedExpression struct {
	Path string `json:"path"`
	Text string `json:"text"`
	// Value is JSON.
	Value json.RawMessage `json:"value"`
	Error string          `json:"error,omitempty"`
}

// evaluated adds what an expression gave. Details evaluates some of them a second time.
func (tried *triedSource) evaluated(mask exchange.Mask, one expression.Evaluated) {
	if slices.ContainsFunc(tried.Expressions, func(before triedExpression) bool { return before.Path == one.Path }) {
		return
	}
	shown := triedExpression{Path: one.Path, Text: one.Text, Value: jsonOf(mask, one.Value)}
	err := one.Err
	if cause, ok := errors.AsType[*expression.EvalError](err); ok {
		err = cause.Err
	}
	if err != nil {
		shown.Error, _ = mask.Beginning([]byte(err.Error()))
	}
	tried.Expressions = append(tried.Expressions, shown)
}

// jsonOf is a value as JSON, without what the mask hides; null if JSON can't hold it. Of a
// long one it is the beginning, as a text.
func jsonOf(mask exchange.Mask, value any) json.RawMessage {
	text, err := json.Marshal(value)
	shown, truncated := mask.Beginning(text)
	switch {
	case truncated:
		beginning, _ := json.Marshal(shown + "…")
		return beginning
	case err == nil && json.Valid([]byte(shown)):
		return json.RawMessage(shown)
	}
	return json.RawMessage("null")
}

func (t *tool) trySource() *cobra.Command {
	var (
		q            operation.Query
		registeredAt string
		answer       answerFlags
	)
	cmd := &cobra.Command{
		Use:   "source NAME",
		Short: "Ask a source about an operation once, and show what would become of the answer",
		Long: `Ask a source of the configuration about an operation once, through the egress guard
and as every poll is made, and show the request with secrets masked, the answer, the
value of each expression, and what Ringback would do:
  starter try source wallet --operation 1007 --config ringback.yml
With --answer or --http-status nothing is sent.

Exits with 1 where nothing would be observed.`,
		Example: `  starter try source wallet --operation 1007 --answer answer.json --config ringback.yml
  starter try source wallet --operation 1007 --answer answer.json --http-status 202 --config ringback.yml`,
		Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, args []string) error {
			if registeredAt != "" {
				q.Reference.RegisteredAt = new(operation.Time)
				if err := q.Reference.RegisteredAt.UnmarshalText([]byte(registeredAt)); err != nil {
					return usage("--registered-at: %w", err)
				}
			}
			c, err := t.loaded()
			if err != nil {
				return err
			}
			if _, ok := c.Sources[args[0]]; !ok {
				return noSuch("source", args[0], maps.Keys(c.Sources))
			}
			secrets := config.Secrets(c.Sources[args[0]])
			r := &recorder{mask: exchange.NewMask(nil, secrets...), secrets: secrets}
			if r.given, err = t.given(cmd, answer); err != nil {
				return err
			}
			r.status = answer.status
			ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
			defer cancel()
			tried := trySource(ctx, c, args[0], q, r)
			if err := t.show(tried, func(w io.Writer) { writeTriedSource(w, tried) }); err != nil {
				return err
			}
			if tried.Error != "" {
				return exit(exitFailed, "nothing was observed: %s", printable(tried.Error))
			}
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&q.OperationID, "operation", "", "the operation's `ID`")
	flags.StringVar(&q.Method, "method", "", "the operation's `METHOD`, where the kind has any")
	flags.StringVar(&q.Reference.OrderID, "order-id", "", "its reference.order_id (`ID`)")
	flags.StringVar(&registeredAt, "registered-at", "", "its reference.registered_at (`TIME`, RFC 3339)")
	answer.add(cmd, "core")
	_ = cmd.MarkFlagRequired("operation")
	return cmd
}

func trySource(ctx context.Context, c *config.Config, name string, q operation.Query, r *recorder) triedSource {
	configured := c.Sources[name]
	kind, _ := c.Kind(configured.Kind) // which the configuration checked
	tried := triedSource{Source: name, Kind: configured.Kind}
	if kind.Push != nil {
		tried.Error, tried.Then = "a core of this kind is never polled: it pushes", []string{"Waits for the core to push."}
		return tried
	}
	guarded := func(tlsConfig *tls.Config, timeout time.Duration) *http.Client {
		return r.client(c.Guard.Client(tlsConfig, timeout))
	}
	opened := wiring.Source(c, configured, wiring.Clients{Poll: guarded, Token: r.tokenClient(c.Guard.Client)})
	ctx = expression.Traced(ctx, func(one expression.Evaluated) { tried.evaluated(r.mask, one) })
	observed, err := opened.Poll(ctx, q)
	r.over = true
	if err != nil {
		tried.Error = err.Error()
		if failure, ok := errors.AsType[*source.Error](err); ok {
			tried.ErrorKind, tried.Error = failure.Kind, failure.Detail
		}
	} else if tried.Keep = observed.Raw; observed.Status != "" {
		tried.Status, tried.Final = &observed.Status, kind.Rules(configured.FinalStatuses).IsFinal(observed.Status)
	}
	if err == nil {
		// Where details have a request of their own, they stay unknown: the core is asked once.
		details, _ := opened.Details(ctx, q)
		tried.Details = map[string]json.RawMessage{}
		for name, value := range details {
			tried.Details[name] = jsonOf(r.mask, value)
		}
		for name, value := range tried.Keep {
			tried.Keep[name] = r.mask.Text([]byte(value))
		}
	}
	tried.Asked = r.asked
	tried.Then = then(c, kind, tried)
	return tried
}

// then is what Ringback would do.
func then(c *config.Config, kind source.Kind, tried triedSource) []string {
	switch {
	case tried.ErrorKind == source.Unauthorized:
		return []string{"Lets the operation rest, then polls again: this costs no poll."}
	case tried.Error != "":
		return []string{"Polls again at the next gap: this costs a poll."}
	case tried.Status == nil:
		return []string{"Polls again at the next gap: the core answered without a status."}
	}
	status, sentences := *tried.Status, []string{}
	if !slices.Contains(kind.Vocabulary, status) {
		sentences = append(sentences, fmt.Sprintf("Counts %q as a status that the kind does not know.", status))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Endpoints)) {
		endpoint, _ := c.Endpoint(name)
		if endpoint.Source != tried.Source {
			continue
		}
		delivered := endpoint.Rules.Delivers(status) && (len(endpoint.Statuses) == 0 || slices.Contains(endpoint.Statuses, status))
		sentence := name + " gets no callback about " + status
		if delivered {
			sentence = fmt.Sprintf("%s gets a callback about %s in the dialect %s", name, status, endpoint.Dialect)
		}
		sentences = append(sentences, sentence+".")
	}
	if tried.Final {
		return append(sentences, "Ends the watch: "+status+" is final.")
	}
	return append(sentences, "Polls again at the next gap: "+status+" is not final.")
}

func writeTriedSource(w io.Writer, tried triedSource) {
	_, _ = fmt.Fprintf(w, "Source %s, kind %s\n", printable(tried.Source), printable(tried.Kind))
	for _, one := range tried.Asked {
		_, _ = fmt.Fprintln(w)
		writeMessage(w, "> ", one.Request.Line, one.Request.Headers, one.Request.Body)
		if one.Answer != nil {
			_, _ = fmt.Fprintln(w)
			writeMessage(w, "< ", one.Answer.Line, one.Answer.Headers, one.Answer.Body)
		}
		if one.Error != "" {
			_, _ = fmt.Fprintln(w, "\nNo answer: "+printable(one.Error))
		}
	}
	table := rows{}
	for _, one := range tried.Expressions {
		table.add(one.Path, one.Text, cmp.Or(one.Error, string(one.Value)))
	}
	if len(table) > 0 {
		_, _ = fmt.Fprintln(w)
		table.write(w)
	}
	result := rows{}
	switch {
	case tried.Error != "":
		result.add("Error", strings.TrimPrefix(string(tried.ErrorKind)+": "+tried.Error, ": "))
	case tried.Status == nil:
		result.add("Status", "answered without one")
	case tried.Final:
		result.add("Status", *tried.Status+", final")
	default:
		result.add("Status", *tried.Status)
	}
	for _, name := range slices.Sorted(maps.Keys(tried.Keep)) {
		result.add("Kept", name+" = "+tried.Keep[name])
	}
	for _, name := range slices.Sorted(maps.Keys(tried.Details)) {
		result.add("Details", name+" = "+string(tried.Details[name]))
	}
	_, _ = fmt.Fprintln(w)
	result.write(w)
	_, _ = fmt.Fprintln(w)
	for _, sentence := range tried.Then {
		_, _ = fmt.Fprintln(w, printable(sentence))
	}
}

// recorder asks a core once, and keeps what was sent and received. Where given is set,
// it answers instead of the core.
type recorder struct {
	// mask hides the secrets, and what authorized the requests.
	mask                exchange.Mask
	secrets, authorized []string
	given               []byte
	status              int
	// over says that no further request may be sent: only those that were are answered.
	over  bool
	asked []triedRequest
	kept  map[string]answered
}

type answered struct {
	response http.Response
	body     []byte
}

// errOnce is the failure of a further request.
var errOnce = errors.New("not asked: the core is asked once")

// client is c with the recorder in between.
func (r *recorder) client(c *http.Client) *http.Client {
	recording := *c
	recording.Transport = transport(func(request *http.Request) (*http.Response, error) { return r.send(c.Transport, request) })
	return &recording
}

// tokenClient is for token endpoints, whose exchanges are not shown. Where the core's answer
// is given, so is a token.
func (r *recorder) tokenClient(guarded func(*tls.Config, time.Duration) *http.Client) func(*tls.Config, time.Duration) *http.Client {
	if r.given == nil {
		return guarded
	}
	token := answered{
		http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}},
		[]byte(`{"access_token":"not-asked-for","token_type":"Bearer"}`),
	}
	return func(tlsConfig *tls.Config, timeout time.Duration) *http.Client {
		client := guarded(tlsConfig, timeout)
		client.Transport = transport(func(*http.Request) (*http.Response, error) { return token.again(), nil })
		return client
	}
}

type transport func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func (r *recorder) send(next http.RoundTripper, request *http.Request) (*http.Response, error) {
	key := request.Method + " " + request.URL.String()
	if kept, before := r.kept[key]; before && r.over {
		return kept.again(), nil
	}
	if r.over && r.given == nil {
		return nil, errOnce
	}
	// An access token is in no file.
	r.authorized = append(r.authorized, request.Header["Authorization"]...)
	r.mask = exchange.NewMask(http.Header{"Authorization": r.authorized}, r.secrets...)
	kept, err := r.receive(next, request)
	if r.over {
		return kept.again(), err
	}
	one := triedRequest{Request: r.mask.Request(request, "", true)}
	if err != nil {
		one.Error = r.mask.Text([]byte(err.Error()))
		r.asked = append(r.asked, one)
		return nil, err
	}
	one.Answer = r.mask.Answer(&kept.response, kept.body)
	r.asked = append(r.asked, one)
	if r.kept == nil {
		r.kept = map[string]answered{}
	}
	r.kept[key] = kept
	return kept.again(), nil
}

// longestAnswer is longer than any answer that a source reads.
const longestAnswer = 1 << 20

func (r *recorder) receive(next http.RoundTripper, request *http.Request) (answered, error) {
	if r.given != nil {
		return answered{http.Response{
			Status: fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)), StatusCode: r.status,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: request,
		}, r.given}, nil
	}
	response, err := next.RoundTrip(request)
	if err != nil {
		return answered{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	return answered{*response, body}, err
}

// again is the answer, to be read once more.
func (a answered) again() *http.Response {
	response := a.response
	response.Body = io.NopCloser(bytes.NewReader(a.body))
	return &response
}
