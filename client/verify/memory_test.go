package verify_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
)

var errUnknown = errors.New("unknown event")

// memoryLog is a committed log in memory.
type memoryLog struct {
	size    uint64
	root    tlog.Hash
	tiles   map[[2]uint64][]byte
	bundles map[uint64][]byte
}

func newMemoryLog() *memoryLog {
	return &memoryLog{tiles: map[[2]uint64][]byte{}, bundles: map[uint64][]byte{}}
}

func (m *memoryLog) Origin() string { return origin }
func (m *memoryLog) Head(context.Context) (uint64, [32]byte, error) {
	return m.size, m.root, nil
}
func (m *memoryLog) HashTile(_ context.Context, level int, index uint64) ([]byte, error) {
	return m.tiles[[2]uint64{uint64(level), index}], nil
}
func (m *memoryLog) EntryBundle(_ context.Context, index uint64) ([]byte, error) {
	return m.bundles[index], nil
}

func (m *memoryLog) commit(t testing.TB, entries ...[]byte) {
	t.Helper()
	a, err := tlog.Append(context.Background(), m, m.size, entries)
	if err != nil {
		t.Fatal(err)
	}
	m.size, m.root = a.Size, a.Root
	for _, x := range a.Tiles {
		m.tiles[[2]uint64{uint64(x.Level), x.Index}] = x.Data
	}
	for _, x := range a.Bundles {
		m.bundles[x.Index] = x.Data
	}
}

// memoryHome is an anchor.CheckpointHome.
type memoryHome struct{ note []byte }

func (h *memoryHome) Load(context.Context) ([]byte, error) { return bytes.Clone(h.note), nil }
func (h *memoryHome) Save(_ context.Context, note []byte) error {
	h.note = bytes.Clone(note)
	return nil
}

// memoryStore is an anchor.CheckpointStore that keeps everything.
type memoryStore struct{ rows []anchor.SignedCheckpoint }

func (s *memoryStore) SaveCheckpoint(_ context.Context, c anchor.SignedCheckpoint) error {
	s.rows = append(s.rows, c)
	return nil
}

func (s *memoryStore) LatestCheckpoint(context.Context, string) (*anchor.SignedCheckpoint, error) {
	if len(s.rows) == 0 {
		return nil, nil
	}
	return &s.rows[len(s.rows)-1], nil
}

func (s *memoryStore) CheckpointAt(_ context.Context, _ string, size uint64) (*anchor.SignedCheckpoint, error) {
	for i := range s.rows {
		if s.rows[i].Size == size {
			return &s.rows[i], nil
		}
	}
	return nil, nil
}

func (s *memoryStore) PruneCheckpoints(context.Context, string, time.Time, []uint64) error {
	return nil
}
