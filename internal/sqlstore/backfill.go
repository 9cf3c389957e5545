package sqlstore

import (
	"context"
	"time"
)

// backfill copies what is committed from the write-ahead log into the database
// file, beside the writers. SQLite would do it inside one commit of a thousand
// pages or more, which then waits for two fsyncs of other files' pages; and
// done less often, a page that changes in every commit is copied once.
//
// What is committed is durable in the write-ahead log; nothing waits for this.
type backfill struct {
	session *session
	stop    context.CancelFunc
	done    chan struct{}
}

const (
	backfillEvery = 500 * time.Millisecond
	// walPages (of 4 KiB) are enough: the log is begun anew, so that it does not eat
	// up a disk that is filling. That takes a moment without writers, once all but
	// fewPages of it are copied.
	walPages = 2 << 10
	fewPages = 256
)

func (db *DB) startBackfill(ctx context.Context) (err error) {
	if db.back.session, err = openSession(ctx, db.write); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.Background())
	db.back.stop, db.back.done = stop, make(chan struct{})
	go func() {
		defer close(db.back.done)
		tick := time.NewTicker(backfillEvery)
		defer tick.Stop()
		for {
			select {
			case <-run.Done():
				return
			case <-tick.C:
				// An error is met again by whoever reads or writes; the next tick tries.
				_ = db.backfill(run)
			}
		}
	}()
	return nil
}

func (db *DB) stopBackfill() error {
	if db.back.session == nil {
		return nil
	}
	db.back.stop()
	<-db.back.done
	return db.back.session.close()
}

// backfill copies pages, and ends a long log.
func (db *DB) backfill(ctx context.Context) error {
	pages, left, err := db.copyPages()
	for range 4 {
		if err != nil || pages < walPages || left < fewPages {
			break
		}
		pages, left, err = db.copyPages()
	}
	if err != nil || pages < walPages {
		return err
	}
	if err := db.lock(ctx); err != nil {
		return err
	}
	defer db.unlock()
	_, _, err = db.copyPages()
	return err
}

// copyPages returns how long the log is, and how much of it is left to copy.
func (db *DB) copyPages() (pages, left int64, err error) {
	var busy, copied int64
	err = db.back.session.scan([]any{&busy, &pages, &copied}, `PRAGMA wal_checkpoint(PASSIVE)`)
	return pages, pages - copied, err
}
