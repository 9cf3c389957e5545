package anchor_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
)

const logOrigin = "registry.example/log"

// memoryLog is a committed log in memory that can be rolled back.
type memoryLog struct {
	mu      sync.Mutex
	size    uint64
	root    tlog.Hash
	tiles   map[[2]uint64][]byte
	bundles map[uint64][]byte
	err     error // of Head
}

func newMemoryLog() *memoryLog {
	return &memoryLog{tiles: map[[2]uint64][]byte{}, bundles: map[uint64][]byte{}}
}

func (m *memoryLog) Origin() string { return logOrigin }

func (m *memoryLog) Head(context.Context) (uint64, [32]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.size, m.root, m.err
}

func (m *memoryLog) HashTile(_ context.Context, level int, index uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tiles[[2]uint64{uint64(level), index}], nil
}

func (m *memoryLog) EntryBundle(_ context.Context, index uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bundles[index], nil
}

func (m *memoryLog) commit(t testing.TB, entries ...string) {
	t.Helper()
	raw := make([][]byte, len(entries))
	for i, e := range entries {
		raw[i] = []byte(e)
	}
	m.mu.Lock()
	size := m.size
	m.mu.Unlock()
	a, err := tlog.Append(context.Background(), m, size, raw)
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size, m.root = a.Size, a.Root
	for _, x := range a.Tiles {
		m.tiles[[2]uint64{uint64(x.Level), x.Index}] = x.Data
	}
	for _, x := range a.Bundles {
		m.bundles[x.Index] = x.Data
	}
}

func entries(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s %d", prefix, i)
	}
	return out
}

// snapshot is a backup of the log.
func (m *memoryLog) snapshot() *memoryLog {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemoryLog()
	c.size, c.root = m.size, m.root
	for k, v := range m.tiles {
		c.tiles[k] = v
	}
	for k, v := range m.bundles {
		c.bundles[k] = v
	}
	return c
}

// fault makes a write fail, once lost and once kept but reported lost.
type fault string

const (
	lost         fault = "lost"
	reportedLost fault = "persisted but reported lost"
)

var errInjected = errors.New("injected")

// memoryHome and memoryStore are fakes with failure hooks. What they hold is what
// a restart finds.
type memoryHome struct {
	note []byte
	fail fault
}

func (h *memoryHome) Load(context.Context) ([]byte, error) { return bytes.Clone(h.note), nil }
func (h *memoryHome) Save(_ context.Context, note []byte) error {
	if h.fail != lost {
		h.note = bytes.Clone(note)
	}
	if h.fail != "" {
		return errInjected
	}
	return nil
}

type memoryStore struct {
	rows []anchor.SignedCheckpoint // by size
	fail fault
}

func (s *memoryStore) SaveCheckpoint(_ context.Context, c anchor.SignedCheckpoint) error {
	if old, _ := s.CheckpointAt(context.Background(), c.Origin, c.Size); old != nil {
		if old.Root != c.Root {
			return anchor.ErrFork
		}
		return nil
	}
	if s.fail != lost {
		s.rows = append(s.rows, c)
	}
	if s.fail != "" {
		return errInjected
	}
	return nil
}

func (s *memoryStore) LatestCheckpoint(context.Context, string) (*anchor.SignedCheckpoint, error) {
	if len(s.rows) == 0 {
		return nil, nil
	}
	return &s.rows[len(s.rows)-1], nil
}

func (s *memoryStore) CheckpointAt(_ context.Context, _ string, size uint64) (*anchor.SignedCheckpoint, error) {
	for i := range s.rows {
		if s.rows[i].Size == size {
			return &s.rows[i], nil
		}
	}
	return nil, nil
}

func (s *memoryStore) PruneCheckpoints(_ context.Context, _ string, before time.Time, keep []uint64) error {
	last := s.rows[len(s.rows)-1].Size
	s.rows = slices.DeleteFunc(s.rows, func(c anchor.SignedCheckpoint) bool {
		return c.Time.Before(before) && c.Size != last && !slices.Contains(keep, c.Size)
	})
	return nil
}

// desk is everything a Checkpointer works on.
type desk struct {
	log      *memoryLog
	home     *memoryHome
	store    *memoryStore
	signer   note.Signer
	verifier note.Verifier
	vkey     string
	newHome  bool
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, logOrigin)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{log: newMemoryLog(), home: &memoryHome{}, store: &memoryStore{}, vkey: vkey}
	if d.signer, err = note.NewSigner(skey); err != nil {
		t.Fatal(err)
	}
	if d.verifier, err = note.NewVerifier(vkey); err != nil {
		t.Fatal(err)
	}
	return d
}

