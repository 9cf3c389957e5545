package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/writ-registry/writ/anchor"
)

// Anchors is the anchor journal. It implements anchor.AttemptStore; List and
// Covering are for those who show anchors or put them into receipts.
type Anchors struct{ db *DB }

var _ anchor.AttemptStore = (*Anchors)(nil)

// Anchors returns the journal of all logs on all ledgers.
func (db *DB) Anchors() *Anchors { return &Anchors{db} }

const anchorColumns = `id, ledger, chain_id, contract, log_id, size, root, head_key, signature, tx, raw,
	state, finality, block, block_hash, block_time, gas, reason, created, updated`

// SaveAttempt implements anchor.AttemptStore. The row is durable when it
// returns (WAL, synchronous=FULL).
func (a *Anchors) SaveAttempt(ctx context.Context, rec anchor.AttemptRecord) (id int64, err error) {
	if rec.Size > math.MaxInt64 {
		return 0, fmt.Errorf("save anchor attempt: size %d is out of range", rec.Size)
	}
	now := time.Now().UnixMilli()
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		// The update changes nothing; it makes RETURNING give the row that is
		// there already.
		return tx.QueryRowContext(ctx, `
			INSERT INTO anchors (ledger, chain_id, contract, log_id, size, root, head_key, signature, tx, raw, state, finality, created, updated)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (ledger, chain_id, tx) DO UPDATE SET tx = tx
			RETURNING id`,
			rec.Ledger, rec.ChainID, rec.Contract, rec.LogID[:], int64(rec.Size), rec.Root[:], rec.HeadKey, nonNil(rec.Signature), rec.Tx, nonNil(rec.Raw),
			anchor.StatePending, anchor.None, now, now).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("save anchor attempt %s: %w", rec.Tx, err)
	}
	return id, nil
}

// MarkAttempt implements anchor.AttemptStore, as durably as SaveAttempt.
func (a *Anchors) MarkAttempt(ctx context.Context, id int64, state anchor.AttemptState, c anchor.Confirmation) error {
	var blockTime int64
	if !c.Time.IsZero() {
		blockTime = c.Time.UnixMilli()
	}
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE anchors SET state = ?, finality = ?, block = ?, block_hash = ?, block_time = ?, gas = ?, reason = ?, updated = max(updated, ?)
			WHERE id = ?`,
			state, c.Finality, int64(c.Block), c.BlockHash, blockTime, int64(c.GasUsed), c.Reason, time.Now().UnixMilli(), id)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n != 1 {
			err = sql.ErrNoRows
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("mark anchor attempt %d: %w", id, err)
	}
	return nil
}

// OpenAttempts implements anchor.AttemptStore.
func (a *Anchors) OpenAttempts(ctx context.Context, ledger string, logID [32]byte) ([]anchor.AttemptRecord, error) {
	return a.query(ctx, `WHERE state = 'pending' AND ledger = ? AND log_id = ? ORDER BY id`, ledger, logID[:])
}

// SettledAbove implements anchor.AttemptStore.
func (a *Anchors) SettledAbove(ctx context.Context, info anchor.Info, size uint64) ([]anchor.AttemptRecord, error) {
	return a.query(ctx, `WHERE state = 'settled' AND ledger = ? AND chain_id = ? AND contract = ? AND log_id = ? AND size > ? ORDER BY id`,
		info.Name, info.ChainID, info.Contract, info.LogID[:], int64(min(size, math.MaxInt64)))
}

// AnchorFilter narrows a list of anchors; the zero value narrows nothing.
type AnchorFilter struct {
	Ledger string              // the operator's name of a ledger
	LogID  [32]byte            // a log
	State  anchor.AttemptState // a state
}

// List returns at most limit rows, newest first, whose id is below before; 0
// starts at the newest. The id of the last row is the next page's before. A
// row that comes in between belongs to an earlier page, so pages never repeat
// or skip.
func (a *Anchors) List(ctx context.Context, f AnchorFilter, before int64, limit int) ([]anchor.AttemptRecord, error) {
	where, args := `WHERE 1 = 1`, []any(nil)
	add := func(on bool, cond string, arg any) {
		if on {
			where, args = where+` AND `+cond, append(args, arg)
		}
	}
	add(f.Ledger != "", `ledger = ?`, f.Ledger)
	add(f.LogID != [32]byte{}, `log_id = ?`, f.LogID[:])
	add(f.State != "", `state = ?`, f.State)
	add(before > 0, `id < ?`, before)
	return a.query(ctx, where+` ORDER BY id DESC LIMIT ?`, append(args, limit)...)
}

// Newest returns, for each grade from submitted on, the open or settled row of
// exactly the ledger, chain, contract and log of info with the largest size:
// larger heads cover every entry of smaller ones.
func (a *Anchors) Newest(ctx context.Context, info anchor.Info) ([]anchor.AttemptRecord, error) {
	return a.query(ctx, `WHERE id IN (
		SELECT id FROM (
			SELECT id, row_number() OVER (PARTITION BY finality ORDER BY size DESC, id DESC) AS place
			FROM anchors
			WHERE ledger = ? AND chain_id = ? AND contract = ? AND log_id = ? AND state IN ('pending', 'settled')
			  AND finality IN ('submitted', 'included', 'safe', 'finalized'))
		WHERE place = 1)
		ORDER BY id`, info.Name, info.ChainID, info.Contract, info.LogID[:])
}

func (a *Anchors) query(ctx context.Context, where string, args ...any) ([]anchor.AttemptRecord, error) {
	rows, err := a.db.read.QueryContext(ctx, `SELECT `+anchorColumns+` FROM anchors `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read anchors: %w", err)
	}
	defer rows.Close()
	var out []anchor.AttemptRecord
	for rows.Next() {
		rec, err := scanAnchor(rows)
		if err != nil {
			return nil, fmt.Errorf("read anchors: %w", err)
		}
		out = append(out, rec)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read anchors: %w", err)
	}
	return out, nil
}

func scanAnchor(rows *sql.Rows) (anchor.AttemptRecord, error) {
	var (
		r                                             anchor.AttemptRecord
		size, block, blockTime, gas, created, updated int64
		logID, root                                   []byte
	)
	c := &r.Confirmation
	err := rows.Scan(&r.ID, &r.Ledger, &r.ChainID, &r.Contract, &logID, &size, &root, &r.HeadKey, &r.Signature, &r.Tx, &r.Raw,
		&r.State, &c.Finality, &block, &c.BlockHash, &blockTime, &gas, &c.Reason, &created, &updated)
	if err != nil {
		return r, err
	}
	copy(r.LogID[:], logID)
	copy(r.Root[:], root)
	r.Size, c.Block, c.GasUsed, c.TxHash = uint64(size), uint64(block), uint64(gas), r.Tx
	if blockTime != 0 {
		c.Time = time.UnixMilli(blockTime).UTC()
	}
	r.Created, r.Updated = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	return r, nil
}

// nonNil keeps an empty value from being stored as NULL.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
