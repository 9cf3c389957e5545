package anchortest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/writ-registry/writ/anchor"
)

// Store is a journal in memory. It implements anchor.AttemptStore. Safe for
// concurrent use.
type Store struct {
	mu   sync.Mutex
	rows []anchor.AttemptRecord
}

var _ anchor.AttemptStore = (*Store)(nil)

// NewStore returns a journal of the given rows, which Rows of an earlier one
// returned; without any, an empty one.
func NewStore(rows ...anchor.AttemptRecord) *Store { return &Store{rows: rows} }

// Rows returns a copy of all rows, oldest first.
func (s *Store) Rows() []anchor.AttemptRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.rows)
}

// SaveAttempt implements anchor.AttemptStore.
func (s *Store) SaveAttempt(ctx context.Context, rec anchor.AttemptRecord) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for _, r := range s.rows {
		if r.Ledger == rec.Ledger && r.ChainID == rec.ChainID && r.Tx == rec.Tx {
			return r.ID, nil
		}
	}
	rec.ID = int64(len(s.rows)) + 1
	rec.State = anchor.StatePending
	rec.Confirmation = anchor.Confirmation{Finality: anchor.None, TxHash: rec.Tx}
	rec.Created = time.Now().UTC()
	rec.Updated = rec.Created
	s.rows = append(s.rows, rec)
	return rec.ID, nil
}

// MarkAttempt implements anchor.AttemptStore.
func (s *Store) MarkAttempt(ctx context.Context, id int64, state anchor.AttemptState, c anchor.Confirmation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if id < 1 || id > int64(len(s.rows)) {
		return fmt.Errorf("no anchor attempt %d", id)
	}
	r := &s.rows[id-1]
	r.State, r.Confirmation, r.Updated = state, c, time.Now().UTC()
	return nil
}

// OpenAttempts implements anchor.AttemptStore.
func (s *Store) OpenAttempts(ctx context.Context, ledger string, logID [32]byte) ([]anchor.AttemptRecord, error) {
	return s.filter(ctx, func(r anchor.AttemptRecord) bool {
		return r.State == anchor.StatePending && r.Ledger == ledger && r.LogID == logID
	})
}

// SettledAbove implements anchor.AttemptStore.
func (s *Store) SettledAbove(ctx context.Context, info anchor.Info, size uint64) ([]anchor.AttemptRecord, error) {
	return s.filter(ctx, func(r anchor.AttemptRecord) bool {
		return r.State == anchor.StateSettled && r.Size > size && r.Ledger == info.Name &&
			r.ChainID == info.ChainID && r.Contract == info.Contract && r.LogID == info.LogID
	})
}

func (s *Store) filter(ctx context.Context, keep func(anchor.AttemptRecord) bool) ([]anchor.AttemptRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []anchor.AttemptRecord
	for _, r := range s.rows {
		if keep(r) {
			out = append(out, r)
		}
	}
	return out, ctx.Err()
}
