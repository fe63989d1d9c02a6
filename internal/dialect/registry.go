package dialect

import (
	"fmt"
	"net/http"

	"ringback/internal/operation"
)

// All are the dialects, each added by its own file.
var All []Dialect

// ByName is the dialect of that name.
func ByName(name string) (Dialect, bool) {
	for _, d := range All {
		if d.Name() == name {
			return d, true
		}
	}
	return nil, false
}

// Names are the dialects' names.
func Names() []string {
	names := make([]string, 0, len(All))
	for _, d := range All {
		names = append(names, d.Name())
	}
	return names
}

// judgeByStatus is the verdict of every dialect on these statuses: 410 ends the
// delivery and a redirect is never an acknowledgement. decided is false where
// the dialect's own rule decides.
func judgeByStatus(a Answer) (j Judgement, decided bool) {
	switch {
	case a.HTTPStatus == http.StatusGone:
		return Judgement{Verdict: operation.Unacknowledged, Reason: "410 Gone: the receiver wants no more of it", Gone: true}, true
	case a.HTTPStatus >= 300 && a.HTTPStatus <= 399:
		return unacknowledged("HTTP %d: a redirect is not followed", a.HTTPStatus), true
	}
	return Judgement{}, false
}

// judgeSuccess is the rule of the dialects that acknowledge by any 2xx.
func judgeSuccess(a Answer) Judgement {
	if j, decided := judgeByStatus(a); decided {
		return j
	}
	if a.HTTPStatus < 200 || a.HTTPStatus > 299 {
		return unacknowledged("HTTP %d is not 2xx", a.HTTPStatus)
	}
	return Judgement{Verdict: operation.Acknowledged}
}

func unacknowledged(format string, args ...any) Judgement {
	return Judgement{Verdict: operation.Unacknowledged, Reason: fmt.Sprintf(format, args...)}
}
