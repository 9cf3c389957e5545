package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/sqlstore"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/journal"
	"github.com/writ-registry/writ/registry/policy"
)

// The act that every seeded agent may do and every decision is about. It is
// material, so that its permit is an event.
const (
	benchAudience = "https://records.example"
	benchVerb     = "update"
	benchType     = "records"
	benchGrant    = "update:records(amount<=500); read:records; execute:none"
	eventsAnAgent = 3 // requested, approved, granted
)

// house is what the generator must know of a seeded data folder. It is kept
// beside the database, in bench.json.
type house struct {
	Origin   string    `json:"origin"`
	Org      string    `json:"org"`
	Operator string    `json:"operator"`
	PEP      string    `json:"pep"`
	Secret   string    `json:"secret"` // of the PEP
	Seed     string    `json:"seed"`   // keys and ids of the agents follow from it
	Base     time.Time `json:"base"`   // the ids' time
	Agents   int       `json:"agents"`
	Entries  int64     `json:"entries"`

	catalogue string // digest
	dir       string
}

func houseFile(dir string) string { return filepath.Join(dir, "bench.json") }

func openHouse(dir string) (*house, error) {
	raw, err := os.ReadFile(houseFile(dir))
	if err != nil {
		return nil, fmt.Errorf("%s was not made by --seed: %w", dir, err)
	}
	h := &house{dir: dir}
	return h, json.Unmarshal(raw, h)
}

func (h *house) save() error {
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return os.WriteFile(houseFile(h.dir), raw, 0o600)
}

// draw derives the n-th secret of a kind from the seed.
func (h *house) draw(kind string, n int) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", h.Seed, kind, n))
}

// id is a UUIDv7 of the n-th thing of a kind: in order of n, as if made one a
// millisecond.
func (h *house) id(kind string, n int) string {
	sum := h.draw(kind, n)
	u := uuid.UUID(sum[:16])
	ms := uint64(h.Base.UnixMilli()) + uint64(n)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], ms<<16)
	copy(u[:6], b[:6])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}

func (h *house) agentKey(n int) *jose.PrivateKey {
	return jose.NewEd25519FromSeed(h.draw("key", n))
}

// seed fills a new data folder: agents that were requested, approved and given
// a grant, and as many decisions as it takes to bring the log to entries.
//
// The server itself makes the folder, the operator, the catalogue and the
// enforcement point; then the rows are written beside the use cases and the
// journal, in one transaction without a rollback journal. What they would have
// written is written: artifacts in canonical form, each naming the one before
// it, every leaf, tile and head, DIDs and tokens that verify, keys that sign.
// Left out is what may be absent at any time: disclosures (they are deletable)
// and consumed proofs (they expire).
func seed(ctx context.Context, writ, dir string, agents int, entries int64, progress io.Writer) (*house, error) {
	if _, err := os.Stat(houseFile(dir)); err == nil {
		return nil, fmt.Errorf("%s is seeded already", dir)
	}
	h, err := found(ctx, writ, dir)
	if err != nil {
		return nil, err
	}
	h.Agents = agents
	s, err := newSeeder(ctx, h)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	err = s.fill(ctx, agents, entries, func(done int) {
		if progress != nil {
			fmt.Fprintf(progress, "seed: %d of %d agents, %d entries, %.0f s\n", done, agents, s.size, time.Since(start).Seconds())
		}
	})
	if err = errors.Join(err, s.db.Close()); err != nil {
		return nil, err
	}
	h.Entries = int64(s.size)
	return h, errors.Join(check(ctx, h), h.save())
}

// seeder writes rows. Workers make what can be made apart (keys, DIDs, tokens,
// bodies); one goroutine gives the events their places and writes.
type seeder struct {
	*house
	db     *sql.DB
	tx     *sql.Tx
	ids    identity
	log    string
	base   int64  // place of the log's entry 0
	size   uint64 // of the log, buffered entries included
	orgSeq uint64
	prev   string // CID of the org's last event
	now    time.Time

	pending [][]byte // entries not yet in the tree
	edge    *edge
	tables  map[string]*rows
	indexes []string // dropped, and made again when all rows are there
}

