package sqlstore

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
)

// tx implements registry.Tx.
type tx struct {
	conn
	log logRef
}

func (t tx) Org(id string) (registry.Org, error) {
	return doc[registry.Org](t.conn, "org", `SELECT doc FROM orgs WHERE id = ?`, id)
}

func (t tx) OrgByName(name string) (registry.Org, error) {
	return doc[registry.Org](t.conn, "org", `SELECT doc FROM orgs WHERE name = ?`, name)
}

func (t tx) ListOrgs(p registry.Page) ([]registry.Org, error) {
	return docs[registry.Org](t.conn, "org", `SELECT doc FROM orgs WHERE id > ? ORDER BY id LIMIT ?`, p.After, p.Limit)
}

func (t tx) InsertOrg(o registry.Org) error {
	return t.exec("org", `INSERT INTO orgs (id, name, doc) VALUES (?, ?, ?)`, o.ID, o.Name, encode(o))
}

func (t tx) UpdateOrg(o registry.Org) error {
	return t.exec("org", `UPDATE orgs SET doc = ? WHERE id = ?`, encode(o), o.ID)
}

func (t tx) PEP(id string) (registry.PEP, error) {
	return doc[registry.PEP](t.conn, "enforcement point", `SELECT doc FROM peps WHERE id = ?`, id)
}

func (t tx) ListPEPs(org string, p registry.Page) ([]registry.PEP, error) {
	return docs[registry.PEP](t.conn, "enforcement point", `SELECT doc FROM peps WHERE org = ? AND id > ? ORDER BY id LIMIT ?`, org, p.After, p.Limit)
}

func (t tx) InsertPEP(p registry.PEP) error {
	return t.exec("enforcement point", `INSERT INTO peps (id, org, doc) VALUES (?, ?, ?)`, p.ID, p.Org, encode(p))
}

func (t tx) Catalogue(org string) (registry.Catalogue, error) {
	c, err := doc[registry.Catalogue](t.conn, "catalogue", `SELECT doc FROM catalogues WHERE org = ?`, org)
	if errors.Is(err, registry.NotFound) {
		return registry.Catalogue{Org: org, Actions: []registry.CatalogueAction{}}, nil
	}
	return c, err
}

func (t tx) PutCatalogue(c registry.Catalogue) error {
	return t.exec("catalogue", `INSERT INTO catalogues (org, doc) VALUES (?, ?) ON CONFLICT (org) DO UPDATE SET doc = excluded.doc`, c.Org, encode(c))
}

func (t tx) Principal(id string) (registry.Principal, error) {
	return doc[registry.Principal](t.conn, "principal", `SELECT doc FROM principals WHERE id = ?`, id)
}

func (t tx) ListPrincipals(org string, p registry.Page) ([]registry.Principal, error) {
	return docs[registry.Principal](t.conn, "principal", `SELECT doc FROM principals WHERE org = ? AND id > ? ORDER BY id LIMIT ?`, org, p.After, p.Limit)
}

func (t tx) InsertPrincipal(p registry.Principal) error {
	return t.exec("principal", `INSERT INTO principals (id, org, doc) VALUES (?, ?, ?)`, p.ID, p.Org, encode(p))
}

func (t tx) UpdatePrincipal(p registry.Principal) error {
	return t.exec("principal", `UPDATE principals SET doc = ? WHERE id = ?`, encode(p), p.ID)
}

func (t tx) CountHolders(org string, role registry.Role) (n int, err error) {
	err = t.row("principal", []any{&n}, `SELECT count(*) FROM principals WHERE (?1 = '' OR org = ?1) AND json_extract(doc, '$.status') IS NULL
		AND EXISTS (SELECT 1 FROM json_each(doc, '$.roles') WHERE value = ?2)`, org, role)
	return n, err
}

func (t tx) Agent(id string) (registry.Agent, error) {
	return doc[registry.Agent](t.conn, "agent", `SELECT doc FROM agents WHERE id = ?`, id)
}

func (t tx) AgentByDID(did string) (registry.Agent, error) {
	return doc[registry.Agent](t.conn, "agent", `SELECT a.doc FROM agent_dids d JOIN agents a ON a.id = d.agent WHERE d.did = ?`, did)
}

func (t tx) ListAgents(f registry.AgentFilter) ([]registry.Agent, error) {
	query, args := selectDocs("agents", f.Page, "org", f.Org, "status", string(f.Status))
	return docs[registry.Agent](t.conn, "agent", query, args...)
}

