package app

import (
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"ringback/internal/codec"
	"ringback/internal/operation"
)

// readable says to the API's callers which key is missing, where what is kept of
// an operation can't be read for want of it.
type readable struct{ converter.DataConverter }

// FromPayload refuses as unavailable what can't be opened.
func (r readable) FromPayload(p *commonpb.Payload, into any) error {
	return sealedError(r.DataConverter.FromPayload(p, into))
}

// FromPayloads refuses as unavailable what can't be opened.
func (r readable) FromPayloads(p *commonpb.Payloads, into ...any) error {
	return sealedError(r.DataConverter.FromPayloads(p, into...))
}

func sealedError(err error) error {
	var sealed *codec.Error
	if !errors.As(err, &sealed) {
		return err
	}
	return &operation.Error{
		Problem: operation.ProblemUnavailable,
		Detail:  fmt.Sprintf("What is kept of this is sealed with the key %q, and this program can't open it: its configuration's codec.keys lacks that key, or has another one of that name.", sealed.KeyID),
		Err:     err,
	}
}
