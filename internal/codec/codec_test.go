package codec_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"ringback/internal/codec"
)

func key(id string, fill byte) codec.Key {
	return codec.Key{ID: id, Secret: [codec.KeyBytes]byte(bytes.Repeat([]byte{fill}, codec.KeyBytes))}
}

func with(t testing.TB, keys ...codec.Key) *codec.Codec {
	t.Helper()
	c := &codec.Codec{}
	c.Use(keys, false)
	return c
}

// marked is what must not be seen.
const marked = "https://user:marked-token@callbacks.example"

func payload(data string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte("json/plain"), "of": []byte(marked)}, Data: []byte(data)}
}

// for1 is c for the workflow SHOP/1.
func for1(c *codec.Codec) converter.PayloadCodec { return forWorkflow(c, "ns", "SHOP/1") }

func forWorkflow(c *codec.Codec, namespace, workflowID string) converter.PayloadCodec {
	return c.WithSerializationContext(converter.WorkflowSerializationContext{Namespace: namespace, WorkflowID: workflowID})
}

func sealed(t testing.TB, c converter.PayloadCodec, payloads ...*commonpb.Payload) []*commonpb.Payload {
	t.Helper()
	got, err := c.Encode(payloads)
	require.NoError(t, err)
	return got
}

func TestWhatIsSealedIsOpenedAgain(t *testing.T) {
	t.Parallel()
	c := for1(with(t, key("a", 1)))
	for _, data := range []string{"", `"x"`, marked, strings.Repeat(marked, 100)} {
		plain := []*commonpb.Payload{payload(data), payload("2")}
		got := sealed(t, c, plain...)
		for _, p := range got {
			raw, err := proto.Marshal(p)
			require.NoError(t, err)
			require.NotContains(t, string(raw), "marked-token", "metadata included")
			require.Equal(t, map[string][]byte{
				"encoding": []byte("binary/encrypted"), "encryption-key-id": []byte("a"),
				"encryption-namespace": []byte("ns"), "encryption-workflow-id": []byte("SHOP/1"),
			}, p.Metadata)
		}
		opened, err := c.Decode(got)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(plain, opened, protocmp.Transform()))
	}
}

func TestTheSameTwiceIsSealedDifferently(t *testing.T) {
	t.Parallel()
	c := with(t, key("a", 1))
	first, second := sealed(t, c, payload("1")), sealed(t, c, payload("1"))
	require.NotEqual(t, first[0].Data, second[0].Data)
}

func TestKeysAreReplacedWithoutLosingWhatTheySealed(t *testing.T) {
	t.Parallel()
	c := with(t, key("old", 1))
	before := sealed(t, c, payload("1"))
	c.Use([]codec.Key{key("new", 2), key("old", 1)}, false)
	_, err := c.Decode(before)
	require.NoError(t, err, "an old key still opens")
	after := sealed(t, c, payload("1"))
	require.Equal(t, "new", string(after[0].Metadata[codec.MetadataKeyID]), "the first key seals")
	c.Use([]codec.Key{key("new", 2)}, false)
	_, err = c.Decode(after)
	require.NoError(t, err)
	_, err = c.Decode(before)
	require.EqualError(t, err, `opening a payload sealed with the key "old": codec.keys holds only new`)
	c.Use(nil, false)
	_, err = c.Decode(after)
	require.EqualError(t, err, `opening a payload sealed with the key "new": codec.keys holds no key`)
}

func TestWhatWasNotSealedIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	plain := []*commonpb.Payload{payload("1")}
	for name, c := range map[string]*codec.Codec{"without keys": {}, "with keys, written before there were any": with(t, key("a", 1))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.Decode(plain)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(plain, got, protocmp.Transform()))
		})
	}
	require.Empty(t, cmp.Diff(plain, sealed(t, &codec.Codec{}, plain...), protocmp.Transform()))
}

func TestWhatWasChangedIsNotOpened(t *testing.T) {
	t.Parallel()
	c := with(t, key("a", 1), key("b", 1))
	changed := `opening a payload sealed with the key %: codec.keys holds another key of that name, or the payload was changed`
	for _, row := range []struct {
		name, id string
		change   func(*commonpb.Payload)
	}{
		{"a byte of the salt", "a", func(p *commonpb.Payload) { p.Data[0] ^= 1 }},
		{"a byte of the content", "a", func(p *commonpb.Payload) { p.Data[40] ^= 1 }},
		{"a byte of the tag", "a", func(p *commonpb.Payload) { p.Data[len(p.Data)-1] ^= 1 }},
		{"cut short", "a", func(p *commonpb.Payload) { p.Data = p.Data[:47] }},
		{"empty", "a", func(p *commonpb.Payload) { p.Data = nil }},
		{"said to be another key's, whose bytes are the same", "b", func(p *commonpb.Payload) { p.Metadata[codec.MetadataKeyID] = []byte("b") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := sealed(t, c, payload(marked))[0]
			row.change(p)
			_, err := c.Decode([]*commonpb.Payload{p})
			require.EqualError(t, err, strings.Replace(changed, "%", `"`+row.id+`"`, 1))
		})
	}
}

