package anchor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/anchortest"
)

// world is a Submitter over an in-memory ledger, journal and log.
type world struct {
	ledger *anchortest.Memory
	signer anchor.HeadSigner
	faults *anchortest.Faults
	log    *anchortest.Log
	store  *anchortest.Store
	sub    *anchor.Submitter
}

func newWorld(entries int, change func(*anchor.SubmitterConfig)) *world {
	w := &world{faults: new(anchortest.Faults), log: anchortest.NewLog(entries), store: anchortest.NewStore()}
	w.ledger, w.signer = anchortest.NewMemory()
	w.restart(change)
	return w
}

// restart throws the Submitter away and makes a new one.
func (w *world) restart(change func(*anchor.SubmitterConfig)) {
	cfg := anchor.SubmitterConfig{
		Ledger: anchortest.FaultyLedger{Ledger: w.ledger, Faults: w.faults}, Log: w.log, Signer: w.signer, Attempts: w.store,
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	w.sub = anchor.NewSubmitter(cfg)
}

func (w *world) once(t *testing.T) {
	t.Helper()
	if err := w.sub.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) wantHead(t *testing.T, size uint64) {
	t.Helper()
	head, err := w.ledger.Head(t.Context(), anchor.Included)
	if err != nil || head.Size != size {
		t.Fatalf("ledger holds head %d (%v), want %d", head.Size, err, size)
	}
}

// states returns "size:state" of every row.
func (w *world) states() (out []string) {
	for _, r := range w.store.Rows() {
		out = append(out, fmt.Sprintf("%d:%s", r.Size, r.State))
	}
	return out
}

func (w *world) wantStates(t *testing.T, want ...string) {
	t.Helper()
	if got := w.states(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("journal holds %v, want %v", got, want)
	}
}

func TestRunKeepsTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, nil) // DefaultInterval, 5 s
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.sub.Run(ctx) }()
		for range 20 { // an entry a second
			time.Sleep(time.Second)
			w.log.Append(1)
		}
		synctest.Wait()
		// Sent at 0, 5, 10, 15 and 20 s, of which the last may race the append.
		if n := w.ledger.Blocks(); n != 4 && n != 5 {
			t.Errorf("%d transactions in 20 s, want one in 5 s", n)
		}
		time.Sleep(anchor.DefaultInterval)
		synctest.Wait()
		w.wantHead(t, 21)
		sent := w.ledger.Blocks()
		time.Sleep(time.Hour) // nothing new: nothing is sent
		synctest.Wait()
		if n := w.ledger.Blocks(); n != sent {
			t.Errorf("%d transactions without a new head", n-sent)
		}

		w.log.Append(1)
		w.sub.Nudge()
		synctest.Wait()
		w.wantHead(t, 22)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run after its context ended: %v", err)
		}
	})
}

func TestRunRecoversFromErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(3, nil)
		w.faults.Arm(anchortest.PrepareLost, fmt.Errorf("fee above the cap: %w", anchor.ErrPushback))
		ctx, cancel := context.WithCancel(t.Context())
		go w.sub.Run(ctx)
		time.Sleep(12 * time.Second)
		synctest.Wait()
		st := w.sub.Status()
		if st.Err == "" || time.Since(st.ErrSince) != 12*time.Second || st.Halted || !st.LastCycle.IsZero() || st.Behind() != 3 {
			t.Errorf("status while held up: %+v", st)
		}
		if n := w.faults.Hits(anchortest.PrepareLost); n != 3 {
			t.Errorf("tried %d times in 12 s, want at 0, 5 and 10 s", n)
		}
		w.faults.Disarm()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st := w.sub.Status(); st.Err != "" || !st.ErrSince.IsZero() || st.Behind() != 0 || !st.BehindSince.IsZero() {
			t.Errorf("status after recovery: %+v", st)
		}
		cancel()
		synctest.Wait()
	})
}

func TestBacklogGoesInSteps(t *testing.T) {
	w := newWorld(25, nil)
	w.ledger.SetMaxGrowth(10)
	w.restart(nil)
	for _, size := range []uint64{10, 20, 25} {
		w.once(t)
		w.wantHead(t, size)
	}
	w.once(t)
	w.wantStates(t, "10:settled", "20:settled", "25:settled")
}

func TestOneInFlight(t *testing.T) {
	w := newWorld(3, nil)
	w.ledger.Manual(true)
	w.once(t)
	w.log.Append(2)
	for range 5 {
		w.once(t)
	}
	w.wantStates(t, "3:pending")
	w.ledger.Mine()
	w.once(t)
	w.wantStates(t, "3:settled", "5:pending")
}

func TestStuckAttemptIsReplaced(t *testing.T) {
	now := time.Unix(0, 0)
	clock := func(c *anchor.SubmitterConfig) { c.Now = func() time.Time { return now } }
	w := newWorld(3, clock)
	w.ledger.Manual(true)
	w.once(t)
	w.log.Append(4)
	now = now.Add(anchor.DefaultReplaceAfter - 1)
	w.once(t)
	w.wantStates(t, "3:pending")
	now = now.Add(1)
	w.once(t)
	w.wantStates(t, "3:pending", "7:pending")

	// A new process gives both their time again before it replaces anything.
	now = now.Add(24 * time.Hour)
	w.restart(clock)
	w.once(t)
	w.wantStates(t, "3:pending", "7:pending")

	w.ledger.Mine()
	w.once(t)
	w.wantHead(t, 7)
	w.wantStates(t, "3:superseded", "7:settled")
}

