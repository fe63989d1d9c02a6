package actors_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/actors"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/dev/simulator"
	"ringback/internal/config"
	"ringback/internal/operation"
	"ringback/internal/source"
)

// cores runs the cores, with Ringback's own sources for them.
func cores(t *testing.T) (actors.Options, plan.Plan, map[string]source.Source, func()) {
	t.Helper()
	o, p := campaign(t)
	o.Listen = []string{address(t), address(t), address(t)}
	stop := start(t, o, actors.Cores)
	for _, variable := range actors.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	c, err := config.Parse("ringback.yml", []byte(actors.Config(actors.URLs{
		WSGate: "http://" + o.Listen[0], Paysera: "http://" + o.Listen[1], Gateway: "http://" + o.Listen[2], Receivers: urls.Receivers,
	})))
	require.NoError(t, err)
	sources := map[string]source.Source{}
	for name, configured := range c.Sources {
		kind, _ := source.KindByName(configured.Kind)
		sources[name] = kind.Open(configured.Open(func(*tls.Config, time.Duration) *http.Client {
			return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		}))
	}
	return o, p, sources, stop
}

func query(o plan.Operation) operation.Query {
	registered := operation.At(time.Now())
	return operation.Query{OperationID: o.ID, Method: o.Method, Reference: operation.Reference{RegisteredAt: &registered}}
}

func TestCoresAnswerByThePlanAndRecordTheirPolls(t *testing.T) {
	o, p, sources, stop := cores(t)
	var want []journal.Poll
	for _, kind := range []string{"ukrcard", "paysera"} {
		asked := operationWhere(t, p, func(o plan.Operation, e plan.Endpoint) bool { return e.SourceKind == kind && o.History == "long polls" })
		got, err := sources[kind].Poll(t.Context(), query(asked))
		require.NoError(t, err)
		require.Equal(t, asked.Steps[2].Status, got.Status)
		want = append(want, journal.Poll{Key: asked.Key(), Status: got.Status})
	}
	stop()
	entries := read(t, o)
	require.Len(t, entries, len(want))
	for i, e := range entries {
		require.WithinDuration(t, time.Now(), e.Poll.Began, time.Minute)
		require.False(t, e.Poll.Ended.Before(e.Poll.Began))
		require.NotEmpty(t, e.Poll.Name)
		e.Poll.Span, e.Poll.Name = journal.Span{}, ""
		require.Equal(t, want[i], *e.Poll)
	}
}

func TestCoresRecordRefusedPolls(t *testing.T) {
	o, p, sources, stop := cores(t)
	known := operationWhere(t, p, func(_ plan.Operation, e plan.Endpoint) bool { return e.SourceKind == "ukrcard" })
	_, err := sources["paysera"].Poll(t.Context(), query(plan.Operation{ID: "unknown"}))
	require.Error(t, err)
	_, err = sources["ukrcard"].Poll(t.Context(), query(plan.Operation{ID: "unknown"}))
	require.NoError(t, err, "wsGate answers with respStatus 404")
	status, _, err := do(t, http.MethodPost, "http://"+o.Listen[0]+"/Confirm", http.Header{"Ordernumber": {known.ID}}, "")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, status)
	status, _, err = do(t, http.MethodGet, "http://"+o.Listen[1]+"/transfer/rest/v1/transfers/7", http.Header{}, "")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, status)
	stop()
	entries := read(t, o)
	require.Len(t, entries, 4)
	for _, e := range entries {
		require.NotEmpty(t, e.Poll.Refused)
		require.Empty(t, e.Poll.Status)
	}
	require.Equal(t, known.Key(), entries[2].Poll.Key)
}

func TestAPollThatIsRepeatedWithItsNonceIsRecordedAsRepeated(t *testing.T) {
	o, p, _, stop := cores(t)
	asked := operationWhere(t, p, func(_ plan.Operation, e plan.Endpoint) bool { return e.SourceKind == "paysera" })
	url := "http://" + o.Listen[1] + "/transfer/rest/v1/transfers/" + asked.ID
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	ts := strconv.FormatInt(time.Now().Unix(), 10)
	authorization := fmt.Sprintf(`MAC id="campaign", ts=%q, nonce="n", mac=%q`, ts, simulator.MAC("not-a-secret-2", request, ts, "n", ""))
	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		status, _, err := do(t, http.MethodGet, url, http.Header{"Authorization": {authorization}}, "")
		require.NoError(t, err)
		require.Equal(t, want, status)
	}
	stop()
	entries := read(t, o)
	require.Len(t, entries, 2)
	require.False(t, entries[0].Poll.Repeated)
	require.True(t, entries[1].Poll.Repeated)
	require.Empty(t, entries[1].Poll.Refused)
	require.Empty(t, entries[1].Poll.Status)
}

func TestCoresDelayAndForbidByThePlan(t *testing.T) {
	o, p, sources, stop := cores(t)
	slow := operationWhere(t, p, func(o plan.Operation, _ plan.Endpoint) bool { return o.History == "polled on request all the time" })
	_, err := sources["paysera"].Poll(t.Context(), query(slow))
	require.NoError(t, err)
	refused := operationWhere(t, p, func(o plan.Operation, _ plan.Endpoint) bool { return o.Steps[len(o.Steps)-1].Forbidden })
	_, err = sources["paysera-forbidding"].Poll(t.Context(), query(refused))
	require.Error(t, err)
	stop()
	entries := read(t, o)
	require.Len(t, entries, 2, "Read returns a poll once")
	require.GreaterOrEqual(t, entries[0].Poll.Ended.Sub(entries[0].Poll.Began), slow.Latency)
	require.True(t, entries[1].Poll.Forbidden)
	require.Empty(t, entries[1].Poll.Status)
}

func TestAGatewayAnswersWithTheOperationsPage(t *testing.T) {
	o, p, _, stop := cores(t)
	seen := map[plan.Page]bool{}
	for _, asked := range p.Operations {
		if asked.Page == "" || seen[asked.Page] {
			continue
		}
		seen[asked.Page] = true
		status, text, err := do(t, http.MethodPost, "http://"+o.Listen[2]+"/Confirm", http.Header{"Ordernumber": {asked.ID}}, "")
		require.NoError(t, err)
		require.Contains(t, string(asked.Page), strconv.Itoa(status))
		require.Equal(t, strings.HasPrefix(string(asked.Page), "HTML"), strings.HasPrefix(text, "<!DOCTYPE html>"))
	}
	require.Len(t, seen, len(plan.Pages))
	stop()
	entries := read(t, o)
	require.Len(t, entries, len(seen))
	for _, e := range entries {
		require.True(t, seen[plan.Page(e.Poll.Page)])
		require.Empty(t, e.Poll.Refused)
	}
}

func TestAnActorFailsWithoutItsJournal(t *testing.T) {
	t.Parallel()
	o, _ := campaign(t)
	o.Listen = []string{address(t), address(t), address(t)}
	o.Journal += ".jsonl/actor.jsonl"
	require.ErrorContains(t, actors.Cores(context.Background(), o, nil), "open a journal")
}
