package rest

import (
	"net/http"
	"slices"

	"go.uber.org/zap"

	"ringback/internal/operation"
)

// MaxCodecBody is the most bytes that may be asked to be sealed or opened at
// once: the Temporal UI asks for a page of history.
const MaxCodecBody = 16 << 20

// codecHeaders are what the Temporal UI and CLI send to a codec server.
const codecHeaders = "Authorization, Authorization-Extras, Content-Type, X-Namespace"

// codec serves Temporal's codec protocol to the CLI, and to pages of the
// Temporal UIs that Options.CodecOrigins names. What it opens may be read by who
// may ask: each call is written to the log.
func (s *Server) codec(action string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{Request: withBasic(r), header: w.Header()}
		err := s.codecOrigin(x)
		if err == nil && r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if err == nil {
			err = s.codecCaller(x)
		}
		if err != nil {
			s.log(r.Context(), x, action, err).Info("refused", zap.Int("http_status", finish(w, r, 0, nil, err)))
			return
		}
		s.log(r.Context(), x, action, nil).Info("audit")
		r.Body = http.MaxBytesReader(w, r.Body, MaxCodecBody)
		s.options.Codec.ServeHTTP(w, r)
	})
}

// codecOrigin lets a page of another origin read the answer, if its origin is
// one of those that may, and refuses every other page.
func (s *Server) codecOrigin(x *exchange) error {
	origin := x.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	x.header.Add("Vary", "Origin")
	if !slices.Contains(s.options.CodecOrigins(), origin) {
		return operation.Refuse(ProblemForbidden, "Pages of this origin may not ask; codec.server.origins names those that may.")
	}
	x.header.Set("Access-Control-Allow-Origin", origin)
	x.header.Set("Access-Control-Allow-Credentials", "true")
	if x.Method == http.MethodOptions {
		x.header.Set("Access-Control-Allow-Methods", http.MethodPost)
		x.header.Set("Access-Control-Allow-Headers", codecHeaders)
		x.header.Set("Access-Control-Max-Age", "600")
	}
	return nil
}

func (s *Server) codecCaller(x *exchange) error {
	var err error
	if x.caller, err = s.authenticate(x.Header, x.header); err != nil {
		return err
	}
	if err = x.caller.require(ScopeAdmin, x.header); err != nil {
		return err
	}
	if err = x.caller.requireAll(); err != nil {
		return err
	}
	return s.reads.take(x.caller.Name, s.options.ReadLimit(), readsTooOften)
}

// withBasic takes a key that a browser sends as a password: it keeps what was
// typed at /codec, and adds it to what the Temporal UI's pages ask.
func withBasic(r *http.Request) *http.Request {
	_, key, ok := r.BasicAuth()
	if !ok {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+key)
	return r
}

// codecSignIn has the browser ask for a key, once for all pages.
func (s *Server) codecSignIn(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Request: withBasic(r), header: w.Header()}
	if err := s.codecCaller(x); err != nil {
		if refusal(err).Problem == ProblemUnauthenticated {
			w.Header().Set("WWW-Authenticate", `Basic realm="Ringback codec: an API key as the password", charset="UTF-8"`)
		}
		s.log(r.Context(), x, "sign in", err).Info("refused", zap.Int("http_status", finish(w, r, 0, nil, err)))
		return
	}
	s.log(r.Context(), x, "sign in", nil).Info("audit")
	write(w, "text/plain; charset=utf-8", http.StatusOK, []byte("Signed in: this browser's Temporal UI may show what is sealed, until the browser is closed.\n"))
}