// start is a process start.
func (d *desk) start() *anchor.Checkpointer {
	return anchor.NewCheckpointer(anchor.CheckpointerConfig{
		Log: d.log, Signer: d.signer, Verifier: d.verifier, Store: d.store, Home: d.home,
		NewHome: d.newHome, Logger: slog.New(slog.DiscardHandler),
	})
}

// check fails the test unless the newest checkpoint is of the committed head, is
// in both homes, and all stored ones are prefixes of it.
func (d *desk) check(t *testing.T, c *anchor.Checkpointer) {
	t.Helper()
	latest, ok := c.Latest()
	if !ok || latest.Size != d.log.size {
		t.Fatalf("newest checkpoint is %d (%v), log has %d entries", latest.Size, ok, d.log.size)
	}
	if got, err := tlog.OpenCheckpoint(latest.Note, logOrigin, d.verifier); err != nil || got != latest.Checkpoint {
		t.Fatalf("the newest checkpoint does not open: %v", err)
	}
	if !bytes.Equal(d.home.note, latest.Note) {
		t.Errorf("the second home holds another note")
	}
	if stored, _ := d.store.LatestCheckpoint(t.Context(), logOrigin); stored == nil || !bytes.Equal(stored.Note, latest.Note) {
		t.Errorf("the store holds another note")
	}
	for _, row := range d.store.rows {
		root, err := tlog.RootAt(t.Context(), d.log, row.Size)
		if err != nil || root != row.Root {
			t.Errorf("the stored checkpoint %d is not one of this log: %v", row.Size, err)
		}
	}
}

func TestFirstStartSignsSizeZero(t *testing.T) {
	d := newDesk(t)
	c := d.start()
	if _, ok := c.Latest(); ok {
		t.Fatal("a checkpoint is shown before Check")
	}
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.check(t, c)
	if latest, _ := c.Latest(); latest.Root != tlog.EmptyRoot() {
		t.Errorf("root of the empty log = %x", latest.Root)
	}
	if head, err := c.Head(t.Context()); err != nil || head != (anchor.Head{}) {
		t.Errorf("Head of the empty log = %v, %v", head, err)
	}
}

func TestCheckpointsFollowTheLog(t *testing.T) {
	d := newDesk(t)
	c := d.start()
	for i := range 20 {
		if err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.check(t, c)
		d.log.commit(t, entries(fmt.Sprint("batch", i), 1+i*7)...)
		if i%3 == 0 {
			c = d.start()
		}
	}
}

// Rollback and rewriting: each way a database can be older or other than what was
// signed. In every case nothing more is signed.
func TestRefusesAnotherPast(t *testing.T) {
	build := func(t *testing.T) (*desk, *memoryLog) {
		d := newDesk(t)
		d.log.commit(t, entries("a", 300)...)
		backup := d.log.snapshot()
		d.log.commit(t, entries("b", 300)...)
		if err := d.start().Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		return d, backup
	}
	tests := map[string]func(t *testing.T, d *desk, backup *memoryLog){
		"log restored from a backup": func(t *testing.T, d *desk, backup *memoryLog) { d.log = backup },
		"log and store restored": func(t *testing.T, d *desk, backup *memoryLog) {
			d.log, d.store = backup, &memoryStore{}
		},
		"restored and grown past the old size": func(t *testing.T, d *desk, backup *memoryLog) {
			d.log, d.store = backup, &memoryStore{}
			d.log.commit(t, entries("other", 400)...)
		},
		"same size, other entries": func(t *testing.T, d *desk, backup *memoryLog) {
			d.log, d.store = backup, &memoryStore{}
			d.log.commit(t, entries("other", 300)...)
		},
		"head moved without tiles": func(t *testing.T, d *desk, _ *memoryLog) {
			d.log.size += 1000
		},
		"second home gone":  func(t *testing.T, d *desk, _ *memoryLog) { d.home.note = nil },
		"second home empty": func(t *testing.T, d *desk, _ *memoryLog) { d.home.note = []byte{} },
		"second home of another key": func(t *testing.T, d *desk, _ *memoryLog) {
			other := newDesk(t)
			if err := other.start().Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.home = other.home
		},
		"store holds a note that is not its row": func(t *testing.T, d *desk, _ *memoryLog) { d.store.rows[0].Size-- },
	}
	for name, breakIt := range tests {
		t.Run(name, func(t *testing.T) {
			d, backup := build(t)
			breakIt(t, d, backup)
			before := bytes.Clone(d.home.note)
			c := d.start()
			err := c.Check(t.Context())
			if !errors.Is(err, anchor.ErrFork) {
				t.Fatalf("Check = %v, want ErrFork", err)
			}
			if !errors.Is(c.Refused(), anchor.ErrFork) {
				t.Error("the refusal is not kept")
			}
			if _, ok := c.Latest(); ok {
				t.Error("a checkpoint is shown")
			}
			if !bytes.Equal(d.home.note, before) {
				t.Error("the second home was overwritten")
			}
			if err := c.Run(t.Context()); !errors.Is(err, anchor.ErrFork) {
				t.Errorf("Run after a refusal = %v, want ErrFork", err)
			}
			if _, err := c.Head(t.Context()); !errors.Is(err, anchor.ErrFork) {
				t.Errorf("Head after a refusal = %v, want ErrFork", err)
			}
		})
	}
}

