package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/journal"
)

// Journal is the database as the journal of one log sees it. It implements
// journal.Backend.
type Journal struct {
	db     *DB
	origin string
}

// Journal names the log whose head the write transactions lock. The head is
// created, empty, where there is none.
func (db *DB) Journal(ctx context.Context, origin string) (*Journal, error) {
	root := tlog.EmptyRoot()
	return &Journal{db, origin}, db.Write(ctx, func(t *sql.Tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO log_heads (log, size, root, time_ms) VALUES (?, 0, ?, 0) ON CONFLICT (log) DO NOTHING`, origin, root[:])
		return err
	})
}

// Begin implements journal.Backend. SQLite has one writer: BEGIN IMMEDIATE
// takes the only write lock there is, so LockHead has nothing left to do.
func (j *Journal) Begin(ctx context.Context) (journal.Tx, error) {
	if err := j.db.lock(ctx); err != nil {
		return nil, translate(err, "transaction")
	}
	err := j.db.journal.exec(`BEGIN IMMEDIATE`)
	if err != nil {
		// What a failed commit left open, if that is what is in the way.
		if err = j.db.journal.exec(`ROLLBACK`); err == nil {
			err = j.db.journal.exec(`BEGIN IMMEDIATE`)
		}
	}
	if err != nil {
		j.db.unlock()
		return nil, translate(err, "transaction")
	}
	return &writeTx{tx: tx{conn{j.db.journal}, j.origin}, db: j.db}, nil
}

// View implements journal.Backend: one read transaction is one snapshot.
func (j *Journal) View(ctx context.Context, f func(registry.Tx) error) error {
	s, err := j.db.views.take(ctx)
	if err != nil {
		return translate(err, "snapshot")
	}
	defer j.db.views.give(s)
	if err := s.exec(`BEGIN`); err != nil {
		return translate(err, "snapshot")
	}
	err = f(tx{conn{s}, j.origin})
	return errors.Join(err, translate(s.exec(`ROLLBACK`), "snapshot")) // ends the snapshot; it wrote nothing
}

type writeTx struct {
	tx
	db    *DB
	ended bool
}

// HashTile implements tlog.Reader within the transaction.
func (w *writeTx) HashTile(_ context.Context, level int, index uint64) ([]byte, error) {
	return w.blob("tile", selectTile, w.origin, level, index)
}

// EntryBundle implements tlog.Reader within the transaction.
func (w *writeTx) EntryBundle(_ context.Context, index uint64) ([]byte, error) {
	return w.blob("entry bundle", selectBundle, w.origin, index)
}

func (w *writeTx) blob(what, query string, args ...any) (data []byte, err error) {
	err = w.row(what, []any{&data}, query, args...)
	if errors.Is(err, registry.NotFound) {
		return nil, nil // not written: tlog names the tile it misses
	}
	return data, err
}

func (w *writeTx) LockHead() (h journal.Head, err error) {
	var root []byte
	var ms int64
	err = w.row("log head", []any{&h.Size, &root, &ms}, `SELECT size, root, time_ms FROM log_heads WHERE log = ?`, w.origin)
	copy(h.Root[:], root)
	h.Time = time.UnixMilli(ms).UTC()
	return h, err
}

func (w *writeTx) PutHead(h journal.Head) error {
	return w.exec("log head", `UPDATE log_heads SET size = ?, root = ?, time_ms = ? WHERE log = ?`, h.Size, h.Root[:], h.Time.UnixMilli(), w.origin)
}

func (w *writeTx) PutTiles(tiles []tlog.Tile, bundles []tlog.Bundle) error {
	for _, t := range tiles {
		if err := w.exec("tile", `INSERT INTO log_tiles (log, level, idx, data) VALUES (?, ?, ?, ?) ON CONFLICT (log, level, idx) DO UPDATE SET data = excluded.data`,
			w.origin, t.Level, t.Index, t.Data); err != nil {
			return err
		}
	}
	for _, b := range bundles {
		if err := w.exec("entry bundle", `INSERT INTO log_bundles (log, idx, data) VALUES (?, ?, ?) ON CONFLICT (log, idx) DO UPDATE SET data = excluded.data`,
			w.origin, b.Index, b.Data); err != nil {
			return err
		}
	}
	return nil
}

func (w *writeTx) Chain(scope string) (l journal.Link, err error) {
	err = w.row("chain", []any{&l.Seq, &l.CID}, `SELECT coalesce(max(seq), 0), coalesce(max(cid), '') FROM chains WHERE scope = ?`, scope)
	return l, err
}

func (w *writeTx) PutChain(scope string, l journal.Link) error {
	return w.exec("chain", `INSERT INTO chains (scope, seq, cid) VALUES (?, ?, ?) ON CONFLICT (scope) DO UPDATE SET seq = excluded.seq, cid = excluded.cid`, scope, l.Seq, l.CID)
}

func (w *writeTx) InsertEvent(e registry.Event, dis []canon.Disclosure) error {
	if err := w.exec("event", `INSERT INTO events (log, idx, cid, org, org_seq, agent, seq, type, time_ms, artifact) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Log, e.Index, e.CID, e.Org, e.OrgSeq, e.Agent, e.Seq, e.Type, e.Time.UnixMilli(), []byte(e.Artifact)); err != nil {
		return err
	}
	if len(dis) == 0 {
		return nil
	}
	args := make([]any, 0, 4*len(dis))
	for _, d := range dis {
		args = append(args, e.CID, d.Name, d.Salt, string(d.Value))
	}
	return w.exec("disclosure", `INSERT INTO disclosures (cid, name, salt, value) VALUES (?, ?, ?, ?)`+strings.Repeat(`, (?, ?, ?, ?)`, len(dis)-1), args...)
}

func (w *writeTx) Answer(scope, key string) (journal.Answer, error) {
	var a journal.Answer
	var raw string
	var ms int64
	if err := w.row("answer", []any{&a.Digest, &raw, &ms}, `SELECT digest, result, expires_ms FROM idempotency WHERE scope = ? AND key = ?`, scope, key); err != nil {
		return a, err
	}
	a.Expires = time.UnixMilli(ms)
	return a, json.Unmarshal([]byte(raw), &a)
}

func (w *writeTx) InsertAnswer(scope, key string, a journal.Answer) error {
	return w.exec("answer", `INSERT INTO idempotency (scope, key, digest, result, expires_ms) VALUES (?, ?, ?, ?, ?)`, scope, key, a.Digest, encode(a), a.Expires.UnixMilli())
}

func (w *writeTx) Expire(before time.Time) error {
	if err := w.exec("proof", `DELETE FROM proofs WHERE expires_ms < ?`, before.UnixMilli()); err != nil {
		return err
	}
	if err := w.exec("denial", `DELETE FROM denials WHERE expires_ms < ?`, before.UnixMilli()); err != nil {
		return err
	}
	return w.exec("answer", `DELETE FROM idempotency WHERE expires_ms < ?`, before.UnixMilli())
}

func (w *writeTx) Nested(f func() error) error {
	if err := w.exec("savepoint", `SAVEPOINT command`); err != nil {
		return err
	}
	err := f()
	if err != nil {
		if e := w.exec("savepoint", `ROLLBACK TO command`); e != nil {
			return e
		}
	}
	if e := w.exec("savepoint", `RELEASE command`); e != nil {
		return e
	}
	return err
}

// Commit makes the transaction durable. After an error it may or may not be:
// the connection is rolled back and the next reader finds out.
func (w *writeTx) Commit() error {
	err := w.exec("commit", `COMMIT`)
	if err != nil {
		return errors.Join(err, w.Rollback())
	}
	w.end()
	return nil
}

// Rollback undoes the transaction; after its end it does nothing.
func (w *writeTx) Rollback() error {
	if w.ended {
		return nil
	}
	err := w.exec("rollback", `ROLLBACK`)
	w.end()
	return err
}

func (w *writeTx) end() {
	w.ended = true
	w.db.unlock()
}
