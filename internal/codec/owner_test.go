package codec_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"ringback/internal/codec"
)

// sealedBefore is what the format before sealed with the key a of bytes 1: "x" as JSON.
const sealedBefore = `BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcQw6mMS14Y4uBAKUNVsxu6bJZlxdUFnH3Oe/FYM3Zl6RwUAFdrZ/wZBP6mCdY=`

// message is one that people send.
type message struct {
	Status string `json:"status"`
}

func (message) IsMessage() {}

// optional is one that says something without an input.
type optional struct{ message }

func (optional) IsOptional() {}

func before(t *testing.T) *commonpb.Payload {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(sealedBefore)
	require.NoError(t, err)
	return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte(codec.Encoding), codec.MetadataKeyID: []byte("a")}, Data: data}
}

func TestAPayloadIsOpenedForItsWorkflowAlone(t *testing.T) {
	t.Parallel()
	keys := with(t, key("a", 1))
	mine := sealed(t, for1(keys), payload("1"))[0]
	says := func(name, value string) *commonpb.Payload {
		p := proto.CloneOf(mine)
		p.Metadata[name] = []byte(value)
		return p
	}
	const changed = `opening a payload sealed with the key "a": codec.keys holds another key of that name, or the payload was changed`
	for name, row := range map[string]struct {
		p                     *commonpb.Payload
		strict, whileMigrated string
	}{
		"its own": {mine, "", ""},
		"another workflow's": {
			sealed(t, forWorkflow(keys, "ns", "SHOP/2"), payload("1"))[0],
			`opening a payload sealed with the key "a": it was sealed for the workflow "SHOP/2" of the namespace "ns", and is read for the workflow "SHOP/1" of the namespace "ns"`,
			`opening a payload sealed with the key "a": it was sealed for the workflow "SHOP/2" of the namespace "ns", and is read for the workflow "SHOP/1" of the namespace "ns"`,
		},
		"another namespace's": {
			sealed(t, forWorkflow(keys, "test", "SHOP/1"), payload("1"))[0],
			`opening a payload sealed with the key "a": it was sealed for the workflow "SHOP/1" of the namespace "test", and is read for the workflow "SHOP/1" of the namespace "ns"`,
			`opening a payload sealed with the key "a": it was sealed for the workflow "SHOP/1" of the namespace "test", and is read for the workflow "SHOP/1" of the namespace "ns"`,
		},
		"another workflow's that says it is its own": {
			func() *commonpb.Payload {
				p := sealed(t, forWorkflow(keys, "ns", "SHOP/2"), payload("1"))[0]
				p.Metadata[codec.MetadataWorkflowID] = []byte("SHOP/1")
				return p
			}(), changed, changed,
		},
		"a border moved between the names": {
			func() *commonpb.Payload {
				p := sealed(t, forWorkflow(keys, "nsSHOP", "/1"), payload("1"))[0]
				p.Metadata[codec.MetadataNamespace], p.Metadata[codec.MetadataWorkflowID] = []byte("ns"), []byte("SHOP/1")
				return p
			}(), changed, changed,
		},
		"no workflow's": {
			sealed(t, keys, payload("1"))[0],
			`opening a payload sealed with the key "a": it was sealed for no workflow, and is read for the workflow "SHOP/1" of the namespace "ns"`, "",
		},
		"no workflow's, by its own word": {
			says(codec.MetadataWorkflowID, ""),
			`opening a payload sealed with the key "a": it was sealed for no workflow, and is read for the workflow "SHOP/1" of the namespace "ns"`, changed,
		},
		"not sealed":           {payload("1"), "reading a payload: it is not sealed, and codec.migrating is not true", ""},
		"of the format before": {before(t), `opening a payload sealed with the key "a": it is of the format before, and codec.migrating is not true`, ""},
		"of the format before, by its own word": {
			func() *commonpb.Payload {
				p := proto.CloneOf(mine)
				delete(p.Metadata, codec.MetadataWorkflowID)
				return p
			}(), `opening a payload sealed with the key "a": it is of the format before, and codec.migrating is not true`, changed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for migrating, want := range map[bool]string{false: row.strict, true: row.whileMigrated} {
				c := &codec.Codec{}
				c.Use([]codec.Key{key("a", 1)}, migrating)
				_, err := for1(c).Decode([]*commonpb.Payload{row.p})
				if want == "" {
					require.NoError(t, err, "migrating: %v", migrating)
					continue
				}
				require.EqualError(t, err, want, "migrating: %v", migrating)
			}
		})
	}
}