func TestDroppedAttemptIsSentAgain(t *testing.T) {
	w := newWorld(3, nil)
	w.ledger.Manual(true)
	w.once(t)
	w.ledger.Drop() // pool eviction
	w.log.Append(1)
	w.once(t)
	if st := w.sub.Status(); st.Rebroadcast != 1 || st.Waiting != 1 {
		t.Errorf("status %+v", st)
	}
	w.ledger.Mine()
	w.once(t)
	w.wantStates(t, "3:settled", "4:pending")
}

// TestOthersAnchorToo lets somebody else anchor a head of ours first, which is
// their right: submission needs no permission.
func TestOthersAnchorToo(t *testing.T) {
	w := newWorld(9, nil)
	w.ledger.Manual(true)
	w.once(t)
	ours := w.store.Rows()[0].Attempt
	head, err := w.log.Signed(t.Context(), w.signer, w.ledger.Info().LogID, anchor.Head{}, 4)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := w.ledger.Prepare(t.Context(), head, ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ledger.Broadcast(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	w.ledger.Mine()
	w.wantHead(t, 4)
	w.ledger.Manual(false)
	w.once(t)
	w.once(t)
	w.wantHead(t, 9)
	w.wantStates(t, "9:superseded", "9:settled")
}

// reverting reports one attempt as included and refused.
type reverting struct {
	anchor.Ledger
	tx *string
}

func (r reverting) Status(ctx context.Context, a anchor.Attempt) (anchor.Confirmation, error) {
	if a.Tx == *r.tx {
		return anchor.Confirmation{Finality: anchor.Failed, TxHash: a.Tx, Block: 1, BlockHash: "b", GasUsed: 21_000, Reason: "frozen"}, nil
	}
	return r.Ledger.Status(ctx, a)
}

func TestRevertIsRebuilt(t *testing.T) {
	var tx string
	w := newWorld(3, nil)
	w.ledger.Manual(true)
	w.restart(func(c *anchor.SubmitterConfig) { c.Ledger = reverting{w.ledger, &tx} })
	w.once(t)
	tx = w.store.Rows()[0].Tx
	w.ledger.Drop()
	w.log.Append(1) // otherwise the same bytes would be built again
	w.once(t)
	w.ledger.Mine()
	w.once(t)
	w.wantStates(t, "3:failed", "4:settled")
	if st := w.sub.Status(); st.Failed != 1 || st.GasUsed != 21_001 {
		t.Errorf("status %+v", st)
	}
	if r := w.store.Rows()[0].Confirmation.Reason; r != "frozen" {
		t.Errorf("reason %q", r)
	}
}

// renamed is the same ledger after the operator pointed its name elsewhere.
type renamed struct{ *anchortest.Memory }

func (r renamed) Info() anchor.Info {
	i := r.Memory.Info()
	i.ChainID = "2"
	return i
}

func TestLedgerReplaced(t *testing.T) {
	w := newWorld(3, nil)
	w.ledger.Manual(true)
	w.once(t)
	w.ledger, _ = anchortest.NewMemory()
	w.restart(func(c *anchor.SubmitterConfig) { c.Ledger = renamed{w.ledger} })
	w.once(t)
	w.once(t)
	w.wantHead(t, 3)
	w.wantStates(t, "3:superseded", "3:settled")
}

// lying returns proofs that do not hold.
type lying struct{ *anchortest.Log }

func (l lying) ConsistencyProof(ctx context.Context, from, to uint64) ([][32]byte, error) {
	path, err := l.Log.ConsistencyProof(ctx, from, to)
	path[0][0] ^= 1
	return path, err
}

func TestBadProofIsNotSigned(t *testing.T) {
	w := newWorld(3, nil)
	w.once(t)
	w.log.Append(4)
	w.restart(func(c *anchor.SubmitterConfig) {
		c.Log = lying{w.log}
		c.Signer = mustNotSign{t}
	})
	if err := w.sub.Once(t.Context()); err == nil || errors.Is(err, anchor.ErrFork) {
		t.Errorf("a defect of our own: got %v, want an error that is no fork", err)
	}
	w.wantHead(t, 3)
}

// mustNotSign must not be asked.
type mustNotSign struct{ t *testing.T }

func (n mustNotSign) HeadKey() string { return "" }

func (n mustNotSign) SignHead(context.Context, [32]byte, anchor.Head) ([]byte, error) {
	n.t.Error("the head key signed a head whose proof does not hold")
	return nil, errors.New("no")
}

func TestEmptyLog(t *testing.T) {
	w := newWorld(0, nil)
	w.once(t)
	if st := w.sub.Status(); len(w.store.Rows()) != 0 || st.Err != "" || st.LastCycle.IsZero() {
		t.Errorf("status with an empty log: %+v", st)
	}
}

func TestFinality(t *testing.T) {
	order := []anchor.Finality{anchor.None, anchor.Submitted, anchor.Included, anchor.Safe, anchor.Finalized}
	for i, f := range order {
		for j, g := range order {
			if f.AtLeast(g) != (i >= j) {
				t.Errorf("%s at least %s: %t", f, g, f.AtLeast(g))
			}
		}
	}
	if anchor.Failed.AtLeast(anchor.Submitted) {
		t.Error("failed counts as submitted")
	}
	for _, s := range []string{"included", "safe", "finalized", "confirmations:1", "confirmations:10000"} {
		if r, err := anchor.ParseFinalityRule(s); err != nil || r.String() != s {
			t.Errorf("%q: %v, %v", s, r, err)
		}
	}
	for _, s := range []string{"", "none", "submitted", "failed", "confirmations:", "confirmations:0", "confirmations:10001", "confirmations:-1", "Safe"} {
		if r, err := anchor.ParseFinalityRule(s); err == nil {
			t.Errorf("%q is read as %v", s, r)
		}
	}
}