func TestNewHomeIsConfirmedByAPerson(t *testing.T) {
	d := newDesk(t)
	d.log.commit(t, "a")
	if err := d.start().Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.home.note, d.newHome = nil, true
	d.log.commit(t, "b")
	c := d.start()
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.check(t, c)
}

// Every write of a publication is broken both ways, with and without a restart
// and a further commit before the next attempt.
func TestBrokenWrites(t *testing.T) {
	writes := map[string]func(d *desk, f fault){
		"home":  func(d *desk, f fault) { d.home.fail = f },
		"store": func(d *desk, f fault) { d.store.fail = f },
	}
	for name, set := range writes {
		for _, how := range []fault{lost, reportedLost} {
			for _, restart := range []bool{false, true} {
				for _, first := range []bool{false, true} {
					for _, more := range []bool{false, true} {
						t.Run(fmt.Sprintf("%s %s/restart=%v/first=%v/more=%v", name, how, restart, first, more), func(t *testing.T) {
							d := newDesk(t)
							c := d.start()
							var shown anchor.SignedCheckpoint
							if !first {
								if err := c.Check(t.Context()); err != nil {
									t.Fatal(err)
								}
								shown, _ = c.Latest()
								d.log.commit(t, entries("a", 10)...)
							}
							set(d, how)
							if err := c.Check(t.Context()); !errors.Is(err, errInjected) || errors.Is(err, anchor.ErrFork) {
								t.Fatalf("Check = %v, want the injected error", err)
							}
							if now, _ := c.Latest(); now.Size != shown.Size {
								t.Fatal("a checkpoint is visible before it is durable")
							}
							set(d, "")
							if more {
								d.log.commit(t, entries("b", 10)...)
							}
							if restart {
								c = d.start()
							}
							if err := c.Check(t.Context()); err != nil {
								t.Fatal(err)
							}
							d.check(t, c)
						})
					}
				}
			}
		}
	}
}

// The log must be refused even if the lost checkpoint was seen by nobody but the
// home: it may have been.
func TestRollbackAfterBrokenStoreWrite(t *testing.T) {
	d := newDesk(t)
	d.log.commit(t, "a")
	if err := d.start().Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	backup := d.log.snapshot()
	d.log.commit(t, "b")
	d.store.fail = lost
	if err := d.start().Check(t.Context()); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	d.store.fail = ""
	d.log = backup
	if err := d.start().Check(t.Context()); !errors.Is(err, anchor.ErrFork) {
		t.Errorf("Check = %v, want ErrFork", err)
	}
}

func TestRunPublishesWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		c := d.start()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		for i := range 5 {
			d.log.commit(t, fmt.Sprint("entry ", i))
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			d.check(t, c)
		}
		d.log.mu.Lock()
		d.log.err = errInjected
		d.log.mu.Unlock()
		time.Sleep(time.Second)
		d.log.mu.Lock()
		d.log.err = nil
		d.log.mu.Unlock()
		d.log.commit(t, "after an outage")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		d.check(t, c)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil at the end of its context", err)
		}
	})
}

func TestCheckHead(t *testing.T) {
	d := newDesk(t)
	d.log.commit(t, entries("a", 300)...)
	old := d.log.root
	d.log.commit(t, entries("b", 300)...)
	ctx := t.Context()
	c := d.start()
	if err := c.Check(ctx); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"empty ledger": c.CheckHead(ctx, 0, [32]byte{}),
		"behind":       c.CheckHead(ctx, 300, old),
		"equal":        c.CheckHead(ctx, 600, d.log.root),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, head := range map[string]anchor.Head{
		"ahead":      {Size: 601, Root: d.log.root},
		"other root": {Size: 300, Root: d.log.root},
		"same size":  {Size: 600, Root: old},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := d.start()
			done := make(chan error, 1)
			go func() { done <- c.Run(t.Context()) }()
			synctest.Wait()
			if err := c.CheckHead(t.Context(), head.Size, head.Root); !errors.Is(err, anchor.ErrFork) {
				t.Errorf("%s: CheckHead = %v, want ErrFork", name, err)
			}
			if err := <-done; !errors.Is(err, anchor.ErrFork) {
				t.Errorf("%s: Run = %v, want ErrFork", name, err)
			}
		})
	}
}