// identity is what the registry signs with.
type identity struct {
	did           string
	token, update *jose.PrivateKey
	next          jose.PublicKey
	caps          capability.Set
}

func newSeeder(ctx context.Context, h *house) (*seeder, error) {
	s := &seeder{house: h, log: strings.SplitN(h.Origin, "://", 2)[1] + "/log", now: h.Base, edge: &edge{}}
	store, err := sqlstore.Open(ctx, filepath.Join(h.dir, "writ.db"))
	if err != nil {
		return nil, err
	}
	size, _, err := store.Log(s.log).Head(ctx)
	if err == nil {
		s.size = size
		err = s.edge.load(ctx, store.Log(s.log), size)
	}
	if err = errors.Join(err, store.Close()); err != nil {
		return nil, err
	}
	if s.ids, err = loadIdentity(h); err != nil {
		return nil, err
	}
	// One connection that may lose everything in a crash: then one seeds again.
	if s.db, err = sql.Open("sqlite", "file:"+filepath.Join(h.dir, "writ.db")+
		"?_pragma=locking_mode(EXCLUSIVE)&_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=foreign_keys(0)&_pragma=cache_size(-1500000)"); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	err = errors.Join(
		s.db.QueryRowContext(ctx, `SELECT org_seq, cid FROM events WHERE org = ? ORDER BY place DESC LIMIT 1`, h.Org).Scan(&s.orgSeq, &s.prev),
		s.db.QueryRowContext(ctx, `SELECT n << 48 FROM logs WHERE log = ?`, s.log).Scan(&s.base))
	return s, err
}

func loadIdentity(h *house) (id identity, err error) {
	key := func(name string) *jose.PrivateKey {
		raw, e := os.ReadFile(filepath.Join(h.dir, "keys", name+".key"))
		var k *jose.PrivateKey
		if e == nil {
			k, e = jose.ParsePEM(raw)
		}
		err = errors.Join(err, e)
		return k
	}
	id.token, id.update = key("token"), key("did-update")
	if next := key("did-next"); err == nil {
		id.next = next.Public()
	}
	web, e := did.Web(h.Origin)
	id.did = web.String()
	err = errors.Join(err, e)
	id.caps, e = capability.Parse(benchGrant)
	return id, errors.Join(err, e)
}

// made is an agent with all that is recorded of it, places left out.
type made struct {
	agent  registry.Agent
	key    registry.AgentKey
	grant  registry.Grant
	line   string // of its DID log
	bodies [][]byte
}