func TestFailuresAreSealedWhileThereAreKeys(t *testing.T) {
	t.Parallel()
	cause := temporal.NewApplicationError("refused "+marked, "Exhausted", marked)
	c := with(t, key("a", 1))
	failures := codec.NewFailureConverter(c)
	failure := failures.ErrorToFailure(cause)
	raw, err := proto.Marshal(failure)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "marked-token")
	require.Contains(t, string(raw), "Exhausted", "the type is in clear, and holds nothing secret")

	var back *temporal.ApplicationError
	require.ErrorAs(t, failures.FailureToError(proto.CloneOf(failure)), &back)
	require.Equal(t, "refused "+marked, back.Message())
	var detail string
	require.NoError(t, back.Details(&detail))
	require.Equal(t, marked, detail)

	c.Use(nil, false)
	require.ErrorAs(t, failures.FailureToError(failure), &back)
	require.PanicsWithError(t, `opening a payload sealed with the key "a": codec.keys holds no key`, func() { _ = back.Details(&detail) },
		"nobody goes on as if there were no details")
	require.Equal(t, "refused "+marked, failures.ErrorToFailure(cause).GetMessage(), "without keys a failure is as readable as ever")
}

func TestAClientsErrorNamesTheKey(t *testing.T) {
	t.Parallel()
	c := with(t, key("a", 1))
	dc := codec.NewConverter(c)
	p, err := dc.ToPayload("x")
	require.NoError(t, err)
	c.Use([]codec.Key{key("a", 2)}, false)
	var into string
	err = dc.FromPayload(p, &into)
	var sealed *codec.Error
	require.ErrorAs(t, err, &sealed)
	require.Equal(t, codec.Error{KeyID: "a", Reason: "codec.keys holds another key of that name, or the payload was changed"}, *sealed)
}

func TestAnActivityWaitsForItsKey(t *testing.T) {
	t.Parallel()
	c := with(t, key("a", 1))
	dc := codec.NewConverter(c)
	p, err := dc.ToPayload("x")
	require.NoError(t, err)
	c.Use([]codec.Key{key("b", 2)}, false)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	read := func(ctx context.Context) (string, error) {
		time.AfterFunc(100*time.Millisecond, func() { c.Use([]codec.Key{key("b", 2), key("a", 1)}, false) })
		var into string
		err := dc.(converter.ContextAware).WithContext(ctx).FromPayload(p, &into)
		return into, err
	}
	env.RegisterActivity(read)
	got, err := env.ExecuteActivity(read)
	require.NoError(t, err)
	var into string
	require.NoError(t, got.Get(&into))
	require.Equal(t, "x", into)
}

func TestAWorkflowDoesNotGoOnWithoutItsKey(t *testing.T) {
	t.Parallel()
	c := with(t, key("a", 1))
	dc := codec.NewConverter(c)
	sealed, err := dc.ToPayloads("x")
	require.NoError(t, err)
	c.Use([]codec.Key{key("b", 2)}, false)
	inWorkflow := dc.(converter.ContextAware).WithWorkflowContext(nil)
	missing := `opening a payload sealed with the key "a": codec.keys holds only b`
	var into string
	require.PanicsWithError(t, missing, func() { _ = inWorkflow.FromPayloads(sealed, &into) })
	require.PanicsWithError(t, missing, func() { _ = inWorkflow.FromPayload(sealed.GetPayloads()[0], &into) })
	require.Error(t, inWorkflow.FromPayload(payload("not JSON"), &into), "what was never ours is the SDK's affair")
}

func FuzzDecode(f *testing.F) {
	c := with(f, key("a", 1))
	f.Add([]byte("short"))
	f.Add(sealed(f, c, payload("1"))[0].Data)
	genuine := string(sealed(f, c, payload("1"))[0].Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte(codec.Encoding), codec.MetadataKeyID: []byte("a")}, Data: data}
		_, err := c.Decode([]*commonpb.Payload{p})
		if string(data) == genuine {
			require.NoError(t, err)
		}
	})
}

// BenchmarkSealAndOpen is what the codec costs for a payload of the size of an
// operation's input.
func BenchmarkSealAndOpen(b *testing.B) {
	c := with(b, key("a", 1))
	plain := []*commonpb.Payload{payload(strings.Repeat("x", 1024))}
	b.ReportAllocs()
	for b.Loop() {
		got, err := c.Encode(plain)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Decode(got); err != nil {
			b.Fatal(err)
		}
	}
}
