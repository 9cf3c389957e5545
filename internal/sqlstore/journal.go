package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/journal"
)

// Journal is the database as the journal of one log sees it. It implements
// journal.Backend.
type Journal struct {
	db  *DB
	log logRef
}

// logRef is a log's name, and its number in this database.
type logRef struct {
	origin string
	base   int64 // the place of its entry 0: its number << 48
}

// place is where an entry's rows are; index the way back.
func (l logRef) place(index uint64) int64 { return l.base | int64(index) }
func (l logRef) index(place int64) uint64 { return uint64(place - l.base) }

// end is after the places of the log's entries.
func (l logRef) end() int64 { return l.base + 1<<48 }

// Journal names the log whose head the write transactions lock. The head is
// created, empty, where there is none.
func (db *DB) Journal(ctx context.Context, origin string) (*Journal, error) {
	root := tlog.EmptyRoot()
	var n int64
	err := db.Write(ctx, func(t *sql.Tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO logs (log, size, root, time_ms) VALUES (?, 0, ?, 0) ON CONFLICT (log) DO NOTHING`, origin, root[:])
		if err == nil {
			err = t.QueryRowContext(ctx, `SELECT n FROM logs WHERE log = ?`, origin).Scan(&n)
		}
		return err
	})
	return &Journal{db, logRef{origin, n << 48}}, err
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
	return &writeTx{tx: tx{conn{j.db.journal}, j.log}, db: j.db}, nil
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
	err = f(tx{conn{s}, j.log})
	return errors.Join(err, translate(s.exec(`ROLLBACK`), "snapshot")) // ends the snapshot; it wrote nothing
}

type writeTx struct {
	tx
	db    *DB
	ended bool
}

// HashTile implements tlog.Reader within the transaction.
func (w *writeTx) HashTile(_ context.Context, level int, index uint64) ([]byte, error) {
	return w.blob("tile", selectTile, w.log.origin, level, index)
}

// EntryBundle implements tlog.Reader within the transaction.
func (w *writeTx) EntryBundle(_ context.Context, index uint64) ([]byte, error) {
	return w.blob("entry bundle", selectBundle, w.log.origin, index)
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
	err = w.row("log head", []any{&h.Size, &root, &ms, &h.Authority}, `SELECT size, root, time_ms, version FROM logs, authority WHERE log = ?`, w.log.origin)
	copy(h.Root[:], root)
	h.Time = time.UnixMilli(ms).UTC()
	return h, err
}

func (w *writeTx) PutHead(h journal.Head) error {
	return w.exec("log head", `UPDATE logs SET size = ?, root = ?, time_ms = ? WHERE log = ?`, h.Size, h.Root[:], h.Time.UnixMilli(), w.log.origin)
}

func (w *writeTx) PutTiles(tiles []tlog.Tile, bundles []tlog.Bundle) error {
	for _, t := range tiles {
		if err := w.exec("tile", `INSERT INTO log_tiles (log, level, idx, data) VALUES (?, ?, ?, ?) ON CONFLICT (log, level, idx) DO UPDATE SET data = excluded.data`,
			w.log.origin, t.Level, t.Index, t.Data); err != nil {
			return err
		}
	}
	for _, b := range bundles {
		if err := w.exec("entry bundle", `INSERT INTO log_bundles (log, idx, data) VALUES (?, ?, ?) ON CONFLICT (log, idx) DO UPDATE SET data = excluded.data`,
			w.log.origin, b.Index, b.Data); err != nil {
			return err
		}
	}
	return nil
}

const (
	selectChain      = `SELECT org_seq, cid FROM events WHERE org = ? AND place >= ? AND place < ? ORDER BY place DESC LIMIT 1`
	selectAgentChain = `SELECT seq, cid FROM events WHERE agent = ? AND place >= ? AND place < ? ORDER BY place DESC LIMIT 1`
)

func (w *writeTx) Chain(org, agent string) (l journal.Link, err error) {
	query, key := selectChain, org
	if agent != "" {
		query, key = selectAgentChain, agent
	}
	err = w.row("chain", []any{&l.Seq, &l.CID}, query, key, w.log.base, w.log.end())
	if errors.Is(err, registry.NotFound) {
		err = nil
	}
	return l, err
}

func (w *writeTx) InsertEvent(e registry.Event, dis []canon.Disclosure) error {
	place := w.log.place(e.Index)
	if err := w.exec("event", `INSERT INTO events (place, cid, org, org_seq, agent, seq, type, time_ms, artifact) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		place, e.CID, e.Org, e.OrgSeq, e.Agent, e.Seq, e.Type, e.Time.UnixMilli(), []byte(e.Artifact)); err != nil {
		return err
	}
	if len(dis) == 0 {
		return nil
	}
	return w.exec("disclosure", `INSERT INTO disclosures (place, doc) VALUES (?, ?)`, place, encodeDisclosures(dis))
}

// encodeDisclosures keeps the values' own spelling. Names and salts are words.
func encodeDisclosures(dis []canon.Disclosure) string {
	size := 2
	for _, d := range dis {
		size += len(d.Name) + len(d.Salt) + len(d.Value) + 40
	}
	b := append(make([]byte, 0, size), '[')
	for i, d := range dis {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendQuote(append(b, `{"name":`...), d.Name), `,"salt":`...)
		b = append(strconv.AppendQuote(b, d.Salt), `,"value":`...)
		b = append(append(b, d.Value...), '}')
	}
	return string(append(b, ']'))
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

// Expire looks at the oldest rows only, so that no batch waits for it: proofs
// come in the order they end, give or take a clock's skew.
func (w *writeTx) Expire(before time.Time, most int) error {
	ms := before.UnixMilli()
	return errors.Join(
		w.exec("proof", `DELETE FROM proofs WHERE id < (SELECT min(id) + ?2 FROM proofs) AND expires_ms < ?1`, ms, most),
		w.exec("denial", `DELETE FROM denials WHERE fold IN (SELECT fold FROM denials WHERE expires_ms < ?1 ORDER BY expires_ms LIMIT ?2)`, ms, most),
		w.exec("answer", `DELETE FROM idempotency WHERE (scope, key) IN (SELECT scope, key FROM idempotency WHERE expires_ms < ?1 ORDER BY expires_ms LIMIT ?2)`, ms, most),
		w.exec("session", `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_ms < ?1 ORDER BY expires_ms LIMIT ?2)`, ms, most),
		w.exec("budget", `DELETE FROM budget_windows WHERE (grant_id, link, budget, begins) IN (SELECT grant_id, link, budget, begins FROM budget_windows WHERE forget_ms < ?1 ORDER BY forget_ms LIMIT ?2)`, ms, most),
		w.exec("count", `DELETE FROM act_counts WHERE (agent_id, action, hour) IN (SELECT agent_id, action, hour FROM act_counts WHERE hour < ?1 / 3600000 - 25 ORDER BY hour LIMIT ?2)`, ms, most))
}

// Writes implements journal.Tx.
func (w *writeTx) Writes() int { return w.s.writes }

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
	err := translate(w.s.exec(`COMMIT`), "commit")
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
	err := translate(w.s.exec(`ROLLBACK`), "rollback")
	w.end()
	return err
}

func (w *writeTx) end() {
	w.ended = true
	w.db.unlock()
}