func TestWithoutKeysNothingIsRefused(t *testing.T) {
	t.Parallel()
	plain := []*commonpb.Payload{payload("1")}
	got, err := for1(&codec.Codec{}).Decode(plain)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(plain, got, protocmp.Transform()))
}

func TestConvertersSealForTheWorkflowAtHand(t *testing.T) {
	t.Parallel()
	c := with(t, key("a", 1))
	root := codec.NewConverter(c)
	workflow1 := converter.WorkflowSerializationContext{Namespace: "ns", WorkflowID: "SHOP/1"}
	activity1 := converter.ActivitySerializationContext{Namespace: "ns", WorkflowID: "SHOP/1", ActivityType: "Watch"}
	other := converter.WorkflowSerializationContext{Namespace: "ns", WorkflowID: "SHOP/2"}
	aware := root.(converter.ContextAware)
	for name, in := range map[string]converter.DataConverter{
		"a client":                               root,
		"a workflow":                             aware.WithWorkflowContext(nil),
		"outside of an activity":                 aware.WithContext(context.Background()),
		"with a workflow again":                  converter.WithDataConverterSerializationContext(root, other),
		"with a workflow again, in its workflow": converter.WithDataConverterSerializationContext(root, other).(converter.ContextAware).WithWorkflowContext(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := converter.WithDataConverterSerializationContext(in, workflow1).ToPayload("x")
			require.NoError(t, err)
			require.Equal(t, "SHOP/1", string(p.GetMetadata()[codec.MetadataWorkflowID]))
			var into string
			require.NoError(t, converter.WithDataConverterSerializationContext(root, activity1).FromPayload(p, &into), "what a workflow gives its activity")
			require.ErrorContains(t, converter.WithDataConverterSerializationContext(root, other).FromPayload(p, &into), "is read for the workflow")
		})
	}
	failures := converter.WithFailureConverterSerializationContext(codec.NewFailureConverter(c), workflow1)
	failure := failures.ErrorToFailure(temporal.NewApplicationError("m", "Exhausted", "detail"))
	require.Equal(t, "SHOP/1", string(failure.GetEncodedAttributes().GetMetadata()[codec.MetadataWorkflowID]))
	require.Equal(t, "SHOP/1", string(failure.GetApplicationFailureInfo().GetDetails().GetPayloads()[0].GetMetadata()[codec.MetadataWorkflowID]))
}

func TestAMessageThatIsRefusedIsDropped(t *testing.T) {
	t.Parallel()
	c := with(t, key("a", 1))
	in := func(workflowID string) converter.DataConverter {
		return converter.WithDataConverterSerializationContext(codec.NewConverter(c), converter.WorkflowSerializationContext{Namespace: "ns", WorkflowID: workflowID})
	}
	inWorkflow := in("SHOP/1").(converter.ContextAware).WithWorkflowContext(nil)
	read := func(from converter.DataConverter) error {
		p, err := from.ToPayloads(message{"done"})
		require.NoError(t, err)
		var into message
		err = inWorkflow.FromPayloads(p, &into)
		require.Equal(t, err == nil, into.Status == "done")
		return err
	}
	require.NoError(t, read(in("SHOP/1")))
	require.NoError(t, read(codec.NewConverter(c)), "a codec server knows no workflow")
	require.ErrorContains(t, read(in("SHOP/2")), `sealed for the workflow "SHOP/2"`)
	require.ErrorContains(t, read(converter.GetDefaultDataConverter()), "it is not sealed")
	p, err := converter.GetDefaultDataConverter().ToPayloads("x")
	require.NoError(t, err)
	var into string
	require.PanicsWithError(t, "reading a payload: it is not sealed, and codec.migrating is not true", func() { _ = inWorkflow.FromPayloads(p, &into) },
		"nothing else is dropped: the workflow task is tried again")
}

