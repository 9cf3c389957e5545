package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
)

// Checkpoints keeps the signed checkpoints of all logs. It implements
// anchor.CheckpointStore.
type Checkpoints struct {
	db *DB
}

var (
	_ anchor.CheckpointStore = (*Checkpoints)(nil)
	_ anchor.CommittedLog    = (*Log)(nil)
	_ anchor.NewestAttempts  = (*Anchors)(nil)
)

// Checkpoints returns the store of signed checkpoints.
func (db *DB) Checkpoints() *Checkpoints { return &Checkpoints{db} }

// SaveCheckpoint implements anchor.CheckpointStore.
func (s *Checkpoints) SaveCheckpoint(ctx context.Context, c anchor.SignedCheckpoint) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO checkpoints (log, size, root, note, time_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT (log, size) DO NOTHING`,
			c.Origin, int64(c.Size), c.Root[:], c.Note, c.Time.UnixMilli())
		if err != nil {
			return fmt.Errorf("save checkpoint %d of %s: %w", c.Size, c.Origin, err)
		}
		stored, err := scanCheckpoint(c.Origin, tx.QueryRowContext(ctx,
			`SELECT size, root, note, time_ms FROM checkpoints WHERE log = ? AND size = ?`, c.Origin, int64(c.Size)))
		if err != nil {
			return err
		}
		if stored == nil || stored.Root != c.Root {
			return fmt.Errorf("%w: another checkpoint of size %d of %s is stored", anchor.ErrFork, c.Size, c.Origin)
		}
		return nil
	})
}

// LatestCheckpoint implements anchor.CheckpointStore.
func (s *Checkpoints) LatestCheckpoint(ctx context.Context, origin string) (*anchor.SignedCheckpoint, error) {
	return scanCheckpoint(origin, s.db.Reader().QueryRowContext(ctx,
		`SELECT size, root, note, time_ms FROM checkpoints WHERE log = ? ORDER BY size DESC LIMIT 1`, origin))
}

// CheckpointAt implements anchor.CheckpointStore.
func (s *Checkpoints) CheckpointAt(ctx context.Context, origin string, size uint64) (*anchor.SignedCheckpoint, error) {
	return scanCheckpoint(origin, s.db.Reader().QueryRowContext(ctx,
		`SELECT size, root, note, time_ms FROM checkpoints WHERE log = ? AND size = ?`, origin, int64(size)))
}

// PruneCheckpoints implements anchor.CheckpointStore.
func (s *Checkpoints) PruneCheckpoints(ctx context.Context, origin string, before time.Time, keep []uint64) error {
	args := []any{origin, before.UnixMilli(), origin}
	for _, size := range keep {
		args = append(args, int64(size))
	}
	query := `DELETE FROM checkpoints WHERE log = ? AND time_ms < ?
		AND size <> (SELECT max(size) FROM checkpoints WHERE log = ?)
		AND size NOT IN (` + strings.TrimSuffix(strings.Repeat("?,", len(keep)), ",") + `)`
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return fmt.Errorf("prune checkpoints of %s: %w", origin, err)
		}
		return nil
	})
}

// scanCheckpoint returns the checkpoint in a row, nil where there is no row.
func scanCheckpoint(origin string, row *sql.Row) (*anchor.SignedCheckpoint, error) {
	var size, ms int64
	var root, note []byte
	err := row.Scan(&size, &root, &note, &ms)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint of %s: %w", origin, err)
	}
	if len(root) != tlog.HashSize {
		return nil, fmt.Errorf("checkpoint %d of %s has a root of %d bytes", size, origin, len(root))
	}
	return &anchor.SignedCheckpoint{
		Checkpoint: tlog.Checkpoint{Origin: origin, Size: uint64(size), Root: tlog.Hash(root)},
		Note:       note,
		Time:       time.UnixMilli(ms).UTC(),
	}, nil
}
