package sqlstore

import (
	"strconv"
	"strings"
	"time"

	"github.com/writ-registry/writ/registry"
)

func keySince(a registry.Agent) int64 {
	if a.KeySince.IsZero() {
		return a.Created.UnixMilli()
	}
	return a.KeySince.UnixMilli()
}

// indexAgent writes what a new agent is found by, beside the columns of its row.
func (t tx) indexAgent(a registry.Agent) error {
	for kind, words := range map[string][]string{"domain": a.Domains, "workflow": a.Workflows} {
		for _, word := range words {
			if err := t.exec("agent", `INSERT INTO agent_words (org, kind, word, agent) VALUES (?, ?, ?, ?)`, a.Org, kind, word, a.ID); err != nil {
				return err
			}
		}
	}
	return t.exec("agent", `INSERT INTO agent_usage (agent, org, last_ms, created_ms) VALUES (?, ?, 0, ?)`, a.ID, a.Org, a.Created.UnixMilli())
}

// indexGrant writes what a new grant makes its agent found by.
func (t tx) indexGrant(g registry.Grant) error {
	if err := t.exec("grant", `INSERT INTO grant_usage (id, org, agent, since_ms, expires_ms) VALUES (?, ?, ?, ?, ?)`,
		g.ID, g.Org, g.Agent, g.Created.UnixMilli(), g.Expires.UnixMilli()); err != nil {
		return err
	}
	return t.indexActions(g)
}

