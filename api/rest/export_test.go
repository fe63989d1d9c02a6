package rest

import "github.com/gorilla/mux"

// Router has every route, for the tests of the contract.
func (s *Server) Routers() []*mux.Router { return []*mux.Router{s.router, s.probes} }
