package anchortest

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/writ-registry/writ/anchor"
)

// RunStore tests a journal against the contract written on
// anchor.AttemptStore. fresh makes an empty journal; what it returns opens
// that journal, each time as a process does that starts anew.
func RunStore(t *testing.T, fresh func(testing.TB) (open func(testing.TB) anchor.AttemptStore)) {
	t.Run("SaveAndMark", func(t *testing.T) { testSaveAndMark(t, fresh(t)) })
	t.Run("SaveTwice", func(t *testing.T) { testSaveTwice(t, fresh(t)) })
	t.Run("Open", func(t *testing.T) { testOpenAttempts(t, fresh(t)) })
	t.Run("SettledAbove", func(t *testing.T) { testSettledAbove(t, fresh(t)) })
	t.Run("MarkUnknown", func(t *testing.T) { testMarkUnknown(t, fresh(t)) })
	t.Run("Concurrent", func(t *testing.T) { testConcurrent(t, fresh(t)) })
}

// record returns a complete record of a head of the given size.
func record(info anchor.Info, size uint64) anchor.AttemptRecord {
	tx := fmt.Sprintf("%s/%s/%x/%d", info.Name, info.ChainID, info.LogID[:2], size)
	return anchor.AttemptRecord{
		Ledger: info.Name, ChainID: info.ChainID, Contract: info.Contract, LogID: info.LogID,
		Head:      anchor.Head{Size: size, Root: sha256.Sum256([]byte(tx))},
		HeadKey:   "key",
		Signature: []byte{1, 2, 3},
		Attempt:   anchor.Attempt{Tx: tx, Raw: []byte("raw " + tx)},
	}
}

func testInfo() anchor.Info {
	return anchor.Info{Name: "test", ChainID: "18446744073709551615", Contract: "0xC0ffee", LogID: sha256.Sum256([]byte("log"))}
}

func save(t testing.TB, s anchor.AttemptStore, rec anchor.AttemptRecord) anchor.AttemptRecord {
	t.Helper()
	id, err := s.SaveAttempt(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	rec.ID = id
	rec.State = anchor.StatePending
	rec.Confirmation = anchor.Confirmation{Finality: anchor.None, TxHash: rec.Tx}
	return rec
}

func mark(t testing.TB, s anchor.AttemptStore, rec anchor.AttemptRecord, state anchor.AttemptState, c anchor.Confirmation) anchor.AttemptRecord {
	t.Helper()
	c.TxHash = rec.Tx
	if err := s.MarkAttempt(t.Context(), rec.ID, state, c); err != nil {
		t.Fatal(err)
	}
	rec.State, rec.Confirmation = state, c
	return rec
}

// wantRows compares, leaving out the times that the store sets itself.
func wantRows(t testing.TB, got []anchor.AttemptRecord, want ...anchor.AttemptRecord) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(anchor.AttemptRecord{}, "Created", "Updated")); diff != "" {
		t.Fatalf("rows differ (-want +got):\n%s", diff)
	}
	for _, r := range got {
		if r.Created.IsZero() || r.Updated.Before(r.Created) || r.Created.Location() != time.UTC {
			t.Errorf("row %d was created %s, updated %s", r.ID, r.Created, r.Updated)
		}
	}
}

