package anchortest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/anchor"
)

// Harness is one fresh ledger under test, without an anchor of its log.
type Harness struct {
	Ledger anchor.Ledger
	Signer anchor.HeadSigner

	// Reopen returns the same ledger as a process sees it that starts now. nil
	// means that a Ledger has nothing to lose, so that Ledger itself will do.
	Reopen func() anchor.Ledger
	// Mine includes what was broadcast. nil means that the ledger does it.
	Mine func()
	// Rollback takes back the newest blocks and empties the pool. nil opts out
	// of the reorg tests: a ledger whose blocks are never replaced (Fabric).
	Rollback func(blocks int)
}

// patience bounds every wait. It is only ever used up by a failing test.
const patience = 30 * time.Second

// Run tests a ledger against the contract written on anchor.Ledger, alone and
// under a Submitter with every write broken both ways. open returns a fresh
// ledger each time; cleaning up is its business (TB.Cleanup).
func Run(t *testing.T, open func(testing.TB) Harness) {
	for _, tc := range []struct {
		name string
		test func(*testing.T, fixture)
	}{
		{"Anchor", testAnchor},
		{"BroadcastTwice", testBroadcastTwice},
		{"SameHeadAgain", testSameHeadAgain},
		{"SmallerSize", testSmallerSize},
		{"OtherRoot", testOtherRoot},
		{"OtherHistory", testOtherHistory},
		{"BadSignature", testBadSignature},
		{"MissingProof", testMissingProof},
		{"NeverSent", testNeverSent},
		{"OneOfTwo", testOneOfTwo},
		{"RestartMidSubmit", testRestartMidSubmit},
		{"Rollback", testRollback},
		{"Cancelled", testCancelled},
		{"Submitter", testSubmitter},
		{"SubmitterFork", testSubmitterFork},
		{"SubmitterLedgerAhead", testSubmitterLedgerAhead},
		{"SubmitterRollback", testSubmitterRollback},
		{"SubmitterRun", testSubmitterRun},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, newFixture(t, open)) })
	}
	for _, fault := range []struct {
		point Point
		// rows and sent are what the journal and the ledger hold after the kill.
		name string
	}{
		{HeadLost, "head"},
		{PrepareLost, "prepare"},
		{SaveLost, "journal lost"},
		{SaveDone, "killed between journal and broadcast"},
		{BroadcastLost, "broadcast lost"},
		{BroadcastDone, "lost response but included"},
		{StatusLost, "status"},
		{MarkLost, "killed between broadcast and mark"},
		{MarkDone, "mark persisted but reported lost"},
	} {
		t.Run("SubmitterFault/"+fault.name, func(t *testing.T) { testSubmitterFault(t, newFixture(t, open), fault.point) })
	}
}

// fixture is a harness and a log to anchor on it.
type fixture struct {
	Harness
	*Log
	ctx   context.Context
	logID [32]byte
}

func newFixture(t *testing.T, open func(testing.TB) Harness) fixture {
	h := open(t)
	if h.Mine == nil {
		h.Mine = func() {}
	}
	if h.Reopen == nil {
		ledger := h.Ledger
		h.Reopen = func() anchor.Ledger { return ledger }
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return fixture{Harness: h, Log: NewLog(7), ctx: ctx, logID: h.Ledger.Info().LogID}
}

// eventually polls until cond holds. Ledgers include on their own time.
func eventually(t testing.TB, ctx context.Context, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("timed out waiting: %s", what)
		case <-tick.C:
		}
	}
}

