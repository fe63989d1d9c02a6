package accesstoken

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

type asked int

// RoundTrip implements [http.RoundTripper].
func (a *asked) RoundTrip(*http.Request) (*http.Response, error) {
	*a++
	return nil, errors.New("nobody is there")
}

// Who looked for a token before the failure, and asks after it, begins no request of its own.
func TestAFailureIsKeptForThoseWhoLookedBeforeIt(t *testing.T) {
	t.Parallel()
	var endpoint asked
	tokens := New(Config{TokenURL: "https://tokens.example", Client: &http.Client{Transport: &endpoint}})
	_, failure := tokens.fetch()
	require.Error(t, failure)
	before := endpoint
	_, err := tokens.fetch()
	require.Equal(t, failure, err)
	require.Equal(t, before, endpoint)
}
