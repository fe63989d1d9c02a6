package rest

import (
	"bytes"
	"io"
	"net/http"
	"slices"

	"ringback/internal/operation"
)

// MaxCodecBody is the most bytes of a request to the codec: the Temporal UI sends
// a page of history.
const MaxCodecBody = 16 << 20

// codecHeaders are what the Temporal UI and CLI send to a codec server.
const codecHeaders = "Authorization, Authorization-Extras, Content-Type, X-Namespace"

// codec serves Temporal's codec protocol to the CLI, and to pages of the
// Temporal UIs that Settings.CodecOrigins names. Each call is written to the log,
// since it shows what is sealed.
func (s *Server) codec(action string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r := &request{Request: withBasic(hr), header: w.Header(), action: action, audited: true}
		err := s.checkCodecOrigin(r)
		if err == nil && r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if err == nil {
			err = s.authorizeCodec(r)
		}
		if err == nil {
			err = s.readCodecBody(r)
		}
		if err == nil {
			err = s.beginAudit(hr.Context(), r)
		}
		if err != nil {
			s.finish(hr.Context(), w, r, response{}, err)
			return
		}
		recorder := &statusRecorder{w, http.StatusOK}
		s.options.Codec.ServeHTTP(recorder, r.Request)
		if recorder.status >= http.StatusBadRequest {
			err = operation.Refuse(ProblemMalformed, "The codec could not take the payloads.")
		}
		s.report(hr.Context(), r, recorder.status, err)
	})
}

// readCodecBody reads the body, and then looks again whether the key is in force.
func (s *Server) readCodecBody(r *request) error {
	body, err := r.readBody(MaxCodecBody)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return s.authorizeAgain(r)
}

// statusRecorder keeps the status of a response.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// checkCodecOrigin lets a page of one of the origins that may read the response,
// and refuses every other page.
func (s *Server) checkCodecOrigin(r *request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	r.header.Add("Vary", "Origin")
	if !slices.Contains(s.options.Settings().CodecOrigins, origin) {
		return operation.Refuse(ProblemForbidden, "Pages of this origin may not use the codec; codec.server.origins names those that may.")
	}
	r.header.Set("Access-Control-Allow-Origin", origin)
	r.header.Set("Access-Control-Allow-Credentials", "true")
	if r.Method == http.MethodOptions {
		r.header.Set("Access-Control-Allow-Methods", http.MethodPost)
		r.header.Set("Access-Control-Allow-Headers", codecHeaders)
		r.header.Set("Access-Control-Max-Age", "600")
	}
	return nil
}

// authorizeCodec counts a use of the codec as a read.
func (s *Server) authorizeCodec(r *request) error {
	if err := s.authorizeAll(r, operation.ScopeCodec); err != nil {
		return err
	}
	return s.allowRead(r)
}

// withBasic takes a key that a browser sends as a password: the browser keeps what
// was typed at /codec, and adds it to the requests of the Temporal UI's pages.
func withBasic(r *http.Request) *http.Request {
	_, key, ok := r.BasicAuth()
	if !ok {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+key)
	return r
}

// codecSignIn makes the browser prompt for a key, once for all pages.
func (s *Server) codecSignIn(w http.ResponseWriter, hr *http.Request) {
	r := &request{Request: withBasic(hr), header: w.Header(), action: "sign in", audited: true}
	err := s.authorizeCodec(r)
	if err == nil {
		err = s.beginAudit(hr.Context(), r)
	}
	if err != nil {
		if refusal(err).Problem == ProblemUnauthenticated {
			w.Header().Set("WWW-Authenticate", `Basic realm="Ringback codec: an API key as the password", charset="UTF-8"`)
		}
		s.finish(hr.Context(), w, r, response{}, err)
		return
	}
	s.report(hr.Context(), r, http.StatusOK, nil)
	write(w, "text/plain; charset=utf-8", http.StatusOK, []byte("Signed in: this browser's Temporal UI may show what is sealed, until the browser is closed.\n"))
}