// TestAMessageThatItsKeyDoesNotOpenIsDropped holds that nobody without a key holds up a
// run by naming one that the program has. One that it lacks may be added: that is waited for.
func TestAMessageThatItsKeyDoesNotOpenIsDropped(t *testing.T) {
	t.Parallel()
	const (
		changed = `opening a payload sealed with the key "a": codec.keys holds another key of that name, or the payload was changed`
		missing = `opening a payload sealed with the key "b": codec.keys holds only a`
	)
	c := with(t, key("a", 1))
	here := converter.WithDataConverterSerializationContext(codec.NewConverter(c), converter.WorkflowSerializationContext{Namespace: "ns", WorkflowID: "SHOP/1"})
	for name, row := range map[string]struct {
		change func(*commonpb.Payload)
		says   string
		waits  bool
	}{
		"data that nobody sealed": {func(p *commonpb.Payload) { p.Data = bytes.Repeat([]byte("garbage"), 20) }, changed, false},
		"too little data":         {func(p *commonpb.Payload) { p.Data = []byte("garbage") }, changed, false},
		"without data":            {func(p *commonpb.Payload) { p.Data = nil }, changed, false},
		"a key that is missing":   {func(p *commonpb.Payload) { p.Metadata[codec.MetadataKeyID] = []byte("b") }, missing, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := here.ToPayload(message{"done"})
			require.NoError(t, err)
			row.change(p)
			inWorkflow := here.(converter.ContextAware).WithWorkflowContext(nil)
			for _, read := range []func(into any) error{
				func(into any) error { return inWorkflow.FromPayload(p, into) },
				func(into any) error {
					return inWorkflow.FromPayloads(&commonpb.Payloads{Payloads: []*commonpb.Payload{p}}, into)
				},
			} {
				require.PanicsWithError(t, row.says, func() { _ = read(new(struct{ Status string })) }, "an input is always waited for")
				if row.waits {
					require.PanicsWithError(t, row.says, func() { _ = read(new(message)) })
					continue
				}
				require.EqualError(t, read(new(message)), row.says)
			}
		})
	}
}

func TestAPayloadThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	const missing = `reading a payload: there is none, where one sealed for the workflow "SHOP/1" of the namespace "ns" has to be`
	here := converter.WorkflowSerializationContext{Namespace: "ns", WorkflowID: "SHOP/1"}
	// read says what comes of reading from no payload.
	read := func(dc converter.DataConverter, into ...any) (said string) {
		defer func() {
			if p := recover(); p != nil {
				said = "panic: " + p.(error).Error()
			}
		}()
		if err := dc.FromPayloads(nil, into...); err != nil {
			return err.Error()
		}
		return ""
	}
	for name, row := range map[string]struct {
		keys                   []codec.Key
		migrating              bool
		into                   []any
		inWorkflow, inActivity string
	}{
		"an input":                           {[]codec.Key{key("a", 1)}, false, []any{new(string)}, "panic: " + missing, missing},
		"an input, without keys":             {nil, false, []any{new(string)}, "", ""},
		"an input, while migrating":          {[]codec.Key{key("a", 1)}, true, []any{new(string)}, "", ""},
		"nothing, where nothing is expected": {[]codec.Key{key("a", 1)}, false, nil, "", ""},
		"a message":                          {[]codec.Key{key("a", 1)}, false, []any{new(message)}, missing, missing},
		"a message that needs no input":      {[]codec.Key{key("a", 1)}, false, []any{new(optional)}, "", missing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &codec.Codec{}
			c.Use(row.keys, row.migrating)
			dc := converter.WithDataConverterSerializationContext(codec.NewConverter(c), here).(converter.ContextAware)
			require.Equal(t, row.inWorkflow, read(dc.WithWorkflowContext(nil), row.into...))
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestActivityEnvironment()
			inActivity := func(ctx context.Context) (string, error) { return read(dc.WithContext(ctx), row.into...), nil }
			env.RegisterActivity(inActivity)
			got, err := env.ExecuteActivity(inActivity)
			require.NoError(t, err)
			var said string
			require.NoError(t, got.Get(&said))
			require.Equal(t, row.inActivity, said)
		})
	}
}

// serverOf calls the codec server of c.
func serverOf(t *testing.T, c *codec.Codec) func(path string, header http.Header, payloads ...*commonpb.Payload) []*commonpb.Payload {
	t.Helper()
	server := codec.NewServer(c)
	return func(path string, header http.Header, payloads ...*commonpb.Payload) []*commonpb.Payload {
		t.Helper()
		body, err := protojson.Marshal(&commonpb.Payloads{Payloads: payloads})
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
		r.Header = header
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		var got commonpb.Payloads
		require.NoError(t, protojson.Unmarshal(w.Body.Bytes(), &got))
		return got.GetPayloads()
	}
}