func (t tx) InsertAgent(a registry.Agent, dids []string, entry string) error {
	if err := t.exec("agent", `INSERT INTO agents (id, org, name, status, thumbprint, parent, sponsor, key_since_ms, doc) VALUES (?, ?, ?, ?, ?, nullif(?, ''), ?, ?, ?)`,
		a.ID, a.Org, a.Name, a.Status, a.Thumbprint, a.Parent, a.Sponsor, keySince(a), encode(a)); err != nil {
		return err
	}
	if err := t.indexAgent(a); err != nil {
		return err
	}
	for _, did := range dids {
		if err := t.exec("DID", `INSERT INTO agent_dids (did, agent) VALUES (?, ?)`, did, a.ID); err != nil {
			return err
		}
	}
	return t.exec("DID log entry", `INSERT INTO did_entries (agent, n, entry) VALUES (?, 1, ?)`, a.ID, entry)
}

func (t tx) UpdateAgent(a registry.Agent) error {
	return t.exec("agent", `UPDATE agents SET status = ?, thumbprint = ?, sponsor = ?, key_since_ms = ?, doc = ? WHERE id = ?`,
		a.Status, a.Thumbprint, a.Sponsor, keySince(a), encode(a), a.ID)
}

func (t tx) CountChildren(parent string) (n int, err error) {
	err = t.row("agent", []any{&n}, `SELECT count(*) FROM agents WHERE parent = ? AND status <> 'revoked'`, parent)
	return n, err
}

func (t tx) AppendDIDEntry(agent string, n int, entry string) error {
	return t.exec("DID log entry", `INSERT INTO did_entries (agent, n, entry) VALUES (?, ?, ?)`, agent, n, entry)
}

func (t tx) AgentKeys(agent string) ([]registry.AgentKey, error) {
	return docs[registry.AgentKey](t.conn, "key", `SELECT doc FROM agent_keys WHERE agent = ? ORDER BY n`, agent)
}

func (t tx) InsertAgentKey(k registry.AgentKey) error {
	return t.exec("key", `INSERT INTO agent_keys (thumbprint, agent, n, doc) VALUES (?, ?, ?, ?)`, k.Thumbprint, k.Agent, k.N, encode(k))
}

func (t tx) UpdateAgentKey(k registry.AgentKey) error {
	return t.exec("key", `UPDATE agent_keys SET doc = ? WHERE thumbprint = ?`, encode(k), k.Thumbprint)
}

func (t tx) Tend(agent string, due time.Time) error {
	if due.IsZero() {
		return t.exec("agent", `DELETE FROM tending WHERE agent = ?`, agent)
	}
	return t.exec("agent", `INSERT INTO tending (agent, due_ms) VALUES (?, ?) ON CONFLICT (agent) DO UPDATE SET due_ms = excluded.due_ms`, agent, due.UnixMilli())
}

func (t tx) DueAgents(now time.Time, limit int) ([]string, error) {
	return list(t.conn, "agent", func(scan func(...any) error) (agent string, err error) {
		err = scan(&agent)
		return agent, err
	}, `SELECT agent FROM tending WHERE due_ms <= ? ORDER BY due_ms LIMIT ?`, now.UnixMilli(), limit)
}

func (t tx) DIDLog(agent string) ([]string, error) {
	return list(t.conn, "DID log entry", func(scan func(...any) error) (s string, err error) { return s, scan(&s) },
		`SELECT entry FROM did_entries WHERE agent = ? ORDER BY n`, agent)
}

func (t tx) CountDIDEntries(agent string) (n int, err error) {
	err = t.row("DID log", []any{&n}, `SELECT count(*) FROM did_entries WHERE agent = ?`, agent)
	return n, err
}

func (t tx) Grant(id string) (registry.Grant, error) {
	return doc[registry.Grant](t.conn, "grant", `SELECT doc FROM grants WHERE id = ?`, id)
}

func (t tx) ListGrants(f registry.GrantFilter) ([]registry.Grant, error) {
	query, args := selectDocs("grants", f.Page, "agent", f.Agent, "org", f.Org, "status", string(f.Status))
	return docs[registry.Grant](t.conn, "grant", query, args...)
}

func (t tx) InsertGrant(g registry.Grant) error {
	if err := t.exec("grant", `INSERT INTO grants (id, org, agent, status, doc) VALUES (?, ?, ?, ?, ?)`, g.ID, g.Org, g.Agent, g.Status, encode(g)); err != nil {
		return err
	}
	return t.indexGrant(g)
}

func (t tx) UpdateGrant(g registry.Grant) error {
	if err := t.exec("grant", `UPDATE grants SET status = ?, doc = ? WHERE id = ?`, g.Status, encode(g), g.ID); err != nil || g.Status == registry.GrantActive {
		return err
	}
	return t.forgetGrant(g.ID)
}

func (t tx) RevokedLinks(grant string, hashes []string) ([]string, error) {
	var out []string
	for _, hash := range hashes { // 7 at most, and seldom read: standings are remembered
		var n int
		if err := t.row("link", []any{&n}, `SELECT count(*) FROM revoked_links WHERE grant_id = ? AND hash = ?`, grant, hash); err != nil {
			return nil, err
		}
		if n > 0 {
			out = append(out, hash)
		}
	}
	return out, nil
}

