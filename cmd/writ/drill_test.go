package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm/bind/loganchor"
	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/client"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/sqlstore"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/journal"
)

// drillWriters are busy at once; each has at most one call under way, so this
// is also the most that one crash can leave unanswered.
const drillWriters = 16

// TestKill9 kills the program under load, again and again on the same folder,
// and sees that nothing that was acknowledged is lost, moved or doubled.
//
// Before each round the program is also killed while it starts. WRIT_DRILL_ROUNDS
// sets the number of rounds.
func TestKill9(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	if v := os.Getenv("WRIT_DRILL_ROUNDS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil || rounds < 1 {
			t.Fatalf("WRIT_DRILL_ROUNDS=%s: want a number from 1 on", v)
		}
	}
	cfg := testConfig(t.TempDir())
	cfg.Chain = "embedded"
	d := &drill{t: t, cfg: cfg, acked: map[string]uint64{}, known: map[anchor.Head]bool{}}
	for round := range rounds {
		d.killAtStart()
		p := d.start()
		if round == 0 {
			d.base = len(d.events())
		}
		lost := d.killUnderLoad(p, round)
		p = d.start()
		d.repeat(lost)
		d.verify(p)
		if round < rounds-1 {
			p.kill() // an idle program may die as well
		} else if status := p.terminate(t); status != 0 {
			t.Errorf("exit status %d\n%s", status, p.out)
		}
	}
	d.verifyDatabase()
	p := d.start()
	for cid := range d.acked { // one of them, at random
		report := verifyOnChain(t, d.operator, p.RPC, cid)
		t.Logf("after the last round: receipt of entry %d of %d is %s", report.Index, report.Size, report.Grade)
		break
	}
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.out)
	}
}

// drill is what the world outside knows of the registry.
type drill struct {
	t        *testing.T
	cfg      serveConfig
	operator *client.Client

	killed atomic.Bool // from here on calls may fail

	mu    sync.Mutex
	acked map[string]uint64 // index by CID of every event that was acknowledged
	base  int               // events of the first start, which answers nobody
	// Questions of agents whose answer got lost. The registry does not give the
	// answer again, so their events stay unknown.
	recorded int // it says that the proof is spent
	unknown  int // it could not say

	leaves []tlog.Hash          // of the log as it was after the last crash
	known  map[anchor.Head]bool // heads that are of this very history
}

func (d *drill) ack(e *client.EventRef) {
	if e == nil {
		d.t.Error("a change was acknowledged without an event")
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if was, ok := d.acked[e.CID]; ok && was != e.Index {
		d.t.Errorf("event %s was acknowledged at index %d and at %d", e.CID, was, e.Index)
	}
	d.acked[e.CID] = e.Index
}

func (d *drill) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.acked)
}

// killAtStart kills the program at a random moment of its start.
func (d *drill) killAtStart() {
	p := launch(d.t, d.cfg)
	select {
	case <-p.exited:
		d.t.Fatalf("it ended: %v\n%s", p.status, p.out)
	case <-time.After(rand.N(1200 * time.Millisecond)):
	}
	p.kill()
}

