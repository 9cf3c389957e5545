package sqlstore

import (
	"errors"
	"strings"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/statuslist"
)

func (t tx) Moved(since uint64, limit int) ([]registry.Scope, error) {
	return list(t.conn, "epoch", func(scan func(...any) error) (s registry.Scope, err error) {
		var key string
		err = scan(&key)
		kind, id, _ := strings.Cut(key, ":")
		return registry.Scope{Kind: registry.ScopeKind(kind), ID: id}, err
	}, `SELECT scope FROM epochs WHERE changed > ? ORDER BY changed LIMIT ?`, since, limit)
}

func (t tx) LastPlace() (n int64, err error) {
	err = t.row("counter", []any{&n}, `SELECT value FROM counters WHERE name = ?`, registry.PlaceCounter)
	if errors.Is(err, registry.NotFound) {
		return -1, nil
	}
	return n, err
}

func (t tx) StoppedGrants(each func(place int64, s statuslist.Status)) error {
	return t.statuses(each, stoppedGrants)
}

func (t tx) GrantStatuses(s registry.Scope, each func(place int64, s statuslist.Status)) error {
	switch s.Kind {
	case registry.ScopeGrant:
		return t.statuses(each, statusOf+`grants g JOIN agents a ON a.id = g.agent WHERE g.id = ?`, s.ID)
	case registry.ScopeAgent:
		return t.statuses(each, `WITH RECURSIVE family(id) AS (VALUES (?1) UNION SELECT c.id FROM family f CROSS JOIN agents c ON c.parent = f.id) `+
			statusOf+`family f CROSS JOIN agents a ON a.id = f.id CROSS JOIN grants g ON g.agent = a.id`, s.ID)
	}
	return registry.Errorf(registry.Malformed, "%s is neither a grant nor an agent", s.Key())
}

func (t tx) statuses(each func(place int64, s statuslist.Status), query string, args ...any) error {
	_, err := list(t.conn, "status", func(scan func(...any) error) (none struct{}, err error) {
		var place int64
		var s statuslist.Status
		if err = scan(&place, &s); err == nil {
			each(place, s)
		}
		return none, err
	}, query, args...)
	return err
}

// The rule of what a grant's status is, twice: for all that are not valid, from
// those who stop them, and for few, from the grant. A test holds the two together.
// SQLite keeps the order of a CROSS JOIN: from the few to their grants.
const (
	stoppedGrants = `WITH RECURSIVE stopped(id, value) AS (
    SELECT id, CASE status WHEN 'revoked' THEN 1 ELSE 2 END FROM agents INDEXED BY agents_stopped
        WHERE (status <> 'active' OR json_extract(doc, '$.key_ended')) AND status <> 'active'
    UNION SELECT substr(scope, 7), 2 FROM kills WHERE scope > 'agent:' AND scope < 'agent;'
    UNION SELECT c.id, s.value FROM stopped s CROSS JOIN agents c ON c.parent = s.id
)
SELECT g.place, s.value FROM stopped s CROSS JOIN grants g ON g.agent = s.id
UNION ALL SELECT g.place, 2 FROM agents a INDEXED BY agents_stopped CROSS JOIN grants g ON g.agent = a.id
    WHERE (a.status <> 'active' OR json_extract(a.doc, '$.key_ended')) AND json_extract(a.doc, '$.key_ended')
UNION ALL SELECT g.place, 2 FROM principals p INDEXED BY principals_gone CROSS JOIN agents a ON a.org = p.org AND a.sponsor = p.id CROSS JOIN grants g ON g.agent = a.id
    WHERE json_extract(p.doc, '$.status') IS NOT NULL
UNION ALL SELECT place, 1 FROM grants WHERE status <> 'active'
UNION ALL SELECT g.place, 2 FROM kills k CROSS JOIN grants g ON g.id = substr(k.scope, 7) WHERE k.scope > 'grant:' AND k.scope < 'grant;'
UNION ALL SELECT g.place, 2 FROM kills k CROSS JOIN grants g ON g.org = substr(k.scope, 5) WHERE k.scope > 'org:' AND k.scope < 'org;'
UNION ALL SELECT place, 2 FROM grants WHERE EXISTS (SELECT 1 FROM kills WHERE scope = 'global')`

	statusOf = `SELECT g.place, CASE
    WHEN g.status <> 'active' OR a.status = 'revoked'
        OR EXISTS (SELECT 1 FROM json_each(a.doc, '$.ancestors') x JOIN agents p ON p.id = x.value WHERE p.status = 'revoked') THEN 1
    WHEN a.status <> 'active' OR json_extract(a.doc, '$.key_ended')
        OR EXISTS (SELECT 1 FROM kills WHERE scope IN ('global', 'org:' || g.org, 'agent:' || a.id, 'grant:' || g.id))
        OR EXISTS (SELECT 1 FROM json_each(a.doc, '$.ancestors') x JOIN agents p ON p.id = x.value WHERE p.status <> 'active')
        OR EXISTS (SELECT 1 FROM json_each(a.doc, '$.ancestors') x JOIN kills k ON k.scope = 'agent:' || x.value)
        OR EXISTS (SELECT 1 FROM principals p WHERE p.id = a.sponsor AND json_extract(p.doc, '$.status') IS NOT NULL) THEN 2
    ELSE 0 END FROM `
)
