// Package service starts, reads, changes and redelivers operations. It is the only
// user of the Temporal client besides the workers. What a caller can act on is an
// operation.Error.
package service

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/internal/operation"
)

// Service handles the operations of one Temporal namespace.
type Service struct {
	// Client is connected to Namespace with ClientOptions: without them several
	// redeliveries at once may each begin a run.
	Client    client.Client
	Namespace string
	// Identity is the worker's, as the UI shows it.
	Identity string
	// Converter and Failures are the client's.
	Converter converter.DataConverter
	Failures  converter.FailureConverter
	// Endpoint finds an endpoint in the configuration in force, and EndpointNames
	// lists them, for errors that say what is allowed.
	Endpoint      func(name string) (operation.Endpoint, bool)
	EndpointNames func() []string
	// Vocabulary are the statuses of all kinds of source: what may be pushed to an
	// operation whose endpoint is not registered any more.
	Vocabulary func() []string
	// CheckURL refuses an address to which nothing may be sent.
	CheckURL func(ctx context.Context, address string) error
	// CardNumberRefused, if set, is called for each start that is refused for what
	// looks like a card number: that payment gets no callback.
	CardNumberRefused func(endpoint string)
	// PageKey signs the tokens of a list's pages; nil: they are signed with no secret.
	PageKey func() []byte
	// UIURL is the base address of the Temporal UI; empty: no links.
	UIURL string
	// Build is that of this program; zero: it is not versioned.
	Build Build

	routing atomic.Pointer[Routing]
}

// converter is that for what one workflow keeps, which is sealed for it alone.
func (s *Service) converter(workflowID string) converter.DataConverter {
	return converter.WithDataConverterSerializationContext(s.Converter, s.serializationContext(workflowID))
}

func (s *Service) serializationContext(workflowID string) converter.SerializationContext {
	return converter.WorkflowSerializationContext{Namespace: s.Namespace, WorkflowID: workflowID}
}

// queryTimeout bounds a Query for what Describe does not know.
const queryTimeout = time.Second

// uiList is where an operator sees all runs.
func (s *Service) uiList() string {
	if s.UIURL == "" {
		return ""
	}
	return strings.TrimSuffix(s.UIURL, "/") + "/namespaces/" + url.PathEscape(s.Namespace) + "/workflows"
}

// uiURL is where an operator sees the run.
func (s *Service) uiURL(workflowID, runID string) string {
	if s.UIURL == "" {
		return ""
	}
	address := s.uiList() + "/" + url.PathEscape(workflowID)
	if runID != "" {
		address += "/" + url.PathEscape(runID) + "/history"
	}
	return address
}
