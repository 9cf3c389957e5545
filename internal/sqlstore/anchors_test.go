package sqlstore_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/anchortest"
	"github.com/writ-registry/writ/internal/sqlstore"
)

func TestAnchors(t *testing.T) {
	anchortest.RunStore(t, func(t testing.TB) func(testing.TB) anchor.AttemptStore {
		path := filepath.Join(t.TempDir(), "writ.db")
		var db *sqlstore.DB
		closeDB := func() {
			if db != nil {
				db.Close()
			}
		}
		t.Cleanup(closeDB)
		return func(t testing.TB) anchor.AttemptStore {
			closeDB()
			var err error
			if db, err = sqlstore.Open(t.Context(), path); err != nil {
				t.Fatal(err)
			}
			return db.Anchors()
		}
	})
}

func openAnchors(t *testing.T) *sqlstore.Anchors {
	db, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db.Anchors()
}

// add journals an anchor of size on a ledger with a finality.
func add(t *testing.T, a *sqlstore.Anchors, ledger string, log byte, size uint64, state anchor.AttemptState, f anchor.Finality) int64 {
	t.Helper()
	id, err := a.SaveAttempt(t.Context(), anchor.AttemptRecord{
		Ledger: ledger, ChainID: "1", Contract: "c", LogID: [32]byte{log}, Head: anchor.Head{Size: size},
		Attempt: anchor.Attempt{Tx: fmt.Sprint(ledger, log, size, state, f), Raw: []byte{1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.MarkAttempt(t.Context(), id, state, anchor.Confirmation{Finality: f}); err != nil {
		t.Fatal(err)
	}
	return id
}

func ids(rows []anchor.AttemptRecord) (out []int64) {
	for _, r := range rows {
		out = append(out, r.ID)
	}
	return out
}

func TestAnchorsListPages(t *testing.T) {
	a := openAnchors(t)
	for size := range uint64(7) {
		add(t, a, "one", 1, size, anchor.StateSettled, anchor.Safe)
		add(t, a, "two", 1, size, anchor.StatePending, anchor.Submitted)
	}
	var got []int64
	before := int64(0)
	for {
		page, err := a.List(t.Context(), sqlstore.AnchorFilter{Ledger: "one", LogID: [32]byte{1}, State: anchor.StateSettled}, before, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got = append(got, ids(page)...)
		before = page[len(page)-1].ID
		add(t, a, "one", 1, 100+uint64(before), anchor.StateSettled, anchor.Safe) // must not disturb the pages
	}
	if want := "[13 11 9 7 5 3 1]"; fmt.Sprint(got) != want {
		t.Errorf("got ids %v, want %s", got, want)
	}
}

func TestAnchorsNewest(t *testing.T) {
	a := openAnchors(t)
	add(t, a, "one", 1, 3, anchor.StateSettled, anchor.Safe)
	safe := add(t, a, "one", 1, 10, anchor.StateSettled, anchor.Safe)
	finalized := add(t, a, "one", 1, 2, anchor.StateSettled, anchor.Finalized)
	included := add(t, a, "one", 1, 12, anchor.StatePending, anchor.Included)
	add(t, a, "one", 1, 20, anchor.StateFailed, anchor.Failed)
	add(t, a, "one", 1, 21, anchor.StatePending, anchor.None)
	add(t, a, "two", 1, 30, anchor.StateSettled, anchor.Safe)
	add(t, a, "one", 2, 40, anchor.StateSettled, anchor.Safe)

	info := infoOf(t, a, safe)
	rows, err := a.Newest(t.Context(), info)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(ids(rows)), fmt.Sprint([]int64{safe, finalized, included}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	info.Contract = "another"
	if rows, err := a.Newest(t.Context(), info); err != nil || len(rows) != 0 {
		t.Errorf("another contract: %v, %v", ids(rows), err)
	}
}

// infoOf is the ledger that a row was made for.
func infoOf(t *testing.T, a *sqlstore.Anchors, id int64) anchor.Info {
	t.Helper()
	rows, err := a.List(t.Context(), sqlstore.AnchorFilter{}, id+1, 1)
	if err != nil || len(rows) != 1 {
		t.Fatalf("row %d: %v, %v", id, rows, err)
	}
	r := rows[0]
	return anchor.Info{Name: r.Ledger, ChainID: r.ChainID, Contract: r.Contract, LogID: r.LogID}
}