// start starts the program and returns when it is ready.
func (d *drill) start() *program {
	d.t.Helper()
	p := run(d.t, d.cfg)
	if at, err := readLine(filepath.Join(d.cfg.Data, addressFile)); err != nil || at != p.URL {
		d.t.Fatalf("the address file says %q (%v), the program %q", at, err, p.URL)
	}
	if status, _, body := get(d.t, p.URL+"/readyz"); status != http.StatusOK {
		d.t.Fatalf("readyz: %d %s\n%s", status, body, p.out)
	}
	token, err := readLine(filepath.Join(d.cfg.Data, tokenFile))
	if err != nil {
		d.t.Fatal(err)
	}
	d.operator, err = client.New(p.URL, token, client.Options{
		Retries: -1, HTTP: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: drillWriters}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// killUnderLoad lets the writers work until a random number of their calls is
// answered, and kills the program under them. It returns the calls that were
// under way.
func (d *drill) killUnderLoad(p *program, round int) (lost []func(context.Context) error) {
	d.killed.Store(false)
	until := d.count() + 200 + rand.IntN(1000)
	reached := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	writers := make([]*writer, drillWriters)
	for i := range writers {
		w := &writer{d: d, name: fmt.Sprintf("w-%d-%d", round, i), answered: func() {
			if d.count() >= until {
				once.Do(func() { close(reached) })
			}
		}}
		writers[i] = w
		wg.Go(func() {
			if err := w.work(d.t.Context(), d.operator); !d.killed.Load() {
				d.t.Errorf("writer %s: %v", w.name, err)
				once.Do(func() { close(reached) })
			}
		})
	}
	<-reached
	memory := residentMemory(p.cmd.Process.Pid)
	d.killed.Store(true)
	p.kill()
	wg.Wait()
	for _, w := range writers {
		if w.lost == nil {
			d.t.Errorf("writer %s: no call was under way", w.name)
			continue
		}
		lost = append(lost, w.lost)
	}
	d.t.Logf("round %d: ready in %v, killed after %d acknowledged events, resident %s", round, p.Ready.Round(time.Millisecond), d.count(), memory)
	return lost
}

// writer is one user of the registry. Every call it makes writes an event.
type writer struct {
	d        *drill
	name     string
	answered func()
	// lost is the call that was under way when the program died. Calling it
	// again is safe: whatever the first try did is done once.
	lost func(context.Context) error
}

// change makes a call that carries an Idempotency-Key.
func change[T any](ctx context.Context, w *writer, f func(context.Context) (client.Change[T], error)) (client.Change[T], error) {
	ctx = client.WithIdempotencyKey(ctx, canon.Nonce(16))
	var out client.Change[T]
	w.lost = func(context.Context) (err error) {
		if out, err = f(ctx); err == nil {
			w.d.ack(out.Event)
		}
		return err
	}
	if err := w.lost(ctx); err != nil {
		return out, err
	}
	w.answered()
	return out, nil
}

// ask asks for an act: the agent for itself, or an enforcement point for it.
func (w *writer) ask(ctx context.Context, c *client.Client, a *client.AgentFile, id string, direct bool) error {
	req, err := a.Request(capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: id}}, "")
	if err != nil {
		return err
	}
	w.lost = func(ctx context.Context) error {
		got, err := c.Evaluate(ctx, req)
		var p *client.Problem
		switch {
		case direct && errors.As(err, &p) && p.Status == http.StatusUnauthorized:
			w.d.mu.Lock()
			defer w.d.mu.Unlock()
			if p.Code == "replayed" {
				w.d.recorded++
			} else {
				w.d.unknown++ // the proof ran out before the program was back
			}
			return nil
		case err != nil:
			return err
		case got.Context.Verdict != client.Permit && !direct:
			w.d.mu.Lock()
			w.d.unknown++ // as above; the denial is an event of its own
			w.d.mu.Unlock()
		}
		w.d.ack(got.Context.Event)
		return nil
	}
	got, err := c.Evaluate(ctx, req)
	if err != nil {
		return err
	}
	if !got.Permitted() {
		return fmt.Errorf("read %s: %+v", id, got.Context)
	}
	w.d.ack(got.Context.Event)
	w.answered()
	return nil
}

// resource is the resource server that the writer's org guards; no other does.
func (w *writer) resource() string { return demoERP + "/" + w.name }

// work founds an org and works in it until a call fails.
func (w *writer) work(ctx context.Context, operator *client.Client) error {
	org, err := change(ctx, w, func(ctx context.Context) (client.Change[client.Org], error) {
		return operator.CreateOrg(ctx, client.NewOrg{Name: w.name})
	})
	if err != nil {
		return err
	}
	owner, err := change(ctx, w, func(ctx context.Context) (client.Change[client.Principal], error) {
		return operator.CreatePrincipal(ctx, client.NewPrincipal{Org: org.Value.ID, Roles: []string{"owner"}})
	})
	if err != nil {
		return err
	}
	c := operator.As(owner.Secret)
	if _, err := change(ctx, w, func(ctx context.Context) (client.Change[client.Catalogue], error) {
		return c.ActivateCatalogue(ctx, org.Value.ID, []client.CatalogueAction{{Action: "read:invoices", Reversibility: "reversible", Material: true}})
	}); err != nil {
		return err
	}
	pep, err := change(ctx, w, func(ctx context.Context) (client.Change[client.PEP], error) {
		return c.RegisterPEP(ctx, client.NewPEP{Name: "gateway", Resources: []string{w.resource()}})
	})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if err := w.agent(ctx, c, operator.As(pep.Secret), org.Value.ID, n); err != nil {
			return err
		}
	}
}

