package sqlstore

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/writ-registry/writ/registry"
)

// conn runs statements for one transaction or snapshot.
type conn struct{ s *session }

// translate turns a driver's error into the registry's. what names the thing.
func translate(err error, what string) error {
	var se *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return registry.Errorf(registry.NotFound, "no such %s", what)
	case errors.As(err, &se) && (se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
		return &registry.Error{Kind: registry.Conflict, Detail: "this " + what + " exists already", Err: err}
	}
	return &registry.Error{Kind: registry.Unavailable, Detail: "the database did not answer", Err: fmt.Errorf("%s: %w", what, err)}
}

func (c conn) exec(what, query string, args ...any) error {
	err := c.s.exec(query, args...)
	if err == nil {
		c.s.writes++ // a statement that failed is undone as a whole
	}
	return translate(err, what)
}

func (c conn) row(what string, dest []any, query string, args ...any) error {
	return translate(c.s.scan(dest, query, args...), what)
}

// doc reads one JSON document.
func doc[T any](c conn, what, query string, args ...any) (v T, err error) {
	var raw string
	if err := c.row(what, []any{&raw}, query, args...); err != nil {
		return v, err
	}
	return v, decode(raw, &v, what)
}

// docs reads a list of JSON documents.
func docs[T any](c conn, what, query string, args ...any) ([]T, error) {
	return list(c, what, func(scan func(...any) error) (v T, err error) {
		var raw string
		if err := scan(&raw); err != nil {
			return v, err
		}
		return v, decode(raw, &v, what)
	}, query, args...)
}

func list[T any](c conn, what string, read func(scan func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	rows, err := c.s.query(query, args...)
	if err != nil {
		return nil, translate(err, what)
	}
	defer rows.Close()
	out := []T{}
	for rows.Next() {
		v, err := read(rows.Scan)
		if err != nil {
			return nil, translate(err, what)
		}
		out = append(out, v)
	}
	return out, translate(rows.Err(), what)
}

func decode(raw string, v any, what string) error {
	if err := json.Unmarshal([]byte(raw), v); err != nil {
		return fmt.Errorf("stored %s does not decode: %w", what, err)
	}
	return nil
}

func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // the registry's own types always encode
	}
	return string(raw)
}