func openRows(t testing.TB, s anchor.AttemptStore, info anchor.Info) []anchor.AttemptRecord {
	t.Helper()
	rows, err := s.OpenAttempts(t.Context(), info.Name, info.LogID)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func settledAbove(t testing.TB, s anchor.AttemptStore, info anchor.Info, size uint64) []anchor.AttemptRecord {
	t.Helper()
	rows, err := s.SettledAbove(t.Context(), info, size)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func testSaveAndMark(t *testing.T, open func(testing.TB) anchor.AttemptStore) {
	info := testInfo()
	rec := save(t, open(t), record(info, 3))
	wantRows(t, openRows(t, open(t), info), rec)

	c := anchor.Confirmation{
		Finality: anchor.Included, TxHash: rec.Tx, Block: 12, BlockHash: "0xblock", GasUsed: 51_447,
		Time: time.Date(2026, 11, 21, 10, 0, 5, 0, time.UTC),
	}
	rec = mark(t, open(t), rec, anchor.StatePending, c)
	wantRows(t, openRows(t, open(t), info), rec)

	c.Finality = anchor.Safe
	rec = mark(t, open(t), rec, anchor.StateSettled, c)
	wantRows(t, openRows(t, open(t), info))
	wantRows(t, settledAbove(t, open(t), info, 2), rec)

	rec = mark(t, open(t), rec, anchor.StatePending, anchor.Confirmation{Finality: anchor.None, TxHash: rec.Tx, Reason: "reorged"})
	wantRows(t, openRows(t, open(t), info), rec)
	wantRows(t, settledAbove(t, open(t), info, 0))
}

func testSaveTwice(t *testing.T, open func(testing.TB) anchor.AttemptStore) {
	info := testInfo()
	rec := save(t, open(t), record(info, 3))
	again := save(t, open(t), record(info, 3))
	if rec.ID != again.ID {
		t.Errorf("the same attempt has ids %d and %d", rec.ID, again.ID)
	}
	wantRows(t, openRows(t, open(t), info), rec)

	elsewhere := info
	elsewhere.ChainID = "2"
	other := record(elsewhere, 3)
	other.Tx = rec.Tx
	if other = save(t, open(t), other); other.ID <= rec.ID {
		t.Errorf("id %d does not come after %d", other.ID, rec.ID)
	}
}

func testOpenAttempts(t *testing.T, open func(testing.TB) anchor.AttemptStore) {
	info, otherLog, otherName, otherChain := testInfo(), testInfo(), testInfo(), testInfo()
	otherLog.LogID[0]++
	otherName.Name = "TEST" // names are case-sensitive
	otherChain.ChainID = "7"
	s := open(t)
	first := save(t, s, record(info, 9))
	save(t, s, record(otherLog, 9))
	save(t, s, record(otherName, 9))
	replaced := save(t, s, record(otherChain, 9))
	second := save(t, s, record(info, 5))
	for i, state := range []anchor.AttemptState{anchor.StateSettled, anchor.StateFailed, anchor.StateSuperseded} {
		mark(t, s, save(t, s, record(info, 20+uint64(i))), state, anchor.Confirmation{Finality: anchor.None})
	}
	wantRows(t, openRows(t, open(t), info), first, replaced, second)
}

func testSettledAbove(t *testing.T, open func(testing.TB) anchor.AttemptStore) {
	info := testInfo()
	s := open(t)
	settle := func(info anchor.Info, size uint64) anchor.AttemptRecord {
		return mark(t, s, save(t, s, record(info, size)), anchor.StateSettled, anchor.Confirmation{Finality: anchor.Safe, Block: size})
	}
	settle(info, 3)
	five, big := settle(info, 5), settle(info, 1<<48-1)
	save(t, s, record(info, 6)) // open
	for _, change := range []func(*anchor.Info){
		func(i *anchor.Info) { i.Name = "other" },
		func(i *anchor.Info) { i.ChainID = "2" },
		func(i *anchor.Info) { i.Contract = "0xc0ffee" },
		func(i *anchor.Info) { i.LogID[31]++ },
	} {
		other := info
		change(&other)
		rec := record(other, 8)
		rec.Tx += "'"
		rec = save(t, s, rec)
		mark(t, s, rec, anchor.StateSettled, anchor.Confirmation{Finality: anchor.Safe})
	}
	wantRows(t, settledAbove(t, open(t), info, 3), five, big)
	wantRows(t, settledAbove(t, open(t), info, 1<<48-1))
}

func testMarkUnknown(t *testing.T, open func(testing.TB) anchor.AttemptStore) {
	if err := open(t).MarkAttempt(t.Context(), 99, anchor.StateSettled, anchor.Confirmation{}); err == nil {
		t.Error("marking a row that does not exist succeeds")
	}
}

func testConcurrent(t *testing.T, open func(testing.TB) anchor.AttemptStore) {
	s, info := open(t), testInfo()
	const n = 20
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			id, err := s.SaveAttempt(t.Context(), record(info, uint64(i+1)))
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.MarkAttempt(t.Context(), id, anchor.StateSettled, anchor.Confirmation{Finality: anchor.Safe}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	rows := settledAbove(t, s, info, 0)
	if len(rows) != n {
		t.Fatalf("%d rows, want %d", len(rows), n)
	}
	for i := 1; i < n; i++ {
		if rows[i].ID <= rows[i-1].ID {
			t.Errorf("ids %d, %d are not in order", rows[i-1].ID, rows[i].ID)
		}
	}
}
