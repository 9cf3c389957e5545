package sqlstore

import (
	"time"

	"github.com/writ-registry/writ/registry"
)

func (t tx) Permit(id string) (registry.Permit, error) {
	return doc[registry.Permit](t.conn, "permit", `SELECT doc FROM permits WHERE id = ?`, id)
}

func (t tx) ListPermits(f registry.PermitFilter) ([]registry.Permit, error) {
	if f.Agent == "" && f.State != "" {
		return docs[registry.Permit](t.conn, "permit", `SELECT doc FROM permits INDEXED BY permits_state WHERE org = ? AND state = ? AND id > ? ORDER BY id LIMIT ?`, f.Org, f.State, f.After, f.Limit)
	}
	query, args := selectDocs("permits", f.Page, "agent", f.Agent, "org", f.Org, "state", string(f.State))
	return docs[registry.Permit](t.conn, "permit", query, args...)
}

func (t tx) InsertPermit(p registry.Permit) error {
	return t.exec("permit", `INSERT INTO permits (id, org, agent, state, due_ms, undo_ms, doc) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		p.ID, p.Org, p.Agent, p.State, milli(p.Due), milli(p.Undoable()), encode(p))
}

func (t tx) UpdatePermit(p registry.Permit) error {
	return t.exec("permit", `UPDATE permits SET state = ?, due_ms = ?, undo_ms = ?, doc = ? WHERE id = ?`,
		p.State, milli(p.Due), milli(p.Undoable()), encode(p), p.ID)
}

func (t tx) DuePermits(now time.Time, limit int) ([]registry.Permit, error) {
	return docs[registry.Permit](t.conn, "permit", `SELECT doc FROM permits WHERE due_ms > 0 AND due_ms <= ? ORDER BY due_ms LIMIT ?`, now.UnixMilli(), limit)
}

// UndoablePermits has few rows to sort: those of a family whose time is not over.
func (t tx) UndoablePermits(agent string, descendants bool, now time.Time, p registry.Page) ([]registry.Permit, error) {
	return docs[registry.Permit](t.conn, "permit", `WITH RECURSIVE family (id) AS (
		VALUES (?) UNION SELECT c.id FROM family f CROSS JOIN agents c ON c.parent = f.id WHERE ?
	) SELECT p.doc FROM family f CROSS JOIN permits p INDEXED BY permits_undo ON p.agent = f.id
		WHERE p.undo_ms > ? AND p.undo_ms > 0 AND p.id > ? ORDER BY p.id LIMIT ?`,
		agent, descendants, now.UnixMilli(), p.After, p.Limit)
}

// milli is a time in Unix milliseconds, 0 for none.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func (t tx) UpdatePEP(p registry.PEP) error {
	return t.exec("enforcement point", `UPDATE peps SET doc = ? WHERE id = ?`, encode(p), p.ID)
}

func (t tx) PEPRoutes(pep string) (r registry.PEPRoutes, secret string, err error) {
	var raw string
	if err := t.row("table of routes", []any{&raw, &secret}, `SELECT doc, secret FROM pep_routes WHERE pep = ?`, pep); err != nil {
		return r, "", err
	}
	return r, secret, decode(raw, &r, "table of routes")
}

func (t tx) PutPEPRoutes(r registry.PEPRoutes, secret string) error {
	return t.exec("table of routes", `INSERT INTO pep_routes (pep, doc, secret) VALUES (?, ?, ?) ON CONFLICT (pep) DO UPDATE SET doc = excluded.doc, secret = excluded.secret`,
		r.PEP, encode(r), secret)
}
