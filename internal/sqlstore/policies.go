package sqlstore

import (
	"errors"
	"strconv"

	"github.com/writ-registry/writ/registry"
)

func (t tx) PolicySet(org string, version int64) (registry.PolicySet, error) {
	return doc[registry.PolicySet](t.conn, "version of the policies", `SELECT doc FROM policy_sets WHERE org = ? AND version = ?`, org, version)
}

func (t tx) PolicyText(org string, version int64) (text string, err error) {
	err = t.row("version of the policies", []any{&text}, `SELECT text FROM policy_sets WHERE org = ? AND version = ?`, org, version)
	return text, err
}

func (t tx) ListPolicySets(org string, p registry.Page) ([]registry.PolicySet, error) {
	before := int64(1<<63 - 1)
	if p.After != "" {
		n, err := strconv.ParseInt(p.After, 10, 64)
		if err != nil {
			return nil, registry.Invalid("/cursor", "not a cursor of this list")
		}
		before = n
	}
	return docs[registry.PolicySet](t.conn, "version of the policies", `SELECT doc FROM policy_sets WHERE org = ? AND version < ? ORDER BY version DESC LIMIT ?`, org, before, p.Limit)
}

func (t tx) InsertPolicySet(s registry.PolicySet) error {
	text := s.Text
	s.Text, s.Active = "", false // read from elsewhere
	return t.exec("version of the policies", `INSERT INTO policy_sets (org, version, doc, text) VALUES (?, ?, ?, ?)`, s.Org, s.Version, encode(s), text)
}

func (t tx) ActivePolicies(org string) (registry.ActivePolicies, error) {
	a, err := doc[registry.ActivePolicies](t.conn, "policies", `SELECT doc FROM active_policies WHERE org = ?`, org)
	if errors.Is(err, registry.NotFound) {
		return registry.ActivePolicies{}, nil
	}
	return a, err
}

func (t tx) PutActivePolicies(org string, a registry.ActivePolicies) error {
	return t.exec("policies", `INSERT INTO active_policies (org, doc) VALUES (?, ?) ON CONFLICT (org) DO UPDATE SET doc = excluded.doc`, org, encode(a))
}

func (t tx) Entity(org, typ, id string) (registry.Entity, error) {
	return doc[registry.Entity](t.conn, "entity", `SELECT doc FROM entities WHERE org = ? AND type = ? AND id = ?`, org, typ, id)
}

func (t tx) ListEntities(org, typ string, p registry.Page) ([]registry.Entity, error) {
	if typ != "" {
		return docs[registry.Entity](t.conn, "entity", `SELECT doc FROM entities WHERE org = ? AND type = ? AND id > ? ORDER BY id LIMIT ?`, org, typ, p.After, p.Limit)
	}
	afterType, afterID, err := registry.SplitEntityPlace(p.After)
	if err != nil {
		return nil, err
	}
	return docs[registry.Entity](t.conn, "entity", `SELECT doc FROM entities WHERE org = ? AND (type, id) > (?, ?) ORDER BY type, id LIMIT ?`, org, afterType, afterID, p.Limit)
}

// EntityTypes steps from one type to the next: an org may have many entities of few.
func (t tx) EntityTypes(org string, limit int) ([]string, error) {
	return list(t.conn, "entity type", func(scan func(...any) error) (s string, err error) {
		err = scan(&s)
		return s, err
	},
		`WITH RECURSIVE step (type) AS (SELECT min(type) FROM entities WHERE org = ?1
			UNION ALL SELECT (SELECT min(type) FROM entities WHERE org = ?1 AND type > step.type) FROM step WHERE type IS NOT NULL)
		SELECT type FROM step WHERE type IS NOT NULL LIMIT ?2`, org, limit)
}

func (t tx) PutEntity(org string, e registry.Entity) error {
	return t.exec("entity", `INSERT INTO entities (org, type, id, doc) VALUES (?, ?, ?, ?) ON CONFLICT (org, type, id) DO UPDATE SET doc = excluded.doc`, org, e.Type, e.ID, encode(e))
}

func (t tx) DeleteEntity(org, typ, id string) error {
	return t.exec("entity", `DELETE FROM entities WHERE org = ? AND type = ? AND id = ?`, org, typ, id)
}