func TestACodecServerSealsForTheWorkflowThatItIsTold(t *testing.T) {
	t.Parallel()
	call := serverOf(t, with(t, key("a", 1)))
	told := call("/codec/encode", http.Header{"X-Namespace": {"ns"}, "X-Workflow-Id": {"SHOP/1"}}, payload("1"))
	require.Equal(t, map[string][]byte{
		"encoding": []byte("binary/encrypted"), "encryption-key-id": []byte("a"), "encryption-by": []byte("operator"),
		"encryption-namespace": []byte("ns"), "encryption-workflow-id": []byte("SHOP/1"),
	}, told[0].GetMetadata())
	shown := call("/codec/decode", http.Header{}, append(told, payload("2"))...)
	require.Empty(t, cmp.Diff([]*commonpb.Payload{payload("1"), payload("2")}, shown, protocmp.Transform()), "it shows every workflow's, and what is not sealed")
}

func TestWhatACodecServerSealsIsTakenAsAMessageAlone(t *testing.T) {
	t.Parallel()
	const (
		noInput = `opening a payload sealed with the key "a": the codec server sealed it, which seals Signals and Updates alone`
		changed = `opening a payload sealed with the key "a": codec.keys holds another key of that name, or the payload was changed`
		foreign = `opening a payload sealed with the key "a": it was sealed for %s, and is read for the workflow "SHOP/1" of the namespace "ns"`
	)
	as := func(by string) func(*commonpb.Payload) {
		return func(p *commonpb.Payload) { p.Metadata[codec.MetadataBy] = []byte(by) }
	}
	for name, row := range map[string]struct {
		namespace, workflowID string
		change                func(*commonpb.Payload)
		// why it is not taken as a message and as an input; empty: it is.
		message, input string
	}{
		"for its workflow":                {"ns", "SHOP/1", nil, "", noInput},
		"for no workflow":                 {"ns", "", nil, "", noInput},
		"for no workflow of no namespace": {"", "", nil, "", noInput},
		"for another workflow":            {"ns", "SHOP/2", nil, fmt.Sprintf(foreign, `the workflow "SHOP/2" of the namespace "ns"`), noInput},
		"for another namespace":           {"test", "SHOP/1", nil, fmt.Sprintf(foreign, `the workflow "SHOP/1" of the namespace "test"`), noInput},
		"for no workflow of another one":  {"test", "", nil, fmt.Sprintf(foreign, "no workflow"), noInput},
		"without the mark":                {"ns", "SHOP/1", func(p *commonpb.Payload) { delete(p.Metadata, codec.MetadataBy) }, changed, changed},
		"with an empty mark":              {"ns", "SHOP/1", as(""), changed, changed},
		"with another mark":               {"ns", "SHOP/1", as("worker"), changed, noInput},
	} {
		for _, migrating := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, migrating %v", name, migrating), func(t *testing.T) {
				t.Parallel()
				c := &codec.Codec{}
				c.Use([]codec.Key{key("a", 1)}, migrating)
				p, err := converter.GetDefaultDataConverter().ToPayload(message{"done"})
				require.NoError(t, err)
				p = serverOf(t, c)("/codec/encode", http.Header{"X-Namespace": {row.namespace}, "X-Workflow-Id": {row.workflowID}}, p)[0]
				if row.change != nil {
					row.change(p)
				}
				dc := converter.WithDataConverterSerializationContext(codec.NewConverter(c), converter.WorkflowSerializationContext{Namespace: "ns", WorkflowID: "SHOP/1"})
				// read says why the payload is not taken. A workflow panics where that is no message.
				read := func(into any) (said string) {
					defer func() {
						if p := recover(); p != nil {
							said = p.(error).Error()
						}
					}()
					if err := dc.(converter.ContextAware).WithWorkflowContext(nil).FromPayloads(&commonpb.Payloads{Payloads: []*commonpb.Payload{p}}, into); err != nil {
						return err.Error()
					}
					return ""
				}
				require.Equal(t, row.message, read(new(message)))
				require.Equal(t, row.input, read(new(struct{ Status string })))
			})
		}
	}
}
