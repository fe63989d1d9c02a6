package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// receiveMix is the receiver of the mix, which answers as the operation's path says.
func (s *simulator) receiveMix(w http.ResponseWriter, r *http.Request) {
	came := time.Now().UnixNano()
	body, _ := io.ReadAll(io.LimitReader(r.Body, bodyLimit)) // half a callback has no id
	id, status := mixCallback(body)
	s.mu.Lock()
	number := 1
	for _, a := range s.arrivals[id] {
		if a.Status == status {
			number++
		}
	}
	s.arrivals[id] = append(s.arrivals[id], arrival{Came: came, Status: status})
	s.mu.Unlock()
	if p, ok := mixOf(id); !ok || p.fails(status, number) {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	reply(w, fmt.Sprintf(`{"orderNumber":%q,"applicationStatus":200}`, id))
}

// mixCallback reads a callback: Ukrcard's JSON or Paysera's form.
func mixCallback(body []byte) (id, status string) {
	var callback struct {
		OrderNumber string      `json:"orderNumber"`
		OrderStatus json.Number `json:"orderStatus"`
	}
	_ = json.Unmarshal(body, &callback)     // a form is no JSON,
	form, _ := url.ParseQuery(string(body)) // and JSON no form
	return cmp.Or(callback.OrderNumber, form.Get("transfer_id")), cmp.Or(callback.OrderStatus.String(), form.Get("status"))
}
