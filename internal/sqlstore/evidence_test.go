package sqlstore_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/sqlstore"
)

func TestCheckpoints(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "writ.db")
	db, err := sqlstore.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	s := db.Checkpoints()
	if got, err := s.LatestCheckpoint(ctx, "a/log"); got != nil || err != nil {
		t.Fatalf("latest of nothing = %v, %v", got, err)
	}
	start := time.Date(2026, 11, 1, 0, 0, 0, 123e6, time.UTC)
	signed := func(log string, size uint64) anchor.SignedCheckpoint {
		return anchor.SignedCheckpoint{
			Checkpoint: tlog.Checkpoint{Origin: log, Size: size, Root: tlog.LeafHash([]byte{byte(size)})},
			Note:       []byte(log), Time: start.Add(time.Duration(size) * time.Minute),
		}
	}
	for _, c := range []anchor.SignedCheckpoint{signed("a/log", 0), signed("a/log", 5), signed("a/log", 7), signed("a/log", 9), signed("b/log", 20)} {
		for range 2 { // saving again changes nothing
			if err := s.SaveCheckpoint(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := signed("a/log", 5)
	other.Root[0] ^= 1
	if err := s.SaveCheckpoint(ctx, other); !errors.Is(err, anchor.ErrFork) {
		t.Errorf("another root at the same size: %v, want ErrFork", err)
	}

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = sqlstore.Open(ctx, path); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s = db.Checkpoints()
	latest, err := s.LatestCheckpoint(ctx, "a/log")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(signed("a/log", 9), *latest); diff != "" {
		t.Errorf("latest (-want +got):\n%s", diff)
	}
	at, err := s.CheckpointAt(ctx, "a/log", 5)
	if err != nil || at == nil || at.Root != signed("a/log", 5).Root {
		t.Errorf("CheckpointAt(5) = %v, %v", at, err)
	}
	if at, err := s.CheckpointAt(ctx, "a/log", 6); at != nil || err != nil {
		t.Errorf("CheckpointAt(6) = %v, %v, want nothing", at, err)
	}

	if err := s.PruneCheckpoints(ctx, "a/log", start.Add(time.Hour), []uint64{5}); err != nil {
		t.Fatal(err)
	}
	for size, want := range map[uint64]bool{0: false, 5: true, 7: false, 9: true} {
		if got, err := s.CheckpointAt(ctx, "a/log", size); err != nil || (got != nil) != want {
			t.Errorf("after pruning, CheckpointAt(%d) = %v, %v, want kept = %v", size, got, err, want)
		}
	}
	if got, err := s.LatestCheckpoint(ctx, "b/log"); err != nil || got == nil {
		t.Errorf("the other log was pruned too: %v, %v", got, err)
	}
	if err := s.PruneCheckpoints(ctx, "a/log", start.Add(6*time.Minute), nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.CheckpointAt(ctx, "a/log", 9); got == nil {
		t.Error("the latest was pruned")
	}
}
