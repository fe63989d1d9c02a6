package source_test

import (
	"net/http"
	"sync/atomic"
)

// counter counts the requests that a handler got.
type counter struct{ atomic.Int32 }

func (c *counter) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.Add(1)
		next.ServeHTTP(w, r)
	})
}

// toggle answers 502 while it is true.
type toggle struct{ atomic.Bool }

func (d *toggle) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
}
