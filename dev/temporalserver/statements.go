package temporalserver

import (
	"container/list"
	"context"
	"database/sql/driver"
)

// statementsKept bounds what a connection keeps prepared. The server has about
// two hundred statements, some with lists of every length.
const statementsKept = 256

// keepingDriver is a driver whose connections keep their statements prepared.
type keepingDriver struct{ driver.Driver }

// Open opens a connection that keeps its statements.
func (d keepingDriver) Open(name string) (driver.Conn, error) {
	c, err := d.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	return &keepingConn{Conn: c, byText: map[string]*list.Element{}, recent: list.New()}, nil
}

// keepingConn keeps the statements used last. Like every driver.Conn it serves
// one goroutine at a time.
type keepingConn struct {
	driver.Conn
	byText map[string]*list.Element
	recent *list.List
}

type keptStatement struct {
	driver.Stmt
	text string
	// reading says that rows of it are still being read.
	reading bool
}

// statement prepares text or finds it prepared; nil while rows of it are read.
func (c *keepingConn) statement(ctx context.Context, text string) (*keptStatement, error) {
	if e, ok := c.byText[text]; ok {
		c.recent.MoveToFront(e)
		s := e.Value.(*keptStatement)
		if s.reading {
			return nil, nil
		}
		return s, nil
	}
	prepared, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s := &keptStatement{Stmt: prepared, text: text}
	c.byText[text] = c.recent.PushFront(s)
	c.forget()
	return s, nil
}

// forget closes the statements that were not used for longest.
func (c *keepingConn) forget() {
	for e := c.recent.Back(); e != nil && c.recent.Len() > statementsKept; {
		older := e.Prev()
		if s := e.Value.(*keptStatement); !s.reading {
			c.recent.Remove(e)
			delete(c.byText, s.text)
			_ = s.Close()
		}
		e = older
	}
}

// ExecContext runs a statement that is kept for the next time.
func (c *keepingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// QueryContext asks by a statement that is kept for the next time.
func (c *keepingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.reading = true
	return &keptRows{Rows: rows, of: s}, nil
}

// PrepareContext prepares a statement of the caller's own.
func (c *keepingConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
}

// BeginTx begins a transaction of the connection underneath.
func (c *keepingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

// Ping asks the connection underneath.
func (c *keepingConn) Ping(ctx context.Context) error { return c.Conn.(driver.Pinger).Ping(ctx) }

// ResetSession makes the connection fit for its next user.
func (c *keepingConn) ResetSession(ctx context.Context) error {
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

// IsValid reports whether the connection underneath may be used on.
func (c *keepingConn) IsValid() bool { return c.Conn.(driver.Validator).IsValid() }

// Close gives the statements back before the connection.
func (c *keepingConn) Close() error {
	for e := c.recent.Front(); e != nil; e = e.Next() {
		_ = e.Value.(*keptStatement).Close()
	}
	return c.Conn.Close()
}

// keptRows frees the statement for its next use when they have been read.
type keptRows struct {
	driver.Rows
	of *keptStatement
}

// Close ends the reading and sets the statement free.
func (r *keptRows) Close() error {
	r.of.reading = false
	return r.Rows.Close()
}