func TestLogForTheSubmitter(t *testing.T) {
	d := newDesk(t)
	d.log.commit(t, entries("a", 300)...)
	ctx := t.Context()
	c := d.start()
	var log anchor.Log = c
	if _, err := log.HeadAt(ctx, 5); !errors.Is(err, anchor.ErrNotIntegrated) {
		t.Errorf("HeadAt before a checkpoint: %v, want ErrNotIntegrated", err)
	}
	if err := c.Check(ctx); err != nil {
		t.Fatal(err)
	}
	d.log.commit(t, "not signed yet")
	head, err := log.Head(ctx)
	if err != nil || head.Size != 300 {
		t.Fatalf("Head = %v, %v, want the signed 300", head, err)
	}
	old, err := log.HeadAt(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	path, err := log.ConsistencyProof(ctx, 100, 300)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.VerifyConsistency(old.Size, head.Size, old.Root, head.Root, path); err != nil {
		t.Error(err)
	}
	if _, err := log.HeadAt(ctx, 301); !errors.Is(err, anchor.ErrNotIntegrated) {
		t.Errorf("HeadAt(301) = %v, want ErrNotIntegrated", err)
	}
	if _, err := log.ConsistencyProof(ctx, 100, 301); !errors.Is(err, anchor.ErrNotIntegrated) {
		t.Errorf("ConsistencyProof to 301 = %v, want ErrNotIntegrated", err)
	}
}

func TestSignerOfAnotherKey(t *testing.T) {
	d, other := newDesk(t), newDesk(t)
	d.signer = other.signer
	if err := d.start().Check(t.Context()); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("Check = %v, want ErrProof", err)
	}
	if d.home.note != nil || len(d.store.rows) > 0 {
		t.Error("a checkpoint of another key was stored")
	}
}

func TestPruneKeepsLatestAndAnchored(t *testing.T) {
	d := newDesk(t)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c := anchor.NewCheckpointer(anchor.CheckpointerConfig{
		Log: d.log, Signer: d.signer, Verifier: d.verifier, Store: d.store, Home: d.home,
		KeepFor: time.Minute, Anchors: anchors{{Head: anchor.Head{Size: 3}}},
		Now: func() time.Time { return now },
	})
	for range 6 {
		if err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.log.commit(t, "entry")
		now = now.Add(20 * time.Second)
	}
	now = now.Add(time.Hour)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var sizes []uint64
	for _, row := range d.store.rows {
		sizes = append(sizes, row.Size)
	}
	if want := []uint64{3, 6}; !slices.Equal(sizes, want) {
		t.Errorf("kept %v, want %v", sizes, want)
	}
	d.check(t, c)
}

// anchors is an AnchorSource.
type anchors []anchor.AnchorRecord

func (a anchors) NewestAnchors(context.Context, string) ([]anchor.AnchorRecord, error) { return a, nil }

type brokenAnchors struct{}

func (brokenAnchors) NewestAnchors(context.Context, string) ([]anchor.AnchorRecord, error) {
	return nil, errInjected
}

func TestPruneIsNoReasonNotToSign(t *testing.T) {
	d := newDesk(t)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c := anchor.NewCheckpointer(anchor.CheckpointerConfig{
		Log: d.log, Signer: d.signer, Verifier: d.verifier, Store: d.store, Home: d.home, Anchors: brokenAnchors{},
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	})
	for range 3 {
		if err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.check(t, c)
		d.log.commit(t, "entry")
		now = now.Add(time.Hour)
	}
	if len(d.store.rows) != 3 {
		t.Errorf("%d checkpoints are kept: something was pruned without knowing the anchors", len(d.store.rows))
	}
}

func TestFileHome(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "home", "checkpoint")
	h := anchor.NewFileHome(path)
	if got, err := h.Load(ctx); got != nil || err != nil {
		t.Fatalf("Load of nothing = %q, %v", got, err)
	}
	if err := h.Save(ctx, []byte("x")); err == nil {
		t.Fatal("Save without a folder succeeded")
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first, the longer one", "second"} {
		if err := h.Save(ctx, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := anchor.NewFileHome(path).Load(ctx); err != nil || string(got) != text {
			t.Errorf("Load = %q, %v, want %q", got, err, text)
		}
	}
	// A crash in the middle of Save leaves a temporary file, which is not read.
	if err := os.WriteFile(path+".tmp", []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Load(ctx); err != nil || string(got) != "second" {
		t.Errorf("Load beside a torn write = %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if err := os.WriteFile(path, make([]byte, tlog.MaxNote+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Load(ctx); err == nil {
		t.Error("Load of a file longer than any checkpoint succeeded")
	}
}
