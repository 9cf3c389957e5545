package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Log reads one Merkle log. It implements anchor/tlog.Reader on committed
// state; the journal reads through its own transaction instead.
type Log struct {
	q      *sql.DB
	origin string
}

const (
	selectTile   = `SELECT data FROM log_tiles WHERE log = ? AND level = ? AND idx = ?`
	selectBundle = `SELECT data FROM log_bundles WHERE log = ? AND idx = ?`
)

// Log names a log by its origin line.
func (db *DB) Log(origin string) *Log { return &Log{db.read, origin} }

// Origin is the log's name, the first line of its checkpoints.
func (l *Log) Origin() string { return l.origin }

// Head is the committed size and root hash; a log never written has size 0.
func (l *Log) Head(ctx context.Context) (size uint64, root [32]byte, err error) {
	var raw []byte
	err = l.q.QueryRowContext(ctx, `SELECT size, root FROM logs WHERE log = ?`, l.origin).Scan(&size, &raw)
	if err != nil {
		return 0, root, fmt.Errorf("read head of log %s: %w", l.origin, err)
	}
	copy(root[:], raw)
	return size, root, nil
}

// HashTile implements tlog.Reader.
func (l *Log) HashTile(ctx context.Context, level int, index uint64) ([]byte, error) {
	return l.blob(ctx, selectTile, l.origin, level, index)
}

// EntryBundle implements tlog.Reader.
func (l *Log) EntryBundle(ctx context.Context, index uint64) ([]byte, error) {
	return l.blob(ctx, selectBundle, l.origin, index)
}

func (l *Log) blob(ctx context.Context, query string, args ...any) (data []byte, err error) {
	err = l.q.QueryRowContext(ctx, query, args...).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // not written: tlog names the tile it misses
	}
	return data, err
}
