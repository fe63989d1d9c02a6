package dialect_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/cardnumber"
	"ringback/internal/config"
	"ringback/internal/dialect"
	"ringback/internal/expression"
	"ringback/internal/operation"
)

func text(e string) expression.Node { return expression.Node{Text: &e} }

func member(name, e string) expression.Member { return expression.Member{Name: name, Value: text(e)} }

func compiled(t testing.TB, d dialect.Definition, name string) dialect.Dialect {
	t.Helper()
	made, faults := d.Compile(name)
	require.Empty(t, faults)
	return made
}

// pairs are the built-in dialects beside themselves as data, in a file.
func pairs(t testing.TB) [][2]dialect.Dialect {
	t.Helper()
	c, err := config.Load("../config/testdata/seeds/ringback.yml")
	require.NoError(t, err)
	var pairs [][2]dialect.Dialect
	for _, name := range []string{"paysera", "ukrcard"} {
		builtIn, _ := dialect.ByName(name)
		asData, known := c.Dialect(name + "-as-data")
		require.True(t, known)
		pairs = append(pairs, [2]dialect.Dialect{builtIn, asData})
	}
	return pairs
}

func TestTheBuiltInDialectsAsDataWriteTheirGoldens(t *testing.T) {
	t.Parallel()
	for _, pair := range pairs(t) {
		asData := pair[1]
		for _, golden := range load[written](t, pair[0].Name(), "written.json") {
			t.Run(asData.Name()+": "+golden.Name, func(t *testing.T) {
				t.Parallel()
				message, err := asData.Write(golden.Callback, nil)
				if golden.Error != "" {
					require.Error(t, err, "its text is another")
					return
				}
				require.NoError(t, err)
				require.Equal(t, golden.Body, string(message.Body))
				require.Equal(t, golden.ContentType, message.ContentType)
				require.Equal(t, golden.Accept, message.Accept)
			})
		}
		for _, status := range []string{"", "0", "2", "22", "done", "revoked"} {
			require.Equal(t, pair[0].Knows(status), asData.Knows(status), "%s: %q", asData.Name(), status)
		}
	}
}

// judgedOtherwise are the rows whose verdict differs, by name.
var judgedOtherwise = map[string]string{
	"another member said twice": "a JSON that gives any member twice, with different values, is not read",
}

func TestTheBuiltInDialectsAsDataJudgeByTheirTables(t *testing.T) {
	t.Parallel()
	for _, pair := range pairs(t) {
		asData := pair[1]
		for _, row := range load[judged](t, pair[0].Name(), "judge.json") {
			t.Run(asData.Name()+": "+row.Name, func(t *testing.T) {
				t.Parallel()
				got := asData.Judge(row.callback(), row.answer())
				if why := judgedOtherwise[row.Name]; why != "" {
					require.NotEqual(t, row.Verdict, got.Verdict, why)
					return
				}
				require.Equal(t, row.Verdict, got.Verdict, got.Reason)
				require.Equal(t, row.Gone, got.Gone)
				require.Equal(t, row.Reason == "", got.Reason == "", "its words are others")
			})
		}
	}
}

// requireJudgedAlike holds a dialect as data against the built-in one, but for what is
// known to differ: JSON that is not read as data, and -0, which is 0 there.
func requireJudgedAlike(t *testing.T, pair [2]dialect.Dialect, c operation.Callback, a dialect.Answer) {
	t.Helper()
	builtIn, asData := pair[0].Judge(c, a), pair[1].Judge(c, a)
	require.Equal(t, builtIn.Gone, asData.Gone)
	_, unread := expression.DecodeJSON(bytes.TrimPrefix(a.Body, []byte("\uFEFF")))
	if builtIn.Verdict != asData.Verdict && !bytes.Contains(a.Body, []byte("-0")) {
		require.Error(t, unread, "%s: %q", pair[0].Name(), a.Body)
		require.Equal(t, operation.Unacknowledged, asData.Verdict)
	}
}

// requireWrittenAlike: as data, what looks like a card number is not written.
func requireWrittenAlike(t *testing.T, pair [2]dialect.Dialect, c operation.Callback) {
	t.Helper()
	builtIn, wrong := pair[0].Write(c, nil)
	asData, err := pair[1].Write(c, nil)
	switch {
	case err == nil:
		require.NoError(t, wrong)
		require.Equal(t, string(builtIn.Body), string(asData.Body))
	case wrong == nil:
		require.True(t, cardnumber.In(string(builtIn.Body)), "%v: %q", err, builtIn.Body)
	}
}