func (t tx) CountRevokedLinks(grant string) (n int, err error) {
	err = t.row("link", []any{&n}, `SELECT count(*) FROM revoked_links WHERE grant_id = ?`, grant)
	return n, err
}

func (t tx) InsertRevokedLink(l registry.RevokedLink) error {
	return t.exec("revocation", `INSERT INTO revoked_links (grant_id, hash, doc) VALUES (?, ?, ?)`, l.Grant, l.Hash, encode(l))
}

func (t tx) NextCounter(name string) (n int64, err error) {
	t.s.writes++
	err = t.row("counter", []any{&n}, `INSERT INTO counters (name, value) VALUES (?, 0) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value`, name)
	return n, err
}

func (t tx) Kill(s registry.Scope) (registry.Kill, error) {
	return doc[registry.Kill](t.conn, "stop in force", `SELECT doc FROM kills WHERE scope = ?`, s.Key())
}

func (t tx) ListKills(org string) ([]registry.Kill, error) {
	return docs[registry.Kill](t.conn, "stop in force",
		`SELECT doc FROM kills WHERE ?1 = '' OR coalesce(json_extract(doc, '$.org'), '') IN ('', ?1) ORDER BY scope`, org)
}

func (t tx) PutKill(k registry.Kill) error {
	return t.exec("stop", `INSERT INTO kills (scope, doc) VALUES (?, ?) ON CONFLICT (scope) DO UPDATE SET doc = excluded.doc`, k.Scope.Key(), encode(k))
}

func (t tx) DeleteKill(s registry.Scope) error {
	return t.exec("stop", `DELETE FROM kills WHERE scope = ?`, s.Key())
}

func (t tx) Epoch(s registry.Scope) (n uint64, err error) {
	err = t.row("epoch", []any{&n}, `SELECT coalesce((SELECT epoch FROM epochs WHERE scope = ?), 0)`, s.Key())
	return n, err
}

func (t tx) Authority(scopes []registry.Scope) ([]registry.Epoch, []registry.Kill, error) {
	// Two statements, prepared once each: a decision has five scopes at most, and
	// one more for each ancestor of its agent. A chain has more, with all that its
	// holders stand on: the second is asked again.
	args, query := make([]any, 5), authorityOfFive
	if len(scopes) > len(args) {
		args, query = make([]any, 5+registry.MaxSpawnDepth), authorityOfAll
	}
	if n := len(args); len(scopes) > n {
		epochs, kills, err := t.Authority(scopes[:n])
		if err != nil {
			return nil, nil, err
		}
		more, others, err := t.Authority(scopes[n:])
		return append(epochs, more...), append(kills, others...), err
	}
	epochs := make([]registry.Epoch, len(scopes))
	for i := range args {
		args[i] = ""
	}
	for i, s := range scopes {
		epochs[i].Scope, args[i] = s, s.Key()
	}
	var kills []registry.Kill
	_, err := list(t.conn, "authority", func(scan func(...any) error) (struct{}, error) {
		var key, doc string
		var n uint64
		if err := scan(&key, &n, &doc); err != nil {
			return struct{}{}, err
		}
		if doc != "" {
			var k registry.Kill
			err := decode(doc, &k, "stop in force")
			kills = append(kills, k)
			return struct{}{}, err
		}
		for i := range scopes {
			if args[i] == key {
				epochs[i].Value = n
			}
		}
		return struct{}{}, nil
	}, query, args...)
	return epochs, kills, err
}

const (
	authorityOfFive = `SELECT scope, epoch, '' FROM epochs WHERE scope IN (?1, ?2, ?3, ?4, ?5) UNION ALL SELECT scope, 0, doc FROM kills WHERE scope IN (?1, ?2, ?3, ?4, ?5)`
	authorityOfAll  = `SELECT scope, epoch, '' FROM epochs WHERE scope IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) UNION ALL SELECT scope, 0, doc FROM kills WHERE scope IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`
)

func (t tx) BumpEpoch(s registry.Scope) error {
	if err := t.exec("authority", `UPDATE authority SET version = version + 1`); err != nil {
		return err
	}
	return t.exec("epoch", `INSERT INTO epochs (scope, epoch, changed) VALUES (?, 1, (SELECT version FROM authority)) ON CONFLICT (scope) DO UPDATE SET epoch = epoch + 1, changed = excluded.changed`, s.Key())
}

// selectDocs reads a page of a table in id order, along the index of the first
// column that is asked for; its pairs are columns and values, "" for any.
func selectDocs(table string, p registry.Page, pairs ...string) (query string, args []any) {
	query, plus := `SELECT doc FROM `+table+` WHERE `, ``
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query, plus = query+plus+pairs[i]+` = ? AND `, `+` // no other index
			args = append(args, pairs[i+1])
		}
	}
	return query + `id > ? ORDER BY id LIMIT ?`, append(args, p.After, p.Limit)
}

