package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/journal"
	"github.com/writ-registry/writ/registry/registrytest"
)

// reverify rebuilds the log from the artifacts alone and compares.
func reverify(t *testing.T, h *registrytest.House) []registry.Event {
	t.Helper()
	events, err := h.ListEvents(context.Background(), h.Operator, "", "", registry.EventFilter{Page: registry.Page{Limit: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	log := h.DB.Log(registrytest.LogOrigin)
	size, root, err := log.Head(context.Background())
	if err != nil || size != uint64(len(events)) {
		t.Fatalf("head %d, %d events, %v", size, len(events), err)
	}
	seqs := map[string]uint64{}
	prev := map[string]string{}
	var entries [][]byte
	for i, ev := range events {
		var env journal.Envelope
		if err := errors.Join(canon.CheckArtifact(ev.Artifact), canon.Unmarshal(ev.Artifact, &env)); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		if ev.Index != uint64(i) || env.OrgSeq != seqs[ev.Org]+1 || env.Prev != prev[ev.Org] {
			t.Errorf("event %d leaves a gap: %+v", i, env)
		}
		seqs[ev.Org], prev[ev.Org] = env.OrgSeq, ev.CID
		entries = append(entries, journal.CID(ev.Artifact).Bytes())
	}
	rebuilt, err := tlog.Append(context.Background(), empty{}, 0, entries)
	if err != nil || rebuilt.Root != root {
		t.Errorf("the tree is not that of the artifacts: %v", err)
	}
	return events
}

type empty struct{}

func (empty) HashTile(context.Context, int, uint64) ([]byte, error) { return nil, nil }
func (empty) EntryBundle(context.Context, uint64) ([]byte, error)   { return nil, nil }

func orgCommand(name string) registry.Command {
	org := registry.Org{ID: registry.NewID(), Name: name}
	return registry.Command{Run: func(tx registry.Tx) (registry.Draft, error) {
		return registry.Draft{Result: org, Events: []registry.EventDraft{{
			Type: registry.EventOrgCreated, Org: org.ID, Actor: registry.Actor{Kind: registry.ActorRegistry, ID: "r"}, Trace: "t",
			Body: registry.OrgCreated{Org: org.ID, Name: name},
		}}}, tx.InsertOrg(org)
	}}
}

func TestConcurrentWritersLeaveNoGap(t *testing.T) {
	h := registrytest.New(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[uint64]bool{}
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				out, err := h.Journal.Commit(t.Context(), orgCommand(fmt.Sprintf("org-%d-%d", w, i)))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[out.Events[0].Index] {
					t.Errorf("index %d was given twice", out.Events[0].Index)
				}
				seen[out.Events[0].Index] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n := len(reverify(t, h)); n != 201 {
		t.Errorf("%d events, want 201", n)
	}
}

func TestOneBadCommandSinksAlone(t *testing.T) {
	h := registrytest.New(t)
	if _, err := h.Journal.Commit(t.Context(), orgCommand("taken")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var conflicts, fine atomic.Int32
	for i := range 20 {
		name := "taken"
		if i%2 == 0 {
			name = fmt.Sprintf("free-%d", i)
		}
		wg.Go(func() {
			switch _, err := h.Journal.Commit(t.Context(), orgCommand(name)); {
			case err == nil:
				fine.Add(1)
			case errors.Is(err, registry.Conflict):
				conflicts.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if fine.Load() != 10 || conflicts.Load() != 10 {
		t.Errorf("%d committed, %d refused", fine.Load(), conflicts.Load())
	}
	_, err := h.Journal.Commit(t.Context(), registry.Command{Run: func(tx registry.Tx) (registry.Draft, error) {
		return registry.Draft{Events: []registry.EventDraft{{Type: "x", Org: "o", Body: map[string]any{"Bad Name": 1.5}}}}, nil
	}})
	if err == nil {
		t.Error("an artifact outside the profile was recorded")
	}
	reverify(t, h)
}

func TestEpochMovedUnderCommand(t *testing.T) {
	h := registrytest.New(t)
	s := registry.Scope{Kind: registry.ScopeGlobal}
	_, err := h.Journal.Commit(t.Context(), registry.Command{
		Basis: registry.Basis{Epochs: []registry.Epoch{{Scope: s, Value: 7}}},
		Run:   func(tx registry.Tx) (registry.Draft, error) { return registry.Draft{}, nil },
	})
	if !errors.Is(err, registry.ErrEpochMoved) {
		t.Errorf("got %v", err)
	}
}

func TestIdempotency(t *testing.T) {
	h := registrytest.New(t)
	call := h.Call()
	call.Idem = &registry.Idempotency{Scope: "s", Key: "k", Digest: "d"}
	first, err := h.CreateOrg(t.Context(), call, registry.NewOrg{Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.CreateOrg(t.Context(), call, registry.NewOrg{Name: "acme"})
	if err != nil || !again.Replayed || again.Value.ID != first.Value.ID || again.Event != first.Event {
		t.Errorf("replay: %+v, %v, want %+v", again, err, first)
	}
	call.Idem = &registry.Idempotency{Scope: "s", Key: "k", Digest: "other"}
	if _, err := h.CreateOrg(t.Context(), call, registry.NewOrg{Name: "b"}); !errors.Is(err, registry.Mismatch) {
		t.Errorf("reuse: %v", err)
	}
	reverify(t, h)
}

// fault breaks one write of a transaction, in the manner of sunlight's
// TestSequenceErrors: once lost, and, for the commit, once persisted but
// reported lost.
type fault struct {
	journal.Backend
	mode  atomic.Value // string
	fired atomic.Int32
}

func (f *fault) hit(op string) bool {
	if f.mode.Load() == op {
		f.mode.Store("")
		f.fired.Add(1)
		return true
	}
	return false
}

var errBroken = &registry.Error{Kind: registry.Unavailable, Detail: "broken on purpose"}

func (f *fault) Begin(ctx context.Context) (journal.Tx, error) {
	if f.hit("begin") {
		return nil, errBroken
	}
	tx, err := f.Backend.Begin(ctx)
	return &faultTx{tx, f}, err
}

type faultTx struct {
	journal.Tx
	f *fault
}

func (t *faultTx) LockHead() (journal.Head, error) {
	if t.f.hit("lock") {
		return journal.Head{}, errBroken
	}
	return t.Tx.LockHead()
}

func (t *faultTx) InsertEvent(e registry.Event, d []canon.Disclosure) error {
	if t.f.hit("event") {
		return errBroken
	}
	return t.Tx.InsertEvent(e, d)
}

func (t *faultTx) PutTiles(a []tlog.Tile, b []tlog.Bundle) error {
	if t.f.hit("tiles") {
		return errBroken
	}
	return t.Tx.PutTiles(a, b)
}

func (t *faultTx) PutHead(h journal.Head) error {
	if t.f.hit("head") {
		return errBroken
	}
	return t.Tx.PutHead(h)
}

func (t *faultTx) Commit() error {
	if t.f.hit("commit lost") {
		t.Tx.Rollback()
		return errBroken
	}
	if t.f.hit("commit reported lost") {
		if err := t.Tx.Commit(); err != nil {
			return err
		}
		return errBroken
	}
	return t.Tx.Commit()
}

func TestBrokenWrites(t *testing.T) {
	f := &fault{}
	f.mode.Store("")
	h := registrytest.New(t, registrytest.WithBackend(func(b journal.Backend) journal.Backend { f.Backend = b; return f }))
	acked := 1 // the bootstrap event
	for i, op := range []string{"begin", "lock", "event", "tiles", "head", "commit lost", "commit reported lost"} {
		t.Run(op, func(t *testing.T) {
			f.mode.Store(op)
			name := fmt.Sprintf("org-%d", i)
			if _, err := h.Journal.Commit(t.Context(), orgCommand(name)); !errors.Is(err, registry.Unavailable) {
				t.Fatalf("got %v, want unavailable", err)
			}
			if int(f.fired.Load()) != i+1 {
				t.Fatal("the fault did not happen")
			}
			_, err := h.Journal.Commit(t.Context(), orgCommand(name))
			if op == "commit reported lost" {
				// It did happen; the caller finds out by asking again.
				if !errors.Is(err, registry.Conflict) {
					t.Errorf("got %v, want conflict", err)
				}
			} else if err != nil {
				t.Errorf("after the fault: %v", err)
			}
			acked++
			if n := len(reverify(t, h)); n != acked {
				t.Errorf("%d events, want %d", n, acked)
			}
		})
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	var events int
	t.Run("first life", func(t *testing.T) {
		h := registrytest.Open(t, dir)
		if _, err := h.Bootstrap(t.Context(), "writ_principal_test"); err != nil {
			t.Fatal(err)
		}
		h.Operator, _ = h.Authenticate(t.Context(), "writ_principal_test")
		if _, err := h.Journal.Commit(t.Context(), orgCommand("acme")); err != nil {
			t.Fatal(err)
		}
		events = len(reverify(t, h))
	})
	t.Run("second life", func(t *testing.T) {
		h := registrytest.Open(t, dir)
		var err error
		if h.Operator, err = h.Authenticate(t.Context(), "writ_principal_test"); err != nil {
			t.Fatal(err)
		}
		if n := len(reverify(t, h)); n != events {
			t.Errorf("%d events, want %d", n, events)
		}
		if _, err := h.Journal.Commit(t.Context(), orgCommand("other")); err != nil {
			t.Fatal(err)
		}
		reverify(t, h)
	})
}

func TestPushback(t *testing.T) {
	j := journal.New(journal.Config{Queue: 1})
	ctx, cancel := context.WithCancel(t.Context())
	out := make(chan error, 2)
	for range 2 { // Run is not running: the queue holds one and refuses the other
		go func() { _, err := j.Commit(ctx, registry.Command{}); out <- err }()
	}
	if err := <-out; !errors.Is(err, journal.ErrBusy) {
		t.Errorf("got %v, want pushback", err)
	}
	cancel()
	if err := j.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-out; !errors.Is(err, registry.Unavailable) {
		t.Errorf("a command left in the queue: %v", err)
	}
}

// TestKillPassesAFullQueue: the queue of ordinary commands is full and slow. A
// kill is not refused, and waits for the batch in hand and one more command at
// most.
func TestKillPassesAFullQueue(t *testing.T) {
	const queue = 8
	h := registrytest.New(t, func(c *journal.Config) { c.Queue = queue })
	started, release := make(chan struct{}, queue+1), make(chan struct{}, 2)
	indices := make(chan uint64, queue+1)
	var writers sync.WaitGroup
	write := func(name string) {
		cmd := orgCommand(name)
		run := cmd.Run
		cmd.Run = func(tx registry.Tx) (registry.Draft, error) {
			started <- struct{}{}
			<-release
			return run(tx)
		}
		writers.Go(func() {
			out, err := h.Journal.Commit(t.Context(), cmd)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			indices <- out.Events[0].Index
		})
	}
	waiting := func(urgent, ordinary int) {
		for u, o := h.Journal.Waiting(); u != urgent || o != ordinary; u, o = h.Journal.Waiting() {
			runtime.Gosched()
		}
	}
	write("in-hand")
	<-started
	for i := range queue {
		write(fmt.Sprint("waiting-", i))
	}
	waiting(0, queue)
	if _, err := h.Journal.Commit(t.Context(), registry.Command{}); !errors.Is(err, journal.ErrBusy) {
		t.Fatalf("got %v, want pushback", err)
	}
	type answer struct {
		registry.Outcome[registry.Kill]
		err error
	}
	killed := make(chan answer)
	go func() {
		out, err := h.SetKill(t.Context(), h.Call(), registry.Scope{Kind: registry.ScopeGlobal}, "drill")
		killed <- answer{out, err}
	}()
	waiting(1, queue)
	release <- struct{}{}
	release <- struct{}{}
	kill := <-killed // although all others but two are held for ever
	close(release)
	if kill.err != nil {
		t.Fatal(kill.err)
	}
	writers.Wait()
	close(indices)
	before := 0
	for i := range indices {
		if i < kill.Event.Index {
			before++
		}
	}
	if before != 1 {
		t.Errorf("%d of the %d ordinary commands have their place before the kill, want the one in hand", before, queue+1)
	}
	reverify(t, h)
}

func TestEnvelopeIsClosed(t *testing.T) {
	var env journal.Envelope
	if err := canon.Unmarshal([]byte(`{"v":1,"extra":true}`), &env); err == nil {
		t.Error("an unknown member was accepted")
	}
	if _, err := json.Marshal(env); err != nil {
		t.Error(err)
	}
}

// TestArtifactIsCanonical: the journal's own spelling of an envelope is RFC
// 8785's, whatever the strings hold.
func TestArtifactIsCanonical(t *testing.T) {
	body, err := registry.SealBody(map[string]any{"b": "<é\u2028\">", "a": []int{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	odd := "a\"\\\x01é<>&\u2028\U0001f600"
	for _, env := range []journal.Envelope{
		{V: 1, Type: "t", Org: "o", Log: "l", OrgSeq: 1, Time: "t", Actor: registry.Actor{Kind: "pep", ID: "x"}, Trace: "t", Nonce: "n", Body: json.RawMessage(body)},
		{V: 1, Type: odd, Org: odd, Agent: odd, Log: odd, Seq: 1 << 52, OrgSeq: 1<<53 - 1, Prev: odd, Time: odd,
			Actor: registry.Actor{Kind: registry.ActorKind(odd), ID: odd}, Trace: odd, Nonce: odd, Body: json.RawMessage(`{}`)},
	} {
		want, err := canon.Marshal(env)
		if err != nil {
			t.Fatal(err)
		}
		if got := env.Canonical(); string(got) != string(want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// TestHalfDoneCommandIsUndone: a command that fails after it has written sinks
// alone, and its batch goes on as if it had not been there.
func TestHalfDoneCommandIsUndone(t *testing.T) {
	h := registrytest.New(t)
	half := func(name string) registry.Command {
		cmd := orgCommand(name)
		run := cmd.Run
		cmd.Run = func(tx registry.Tx) (registry.Draft, error) {
			d, err := run(tx) // the org is in, its event will be
			d.Sequenced = func(registry.Tx, []registry.EventRef) error {
				return registry.Errorf(registry.Denied, "on second thoughts")
			}
			return d, err
		}
		return cmd
	}
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // keeps Run busy, so that the others are one batch
		first := orgCommand("first")
		run, once := first.Run, sync.Once{}
		first.Run = func(tx registry.Tx) (registry.Draft, error) {
			once.Do(func() { close(held); <-hold })
			return run(tx)
		}
		if _, err := h.Journal.Commit(t.Context(), first); err != nil {
			t.Error(err)
		}
	})
	<-held
	for i := range 6 {
		wg.Go(func() {
			name := fmt.Sprintf("org-%d", i)
			if i%3 == 2 {
				if _, err := h.Journal.Commit(t.Context(), half(name)); !errors.Is(err, registry.Denied) {
					t.Errorf("%s: %v", name, err)
				}
			} else if _, err := h.Journal.Commit(t.Context(), orgCommand(name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	for _, o := h.Journal.Waiting(); o != 6; _, o = h.Journal.Waiting() {
		runtime.Gosched()
	}
	close(hold)
	wg.Wait()
	if n := len(reverify(t, h)); n != 1+1+4 {
		t.Errorf("%d events", n)
	}
	for i := range 6 {
		err := h.Journal.View(t.Context(), func(tx registry.Tx) error { _, err := tx.OrgByName(fmt.Sprintf("org-%d", i)); return err })
		if gone := errors.Is(err, registry.NotFound); gone != (i%3 == 2) {
			t.Errorf("org-%d: %v", i, err)
		}
	}
}

// TestBasisStandsOrIsReadAgain: a command is held to the epochs it rests on, by
// the count of moves where that stands, else by each.
func TestBasisStandsOrIsReadAgain(t *testing.T) {
	h := registrytest.New(t)
	commit := func(b registry.Basis) error {
		_, err := h.Journal.Commit(t.Context(), registry.Command{Basis: b, Run: func(registry.Tx) (registry.Draft, error) { return registry.Draft{}, nil }})
		return err
	}
	mine, other := registry.Scope{Kind: registry.ScopeOrg, ID: "mine"}, registry.Scope{Kind: registry.ScopeOrg, ID: "other"}
	bump := func(s registry.Scope) {
		if _, err := h.Journal.Commit(t.Context(), registry.Command{Run: func(tx registry.Tx) (registry.Draft, error) { return registry.Draft{}, tx.BumpEpoch(s) }}); err != nil {
			t.Fatal(err)
		}
	}
	before, err := h.Journal.Moment(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	basis := registry.Basis{Epochs: []registry.Epoch{{Scope: mine}}, Authority: before.Authority}
	if err := commit(basis); err != nil {
		t.Errorf("nothing moved: %v", err)
	}
	bump(other)
	if after, err := h.Journal.Moment(t.Context(), 1<<62); err != nil || after.Authority != before.Authority+1 {
		t.Errorf("a committed move was not published: %+v, then %+v, %v", before, after, err)
	}
	if err := commit(basis); err != nil {
		t.Errorf("another's epoch moved: %v", err)
	}
	bump(mine)
	if err := commit(basis); !errors.Is(err, registry.ErrEpochMoved) {
		t.Errorf("its own epoch moved: %v", err)
	}
}
