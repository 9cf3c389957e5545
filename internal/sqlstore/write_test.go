package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/writ-registry/writ/registry/journal"
)

// TestWriterOutlivesItsCallers: the one connection that writes is still there
// after callers went away in the middle of a transaction, and after a
// transaction that was left open.
func TestWriterOutlivesItsCallers(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	j, err := db.Journal(t.Context(), "log")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('k', 'lost')`); err != nil {
				t.Error(err)
			}
			cancel()
			_, err := tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('l', 'lost')`)
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if err := db.journal.exec(`BEGIN IMMEDIATE`); err != nil { // as a failed commit may leave it
		t.Fatal(err)
	}
	if err := db.SetMeta(t.Context(), "k", "kept"); err != nil {
		t.Errorf("after a transaction that was left open: %v", err)
	}
	tx, err := j.Begin(t.Context())
	if err == nil {
		err = errors.Join(tx.PutHead(journal.Head{Size: 1, Time: time.Now()}), tx.Commit())
	}
	if err != nil {
		t.Errorf("the journal: %v", err)
	}
	if v, err := db.Meta(t.Context(), "k"); err != nil || v != "kept" {
		t.Errorf("got %q, %v", v, err)
	}
}

// TestBackfillEndsALongLog: what was committed stays readable while it is
// copied, and a long write-ahead log is begun anew.
func TestBackfillEndsALongLog(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.back.stop() // the connection is for one at a time
	<-db.back.done
	grow := func(n int) {
		t.Helper()
		err := db.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
				INSERT INTO log_bundles (log, idx, data) SELECT ?, i, randomblob(4000) FROM n`, n, time.Now().String())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	grow(walPages + 1)
	if err := db.backfill(t.Context()); err != nil {
		t.Fatal(err)
	}
	grow(1)
	pages, _, err := db.copyPages()
	if err != nil || pages > walPages {
		t.Errorf("the log still has %d pages: %v", pages, err)
	}
	var n int
	if err := db.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM log_bundles`).Scan(&n); err != nil || n != walPages+2 {
		t.Errorf("%d rows, %v", n, err)
	}
}
