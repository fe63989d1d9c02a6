package source

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"net/http/httptest"

	"ringback/internal/operation"
)

// BenchmarkPoll polls Paysera's source in its built-in kind and as data: cpu-ns/op of
// the second must be at most 1.1 times that of the first. The core's own work is in both.
func BenchmarkPoll(b *testing.B) {
	body := `{"id":239441503,"status":"done","created_at":1500000000,"performed_at":1500000001,"amount":{"amount":"10.00","currency":"EUR"},` +
		`"beneficiary":{"type":"paysera","name":"Name"},"payer":{"account_number":"EVP1"},"purpose":{"details":"` + strings.Repeat("x", 100) + `"}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	b.Cleanup(server.Close)
	builtIn, _ := KindByName("paysera")
	asData, faults := PayseraAsData().Compile("paysera")
	require.Empty(b, faults)
	for name, kind := range map[string]Kind{"built-in": builtIn, "as data": asData} {
		b.Run(name, func(b *testing.B) {
			source := kind.Open(Config{Name: "core", MACID: "id", MACKey: "key", Bases: []Base{{URL: server.URL, Client: server.Client()}}})
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if _, err := source.Poll(b.Context(), operation.Query{OperationID: "239441503"}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is the processor time of this program, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return used.Utime.Nano() + used.Stime.Nano()
}