func (s *seeder) fill(ctx context.Context, agents int, entries int64, progress func(int)) (err error) {
	if s.tx, err = s.db.BeginTx(ctx, nil); err != nil {
		return err
	}
	if err := s.dropIndexes(ctx); err != nil {
		return err
	}
	s.openTables()
	decisions := max(0, entries-int64(s.size)-int64(agents)*eventsAnAgent)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next, fail := s.make(ctx, agents)
	for n := range agents {
		var m made
		select {
		case m = <-next[n%len(next)]:
		case err := <-fail:
			return err
		}
		share := decisions/int64(agents) + b2i(int64(n) < decisions%int64(agents))
		if err := s.write(ctx, m, share); err != nil {
			return fmt.Errorf("agent %d: %w", n, err)
		}
		if (n+1)%(agents/10+1) == 0 {
			progress(n + 1)
		}
	}
	return s.end(ctx)
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// make makes agents on several goroutines, each the n-th of its own residue.
func (s *seeder) make(ctx context.Context, agents int) ([]chan made, chan error) {
	const workers = 4
	next, fail := make([]chan made, workers), make(chan error, workers)
	for w := range next {
		next[w] = make(chan made, 64)
		go func() {
			for n := w; n < agents; n += workers {
				m, err := s.one(n)
				if err != nil {
					fail <- err
					return
				}
				select {
				case next[w] <- m:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	return next, fail
}

// one does for the n-th agent what RequestAgent, ApproveAgent and IssueGrant do.
func (s *seeder) one(n int) (m made, err error) {
	key := s.agentKey(n).Public()
	now := s.now
	a := registry.Agent{
		ID: s.id("agent", n), Org: s.Org, Sponsor: s.Operator, Name: "bench-" + strconv.Itoa(n), AuthorityLevel: 2,
		Status: registry.AgentActive, JWK: key.JWK(), Thumbprint: key.Thumbprint(), Custodial: true, Created: now, Updated: now,
	}
	gen, err := did.Genesis(did.GenesisParams{
		Origin: s.Origin, Path: []string{"agents", a.ID}, Time: now,
		Signer: s.ids.update, NextKeys: []jose.PublicKey{s.ids.next}, Keys: []jose.PublicKey{key}, Custodian: s.Origin,
	})
	if err != nil {
		return m, err
	}
	a.DID, a.WebDID, a.KeyID = gen.DID.String(), gen.Web.String(), gen.DID.KeyURL(key)
	g := registry.Grant{
		ID: s.id("grant", n), Org: s.Org, Agent: a.ID, Capabilities: s.ids.caps.String(), Audience: []string{benchAudience},
		AuthorityLevel: a.AuthorityLevel, NotBefore: now.Truncate(time.Second), Expires: now.Truncate(time.Second).Add(365 * 24 * time.Hour),
		Status: registry.GrantActive, StatusIndex: int64(n), Created: now,
	}
	g.Token, err = capability.IssueGrant(s.ids.token, s.ids.did+"#"+s.ids.token.Public().Multikey(), capability.GrantClaims{
		Issuer: s.ids.did, Audience: g.Audience, Subject: a.DID, ClientID: a.ID,
		IssuedAt: g.Created.Unix(), NotBefore: g.NotBefore.Unix(), Expires: g.Expires.Unix(), ID: g.ID,
		Confirmation: capability.Confirmation{JWK: a.JWK}, Capabilities: s.ids.caps,
		Status: &capability.Status{List: capability.StatusList{Index: g.StatusIndex, URI: s.Origin + "/status/1"}},
		Actor:  capability.Actor{Subject: a.Sponsor}, Org: g.Org, AuthorityLevel: g.AuthorityLevel,
	})
	if err != nil {
		return m, err
	}
	g.TokenHash = canon.Digest([]byte(g.Token))
	k := registry.AgentKey{Thumbprint: a.Thumbprint, Agent: a.ID, N: 1, KeyID: a.KeyID, JWK: a.JWK, Status: registry.KeyActive, Added: now, Version: gen.VersionID}
	m = made{agent: a, key: k, grant: g, line: strings.TrimSuffix(string(gen.Line), "\n")}
	digest := canon.Digest([]byte(a.ID)) // of what no one kept: a salt, a proof, a payload
	for _, body := range []any{
		registry.AgentRegistration{
			DID: a.DID, WebDID: a.WebDID, DIDEntryHash: gen.EntryHash, Thumbprint: a.Thumbprint, KeyAlg: key.Alg(), PossessionHash: digest,
			Sponsor: a.Sponsor, Domains: []string{}, Workflows: []string{}, AuthorityLevel: a.AuthorityLevel,
			Composition: canon.Digest([]byte("[]")), Custodial: true,
		},
		registry.AgentStatusChanged{DID: a.DID, Status: registry.AgentActive},
		registry.GrantIssued{
			Grant: g.ID, DID: a.DID, TokenHash: g.TokenHash, Capabilities: canon.Digest([]byte(g.Capabilities)), Audience: g.Audience,
			AuthorityLevel: g.AuthorityLevel, NotBefore: g.NotBefore.Format(registry.TimeFormat), Expires: g.Expires.Format(registry.TimeFormat),
		},
		registry.DecisionMade{
			Decision: g.ID, DID: a.DID, Grant: g.ID, TokenHash: g.TokenHash, ProofHash: digest, Audience: benchAudience, PEP: s.PEP,
			Action: benchVerb + ":" + benchType, Verdict: string(policy.Permit), Reasons: []string{}, QualifiedBy: []string{"material"},
			PolicyDigest: policy.PolicyDigest, CatalogueDigest: s.catalogue,
			Epochs:      map[string]int64{"global": 0, "org": 0, "agent": 0, "grant": 0},
			Commitments: map[string]string{"payload": digest, "resource": digest, "proof": digest, "token": digest},
		},
	} {
		raw, err := canon.Marshal(body)
		if err != nil {
			return m, err
		}
		m.bodies = append(m.bodies, raw)
	}
	return m, nil
}

// write writes an agent, its events and its decisions.
func (s *seeder) write(ctx context.Context, m made, decisions int64) error {
	a, g := m.agent, m.grant
	doc, err := json.Marshal(a)
	if err != nil {
		return err
	}
	grant, err := json.Marshal(g)
	if err != nil {
		return err
	}
	at := s.size // of its first event
	m.key.AddedIndex = &at
	key, err := json.Marshal(m.key)
	if err != nil {
		return err
	}
	err = errors.Join(
		s.row("agent_keys", m.key.Thumbprint, a.ID, 1, string(key)),
		s.row("agents", a.ID, a.Org, a.Name, string(a.Status), a.Thumbprint, a.Sponsor, a.Created.UnixMilli(), string(doc)),
		s.row("agent_usage", a.ID, a.Org, 0, a.Created.UnixMilli()),
		s.row("agent_dids", a.DID, a.ID),
		s.row("agent_dids", a.WebDID, a.ID),
		s.row("did_entries", a.ID, 1, m.line),
		s.row("grants", g.ID, g.Org, g.Agent, string(g.Status), string(grant)),
		s.row("grant_usage", g.ID, g.Org, g.Agent, g.Created.UnixMilli(), g.Expires.UnixMilli()),
	)
	for _, action := range g.Actions() {
		err = errors.Join(err, s.row("grant_actions", g.Org, action, g.Agent, g.ID, g.Expires.UnixMilli()))
	}
	if err != nil {
		return err
	}
	principal, pep := registry.Actor{Kind: registry.ActorPrincipal, ID: s.Operator}, registry.Actor{Kind: registry.ActorPEP, ID: s.PEP}
	var seq uint64
	record := func(kind string, actor registry.Actor, body []byte) error {
		seq++
		return s.event(ctx, kind, a.ID, seq, actor, body)
	}
	for i, kind := range []string{registry.EventAgentRequested, registry.EventAgentApproved, registry.EventGrantIssued} {
		if err := record(kind, principal, m.bodies[i]); err != nil {
			return err
		}
	}
	body := m.bodies[eventsAnAgent]
	id := bytes.Index(body, []byte(`"decision":"`)) + len(`"decision":"`)
	for range decisions {
		copy(body[id:], uuid.Must(uuid.NewV7()).String())
		if err := record(registry.EventDecision, pep, body); err != nil {
			return err
		}
	}
	return nil
}

// event writes one artifact in its canonical form: members in the order of RFC
// 8785, none of which needs an escape.
func (s *seeder) event(ctx context.Context, kind, agent string, seq uint64, actor registry.Actor, body []byte) error {
	var nonce [32]byte
	rand.Read(nonce[:])
	s.orgSeq++
	artifact := make([]byte, 0, len(body)+512)
	artifact = append(artifact, `{"actor":{"id":"`...)
	artifact = append(artifact, actor.ID...)
	artifact = append(artifact, `","kind":"`...)
	artifact = append(artifact, actor.Kind...)
	artifact = append(artifact, `"},"agent":"`...)
	artifact = append(artifact, agent...)
	artifact = append(artifact, `","body":`...)
	artifact = append(artifact, body...)
	artifact = append(artifact, `,"log":"`...)
	artifact = append(artifact, s.log...)
	artifact = append(artifact, `","nonce":"`...)
	artifact = base64.RawURLEncoding.AppendEncode(artifact, nonce[:])
	artifact = append(artifact, `","org":"`...)
	artifact = append(artifact, s.Org...)
	artifact = append(artifact, `","org_seq":`...)
	artifact = strconv.AppendUint(artifact, s.orgSeq, 10)
	artifact = append(artifact, `,"prev":"`...)
	artifact = append(artifact, s.prev...)
	artifact = append(artifact, `","seq":`...)
	artifact = strconv.AppendUint(artifact, seq, 10)
	artifact = append(artifact, `,"time":"`...)
	artifact = s.now.AppendFormat(artifact, registry.TimeFormat)
	artifact = append(artifact, `","trace":"00000000000000000000000000000001","type":"`...)
	artifact = append(artifact, kind...)
	artifact = append(artifact, `","v":1}`...)

	id := journal.CID(artifact)
	s.prev = id.String()
	err := s.row("events", s.base+int64(s.size), s.prev, s.Org, int64(s.orgSeq), agent, int64(seq), kind, s.now.UnixMilli(), artifact)
	s.size++
	if s.pending = append(s.pending, id.Bytes()); len(s.pending) == 1<<16 {
		err = errors.Join(err, s.grow(ctx))
	}
	return err
}

// grow puts the pending entries into the tree.
func (s *seeder) grow(ctx context.Context) error {
	out, err := tlog.Append(ctx, s.edge, s.size-uint64(len(s.pending)), s.pending)
	if err != nil {
		return err
	}
	s.pending = s.pending[:0]
	s.edge.keep(out)
	for _, t := range out.Tiles {
		err = errors.Join(err, s.exec(ctx, `INSERT OR REPLACE INTO log_tiles (log, level, idx, data) VALUES (?, ?, ?, ?)`, s.log, t.Level, int64(t.Index), t.Data))
	}
	for _, b := range out.Bundles {
		err = errors.Join(err, s.exec(ctx, `INSERT OR REPLACE INTO log_bundles (log, idx, data) VALUES (?, ?, ?)`, s.log, int64(b.Index), b.Data))
	}
	return errors.Join(err, s.exec(ctx, `UPDATE logs SET size = ?, root = ?, time_ms = ? WHERE log = ?`, int64(out.Size), out.Root[:], s.now.UnixMilli(), s.log),
		// What was seeded is not read again by the loop that follows the log.
		s.exec(ctx, `INSERT OR REPLACE INTO projections (name, after) VALUES ('usage', ?)`, strconv.FormatInt(s.base+int64(out.Size)-1, 10)))
}

// dropIndexes drops what is written at random places: sorting all rows once costs
// less than ten million insertions. The other indexes grow at their ends.
func (s *seeder) dropIndexes(ctx context.Context) error {
	found, err := s.tx.QueryContext(ctx, `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND name = 'events_cid'`)
	if err != nil {
		return err
	}
	defer found.Close()
	var names []string
	for found.Next() {
		var name, create string
		if err := found.Scan(&name, &create); err != nil {
			return err
		}
		names, s.indexes = append(names, name), append(s.indexes, create)
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if err := s.exec(ctx, `DROP INDEX `+name); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) exec(ctx context.Context, query string, args ...any) error {
	_, err := s.tx.ExecContext(ctx, query, args...)
	return err
}

func (s *seeder) end(ctx context.Context) error {
	if len(s.pending) > 0 {
		if err := s.grow(ctx); err != nil {
			return err
		}
	}
	for _, t := range s.tables {
		if err := t.flush(); err != nil {
			return err
		}
	}
	for _, create := range s.indexes {
		if err := s.exec(ctx, create); err != nil {
			return err
		}
	}
	err := errors.Join(
		s.exec(ctx, `INSERT OR REPLACE INTO counters (name, value) VALUES ('status_list', ?)`, s.Agents),
		s.tx.Commit())
	// What the server opens must be as it left it.
	_, e := s.db.ExecContext(ctx, `PRAGMA journal_mode = WAL`)
	return errors.Join(err, e)
}

// rows gathers the rows of one table and inserts many with one statement.
type rows struct {
	s     *seeder
	head  string
	width int
	args  []any
	full  *sql.Stmt
}

const rowsAtOnce = 50

func (s *seeder) openTables() {
	s.tables = map[string]*rows{}
	for table, columns := range map[string]string{
		"agents":        "id, org, name, status, thumbprint, sponsor, key_since_ms, doc",
		"agent_keys":    "thumbprint, agent, n, doc",
		"agent_dids":    "did, agent",
		"agent_usage":   "agent, org, last_ms, created_ms",
		"did_entries":   "agent, n, entry",
		"grants":        "id, org, agent, status, doc",
		"grant_usage":   "id, org, agent, since_ms, expires_ms",
		"grant_actions": "org, action, agent, id, expires_ms",
		"events":        "place, cid, org, org_seq, agent, seq, type, time_ms, artifact",
	} {
		s.tables[table] = &rows{s: s, head: "INSERT INTO " + table + " (" + columns + ") VALUES ", width: strings.Count(columns, ",") + 1}
	}
}

func (s *seeder) row(table string, args ...any) error {
	t := s.tables[table]
	if t.args = append(t.args, args...); len(t.args) < rowsAtOnce*t.width {
		return nil
	}
	return t.flush()
}

func (t *rows) flush() (err error) {
	n := len(t.args) / t.width
	if n == 0 {
		return nil
	}
	stmt := t.full
	if stmt == nil || n < rowsAtOnce {
		one := "(?" + strings.Repeat(", ?", t.width-1) + ")"
		if stmt, err = t.s.tx.Prepare(t.head + one + strings.Repeat(", "+one, n-1)); err != nil {
			return err
		}
		if n == rowsAtOnce {
			t.full = stmt
		} else {
			defer stmt.Close()
		}
	}
	_, err = stmt.Exec(t.args...)
	t.args = t.args[:0]
	return err
}

// edge is the right edge of a growing tree in memory: the last two tiles of
// each level and bundles, newest last. (The newest of a level may be of an index
// that Append does not ask for: it skips partial tiles that did not change.)
type edge struct {
	tiles  [64][2]tlog.Tile
	bundle [2]tlog.Bundle
}

func (e *edge) keep(a tlog.Appended) {
	for _, t := range a.Tiles {
		e.tiles[t.Level] = [2]tlog.Tile{e.tiles[t.Level][1], t}
	}
	for _, b := range a.Bundles {
		e.bundle = [2]tlog.Bundle{e.bundle[1], b}
	}
}

// load reads the right edge of a stored log of the given size.
func (e *edge) load(ctx context.Context, r tlog.Reader, size uint64) error {
	for level, n := 0, size; n > 0; level, n = level+1, n>>tlog.TileHeight {
		data, err := r.HashTile(ctx, level, n/tlog.TileWidth)
		if err != nil {
			return err
		}
		e.tiles[level][1] = tlog.Tile{Level: level, Index: n / tlog.TileWidth, Data: data}
	}
	data, err := r.EntryBundle(ctx, size/tlog.TileWidth)
	e.bundle[1] = tlog.Bundle{Index: size / tlog.TileWidth, Data: data}
	return err
}

// HashTile implements tlog.Reader.
func (e *edge) HashTile(_ context.Context, level int, index uint64) ([]byte, error) {
	for _, t := range slices.Backward(e.tiles[level][:]) {
		if t.Data != nil && t.Index == index {
			return t.Data, nil
		}
	}
	return nil, nil
}

// EntryBundle implements tlog.Reader.
func (e *edge) EntryBundle(_ context.Context, index uint64) ([]byte, error) {
	for _, b := range slices.Backward(e.bundle[:]) {
		if b.Data != nil && b.Index == index {
			return b.Data, nil
		}
	}
	return nil, nil
}

// check spot-checks a seeded folder with the server's own readers: entries at
// both ends and between are artifacts of the profile, included under the head,
// and each sequence ends where its last event is.
func check(ctx context.Context, h *house) (err error) {
	store, err := sqlstore.Open(ctx, filepath.Join(h.dir, "writ.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	log := store.Log(strings.SplitN(h.Origin, "://", 2)[1] + "/log")
	size, root, err := log.Head(ctx)
	if err != nil {
		return err
	}
	if size != uint64(h.Entries) {
		return fmt.Errorf("the head says %d entries, %d were written", size, h.Entries)
	}
	if again, err := tlog.RootAt(ctx, log, size); err != nil || again != root {
		return fmt.Errorf("the tiles do not make the head's root: %w", err)
	}
	var prev string
	for _, i := range []uint64{0, 1, 255, 256, size / 3, size/3 + 1, size / 2, 65535, 65536, size - 2, size - 1} {
		if i >= size {
			continue
		}
		var cid string
		var artifact []byte
		if err := store.Reader().QueryRowContext(ctx, `SELECT cid, artifact FROM events WHERE place = (SELECT (n << 48) + ? FROM logs WHERE log = ?)`, int64(i), log.Origin()).Scan(&cid, &artifact); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if err := checkEntry(ctx, log, i, size, root, cid, artifact); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if i == size-1 && !bytes.Contains(artifact, []byte(`"prev":"`+prev+`"`)) {
			return fmt.Errorf("entry %d does not name the one before it", i)
		}
		prev = cid
	}
	return nil
}

func checkEntry(ctx context.Context, log *sqlstore.Log, i, size uint64, root tlog.Hash, cid string, artifact []byte) error {
	if err := canon.CheckArtifact(artifact); err != nil {
		return err
	}
	id := journal.CID(artifact)
	if id.String() != cid {
		return errors.New("the CID is not the artifact's")
	}
	path, err := tlog.InclusionProof(ctx, log, i, size)
	if err != nil {
		return err
	}
	return tlog.VerifyInclusion(tlog.LeafHash(id.Bytes()), i, size, path, root)
}

// held is what an agent holds and needs for its acts.
type held struct {
	n           int
	did, keyID  string
	token, hash string
	key         *jose.PrivateKey
}

// agents reads what the named agents hold, on several goroutines.
func (h *house) agents(ctx context.Context, which []int) (_ []held, err error) {
	store, err := sqlstore.Open(ctx, filepath.Join(h.dir, "writ.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	out, errs := make([]held, len(which)), make([]error, 8)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(which) && errs[w] == nil; i += len(errs) {
				var doc, grant string
				n := which[i]
				errs[w] = errors.Join(
					store.Reader().QueryRowContext(ctx, `SELECT doc FROM agents WHERE id = ?`, h.id("agent", n)).Scan(&doc),
					store.Reader().QueryRowContext(ctx, `SELECT doc FROM grants WHERE id = ?`, h.id("grant", n)).Scan(&grant))
				var a registry.Agent
				var g registry.Grant
				if errs[w] == nil {
					errs[w] = errors.Join(json.Unmarshal([]byte(doc), &a), json.Unmarshal([]byte(grant), &g))
				}
				out[i] = held{n, a.DID, a.KeyID, g.Token, g.TokenHash, h.agentKey(n)}
			}
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}
