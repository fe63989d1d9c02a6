package rest

import (
	"net/http"
	"strings"

	"ringback/internal/loopback"
	"ringback/internal/operation"
)

// checkAnonymous refuses, where no keys are configured, what a web page of another
// origin makes a browser of this machine send. Of such pages those that
// Settings.CodecOrigins names may use the codec.
func (s *Server) checkAnonymous(r *http.Request) error {
	if len(s.options.Settings().Keys) > 0 {
		return nil
	}
	var origins []string
	if strings.HasPrefix(r.URL.Path, "/codec/") {
		origins = s.options.Settings().CodecOrigins
	}
	if err := loopback.CheckRequest(r, origins...); err != nil {
		return operation.Refuse(ProblemForbidden, "Without API keys, %s.", err)
	}
	return nil
}

// requireJSON refuses, where no keys are configured, a change without the content type
// that a page of another origin cannot send before it has asked, also where the body
// may be empty.
func (s *Server) requireJSON(r *request) error {
	if r.isRead() || len(s.options.Settings().Keys) > 0 || isJSON(r.Header.Get("Content-Type")) {
		return nil
	}
	return operation.Refuse(ProblemUnsupportedMediaType,
		"Send Content-Type: application/json, in UTF-8, also without a body: without API keys every change needs it.")
}
