package sqlstore

import (
	"time"

	"github.com/writ-registry/writ/registry"
)

func (t tx) Trust(id string) (registry.Trust, error) {
	return doc[registry.Trust](t.conn, "trusted issuer", `SELECT doc FROM trust WHERE id = ?`, id)
}

func (t tx) TrustOf(org, issuer string) (registry.Trust, error) {
	return doc[registry.Trust](t.conn, "trusted issuer", `SELECT doc FROM trust WHERE org = ? AND issuer = ?`, org, issuer)
}

func (t tx) ListTrust(org string, p registry.Page) ([]registry.Trust, error) {
	if org == "" {
		return docs[registry.Trust](t.conn, "trusted issuer", `SELECT doc FROM trust WHERE id > ? ORDER BY id LIMIT ?`, p.After, p.Limit)
	}
	return docs[registry.Trust](t.conn, "trusted issuer", `SELECT doc FROM trust WHERE org = ? AND id > ? ORDER BY id LIMIT ?`, org, p.After, p.Limit)
}

func (t tx) PublicTrust(limit int) ([]registry.Trust, error) {
	return docs[registry.Trust](t.conn, "trusted issuer", `SELECT doc FROM trust WHERE public = 1 ORDER BY id LIMIT ?`, limit)
}

func (t tx) InsertTrust(v registry.Trust) error {
	v.Standing = nil // read from what is followed
	return t.exec("trusted issuer", `INSERT INTO trust (id, org, issuer, public, doc) VALUES (?, ?, ?, ?, ?)`, v.ID, v.Org, v.Issuer, v.Public, encode(v))
}

func (t tx) DeleteTrust(id string) error {
	return t.exec("trusted issuer", `DELETE FROM trust WHERE id = ?`, id)
}

func (t tx) Followed(trust string, kind registry.FollowedKind, name string) (registry.Followed, error) {
	return doc[registry.Followed](t.conn, "thing followed", `SELECT doc FROM followed WHERE trust = ? AND kind = ? AND name = ?`, trust, kind, name)
}

func (t tx) ListFollowed(kind registry.FollowedKind, after time.Time, limit int) ([]registry.Followed, error) {
	return docs[registry.Followed](t.conn, "thing followed", `SELECT doc FROM followed WHERE kind = ? AND seen_ms > ? ORDER BY seen_ms DESC LIMIT ?`, kind, after.UnixMilli(), limit)
}

func (t tx) PutFollowed(f registry.Followed) error {
	return t.exec("thing followed", `INSERT INTO followed (trust, kind, name, seen_ms, doc) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (trust, kind, name) DO UPDATE SET seen_ms = excluded.seen_ms, doc = excluded.doc`, f.Trust, f.Kind, f.Name, f.Seen.UnixMilli(), encode(f))
}

func (t tx) ForgetFollowed(trust string) error {
	return t.exec("thing followed", `DELETE FROM followed WHERE trust = ?`, trust)
}
