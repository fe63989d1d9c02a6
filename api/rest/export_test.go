package rest

import "github.com/gorilla/mux"

// Router has every route, for the tests of the contract.
func (s *Server) Router() *mux.Router { return s.router }
