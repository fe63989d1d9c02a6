package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// startFront starts what answers each question about a fronted operation with that
// operation's page, at the paths of both cores.
func (c *cores) startFront() (stop func() error, err error) {
	listener, err := new(net.ListenConfig).Listen(c.ctx, "tcp", c.Listen[2])
	if err != nil {
		return nil, fmt.Errorf("start the cores' front: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /transfer/rest/v1/transfers/{id}", c.answerPage)
	mux.HandleFunc("POST /Confirm", c.answerPage)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		grace, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), closing)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// page is what a front writes.
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
	question := c.question(operation.Endpoint, id, time.Now())
	question.Page, question.Ended = string(operation.Page), question.Began
	answer, known := pages[operation.Page]
	if !known {
		question.Refused = "there is no front for such an operation"
		answer.httpStatus = http.StatusBadGateway
	}
	c.write(journal.Entry{Poll: &question})
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