func (f fixture) signed(t testing.TB, prev anchor.Head, to uint64) anchor.SignedHead {
	t.Helper()
	head, err := f.Log.Signed(f.ctx, f.Signer, f.logID, prev, to)
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func (f fixture) prepare(t testing.TB, head anchor.SignedHead, replaces ...anchor.Attempt) anchor.Attempt {
	t.Helper()
	a, err := f.Ledger.Prepare(f.ctx, head, replaces...)
	if err != nil {
		t.Fatalf("prepare head %d: %v", head.Size, err)
	}
	return a
}

func (f fixture) broadcast(t testing.TB, a anchor.Attempt) {
	t.Helper()
	if err := f.Ledger.Broadcast(f.ctx, a); err != nil {
		t.Fatalf("broadcast: %v", err)
	}
	f.Mine()
}

func (f fixture) status(t testing.TB, a anchor.Attempt) anchor.Confirmation {
	t.Helper()
	c, err := f.Ledger.Status(f.ctx, a)
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return c
}

// settled waits until the attempt is included or has failed.
func (f fixture) settled(t testing.TB, a anchor.Attempt) (c anchor.Confirmation) {
	t.Helper()
	eventually(t, f.ctx, "attempt included", func() bool {
		c = f.status(t, a)
		return c.Finality.AtLeast(anchor.Included) || c.Finality == anchor.Failed
	})
	return c
}

// anchored anchors the log's head at size to, on top of prev.
func (f fixture) anchored(t testing.TB, prev anchor.Head, to uint64) (anchor.Attempt, anchor.Confirmation) {
	t.Helper()
	a := f.prepare(t, f.signed(t, prev, to))
	f.broadcast(t, a)
	c := f.settled(t, a)
	if c.Finality == anchor.Failed {
		t.Fatalf("anchor %d failed: %s", to, c.Reason)
	}
	return a, c
}

func (f fixture) head(t testing.TB, size uint64) anchor.Head {
	t.Helper()
	h, err := f.HeadAt(f.ctx, size)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// wantHead checks what the ledger's newest block holds.
func (f fixture) wantHead(t testing.TB, want anchor.Head) {
	t.Helper()
	got, err := f.Ledger.Head(f.ctx, anchor.Included)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("ledger holds head %v, want %v", got, want)
	}
}

func testAnchor(t *testing.T, f fixture) {
	f.wantHead(t, anchor.Head{})
	if h, err := f.Ledger.Head(f.ctx, anchor.Finalized); err != nil || h != (anchor.Head{}) {
		t.Fatalf("finalized head of a log without an anchor: %v, %v", h, err)
	}
	prev := anchor.Head{}
	var lastBlock uint64
	for _, size := range []uint64{1, 2, 3, 7} {
		a, c := f.anchored(t, prev, size)
		prev = f.head(t, size)
		f.wantHead(t, prev)
		if c.TxHash != a.Tx || c.BlockHash == "" || c.Time.IsZero() || c.Reason != "" {
			t.Errorf("confirmation of size %d lacks something: %+v", size, c)
		}
		if c.Block <= lastBlock {
			t.Errorf("block %d of size %d is not after block %d", c.Block, size, lastBlock)
		}
		lastBlock = c.Block
	}
	info := f.Ledger.Info()
	if info.Name == "" || info.Kind == "" || info.ChainID == "" || info.Contract == "" || info.Finality.Level == "" {
		t.Errorf("info lacks something: %+v", info)
	}
}

func testBroadcastTwice(t *testing.T, f fixture) {
	a, first := f.anchored(t, anchor.Head{}, 3)
	f.broadcast(t, a)
	if diff := cmp.Diff(first, f.settled(t, a), cmp.FilterPath(isFinality, cmp.Ignore())); diff != "" {
		t.Errorf("confirmation changed by a second broadcast (-first +second):\n%s", diff)
	}
	f.wantHead(t, f.head(t, 3))
}

func testSameHeadAgain(t *testing.T, f fixture) {
	f.anchored(t, anchor.Head{}, 3)
	f.anchored(t, f.head(t, 3), 3)
	f.wantHead(t, f.head(t, 3))
}

func (f fixture) wantRefused(t testing.TB, head anchor.SignedHead) error {
	t.Helper()
	before, err := f.Ledger.Head(f.ctx, anchor.Included)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Ledger.Prepare(f.ctx, head)
	if !errors.Is(err, anchor.ErrRefused) {
		t.Fatalf("prepare head %d on %d: got %v, want ErrRefused", head.Size, before.Size, err)
	}
	f.wantHead(t, before)
	return err
}

func testSmallerSize(t *testing.T, f fixture) {
	f.anchored(t, anchor.Head{}, 5)
	err := f.wantRefused(t, f.signed(t, f.head(t, 5), 4))
	if errors.Is(err, anchor.ErrFork) {
		t.Errorf("a smaller size is no fork by itself: %v", err)
	}
}

func testOtherRoot(t *testing.T, f fixture) {
	f.anchored(t, anchor.Head{}, 5)
	other := f
	other.Log = f.Fork(2, 3)
	if err := f.wantRefused(t, other.signed(t, f.head(t, 5), 5)); !errors.Is(err, anchor.ErrFork) {
		t.Errorf("another root at the same size: got %v, want ErrFork", err)
	}
}

func testOtherHistory(t *testing.T, f fixture) {
	f.anchored(t, anchor.Head{}, 5)
	other := f
	other.Log = f.Fork(2, 9)
	// Signed by the head key, and with a proof that holds in its own history.
	f.wantRefused(t, other.signed(t, other.head(t, 5), 9))
}

func testBadSignature(t *testing.T, f fixture) {
	head := f.signed(t, anchor.Head{}, 5)
	head.Signature = bytes.Clone(f.signed(t, anchor.Head{}, 6).Signature)
	f.wantRefused(t, head)
	head.Signature = nil
	f.wantRefused(t, head)
}

func testMissingProof(t *testing.T, f fixture) {
	f.anchored(t, anchor.Head{}, 3)
	head := f.signed(t, f.head(t, 3), 5)
	head.Proof = nil
	f.wantRefused(t, head)
}

func testNeverSent(t *testing.T, f fixture) {
	a := f.prepare(t, f.signed(t, anchor.Head{}, 3))
	if c := f.status(t, a); c.Finality != anchor.None {
		t.Errorf("status of an attempt that was never sent: %+v", c)
	}
	f.wantHead(t, anchor.Head{})
}

func testOneOfTwo(t *testing.T, f fixture) {
	first := f.prepare(t, f.signed(t, anchor.Head{}, 3))
	second := f.prepare(t, f.signed(t, anchor.Head{}, 5), first)
	f.broadcast(t, second)
	if c := f.settled(t, second); c.Finality == anchor.Failed {
		t.Fatalf("the replacement failed: %s", c.Reason)
	}
	if err := f.Ledger.Broadcast(f.ctx, first); err != nil && !errors.Is(err, anchor.ErrRefused) {
		t.Errorf("broadcast of the replaced attempt: got %v, want ErrRefused or nil", err)
	}
	f.Mine()
	if c := f.settled(t, first); c.Finality != anchor.Failed {
		t.Errorf("both attempts took effect: %+v", c)
	}
	f.wantHead(t, f.head(t, 5))
}

func testRestartMidSubmit(t *testing.T, f fixture) {
	a := f.prepare(t, f.signed(t, anchor.Head{}, 3))
	f.Ledger = f.Reopen()
	f.broadcast(t, a)
	before := f.settled(t, a)
	f.Ledger = f.Reopen()
	if diff := cmp.Diff(before, f.settled(t, a), cmp.FilterPath(isFinality, cmp.Ignore())); diff != "" {
		t.Errorf("confirmation changed by a restart:\n%s", diff)
	}
	f.wantHead(t, f.head(t, 3))
}

// isFinality matches the grade, which rises on its own.
func isFinality(p cmp.Path) bool { return p.Last().String() == ".Finality" }

func testRollback(t *testing.T, f fixture) {
	if f.Rollback == nil {
		t.Skip("this ledger never replaces a block")
	}
	f.anchored(t, anchor.Head{}, 3)
	a, _ := f.anchored(t, f.head(t, 3), 5)
	f.Rollback(1)
	f.wantHead(t, f.head(t, 3))
	if c := f.status(t, a); c.Finality.AtLeast(anchor.Included) || c.Finality == anchor.Failed {
		t.Fatalf("status after the block was taken back: %+v", c)
	}
	f.broadcast(t, a)
	if c := f.settled(t, a); c.Finality == anchor.Failed {
		t.Fatalf("sending again failed: %s", c.Reason)
	}
	f.wantHead(t, f.head(t, 5))
}

func testCancelled(t *testing.T, f fixture) {
	head := f.signed(t, anchor.Head{}, 3)
	a := f.prepare(t, head)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := f.Ledger.Head(ctx, anchor.Included); !errors.Is(err, context.Canceled) {
		t.Errorf("Head: %v", err)
	}
	if _, err := f.Ledger.Prepare(ctx, head); !errors.Is(err, context.Canceled) {
		t.Errorf("Prepare: %v", err)
	}
	if err := f.Ledger.Broadcast(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("Broadcast: %v", err)
	}
	if _, err := f.Ledger.Status(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("Status: %v", err)
	}
	f.broadcast(t, a)
	f.settled(t, a)
	f.wantHead(t, f.head(t, 3))
}

// submitter returns a Submitter as a process has it that starts now.
func (f fixture) submitter(ledger anchor.Ledger, store anchor.AttemptStore) *anchor.Submitter {
	return anchor.NewSubmitter(anchor.SubmitterConfig{
		Ledger: ledger, Log: f.Log, Signer: f.Signer, Attempts: store,
		Interval: time.Hour, // tests nudge or call Once
		Poll:     time.Millisecond,
		Logger:   slog.New(slog.DiscardHandler),
	})
}

// drain runs cycles until every attempt in the journal is settled and the
// ledger holds the log's newest head.
func (f fixture) drain(t testing.TB, s *anchor.Submitter, store *Store) {
	t.Helper()
	eventually(t, f.ctx, "log anchored", func() bool {
		if err := s.Once(f.ctx); err != nil {
			t.Fatalf("cycle: %v", err)
		}
		f.Mine()
		st := s.Status()
		open, err := store.OpenAttempts(f.ctx, f.Ledger.Info().Name, f.logID)
		if err != nil {
			t.Fatal(err)
		}
		return len(open) == 0 && st.LedgerHead == f.Newest()
	})
	f.verify(t, store)
}

// verify re-checks the whole journal against log and ledger: every settled row
// is a head of the log that the ledger confirms, sizes never fall, and no head
// took effect by two transactions.
func (f fixture) verify(t testing.TB, store *Store) {
	t.Helper()
	f.wantHead(t, f.Newest())
	last := uint64(0)
	for _, r := range store.Rows() {
		if r.State != anchor.StateSettled {
			continue
		}
		if want := f.head(t, r.Size); r.Head != want {
			t.Errorf("row %d holds head %v, the log %v", r.ID, r.Head, want)
		}
		if r.Size <= last {
			t.Errorf("row %d anchors size %d after size %d", r.ID, r.Size, last)
		}
		last = r.Size
		if c := f.status(t, r.Attempt); !c.Finality.AtLeast(anchor.Included) || c.BlockHash != r.Confirmation.BlockHash {
			t.Errorf("row %d says %+v, the ledger %+v", r.ID, r.Confirmation, c)
		}
		if r.HeadKey != f.Signer.HeadKey() || len(r.Signature) == 0 || len(r.Raw) == 0 {
			t.Errorf("row %d lacks something: %+v", r.ID, r)
		}
	}
	if last != f.Newest().Size {
		t.Errorf("the journal's last settled size is %d, the log has %d", last, f.Newest().Size)
	}
}

func testSubmitter(t *testing.T, f fixture) {
	store := NewStore()
	s := f.submitter(f.Ledger, store)
	f.drain(t, s, store)
	f.Append(1)
	f.drain(t, s, store)
	f.Append(250)
	f.drain(t, s, store)
	sent := s.Status().Sent
	if err := s.Once(f.ctx); err != nil {
		t.Fatal(err)
	}
	st := s.Status()
	if st.Sent != sent || sent != 3 {
		t.Errorf("sent %d and then %d transactions for three heads", sent, st.Sent)
	}
	if st.Behind() != 0 || !st.BehindSince.IsZero() || st.Err != "" || st.Settled != 3 || st.SettledHead != f.Newest() {
		t.Errorf("status of a Submitter with nothing to do: %+v", st)
	}
}

// testSubmitterFault breaks one call of the second anchor, throws the process
// away, and lets the next one go on.
func testSubmitterFault(t *testing.T, f fixture, point Point) {
	store, faults := NewStore(), new(Faults)
	ledger := FaultyLedger{f.Ledger, faults}
	journal := FaultyStore{store, faults}
	s := f.submitter(ledger, journal)
	f.drain(t, s, store)
	f.Append(4)

	killed := errors.New("killed")
	faults.Arm(point, killed)
	eventually(t, f.ctx, "fault hit", func() bool {
		if err := s.Once(f.ctx); err != nil && !errors.Is(err, killed) {
			t.Fatalf("cycle: got %v, want the injected error", err)
		}
		f.Mine()
		return faults.Hits(point) > 0
	})
	if s.Status().Err == "" {
		t.Error("the status hides the error")
	}
	faults.Disarm()

	f.Append(2)
	f.Ledger = f.Reopen()
	f.drain(t, f.submitter(f.Ledger, store), store)
}

func testSubmitterFork(t *testing.T, f fixture) {
	store := NewStore()
	f.drain(t, f.submitter(f.Ledger, store), store)
	anchored := f.Newest()
	f.Log = f.Fork(3, 20)
	f.wantFork(t, store)
	f.wantHead(t, anchored)
}

func testSubmitterLedgerAhead(t *testing.T, f fixture) {
	store := NewStore()
	f.drain(t, f.submitter(f.Ledger, store), store)
	anchored := f.Newest()
	f.Log = NewLog(5) // our database was rolled back
	f.wantFork(t, store)
	f.wantHead(t, anchored)
}

func (f fixture) wantFork(t *testing.T, store *Store) {
	t.Helper()
	rows := len(store.Rows())
	s := f.submitter(f.Ledger, store)
	if err := s.Run(f.ctx); !errors.Is(err, anchor.ErrFork) {
		t.Fatalf("Run: got %v, want ErrFork", err)
	}
	if st := s.Status(); !st.Halted || st.Err == "" {
		t.Errorf("status after a fork: %+v", st)
	}
	if len(store.Rows()) != rows {
		t.Error("the Submitter sent something after it saw the fork")
	}
}

func testSubmitterRollback(t *testing.T, f fixture) {
	if f.Rollback == nil {
		t.Skip("this ledger never replaces a block")
	}
	store := NewStore()
	s := f.submitter(f.Ledger, store)
	for range 3 {
		f.Append(5)
		f.drain(t, s, store)
	}
	f.Rollback(2)
	f.Ledger = f.Reopen()
	s = f.submitter(f.Ledger, store)
	f.drain(t, s, store)
	if st := s.Status(); st.Reorged != 2 {
		t.Errorf("%d anchors demoted, want 2", st.Reorged)
	}
	f.Append(1)
	f.drain(t, s, store)
}

func testSubmitterRun(t *testing.T, f fixture) {
	store := NewStore()
	s := f.submitter(f.Ledger, store)
	ctx, cancel := context.WithCancel(f.ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for range 3 {
		want := f.Newest()
		eventually(t, f.ctx, "head settled", func() bool {
			f.Mine()
			return s.Status().SettledHead == want
		})
		f.Append(3)
		s.Nudge()
	}
	eventually(t, f.ctx, "last head settled", func() bool {
		f.Mine()
		return s.Status().SettledHead == f.Newest()
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run after its context ended: %v", err)
	}
	f.verify(t, store)
}
