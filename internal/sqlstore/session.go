package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// session is one connection that keeps its statements prepared: parsing SQL
// costs more than running most of these statements. One goroutine at a time
// uses it.
//
// Statements run without the caller's deadline: each takes microseconds, and
// watching a context costs the driver a goroutine a statement.
type session struct {
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt
	writes int // statements of the journal that may have changed something
}

func openSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, stmts: map[string]*sql.Stmt{}}, nil
}

func (s *session) prepare(query string) (*sql.Stmt, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	s.stmts[query] = stmt
	return stmt, nil
}

func (s *session) exec(query string, args ...any) error {
	stmt, err := s.prepare(query)
	if err == nil {
		_, err = stmt.ExecContext(context.Background(), args...)
	}
	return err
}

func (s *session) scan(dest []any, query string, args ...any) error {
	stmt, err := s.prepare(query)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(context.Background(), args...).Scan(dest...)
}

// begin begins a transaction of database/sql. What a failed commit left open, if
// that is what is in the way, is undone. A caller that goes away must not take
// the connection with it.
func (s *session) begin(ctx context.Context) (*sql.Tx, error) {
	ctx = context.WithoutCancel(ctx)
	tx, err := s.conn.BeginTx(ctx, nil)
	if err != nil && s.exec(`ROLLBACK`) == nil {
		tx, err = s.conn.BeginTx(ctx, nil)
	}
	return tx, err
}

func (s *session) query(query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.prepare(query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(context.Background(), args...)
}

func (s *session) close() error {
	var err error
	for _, stmt := range s.stmts {
		err = errors.Join(err, stmt.Close())
	}
	return errors.Join(err, s.conn.Close())
}

// sessions is a fixed pool.
type sessions struct {
	all  []*session
	free chan *session
}

func openSessions(ctx context.Context, db *sql.DB, n int) (*sessions, error) {
	p := &sessions{free: make(chan *session, n)}
	for range n {
		s, err := openSession(ctx, db)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open session: %w", err), p.close())
		}
		p.all = append(p.all, s)
		p.free <- s
	}
	return p, nil
}

// take waits for a session; give returns it.
func (p *sessions) take(ctx context.Context) (*session, error) {
	select {
	case s := <-p.free:
		return s, nil
	default:
	}
	select {
	case s := <-p.free:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *sessions) give(s *session) { p.free <- s }

func (p *sessions) close() (err error) {
	for _, s := range p.all {
		err = errors.Join(err, s.close())
	}
	return err
}
