package source_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/internal/source"
)

// carries is a core that answers nothing and keeps what it was asked.
type carries struct{ asked *http.Request }

func (c *carries) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked = r
	return nil, http.ErrServerClosed
}

// FuzzIdentifiers: an id that passes its kind's rules is asked about in one
// request, where it stands as it is, and it can't become another header,
// another path or another host.
func FuzzIdentifiers(f *testing.F) {
	for _, seed := range []string{"A-1", "a/b#c%d", "..", "a\r\nb: c", "їжак", "\xff", " a", "a\x00", "?x=1", "4111111111111111", strings.Repeat("x", 64)} {
		f.Add(seed, seed)
	}
	kinds := allKinds(f)
	f.Fuzz(func(t *testing.T, id, orderID string) {
		for _, kind := range kinds {
			if !passes(kind.Kind, "operation_id", id) || !passes(kind.Kind, "reference.order_id", orderID) {
				continue
			}
			require.True(t, utf8.ValidString(id))
			require.LessOrEqual(t, len(id), 64)
			seen := &carries{}
			src := kind.Open(configOf(&http.Client{Transport: seen}, "https://core.test/base"))
			query := operation.Query{OperationID: id, Reference: operation.Reference{RegisteredAt: &registered, OrderID: orderID}}
			_, err := src.Poll(t.Context(), query)
			if kind.asData && seen.asked == nil {
				require.ErrorContains(t, err, "the request can't be built")
				continue // as no document of a kind as data limits an order id
			}
			require.ErrorIs(t, err, http.ErrServerClosed)
			require.Equal(t, "core.test", seen.asked.URL.Host)
			require.True(t, strings.HasPrefix(seen.asked.URL.Path, "/base/"))
			require.Empty(t, seen.asked.URL.RawQuery)
			require.NotContains(t, seen.asked.URL.Path, "/../")
			for name, values := range seen.asked.Header {
				require.NotContains(t, strings.Join(values, ""), "\n", name)
			}
		}
	})
}

func passes(kind source.Kind, field, value string) bool {
	for _, rule := range kind.Fields {
		if rule.Field == field && rule.Check(value) != nil {
			return false
		}
	}
	return true
}
