package dialect_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/dialect"
	"ringback/internal/operation"
)

// Every dialect has testdata/<its name>/written.json, judge.json and ping.txt:
// that is all a new one must bring.

type written struct {
	Name        string             `json:"name"`
	Callback    operation.Callback `json:"callback"`
	ContentType string             `json:"content_type"`
	Accept      string             `json:"accept"`
	Body        string             `json:"body"`
	// Error is a part of the error, where nothing can be written.
	Error string `json:"error"`
}

type judged struct {
	Name string `json:"name"`
	// OperationID is of the callback that was answered; empty: A-1.
	OperationID string `json:"operation_id"`
	Answer      struct {
		HTTPStatus int    `json:"http_status"`
		Body       string `json:"body"`
		Truncated  bool   `json:"truncated"`

		ContentEncoding string `json:"content_encoding"`
	} `json:"answer"`
	Verdict operation.Verdict `json:"verdict"`
	Reason  string            `json:"reason"`
	Gone    bool              `json:"gone"`
}

func (j judged) callback() operation.Callback {
	key := operation.Key{Endpoint: "SHOP", OperationID: "A-1"}
	if j.OperationID != "" {
		key.OperationID = j.OperationID
	}
	return operation.Callback{Key: key, Observation: operation.Observation{Status: "2"}}
}

func (j judged) answer() dialect.Answer {
	return dialect.Answer{
		HTTPStatus: j.Answer.HTTPStatus, Body: []byte(j.Answer.Body), Truncated: j.Answer.Truncated,
		Header: http.Header{"Content-Encoding": {j.Answer.ContentEncoding}},
	}
}

func TestEveryDialectWritesItsGoldens(t *testing.T) {
	t.Parallel()
	for _, d := range dialect.All {
		for _, golden := range load[written](t, d.Name(), "written.json") {
			t.Run(d.Name()+": "+golden.Name, func(t *testing.T) {
				t.Parallel()
				message, err := d.Write(golden.Callback, nil)
				if golden.Error != "" {
					require.ErrorContains(t, err, golden.Error)
					return
				}
				require.NoError(t, err)
				require.Equal(t, golden.Body, string(message.Body))
				require.Equal(t, golden.ContentType, message.ContentType)
				require.Equal(t, golden.Accept, message.Accept)

				again, err := d.Write(golden.Callback, nil)
				require.NoError(t, err)
				require.Equal(t, message, again, "the same in every attempt")
			})
		}
	}
}

func TestEveryDialectWritesItsTestCallback(t *testing.T) {
	t.Parallel()
	c := operation.Callback{
		ID: "cb_ping", Key: operation.Key{Endpoint: "SHOP", OperationID: operation.PingPrefix + "mfrggzdfmz"},
		Observation: operation.Observation{ObservedAt: operation.At(time.Date(2026, 11, 21, 7, 30, 0, 0, time.UTC))},
	}
	for _, d := range dialect.All {
		t.Run(d.Name(), func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(filepath.Join("testdata", d.Name(), "ping.txt"))
			require.NoError(t, err, "every dialect brings its testdata")
			message, err := d.Ping(c, nil)
			require.NoError(t, err)
			require.Equal(t, strings.TrimSpace(string(golden)), string(message.Body))
			require.Contains(t, string(message.Body), c.Key.OperationID, "a receiver can tell it from a real one")
		})
	}
}

func TestEveryDialectJudgesByItsTable(t *testing.T) {
	t.Parallel()
	for _, d := range dialect.All {
		var acknowledged, unacknowledged, gone, redirects int
		for _, row := range load[judged](t, d.Name(), "judge.json") {
			t.Run(d.Name()+": "+row.Name, func(t *testing.T) {
				t.Parallel()
				want := dialect.Judgement{Verdict: row.Verdict, Reason: row.Reason, Gone: row.Gone}
				require.Equal(t, want, d.Judge(row.callback(), row.answer()))
			})
			switch {
			case row.Gone:
				gone++
			case row.Answer.HTTPStatus/100 == 3:
				redirects++
			case row.Verdict == operation.Acknowledged:
				acknowledged++
			default:
				unacknowledged++
			}
		}
		require.NotZero(t, acknowledged, "%s: the table acknowledges something", d.Name())
		require.NotZero(t, unacknowledged, "%s: the table does not acknowledge everything", d.Name())
		require.NotZero(t, gone, "%s: the table has a 410", d.Name())
		require.NotZero(t, redirects, "%s: the table has a redirect", d.Name())
	}
}

