package rest

import (
	"context"
	"errors"
	"net/http"

	"ringback/internal/overload"
)

// errUnfinished is how a call ended that panicked.
var errUnfinished = errors.New("the call did not end")

// admitted makes a call once it is let in.
func (s *Server) admitted(ctx context.Context, w overload.Work, do func() error) error {
	leave, err := s.options.Acquire(ctx, w)
	if err != nil {
		return err
	}
	err = errUnfinished
	defer func() { leave(err) }()
	err = do()
	return err
}

// admit is do, which is not made before it is let in.
func (s *Server) admit(w overload.Work, do call) call {
	return func(ctx context.Context, x *exchange) (a answer, err error) {
		err = s.admitted(ctx, w, func() error {
			a, err = do(ctx, x)
			return err
		})
		return a, err
	}
}

// begun makes a call that begins work, unless the program is shutting down. It
// is let in when its body is read: who sends slowly takes nobody's turn.
func (s *Server) begun(ctx context.Context, do func() error) error {
	if err := s.starts.enter(); err != nil {
		return err
	}
	defer s.starts.leave()
	return s.admitted(ctx, overload.Start, do)
}

// read serves a call that changes nothing: it ends with its client, and is
// bounded per key.
func (s *Server) read(action string, do call) http.Handler { return s.readAs(action, ScopeRead, do) }

// readAs serves such a call to keys of another scope.
func (s *Server) readAs(action string, scope Scope, do call) http.Handler {
	return s.reading(action, scope, s.admit(overload.Read, do))
}

// search serves one that asks visibility.
func (s *Server) search(action string, scope Scope, do call) http.Handler {
	return s.reading(action, scope, s.admit(overload.Search, do))
}

// change serves a call that changes something that is there.
func (s *Server) change(action string, scope Scope, do call) http.Handler {
	return s.changing(action, scope, s.admit(overload.Change, do))
}

// begin serves one that begins work: it enters by begun.
func (s *Server) begin(action string, scope Scope, do call) http.Handler {
	return s.changing(action, scope, do)
}