func (t tx) indexActions(g registry.Grant) error {
	for _, action := range g.Actions() {
		if err := t.exec("grant", `INSERT INTO grant_actions (org, action, agent, id, expires_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			g.Org, action, g.Agent, g.ID, g.Expires.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

func (t tx) forgetGrant(id string) error {
	if err := t.exec("grant", `DELETE FROM grant_usage WHERE id = ?`, id); err != nil {
		return err
	}
	return t.exec("grant", `DELETE FROM grant_actions WHERE id = ?`, id)
}

// ListActionGrants implements registry.GrantTx.
func (t tx) ListActionGrants(q registry.ActionGrants) ([]registry.Grant, error) {
	agent, id, _ := strings.Cut(q.After, "/")
	last := q.Agent
	switch {
	case last == "":
		last = "~" // after whatever an id may hold
	case agent < last:
		agent, id = last, ""
	}
	return docs[registry.Grant](t.conn, "grant", selectActionGrants, q.Org, q.Action, agent, id, last, q.Now.UnixMilli(), q.Limit)
}

const selectActionGrants = `SELECT g.doc FROM grant_actions a CROSS JOIN grants g ON g.id = a.id
	WHERE a.org = ? AND a.action = ? AND (a.agent, a.id) > (?, ?) AND a.agent <= ? AND a.expires_ms > ? ORDER BY a.agent, a.id LIMIT ?`

// SearchAgents implements registry.InventoryTx.
func (t tx) SearchAgents(q registry.AgentQuery) ([]registry.InventoryItem, error) {
	query, args, err := selectAgents(q)
	if err != nil {
		return nil, err
	}
	return list(t.conn, "agent", func(scan func(...any) error) (it registry.InventoryItem, err error) {
		var raw string
		var last int64
		if err := scan(&raw, &last, &it.Place); err != nil {
			return it, err
		}
		if last > 0 {
			it.LastAct = time.UnixMilli(last).UTC()
		}
		return it, decode(raw, &it.Agent, "agent")
	}, query, args...)
}

// CountAgents implements registry.InventoryTx.
func (t tx) CountAgents(q registry.AgentQuery) (n int, err error) {
	q.Page = registry.Page{Limit: -1} // SQLite's word for all
	query, args, err := selectAgents(q)
	if err == nil {
		err = t.row("agent", []any{&n}, `SELECT count(*) FROM (`+query+`)`, args...)
	}
	return n, err
}

// selectAgents makes the statement of a search. One filter is read along its index,
// in the order of registry.AgentQuery.Order; it goes on after the place of the last
// row. The others are asked of each row that this one yields: a plus before a
// column, or a place behind EXISTS, keeps SQLite from choosing otherwise.
func selectAgents(q registry.AgentQuery) (query string, args []any, err error) {
	var where []string
	add := func(cond string, values ...any) {
		where, args = append(where, cond), append(args, values...)
	}
	from, place, order, group := `agents a`, `a.id`, `a.id`, ``
	by := q.By()
	switch by {
	case registry.ByParent:
		add(`a.parent = ? AND a.id > ?`, q.Parent, q.After)
	case registry.ByThumbprint:
		add(`a.thumbprint = ? AND a.id > ?`, q.Thumbprint, q.After)
	case registry.ByCapability:
		from, place, order, group = `grant_actions g CROSS JOIN agents a ON a.id = g.agent`, `g.agent`, `g.agent`, ` GROUP BY g.agent`
		add(`g.org = ? AND g.action = ? AND g.agent > ? AND g.expires_ms > ?`, q.Org, q.Capability, q.After, q.Now.UnixMilli())
	case registry.ByName:
		name, id, err := placeOf(q.After)
		if err != nil {
			return "", nil, err
		}
		place, order = `a.name || '/' || a.id`, `a.name, a.id`
		// '~' is after whatever a name may hold.
		add(`a.org = ? AND (a.name, a.id) > (?, ?) AND a.name < ?`, q.Org, max(name, q.NamePrefix), id, q.NamePrefix+"~")
	case registry.BySponsor:
		add(`a.org = ? AND a.sponsor = ? AND a.id > ?`, q.Org, q.Sponsor, q.After)
	case registry.ByWorkflow, registry.ByDomain:
		kind, word := "workflow", q.Workflow
		if by == registry.ByDomain {
			kind, word = "domain", q.Domain
		}
		from, place, order = `agent_words w CROSS JOIN agents a ON a.id = w.agent`, `w.agent`, `w.agent`
		add(`w.org = ? AND w.kind = ? AND w.word = ? AND w.agent > ?`, q.Org, kind, word, q.After)
	case registry.ByUnused:
		since, id, err := momentOf(q.After)
		if err != nil {
			return "", nil, err
		}
		from, place, order = `grant_usage u CROSS JOIN agents a ON a.id = u.agent`, `u.since_ms || '/' || u.id`, `u.since_ms, u.id`
		now := q.Now.UnixMilli()
		add(`u.org = ? AND u.since_ms < ? AND (u.since_ms, u.id) > (?, ?) AND u.expires_ms > ?`, q.Org, q.UnusedSince.UnixMilli(), since, id, now)
		// An agent is listed once, for the grant that lies unused longest.
		add(`NOT EXISTS (SELECT 1 FROM grant_usage v WHERE v.agent = u.agent AND (v.since_ms, v.id) < (u.since_ms, u.id) AND v.expires_ms > ?)`, now)
	case registry.ByKeyAge:
		since, id, err := momentOf(q.After)
		if err != nil {
			return "", nil, err
		}
		place, order = `a.key_since_ms || '/' || a.id`, `a.key_since_ms, a.id`
		add(`a.org = ? AND a.key_since_ms < ? AND (a.key_since_ms, a.id) > (?, ?)`, q.Org, q.KeyBefore.UnixMilli(), since, id)
	case registry.ByLastAct:
		since, id, err := momentOf(q.After)
		if err != nil {
			return "", nil, err
		}
		from, place, order = `agent_usage l CROSS JOIN agents a ON a.id = l.agent`, `l.last_ms || '/' || l.agent`, `l.last_ms, l.agent`
		add(`l.org = ? AND (l.last_ms, l.agent) > (?, ?)`, q.Org, max(since, millis(q.ActedSince)), id)
		if !q.ActedBefore.IsZero() {
			add(`l.last_ms < ?`, q.ActedBefore.UnixMilli())
		}
	case registry.ByStatus:
		add(`a.org = ? AND a.status = ? AND a.id > ?`, q.Org, q.Status, q.After)
	default:
		add(`a.org = ? AND a.id > ?`, q.Org, q.After)
	}
	if by != registry.ByLastAct {
		from += ` LEFT JOIN agent_usage l ON l.agent = a.id`
	}
	rest(q, by, add)
	return `SELECT a.doc, coalesce(l.last_ms, 0), ` + place + ` FROM ` + from + ` WHERE ` + strings.Join(where, ` AND `) + group +
		` ORDER BY ` + order + ` LIMIT ?`, append(args, q.Limit), nil
}

// rest adds the filters that a search is not read along.
func rest(q registry.AgentQuery, by registry.AgentOrder, add func(cond string, values ...any)) {
	if by == registry.ByParent || by == registry.ByThumbprint {
		add(`+a.org = ?`, q.Org)
	}
	if q.Status != "" && by != registry.ByStatus {
		add(`+a.status = ?`, q.Status)
	}
	if q.Standing {
		add(`+a.status <> 'revoked'`)
	}
	if q.SponsorGone {
		add(`EXISTS (SELECT 1 FROM principals p WHERE p.id = a.sponsor AND json_extract(p.doc, '$.status') IS NOT NULL)`)
	}
	if !q.CreatedBefore.IsZero() {
		add(`l.created_ms < ?`, q.CreatedBefore.UnixMilli())
	}
	if q.Sponsor != "" && by != registry.BySponsor {
		add(`+a.sponsor = ?`, q.Sponsor)
	}
	if q.NamePrefix != "" && by != registry.ByName {
		add(`+a.name >= ? AND +a.name < ?`, q.NamePrefix, q.NamePrefix+"~")
	}
	if !q.KeyBefore.IsZero() && by != registry.ByKeyAge {
		add(`+a.key_since_ms < ?`, q.KeyBefore.UnixMilli())
	}
	if by != registry.ByLastAct {
		if !q.ActedSince.IsZero() {
			add(`l.last_ms >= ?`, q.ActedSince.UnixMilli())
		}
		if !q.ActedBefore.IsZero() {
			add(`coalesce(l.last_ms, 0) < ?`, q.ActedBefore.UnixMilli())
		}
	}
	words := map[string]string{}
	if by != registry.ByDomain {
		words["domain"] = q.Domain
	}
	if by != registry.ByWorkflow {
		words["workflow"] = q.Workflow
	}
	for _, kind := range []string{"domain", "workflow"} {
		if words[kind] != "" {
			add(`EXISTS (SELECT 1 FROM agent_words w2 WHERE w2.org = a.org AND w2.kind = ? AND w2.word = ? AND w2.agent = a.id)`, kind, words[kind])
		}
	}
	if q.Capability != "" && by != registry.ByCapability {
		add(`EXISTS (SELECT 1 FROM grant_actions g2 WHERE g2.org = a.org AND g2.action = ? AND g2.agent = a.id AND g2.expires_ms > ?)`, q.Capability, q.Now.UnixMilli())
	}
	if !q.UnusedSince.IsZero() && by != registry.ByUnused {
		add(`EXISTS (SELECT 1 FROM grant_usage u2 WHERE u2.agent = a.id AND u2.since_ms < ? AND u2.expires_ms > ?)`, q.UnusedSince.UnixMilli(), q.Now.UnixMilli())
	}
}

// millis is a time as columns hold it; 0 where there is none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// placeOf reads a place of two parts; the empty one is before all.
func placeOf(after string) (first, id string, err error) {
	if after == "" {
		return "", "", nil
	}
	first, id, ok := strings.Cut(after, "/")
	if !ok {
		return "", "", registry.Invalid("/cursor", "not a cursor of this list")
	}
	return first, id, nil
}

func momentOf(after string) (ms int64, id string, err error) {
	first, id, err := placeOf(after)
	if err != nil || after == "" {
		return 0, "", err
	}
	if ms, err = strconv.ParseInt(first, 10, 64); err != nil {
		return 0, "", registry.Invalid("/cursor", "not a cursor of this list")
	}
	return ms, id, nil
}

func (t tx) Voucher(id string) (registry.Voucher, error) {
	return doc[registry.Voucher](t.conn, "voucher", `SELECT doc FROM vouchers WHERE id = ?`, id)
}

func (t tx) VoucherByKey(org, thumbprint string) (registry.Voucher, error) {
	return doc[registry.Voucher](t.conn, "voucher", `SELECT doc FROM vouchers WHERE org = ? AND thumbprint = ?`, org, thumbprint)
}

func (t tx) ListVouchers(org string, p registry.Page) ([]registry.Voucher, error) {
	return docs[registry.Voucher](t.conn, "voucher", `SELECT doc FROM vouchers WHERE org = ? AND id > ? ORDER BY id LIMIT ?`, org, p.After, p.Limit)
}

func (t tx) InsertVoucher(v registry.Voucher) error {
	return t.exec("voucher", `INSERT INTO vouchers (id, org, thumbprint, doc) VALUES (?, ?, ?, ?)`, v.ID, v.Org, v.Thumbprint, encode(v))
}

func (t tx) UpdateVoucher(v registry.Voucher) error {
	return t.exec("voucher", `UPDATE vouchers SET doc = ? WHERE id = ?`, encode(v), v.ID)
}
