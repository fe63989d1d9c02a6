package codec

import (
	"net/http"
	"strings"

	"go.temporal.io/sdk/converter"
)

// The headers that say what a codec server seals for. The Temporal UI and CLI send the
// first; the CLI sends the second by --codec-header.
const (
	headerNamespace  = "X-Namespace"
	headerWorkflowID = "X-Workflow-Id"
)

// NewServer is Temporal's remote codec protocol over c. What it seals is taken as a
// Signal or an Update alone: else its scope would start runs of any content.
func NewServer(c *Codec) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var served converter.PayloadCodec = c
		if strings.HasSuffix(r.URL.Path, "/encode") {
			served = ownedCodec{codec: c, owner: owner{r.Header.Get(headerNamespace), r.Header.Get(headerWorkflowID), byOperator}}
		}
		converter.NewPayloadCodecHTTPHandler(served).ServeHTTP(w, r)
	})
}
