package rest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ringback/api/rest"
	"ringback/internal/operation"
)

// show reads the operation from an address with a key.
func show(server *rest.Server, address, key string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, operationPath, nil)
	request.RemoteAddr = address
	request.Header.Set("Authorization", "Bearer "+key)
	response := httptest.NewRecorder()
	server.ServeHTTP(response, request)
	return response
}

func guessed(t *testing.T) (server *rest.Server, logs *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	return rest.New(rest.Options{
		Operations: &fake{state: someState("1")}, Log: zap.New(core), Settings: oneKey(rest.Key{Name: "core", Scopes: operation.Scopes}),
	}), logs
}

func TestAnAddressThatGuessesKeysWaitsLongerEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, _ := guessed(t)
		const guesser = "192.0.2.9:1"
		for i := range 10 {
			require.Equal(t, http.StatusUnauthorized, show(server, guesser, fmt.Sprint("guess", i)).Code)
		}
		for _, wait := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
			for _, key := range []string{"another guess", secret} {
				refused := show(server, guesser, key)
				require.Equal(t, http.StatusTooManyRequests, refused.Code, "also with a key that is right, or it would be found so")
				require.Equal(t, strconv.Itoa(wait), refused.Header().Get("Retry-After"))
				require.Empty(t, refused.Header().Get("WWW-Authenticate"))
			}
			require.Equal(t, http.StatusOK, show(server, "192.0.2.10:1", secret).Code, "from another address")
			time.Sleep(time.Duration(wait) * time.Second)
			require.Equal(t, http.StatusUnauthorized, show(server, guesser, "one more").Code)
		}
		time.Sleep(time.Minute)
		require.Equal(t, http.StatusOK, show(server, guesser, secret).Code, "after the wait")
	})
}

func TestWrongKeysAreForgivenAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, _ := guessed(t)
		for range 30 {
			require.Equal(t, http.StatusUnauthorized, show(server, "192.0.2.9:1", "old").Code)
			time.Sleep(61 * time.Second)
		}
	})
}

func TestWrongKeysAreForgivenAlsoWhereRightOnesKeepComing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, _ := guessed(t)
		for range 30 {
			require.Equal(t, http.StatusUnauthorized, show(server, "192.0.2.9:1", "old").Code)
			for range 3 {
				require.Equal(t, http.StatusOK, show(server, "192.0.2.9:1", secret).Code)
				time.Sleep(30 * time.Second)
			}
		}
	})
}

func TestBehindOneProxyWhoIsKnownGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, _ := guessed(t)
		require.Equal(t, http.StatusOK, show(server, "192.0.2.9:1", secret).Code)
		for range 20 {
			show(server, "192.0.2.9:2", "guess")
		}
		require.Equal(t, http.StatusTooManyRequests, show(server, "192.0.2.9:2", "guess").Code)
		require.Equal(t, http.StatusOK, show(server, "192.0.2.9:3", secret).Code)
	})
}

func TestAGuesserHasNoFurtherAddressInHisNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, _ := guessed(t)
		for i := range 10 {
			show(server, fmt.Sprintf("[2001:db8::%x]:1", i), "guess")
		}
		require.Equal(t, http.StatusTooManyRequests, show(server, "[2001:db8::ffff]:1", "guess").Code)
		require.Equal(t, http.StatusUnauthorized, show(server, "[2001:db8:0:1::1]:1", "guess").Code, "another /64")
	})
}

func TestFailedAuthenticationsWriteALineASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, logs := guessed(t)
		for i := range 2000 {
			show(server, fmt.Sprintf("192.0.%d.%d:1", i/256, i%256), "guess")
		}
		require.Len(t, logs.TakeAll(), 1)
		time.Sleep(time.Second)
		show(server, "192.0.2.1:1", "guess")
		lines := logs.TakeAll()
		require.Len(t, lines, 1)
		require.Equal(t, int64(1999), lines[0].ContextMap()["left_out"])
		require.Equal(t, "unauthenticated", lines[0].ContextMap()["result"])
	})
}
