package receiver

import (
	"time"

	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

// reasonCap bounds an attempt's reason, in bytes.
const reasonCap = 200

// judge leaves the verdict to the dialect, also where the body broke off: for a
// dialect that asks for a 2xx alone the status is enough.
func (t *transcript) judge(e Endpoint, callback operation.Callback, broken bool) Result {
	judgement := e.Dialect.Judge(callback, dialect.Answer{
		HTTPStatus: t.response.StatusCode, Header: t.response.Header,
		Body: t.body[:min(len(t.body), answerCap)], Truncated: broken || len(t.body) > answerCap,
	})
	result := Result{Attempt: operation.Attempt{
		HTTPStatus: t.response.StatusCode, Verdict: judgement.Verdict, Reason: judgement.Reason,
	}}
	if judgement.Gone {
		result.Ended, result.Reason = operation.DeliveryGone, judgement.Reason
	}
	now := time.Now()
	wait := httpanswer.RetryAfter(t.response.Header, now)
	if judgement.RetryAfter != nil {
		wait = min(*judgement.RetryAfter, httpanswer.MaxRetryAfter)
	}
	if wait > 0 && e.HonorRetryAfter {
		result.NotBefore = operation.At(now.Add(wait))
	}
	return result
}

func unacknowledged(reason string) Result {
	return Result{Attempt: operation.Attempt{Verdict: operation.Unacknowledged, Reason: reason}}
}

// failed is the verdict on an attempt without an answer, or without a whole one,
// as missing says.
func failed(err error, missing string, waited time.Duration) Result {
	result := unacknowledged(httpanswer.Reason(err, missing, waited))
	if egress.IsRefused(err) {
		result.Ended, result.Reason = operation.DeliveryGone, operation.ReasonEgress
	}
	return result
}
