// Package sqlstore keeps the registry's truth in one SQL database. SQLite,
// embedded, is the default: WAL, synchronous=FULL, one writer, many readers.
//
// The package is thin: it turns rows into values and back. What may be written
// together, and in which order, is decided by package journal; who may write
// it, by package registry. Errors are translated at this door: no rows become
// registry.NotFound, unique violations registry.Conflict.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open database. It is safe for concurrent use.
type DB struct {
	read  *sql.DB // a pool; sees committed state only
	write *sql.DB // two connections: the writer's and backfill's

	views   *sessions     // snapshots of the journal, from read
	journal *session      // the writer's connection, from write
	writer  chan struct{} // holds a token while nobody writes: SQLite has one writer

	back backfill
}

// views is how many snapshots are open at once; more wait. A snapshot is held
// for microseconds, that of a search for some tens of milliseconds.
const views = 8

// Open opens the database file at path, creating it or bringing its schema up
// to date, and returns when it is ready. A folder of any earlier version opens.
func Open(ctx context.Context, path string) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	write, err := sql.Open("sqlite", dsn(abs, "_txlock=immediate&_pragma=wal_autocheckpoint(0)&_pragma=journal_size_limit(67108864)&_pragma=cache_size(-16384)"))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	write.SetMaxOpenConns(2)
	if err := migrate(ctx, write); err != nil {
		write.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	read, err := sql.Open("sqlite", dsn(abs, "_pragma=query_only(1)&_pragma=cache_size(-4096)"))
	if err != nil {
		write.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	read.SetMaxOpenConns(2 * views)
	read.SetMaxIdleConns(2 * views)
	db := &DB{read: read, write: write, writer: make(chan struct{}, 1)}
	db.writer <- struct{}{}
	if db.views, err = openSessions(ctx, read, views); err == nil {
		db.journal, err = openSession(ctx, write)
	}
	if err == nil {
		err = db.startBackfill(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return db, nil
}

// dsn: temp_store(2) keeps the journals of savepoints in memory.
func dsn(path, extra string) string {
	return (&url.URL{Scheme: "file", Path: path}).String() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=temp_store(2)&" + extra
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Reader is the pool of read connections.
func (db *DB) Reader() *sql.DB { return db.read }

// Write runs f in one transaction of the single writer. It returns once the
// transaction is durable, or rolls it back and returns f's error.
func (db *DB) Write(ctx context.Context, f func(*sql.Tx) error) error {
	if err := db.lock(ctx); err != nil {
		return err
	}
	defer db.unlock()
	// On the journal's connection: pages that another one has written are read
	// again, all of them.
	tx, err := db.journal.begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // no effect after Commit
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// lock waits to be the one writer of this process: queueing here costs less
// than SQLite's own polling for its lock.
func (db *DB) lock(ctx context.Context) error {
	select {
	case <-db.writer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (db *DB) unlock() { db.writer <- struct{}{} }

// Close waits for running statements and closes the database.
func (db *DB) Close() error {
	err := db.stopBackfill()
	if db.views != nil {
		err = db.views.close()
	}
	if db.journal != nil {
		err = errors.Join(err, db.journal.close())
	}
	return errors.Join(err, db.read.Close(), db.write.Close())
}

// Meta reads a fact about the registry itself, "" where it was never set.
func (db *DB) Meta(ctx context.Context, key string) (value string, err error) {
	err = db.read.QueryRowContext(ctx, `SELECT coalesce((SELECT value FROM meta WHERE key = ?), '')`, key).Scan(&value)
	return value, translate(err, "meta")
}

// SetMeta sets a fact for good; it fails where the fact is set already.
func (db *DB) SetMeta(ctx context.Context, key, value string) error {
	return db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES (?, ?)`, key, value)
		return translate(err, "meta")
	})
}

// Artifact implements anchor.Events.
func (db *DB) Artifact(ctx context.Context, cid string) (artifact []byte, index uint64, origin string, err error) {
	err = db.read.QueryRowContext(ctx, `SELECT artifact, place - (n << 48), log FROM events JOIN logs ON n = place >> 48 `+whereCID, cid).Scan(&artifact, &index, &origin)
	return artifact, index, origin, translate(err, "event")
}