// agent takes one agent from its registration to its end.
func (w *writer) agent(ctx context.Context, owner, gateway *client.Client, org string, n int) error {
	origin, err := owner.Origin(ctx)
	if err != nil {
		w.lost = func(context.Context) error { return nil } // nothing was written
		return err
	}
	key, err := client.GenerateAgentKey()
	if err != nil {
		return err
	}
	in := client.NewAgent{Name: fmt.Sprint("agent-", n), JWK: key.JWK()}
	if in.Possession, err = key.ProvePossession(origin, org, in.Name); err != nil {
		return err
	}
	made, err := change(ctx, w, func(ctx context.Context) (client.Change[client.Agent], error) { return owner.RegisterAgent(ctx, in) })
	if err != nil {
		return err
	}
	agent, err := client.NewAgentFile(origin, made.Value, key)
	if err != nil {
		return err
	}
	if _, err := change(ctx, w, func(ctx context.Context) (client.Change[client.Agent], error) {
		return owner.ApproveAgent(ctx, agent.ID)
	}); err != nil {
		return err
	}
	grant, err := change(ctx, w, func(ctx context.Context) (client.Change[client.Grant], error) {
		return owner.IssueGrant(ctx, client.NewGrant{Agent: agent.ID, Capabilities: "read:invoices", Audience: []string{w.resource()}})
	})
	if err != nil {
		return err
	}
	agent.Hold(grant.Value)
	for i := range 6 {
		door := gateway
		if i%2 == 0 {
			door = owner.As("")
		}
		if err := w.ask(ctx, door, agent, strconv.Itoa(i), i%2 == 0); err != nil {
			return err
		}
	}
	scope := client.Scope{Kind: "agent", ID: agent.ID}
	if _, err := change(ctx, w, func(ctx context.Context) (client.Change[client.Kill], error) {
		return owner.SetKill(ctx, scope, "drill")
	}); err != nil {
		return err
	}
	_, err = change(ctx, w, func(ctx context.Context) (client.Change[client.Kill], error) {
		return owner.ReleaseKill(ctx, scope, "drill")
	})
	return err
}

// repeat makes the lost calls once more, as their callers would. Each then is
// answered, and has taken effect once.
func (d *drill) repeat(lost []func(context.Context) error) {
	for _, again := range lost {
		if err := again(d.t.Context()); err != nil {
			d.t.Errorf("a call that got lost does not succeed when it is repeated: %v", err)
		}
	}
}

// events returns the whole log as the API tells it.
func (d *drill) events() []client.Event {
	d.t.Helper()
	events, err := client.Collect(d.operator.Events(d.t.Context(), client.EventFilter{}), 0)
	if err != nil {
		d.t.Fatal(err)
	}
	return events
}

// verify compares what the registry says after a crash with what it had
// acknowledged, with itself, and with the chain. Nothing writes meanwhile.
func (d *drill) verify(p *program) {
	d.t.Helper()
	contract, onChain := d.readChain(p)
	defer func() {
		if contract != nil {
			contract.chain.Close()
		}
	}()
	events := d.events()
	leaves := d.verifyEvents(events)
	if n := len(d.leaves); len(leaves) < n || !slices.Equal(d.leaves, leaves[:n]) {
		d.t.Fatalf("the log of %d entries does not begin with the %d that it had", len(leaves), n)
	}
	d.leaves = leaves
	d.verifyAcknowledged(events)
	d.verifyLog(leaves)
	d.verifyPrefix(onChain, leaves)

	// Anchoring goes on where it stopped, and only forwards.
	var newest anchor.Head
	eventually(d.t, "anchor the recovered log", func() (bool, error) {
		if contract == nil {
			if contract, newest = d.readChain(p); contract == nil {
				return false, nil
			}
			return newest.Size == uint64(len(leaves)), nil
		}
		var err error
		newest, _, err = contract.head(d.t.Context(), nil)
		return newest.Size == uint64(len(leaves)), err
	})
	d.verifyPrefix(newest, leaves)
	if newest.Size < onChain.Size {
		d.t.Errorf("the contract's head went back from %d to %d", onChain.Size, newest.Size)
	}
	d.verifyAnchors(contract, newest, leaves)
}