func TestTheRegistryKnowsEveryDialectAndTestdataNoOther(t *testing.T) {
	t.Parallel()
	require.Subset(t, dialect.Names(), []string{"paysera", "standard", "ukrcard"})
	for _, d := range dialect.All {
		found, ok := dialect.ByName(d.Name())
		require.True(t, ok)
		require.Equal(t, d, found)
	}
	_, ok := dialect.ByName("Ukrcard")
	require.False(t, ok)

	folders, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, folder := range folders {
		if folder.Name() != "fuzz" {
			require.Contains(t, dialect.Names(), folder.Name())
		}
	}
}

func FuzzJudge(f *testing.F) {
	for _, d := range dialect.All {
		for _, row := range load[judged](f, d.Name(), "judge.json") {
			f.Add(row.Answer.HTTPStatus, []byte(row.Answer.Body), row.Answer.Truncated, row.callback().Key.OperationID)
		}
	}
	asData := pairs(f)
	f.Fuzz(func(t *testing.T, status int, body []byte, truncated bool, operationID string) {
		c := operation.Callback{Key: operation.Key{Endpoint: "SHOP", OperationID: operationID}}
		a := dialect.Answer{HTTPStatus: status, Body: body, Truncated: truncated, Header: http.Header{"Content-Encoding": {operationID}}}
		for _, pair := range asData {
			requireJudgedAlike(t, pair, c, a)
		}
		for _, d := range append(slices.Clone(dialect.All), asData[0][1], asData[1][1]) {
			j := d.Judge(c, a)
			require.Contains(t, []operation.Verdict{operation.Acknowledged, operation.Unacknowledged}, j.Verdict)
			require.Equal(t, j.Verdict == operation.Acknowledged, j.Reason == "")
			require.Equal(t, status == 410, j.Gone)
			require.Less(t, len(j.Reason), 100, "a reason repeats nothing of a body")
			if status == 410 || (status >= 300 && status <= 399) {
				require.Equal(t, operation.Unacknowledged, j.Verdict)
			}
		}
	})
}

func FuzzWrite(f *testing.F) {
	for _, d := range dialect.All {
		for _, golden := range load[written](f, d.Name(), "written.json") {
			o := golden.Callback.Observation
			f.Add(golden.Callback.Key.OperationID, o.Status, o.Raw["respStatus"], o.Raw["orderStatus"], o.Raw["orderId"], o.ObservedAt.Unix())
		}
	}
	asData := pairs(f)
	f.Fuzz(func(t *testing.T, operationID, status, respStatus, orderStatus, orderID string, second int64) {
		c := operation.Callback{
			Key: operation.Key{Endpoint: "SHOP", OperationID: operationID},
			Observation: operation.Observation{
				Status:     status,
				Raw:        map[string]string{"respStatus": respStatus, "orderStatus": orderStatus, "orderId": orderID},
				ObservedAt: operation.At(time.Unix(second%(1<<33), 0)),
			},
		}
		for _, pair := range asData {
			requireWrittenAlike(t, pair, c)
		}
		for _, d := range dialect.All {
			message, err := d.Write(c, nil)
			if err != nil {
				continue
			}
			require.NotEmpty(t, message.Body)
			if message.ContentType == "application/json" {
				require.True(t, json.Valid(message.Body), "%s: %q", d.Name(), message.Body)
			}
		}
	})
}

// load reads one file of a dialect's testdata, strictly, and wants rows in it.
func load[T any](t testing.TB, name, file string) []T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name, file))
	require.NoError(t, err, "every dialect brings its testdata")
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var rows []T
	require.NoError(t, decoder.Decode(&rows), "%s/%s", name, file)
	require.NotEmpty(t, rows)
	return rows
}
