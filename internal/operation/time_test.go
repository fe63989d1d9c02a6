package operation_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestTimeIsReadFromAnyRFC3339AndKeptInUTCToTheMillisecond(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"UTC", `"2026-11-21T07:30:00Z"`, `"2026-11-21T07:30:00.000Z"`},
		{"an offset", `"2026-11-21T09:30:00+02:00"`, `"2026-11-21T07:30:00.000Z"`},
		{"an offset over midnight", `"2026-11-21T00:30:00+02:00"`, `"2026-11-20T22:30:00.000Z"`},
		{"milliseconds", `"2026-11-21T07:30:00.120Z"`, `"2026-11-21T07:30:00.120Z"`},
		{"a finer fraction is cut and not rounded", `"2026-11-21T07:30:00.999999999Z"`, `"2026-11-21T07:30:00.999Z"`},
		{"a coarser fraction is filled", `"2026-11-21T07:30:00.5Z"`, `"2026-11-21T07:30:00.500Z"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var read operation.Time
			require.NoError(t, json.Unmarshal([]byte(tt.in), &read))
			written, err := json.Marshal(read)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(written))

			var again operation.Time
			require.NoError(t, json.Unmarshal(written, &again))
			require.Equal(t, read, again, "a round trip keeps it")
		})
	}
}

func TestTimeRefusesWhatIsNoRFC3339(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`"2026-11-21"`, `"2026-11-21 07:30:00"`, `"2026-11-21T07:30:00"`, `1596014146`, `""`, `null`, `true`, `{}`, `"yesterday"`,
		`"9999-12-31T23:59:59-23:59"`, `"0000-01-01T00:00:00+23:59"`} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			var read operation.Time
			require.Error(t, json.Unmarshal([]byte(in), &read))
		})
	}
}

func TestTimeAsAKeyOfAMapIsText(t *testing.T) {
	t.Parallel()
	at := operation.At(time.UnixMilli(1596014146123))
	data, err := json.Marshal(map[operation.Time]int{at: 1})
	require.NoError(t, err)
	require.JSONEq(t, `{"2020-07-29T09:15:46.123Z":1}`, string(data))
}

func TestTimeCountsInMilliseconds(t *testing.T) {
	t.Parallel()
	start := operation.At(time.Date(2026, 11, 21, 7, 30, 0, 1_999_999, time.FixedZone("Kyiv", 2*60*60)))
	require.Equal(t, "2026-11-21T05:30:00.001Z", start.String())
	require.Equal(t, start, start.Add(999*time.Microsecond), "less than a millisecond is nothing")
	later := start.Add(1500 * time.Millisecond)
	require.Equal(t, "2026-11-21T05:30:01.501Z", later.String())
	require.True(t, start.Before(later))
	require.False(t, start.Before(start))
	require.True(t, later.After(start))
	require.False(t, start.After(start))
}

func FuzzTime(f *testing.F) {
	for _, seed := range []string{`"2026-11-21T07:30:00Z"`, `"2026-11-21T09:30:00.123456789+02:00"`, `null`, `"`, `""`, `"9999-12-31T23:59:59-23:59"`, `"0000-01-01T00:00:00+23:59"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var read, again operation.Time
		if read.UnmarshalJSON(data) != nil {
			return
		}
		written, err := read.MarshalJSON()
		require.NoError(t, err)
		require.NoError(t, again.UnmarshalJSON(written))
		require.Equal(t, read, again)
	})
}