// verifyEvents checks each artifact and each sequence, and returns the leaves.
func (d *drill) verifyEvents(events []client.Event) (leaves []tlog.Hash) {
	type link struct {
		seq uint64
		cid string
	}
	orgs, agents := map[string]link{}, map[string]uint64{}
	for i, e := range events {
		var env journal.Envelope
		if err := json.Unmarshal(e.Artifact, &env); err != nil {
			d.t.Fatalf("entry %d: %v", i, err)
		}
		id := journal.CID(e.Artifact)
		switch prev := orgs[e.Org]; {
		case e.Index != uint64(i):
			d.t.Fatalf("entry %d has index %d", i, e.Index)
		case id.String() != e.CID:
			d.t.Errorf("entry %d: the artifact's CID is %s, not %s", i, id, e.CID)
		case env.Org != e.Org || env.Agent != e.Agent || env.OrgSeq != e.OrgSeq || env.Seq != e.Seq:
			d.t.Errorf("entry %d: columns and artifact differ: %+v", i, e)
		case env.OrgSeq != prev.seq+1 || env.Prev != prev.cid:
			d.t.Errorf("entry %d is %d of org %s after %s, want %d after %s", i, env.OrgSeq, e.Org, env.Prev, prev.seq+1, prev.cid)
		case e.Agent != "" && env.Seq != agents[e.Agent]+1:
			d.t.Errorf("entry %d is %d of agent %s, want %d", i, env.Seq, e.Agent, agents[e.Agent]+1)
		}
		orgs[e.Org] = link{env.OrgSeq, e.CID}
		agents[e.Agent]++
		leaves = append(leaves, tlog.LeafHash(id.Bytes()))
	}
	return leaves
}

// verifyAcknowledged checks that what was acknowledged is there, where it was
// said to be, and that there is nothing else.
func (d *drill) verifyAcknowledged(events []client.Event) {
	for cid, index := range d.acked {
		if index >= uint64(len(events)) || events[index].CID != cid {
			d.t.Errorf("event %s was acknowledged at index %d and is not there", cid, index)
		}
	}
	least := d.base + len(d.acked) + d.recorded
	if n := len(events); n < least || n > least+d.unknown {
		d.t.Errorf("the log has %d events: %d of the first start, %d acknowledged, %d lost answers, %d unknown", n, d.base, len(d.acked), d.recorded, d.unknown)
	}
}

