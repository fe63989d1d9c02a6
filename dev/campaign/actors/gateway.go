package actors

import (
	"cmp"
	"io"
	"net/http"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// gateway answers each poll of an operation with that operation's page, at the
// paths of both cores.
func (c *cores) gateway() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /transfer/rest/v1/transfers/{id}", c.answerPage)
	mux.HandleFunc("POST /Confirm", c.answerPage)
	return mux
}

// page is what a gateway answers.
type page struct {
	httpStatus int
	html       bool
}

var pages = map[plan.Page]page{
	plan.PageOK:        {http.StatusOK, true},
	plan.PageNotFound:  {http.StatusNotFound, true},
	plan.PageForbidden: {http.StatusForbidden, true},
	plan.PageEmpty:     {http.StatusOK, false},
	plan.PageRedirect:  {http.StatusFound, false},
}

func (c *cores) answerPage(w http.ResponseWriter, r *http.Request) {
	id := cmp.Or(r.PathValue("id"), r.Header.Get("orderNumber"))
	operation := c.operations[id]
	poll := c.newPoll(operation.Endpoint, id, time.Now())
	poll.Page, poll.Ended = string(operation.Page), poll.Began
	answer, known := pages[operation.Page]
	if !known {
		poll.Refused = "this operation has no gateway"
		answer.httpStatus = http.StatusBadGateway
	}
	c.write(journal.Entry{Poll: &poll})
	if answer.httpStatus == http.StatusFound {
		w.Header().Set("Location", "/maintenance")
	}
	if !answer.html {
		w.WriteHeader(answer.httpStatus)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(answer.httpStatus)
	_, _ = io.WriteString(w, "<!DOCTYPE html><title>Gateway</title><p>Please come back later.")
}