const eventColumns = `SELECT place, cid, org, org_seq, agent, seq, type, time_ms, artifact FROM events `

func (t tx) scanEvent(scan func(...any) error) (e registry.Event, err error) {
	var place, ms int64
	var artifact []byte
	err = scan(&place, &e.CID, &e.Org, &e.OrgSeq, &e.Agent, &e.Seq, &e.Type, &ms, &artifact)
	e.Log, e.Index, e.Time, e.Artifact = t.log.origin, t.log.index(place), time.UnixMilli(ms).UTC(), json.RawMessage(artifact)
	return e, err
}

// whereCID finds an event of the log by the end of its CID.
const whereCID = `WHERE substr(cid, -13) = substr(?1, -13) AND cid = ?1`

func (t tx) EventByCID(cid string) (registry.Event, error) {
	return t.scanEvent(func(dest ...any) error {
		return t.row("event", dest, eventColumns+whereCID+` AND place >= ?2 AND place < ?3`, cid, t.log.base, t.log.end())
	})
}

// ListEvents reads along an index: that of the log, of an org or of an agent.
// Each set of filters is its own statement, for a filter that may be absent
// would keep SQLite from using them.
func (t tx) ListEvents(f registry.EventFilter) ([]registry.Event, error) {
	query, args, err := selectEvents(t.log, f)
	if err != nil {
		return nil, err
	}
	return list(t.conn, "event", t.scanEvent, query, args...)
}

func selectEvents(log logRef, f registry.EventFilter) (query string, args []any, err error) {
	where, from, end := `WHERE place >= ? AND place < ?`, log.base, log.end()
	if f.After != "" {
		n, err := strconv.ParseUint(f.After, 10, 48)
		if err != nil {
			return "", nil, registry.Invalid("/cursor", "not a cursor of this list")
		}
		if f.Newest {
			end = log.place(n)
		} else {
			from = log.place(n) + 1
		}
	}
	args = []any{from, end}
	add := func(on bool, cond string, arg any) {
		if on {
			where, args = where+` AND `+cond, append(args, arg)
		}
	}
	add(f.Org != "", `org = ?`, f.Org)
	add(f.Agent != "", `agent = ?`, f.Agent)
	add(f.Type != "", `type = ?`, f.Type)
	order := ` ORDER BY place LIMIT ?`
	if f.Newest {
		order = ` ORDER BY place DESC LIMIT ?`
	}
	return eventColumns + where + order, append(args, f.Limit), nil
}

func (t tx) Disclosures(cid string) ([]canon.Disclosure, error) {
	out, err := doc[[]canon.Disclosure](t.conn, "disclosure", `SELECT doc FROM disclosures WHERE place = (SELECT place FROM events `+whereCID+`)`, cid)
	if errors.Is(err, registry.NotFound) {
		return []canon.Disclosure{}, nil
	}
	slices.SortFunc(out, func(a, b canon.Disclosure) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

func (t tx) ConsumeProof(u registry.ProofUse) error {
	return t.exec("proof", `INSERT INTO proofs (thumbprint, jti, caller, digest, answer, expires_ms) VALUES (?, ?, ?, ?, ?, ?)`,
		u.Thumbprint, u.JTI, u.Caller, u.Digest, string(u.Answer), u.Expires)
}

func (t tx) ProofUse(thumbprint, jti string) (registry.ProofUse, error) {
	u := registry.ProofUse{Thumbprint: thumbprint, JTI: jti}
	var answer string
	err := t.row("proof", []any{&u.Caller, &u.Digest, &answer, &u.Expires}, `SELECT caller, digest, answer, expires_ms FROM proofs WHERE thumbprint = ? AND jti = ?`, thumbprint, jti)
	u.Answer = json.RawMessage(answer)
	return u, err
}

func (t tx) Fold(key string) (json.RawMessage, error) {
	var answer string
	err := t.row("denial", []any{&answer}, `UPDATE denials SET count = count + 1 WHERE fold = ? RETURNING answer`, key)
	if err == nil {
		t.s.writes++
	}
	return json.RawMessage(answer), err
}

func (t tx) InsertFold(key string, answer json.RawMessage, expires int64) error {
	return t.exec("denial", `INSERT INTO denials (fold, answer, count, expires_ms) VALUES (?, ?, 1, ?)`, key, string(answer), expires)
}

func (t tx) Moment() (m registry.Moment, err error) {
	var ms int64
	err = t.row("moment", []any{&ms, &m.Authority}, `SELECT coalesce((SELECT max(time_ms) FROM logs), 0), version FROM authority`)
	m.Clock = time.UnixMilli(ms).UTC()
	return m, err
}
