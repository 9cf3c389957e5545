package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// DIDMemory remembers the highest version seen of foreign did:webvh logs. It implements
// resolve.Memory: what it was told is durable when Remember returns, and never falls.
type DIDMemory struct {
	db   *DB
	most int              // logs that are remembered
	now  func() time.Time // tests set it
}

// maxDIDMemory is how many logs are remembered: callers can make as many as they like.
const maxDIDMemory = 1 << 18

// usedEvery is how exactly the memory knows when a log was last asked for: reading
// writes no more often than that.
const usedEvery = 24 * time.Hour

// DIDMemory returns the memory of foreign DID logs.
func (db *DB) DIDMemory() *DIDMemory { return &DIDMemory{db, maxDIDMemory, time.Now} }

// Highest implements resolve.Memory.
func (m *DIDMemory) Highest(ctx context.Context, scid string) (versionID string, entries int, ok bool, err error) {
	var used int64
	err = m.db.read.QueryRowContext(ctx, `SELECT version_id, entries, used_ms FROM did_memory WHERE scid = ?`, scid).Scan(&versionID, &entries, &used)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", 0, false, nil
	case err != nil:
		return "", 0, false, fmt.Errorf("read DID memory: %w", err)
	}
	if now := m.now(); now.Sub(time.UnixMilli(used)) > usedEvery {
		err = m.db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE did_memory SET used_ms = max(used_ms, ?) WHERE scid = ?`, now.UnixMilli(), scid)
			return err
		})
		if err != nil {
			return "", 0, false, fmt.Errorf("write DID memory: %w", err)
		}
	}
	return versionID, entries, true, nil
}

// Remember implements resolve.Memory. Where there is no room for another log, the one
// that was not asked for the longest makes it.
func (m *DIDMemory) Remember(ctx context.Context, scid, versionID string, entries int) error {
	err := m.db.Write(ctx, func(tx *sql.Tx) error {
		now := m.now().UnixMilli()
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO did_memory (scid, version_id, entries, used_ms) VALUES (?, ?, ?, ?)
			ON CONFLICT (scid) DO UPDATE SET version_id = excluded.version_id, entries = excluded.entries, used_ms = max(used_ms, excluded.used_ms)
				WHERE excluded.entries > entries`, scid, versionID, entries, now); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			DELETE FROM did_memory WHERE scid IN (
				SELECT scid FROM did_memory WHERE scid <> ? ORDER BY used_ms LIMIT max(0, (SELECT count(*) FROM did_memory) - ?))`, scid, m.most)
		return err
	})
	if err != nil {
		return fmt.Errorf("write DID memory: %w", err)
	}
	return nil
}