// verifyLog checks head and signed checkpoint against the leaves.
func (d *drill) verifyLog(leaves []tlog.Hash) {
	ctx := d.t.Context()
	log, err := d.operator.Log(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	hash := treeHash(leaves)
	root := base64.RawURLEncoding.EncodeToString(hash[:])
	if log.Size != uint64(len(leaves)) || log.Root != root {
		d.t.Errorf("the log's head is %d %s, its artifacts make %d %s", log.Size, log.Root, len(leaves), root)
	}
	key, err := note.NewVerifier(log.VKey)
	if err != nil {
		d.t.Fatal(err)
	}
	eventually(d.t, "sign the recovered head", func() (bool, error) {
		status, _, text := get(d.t, d.operator.URL()+"/log/checkpoint")
		if status != http.StatusOK {
			return false, fmt.Errorf("checkpoint: %d %s", status, text)
		}
		cp, err := tlog.OpenCheckpoint([]byte(text), log.Origin, key)
		if err != nil {
			return false, err
		}
		if cp.Root != treeHash(leaves[:cp.Size]) {
			return false, fmt.Errorf("the checkpoint of size %d is of another history", cp.Size)
		}
		return cp.Size == uint64(len(leaves)), nil
	})
}

// readChain asks the newest contract that the registry names for its head; nil
// before the first anchor.
func (d *drill) readChain(p *program) (*demoContract, anchor.Head) {
	d.t.Helper()
	ctx := d.t.Context()
	attempts, err := client.Collect(d.operator.Anchors(ctx), 1)
	if err != nil {
		d.t.Fatal(err)
	}
	if len(attempts) == 0 {
		return nil, anchor.Head{}
	}
	a := attempts[0]
	contract, err := openContract(ctx, p.RPC, receiptAnchor{ChainID: a.ChainID, Contract: a.Contract, LogID: a.LogID})
	if err != nil {
		d.t.Fatal(err)
	}
	head, _, err := contract.head(ctx, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return contract, head
}

func (d *drill) verifyPrefix(onChain anchor.Head, leaves []tlog.Hash) {
	d.t.Helper()
	switch {
	case d.known[onChain]:
	case onChain.Size > uint64(len(leaves)):
		d.t.Errorf("the chain holds %d entries, the log %d", onChain.Size, len(leaves))
	case onChain.Size > 0 && onChain.Root != treeHash(leaves[:onChain.Size]):
		d.t.Errorf("the chain's head at size %d is of another history", onChain.Size)
	default:
		d.known[onChain] = true
	}
}

// verifyAnchors reads the contract's own history: sizes only grow, and each
// root is the log's.
func (d *drill) verifyAnchors(contract *demoContract, newest anchor.Head, leaves []tlog.Hash) {
	abi, err := loganchor.LogAnchorMetaData.ParseABI()
	if err != nil {
		d.t.Fatal(err)
	}
	found, err := contract.chain.FilterLogs(d.t.Context(), ethereum.FilterQuery{
		Addresses: []common.Address{contract.address},
		Topics:    [][]common.Hash{{abi.Events[loganchor.LogAnchorHeadAnchoredEventName].ID}, {contract.logID}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	var last anchor.Head
	for _, l := range found {
		next := d.anchoredHead(l)
		if next.Size <= last.Size {
			d.t.Errorf("the chain went from head %d to %d", last.Size, next.Size)
		}
		d.verifyPrefix(next, leaves)
		last = next
	}
	if last != newest {
		d.t.Errorf("the last anchored head is %v, the contract's is %v", last, newest)
	}
}

func (d *drill) anchoredHead(l types.Log) anchor.Head {
	d.t.Helper()
	e, err := loganchor.NewLogAnchor().UnpackHeadAnchoredEvent(&l)
	if err != nil {
		d.t.Fatal(err)
	}
	return anchor.Head{Size: e.Size, Root: e.Root}
}

// verifyDatabase reads the stopped registry's database without the registry.
func (d *drill) verifyDatabase() {
	ctx := d.t.Context()
	db, err := sqlstore.Open(ctx, filepath.Join(d.cfg.Data, databaseFile))
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	origin, err := db.Meta(ctx, "origin")
	if err != nil {
		d.t.Fatal(err)
	}
	log := db.Log(strings.TrimPrefix(origin, "http://") + "/log")
	size, root, err := log.Head(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	var leaves []tlog.Hash
	for at := uint64(0); at < size; {
		bundle, err := log.EntryBundle(ctx, at/tlog.TileWidth)
		if err != nil {
			d.t.Fatal(err)
		}
		entries, err := tlog.ParseBundle(bundle)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, e := range entries {
			leaves = append(leaves, tlog.LeafHash(e))
		}
		at += uint64(len(entries))
	}
	if uint64(len(leaves)) != size || treeHash(leaves) != root {
		d.t.Errorf("the entry bundles make a tree of %d, the head says %d, or the roots differ", len(leaves), size)
	}
	if fromTiles, err := tlog.RootAt(ctx, log, size); err != nil || fromTiles != root {
		d.t.Errorf("the hash tiles make root %x (%v), the head says %x", fromTiles, err, root)
	}
	for cid, index := range d.acked {
		artifact, at, _, err := db.Artifact(ctx, cid)
		if err != nil || at != index || tlog.LeafHash(journal.CID(artifact).Bytes()) != leaves[index] {
			d.t.Errorf("event %s was acknowledged at index %d and is not there (%v)", cid, index, err)
		}
	}
}

// treeHash is the definition of RFC 6962, section 2.1, word for word: an oracle
// that shares no code with the log.
func treeHash(leaves []tlog.Hash) tlog.Hash {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		left, right := treeHash(leaves[:k]), treeHash(leaves[k:])
		return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
	}
}

// residentMemory is what a process holds, as the kernel says it.
func residentMemory(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(raw)) {
		if rss, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(rss)
		}
	}
	return "unknown"
}
